import Foundation
import SearchIndex
import Testing

@testable import MagpieBench

@Suite struct SearchCorpusTests {
    /// Four messages of two conversations; the third and the fourth are of one moment.
    private static let small = SearchCorpus(
        source: "by hand",
        texts: ["one two two", "Two ONE", "two one three", "tree, see http://x.org"],
        messages: [
            .init(conversation: 0, sender: 0, timeMs: 1_000, text: 0),
            .init(conversation: 1, sender: 1, timeMs: 2_000, text: 1),
            .init(conversation: 0, sender: 1, timeMs: 3_000, text: 2),
            .init(conversation: 0, sender: 0, timeMs: 3_000, text: 3),
        ])

    @Test(
        "The scan finds what each kind of query asks for",
        arguments: [
            (WordOperator.word, ["two"], [0, 1, 2]), (.word, ["four"], []),
            (.all, ["one", "three"], [2]), (.all, ["one", "four"], []),
            (.any, ["three", "tree", "four"], [2, 3]), (.not, ["two", "three"], [0, 1]),
            (.not, ["two", "four"], [0, 1, 2]), (.phrase, ["two", "one"], [1, 2]),
            (.phrase, ["two", "two"], [0]), (.phrase, ["one", "three", "two"], []),
            (.prefix, ["tr"], [3]), (.prefix, ["t"], [0, 1, 2, 3]),
        ] as [(WordOperator, [String], [UInt32])])
    func scan(op: WordOperator, words: [String], expected: [UInt32]) {
        let oracle = SearchOracle(TokenCorpus(Self.small, seed: 1))
        #expect(oracle.matches(WordQuery(op: op, words: words)) == expected)
    }

    @Test("Filters let through what they name, newest first")
    func filters() {
        let oracle = SearchOracle(TokenCorpus(Self.small, seed: 1))
        let all: [UInt32] = [0, 1, 2, 3]
        func newest(_ change: (inout BenchFilter) -> Void) -> [UInt32] {
            var filter = BenchFilter(kind: .none)
            change(&filter)
            return oracle.newest(all, filter)
        }
        #expect(newest { _ in } == [3, 2, 1, 0])
        #expect(newest { $0.conversations = [0] } == [3, 2, 0])
        #expect(newest { $0.conversations = [] }.isEmpty)
        #expect(newest { $0.sender = 1 } == [2, 1])
        #expect(newest { ($0.low, $0.high) = (2_000, 2_999) } == [1])
        #expect(newest { $0.flags = 4 } == [3])
    }

    @Test("A rarer word, more occurrences and a shorter message score higher; a dead word nothing")
    func scores() {
        let oracle = SearchOracle(TokenCorpus(Self.small, seed: 1))
        let two = oracle.scores(WordQuery(op: .word, words: ["two"]), [0, 1, 2])
        #expect(two[0] > two[1] && two[1] > two[2] && two[2] > 0)
        let three = oracle.scores(WordQuery(op: .word, words: ["three"]), [2])
        #expect(three[0] > two[2])
        // ln(1 + 3.5 / 1.5) * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 3 / 3.25)), by hand.
        #expect(abs(three[0] - 1.243_091) < 1e-6)
        let not = oracle.scores(WordQuery(op: .not, words: ["two", "three"]), [1])
        #expect(not == [two[1]])
    }

    @Test("Edits give a document other words, removals take it away")
    func changes() {
        let corpus = TokenCorpus(Self.small, seed: 1)
        let changed = SearchOracle(
            corpus.changed(by: [
                .init(batch: 0, document: 0, source: 3), .init(batch: 0, document: 1, source: nil),
            ]))
        #expect(changed.matches(WordQuery(op: .word, words: ["two"])) == [2])
        #expect(changed.matches(WordQuery(op: .word, words: ["tree"])) == [0, 3])
        #expect(changed.conversationSizes == [0: 3])
    }

    @Test("The checksum of hits is the one that Python's zlib reckons")
    func checksum() {
        #expect(HitChecksum([1, 2, 70_000]).value == 3449148903)
        #expect(HitChecksum([]).value == 0)
    }

    @Test("Recomposed messages keep their texts, and say that they are synthetic")
    func recomposed() {
        let corpus = Self.small.recomposed(500, seed: 3)
        #expect(corpus.messages.count == 500 && corpus.source.hasPrefix("SYNTHETIC"))
        #expect(corpus.texts == Self.small.texts)
        #expect(Set(corpus.messages.map(\.text)) == [0, 1, 2, 3])
        let times = corpus.messages.map(\.timeMs)
        #expect(times == times.sorted())
    }

    @Test("A text said several times has the same tokens and flags each time, and is kept once")
    func repeatedTexts() {
        let corpus = SearchCorpus(
            source: "by hand", texts: ["b a http://x", "a b c"],
            messages: [1, 0, 1, 0].enumerated().map { place, text in
                .init(conversation: 0, sender: 0, timeMs: UInt64(place), text: text)
            })
        let tokens = TokenCorpus(corpus, seed: 1)
        let said = (0..<4).map { tokens.tokens(of: $0).map { tokens.vocabulary[Int($0)] } }
        #expect(said[0] == ["a", "b", "c"] && said[0] == said[2] && said[1] == said[3])
        // Numbers of words are in the order of time: what is drawn depends on them.
        #expect(tokens.vocabulary.starts(with: ["a", "b", "c"]))
        let hasLink = tokens.documents.map {
            DocumentFlags(rawValue: $0.flags).contains(.link)
        }
        #expect(hasLink == [false, true, false, true])
    }
}

@Suite struct QueryDrawerTests {
    private static let corpus = SearchCorpus(synthetic: 4_000, seed: 5)

    private static func draw(_ oracle: SearchOracle, seed: UInt64) -> QuerySet {
        var drawer = QueryDrawer(
            oracle, texts: ["so see a.b-c then x@y.org"], count: 6, seed: seed)
        return drawer.draw()
    }

    @Test("The same seed draws the same queries, another one others")
    func repeats() throws {
        let oracle = SearchOracle(TokenCorpus(Self.corpus, seed: 5))
        let first = try JSONLine.of(Self.draw(oracle, seed: 7))
        #expect(try JSONLine.of(Self.draw(oracle, seed: 7)) == first)
        #expect(try JSONLine.of(Self.draw(oracle, seed: 8)) != first)
    }

    @Test("Each class holds the queries that its name promises")
    func classes() {
        let oracle = SearchOracle(TokenCorpus(Self.corpus, seed: 5))
        let set = Self.draw(oracle, seed: 7)
        let drawn = Set(set.queries.map(\.class))
        #expect(drawn == Set(SearchClass.allCases).subtracting([.cjk1, .cjk2, .cjk4]))
        for query in set.queries where query.filterKind == .none {
            let hits = oracle.matches(query.query).count
            let words = query.query.words
            switch query.class {
            case .rare: #expect((1...10).contains(hits), "\(query)")
            case .middle: #expect((100...1_000).contains(hits), "\(query)")
            case .and2, .not, .phrase2: #expect(hits >= 0 && words.count == 2, "\(query)")
            case .and3, .phrase3: #expect(hits > 0 && words.count == 3, "\(query)")
            case .or: #expect((2...5).contains(words.count) && hits > 0, "\(query)")
            case .twenty: #expect(Set(words).count == 20, "\(query)")
            case .phraseNone, .noHit: #expect(hits == 0, "\(query)")
            case .prefix1: #expect(words[0].count == 1 && hits > 0, "\(query)")
            case .prefix4: #expect(words[0].count == 4 && hits > 0, "\(query)")
            case .identifier: #expect(words == ["a", "b", "c"] || words.count == 3, "\(query)")
            default: #expect(hits > 0, "\(query)")
            }
        }
    }

    @Test("Every class is asked with every filter, and filters hold what they are called")
    func filters() {
        let oracle = SearchOracle(TokenCorpus(Self.corpus, seed: 5))
        let set = Self.draw(oracle, seed: 7)
        for kind in FilterKind.allCases {
            let own = set.queries.filter { $0.filterKind == kind }
            #expect(own.count * FilterKind.allCases.count == set.queries.count)
            for query in own {
                let filter = set.filters[query.filter]
                #expect(filter.kind == kind)
                #expect(query.orders == HitOrder.all(for: kind))
                if let members = kind.members {
                    let all = oracle.conversationSizes.count
                    #expect(filter.conversations?.count == min(members, all))
                }
                if kind == .large {
                    #expect(filter.conversations == [oracle.largestConversation])
                }
            }
        }
        #expect(set.queries.map(\.id) == Array(set.queries.indices))
    }

    @Test("Hits are compared of all queries without a filter, of the others as many as asked for")
    func checked() {
        let oracle = SearchOracle(TokenCorpus(Self.corpus, seed: 5))
        var drawer = QueryDrawer(oracle, texts: [], count: 6, checked: 2, seed: 7)
        var begun: [SearchClass] = []
        let set = drawer.draw { begun.append($0) }
        #expect(begun == SearchClass.allCases)
        for kind in FilterKind.allCases {
            for wanted in Set(set.queries.map(\.class)) {
                let own = set.queries.filter { $0.class == wanted && $0.filterKind == kind }
                let expected = kind == .none ? own.count : min(2, own.count)
                #expect(own.count(where: \.isChecked) == expected, "\(wanted) \(kind)")
            }
        }
        var whole = QueryDrawer(oracle, texts: [], count: 6, seed: 7)
        let words = set.queries.map(\.query)
        #expect(whole.draw().queries.map(\.query) == words)
    }
}

@Suite struct SearchRunTests {
    /// A run of Magpie alone in this process.
    private static func perform() throws -> (run: SearchRun, records: [DriverRecord]) {
        let directory = NSTemporaryDirectory() + "search-bench-\(UUID().uuidString)"
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let settings = DriverSettings(
            tokens: directory + "/tokens", changes: directory + "/changes",
            queries: directory + "/queries", directory: directory, passes: 1, budgetMs: 1,
            batch: 300, seed: 9, states: IndexState.allCases,
            load: WriteLoad(rate: 5_000, firstBatch: 0))
        let run = try SearchRun(
            SearchCorpus(synthetic: 1_500, seed: 9), queries: 2, writeSeconds: 1,
            settings: settings, engines: [.magpie], drivers: "", environment: "")
        var records: [DriverRecord] = []
        var driver = MagpieSearchDriver(run.settings) { records.append($0) }
        try driver.perform()
        return (run, records)
    }

    @Test("Magpie's hits are the scan's in all states, and a wrong one is seen")
    func hits() throws {
        var (run, records) = try Self.perform()
        let stages = records.filter { $0.kind == .stage }.compactMap(\.name)
        #expect(stages == run.settings.stages.map(\.name))
        let expectations = run.expectations()
        let checks = run.check(.magpie, records, expectations)
        #expect(checks.map(\.state) == IndexState.allCases)
        for check in checks {
            #expect(check.wrong == 0 && check.wrongRanked == 0, "\(check.examples)")
            #expect(check.queries == run.set.queries.count)
        }
        #expect(checks[0].ranked == run.set.queries.count)

        let place = try #require(records.firstIndex { $0.kind == .check })
        records[place].crc = records[place].crc.map { $0 ^ 1 }
        #expect(run.check(.magpie, records, expectations)[0].wrong == 1)
        records.remove(at: place)
        #expect(run.check(.magpie, records, expectations)[0].wrong == 1)
        let ranked = try #require(
            records.firstIndex { $0.kind == .ranked && $0.hits?.isEmpty == false })
        records[ranked].hits?.removeLast()
        #expect(run.check(.magpie, records, expectations)[0].wrongRanked == 1)
    }

    @Test("What came at a fixed rate was all taken, searched meanwhile, and found when it was due")
    func load() throws {
        let (run, records) = try Self.perform()
        // The second half of five commits, and the changes among them.
        #expect(run.settings.load.firstBatch == 2)
        let figures = Dictionary(
            uniqueKeysWithValues: records.filter { $0.kind == .figure && $0.state == .writing }
                .map { ($0.name ?? "", $0.value ?? -1) })
        #expect(figures["share of events taken"] == 1)
        let most = try #require(figures["findable ms max"])
        let middle = try #require(figures["findable ms p50"])
        #expect(middle > 0 && most >= middle)
        #expect(try #require(figures["commits"]) >= 1)
        let asked = run.set.queries.filter { WriteLoad.filters.contains($0.filterKind) }
        let loads = records.filter { $0.kind == .load }
        #expect(loads.count == asked.count * WriteLoad.orders.count)
        #expect(loads.contains { $0.samples?.isEmpty == false })
        let results = SearchResults([(.magpie, records)], run.set, checks: [])
        #expect(results.goals.contains { $0.workload == "findable ms max" })
        #expect(results.groups.contains { $0.state == .writing && $0.filter == .members500 })
    }

    @Test("Several runs become medians and a spread; an engine that was ended is shown as such")
    func runs() throws {
        let (run, records) = try Self.perform()
        func slower(_ times: Double) -> [DriverRecord] {
            records.map { record in
                var record = record
                if record.kind == .time { record.us = record.us.map { $0 * times } }
                if record.kind == .call { record.us = 0 }
                return record
            }
        }
        let peer = [slower(2), slower(8), slower(4)]
        let merged = peer.merged
        let places = records.indices.filter { records[$0].kind == .time }
        #expect(merged.count(where: { $0.kind == .time }) == places.count)
        let first = try #require(records.first { $0.kind == .time })
        let own = try #require(
            merged.first { $0.kind == .time && $0.id == first.id && $0.order == first.order })
        #expect(abs((own.us ?? 0) - (first.us ?? 0) * 4) < 0.01)
        // Each run's hits are compared.
        #expect(
            merged.count(where: { $0.kind == .check })
                == 3 * records.count(where: { $0.kind == .check }))
        let checks = run.check(.tantivy, merged, run.expectations(), runs: 3)
        #expect(checks.allSatisfy { $0.wrong == 0 && $0.queries == 3 * run.set.queries.count })

        var stopped = DriverRecord(.stopped)
        stopped.reason = "xapian was ended after its limit"
        let about = records.filter { $0.kind == .about }
        var results = SearchResults(
            [(.magpie, records), (.tantivy, merged), (.xapian, about + [stopped])], run.set,
            checks: [])
        results.spreads = SearchSpread.of(
            peer.map { SearchResults([(.magpie, records), (.tantivy, $0)], run.set, checks: []) })
        let spread = try #require(
            results.spreads.first { $0.state == .one && $0.order == .newest10 })
        #expect(spread.runs == 3 && spread.least < spread.median && spread.median < spread.most)
        let lines = SearchTable(results: results, setting: []).lines
        #expect(lines.contains { $0.contains("one, newest-10, none") && $0.contains("stopped") })
        #expect(lines.contains { $0.contains("over 3 runs") })
        #expect(results.skipped == ["xapian was ended after its limit"])
    }

    @Test("Tables and page compare net times, and say what was missing")
    func tables() throws {
        let (run, records) = try Self.perform()
        let peer = records.map { record in
            var record = record
            if record.kind == .time { record.us = record.us.map { $0 * 3 + 1 } }
            if record.kind == .call { record.us = 1 }
            return record
        }
        var skipped = DriverRecord(.skipped)
        skipped.reason = "xapian is not measured"
        let results = SearchResults(
            [(.magpie, records), (.tantivy, peer), (.xapian, [skipped])], run.set, checks: [])
        #expect(results.engines == [.magpie, .tantivy] && results.skipped.count == 1)
        let cell = try #require(results.cells.first { $0.class == .top })
        let ratio = try #require(results.ratio(cell, to: .tantivy, \.netP50Us))
        #expect(abs(ratio - 3) < 0.1)
        #expect(results.goals.contains { $0.workload == "bytes/message" })
        let table = SearchTable(results: results, setting: ["<setting>"])
        #expect(table.lines.contains { $0.contains("us p50 / p99: one, newest-10, none") })
        let page = ResultPage(search: table, command: ["magpie-bench"]).text
        #expect(page.contains("<svg") && page.contains("&lt;setting&gt;"))
        #expect(page.contains("<h2>Findable after</h2>"))
        #expect(page.contains("all classes together: natural</h2>"))
    }
}

@Suite struct WriteLoadTests {
    @Test(
        "A load is the end of a corpus, at most its second half",
        arguments: [
            (2_000, 20, 258_112, 110), (2_000, 20, 20_000, 5), (100, 1, 258_112, 129),
            (2_000, 20, 100, 0),
        ])
    func firstBatch(rate: Int, seconds: Int, documents: Int, first: Int) {
        let load = WriteLoad(rate: rate, seconds: seconds, documents: documents, batch: 2_000)
        #expect(load.firstBatch == first)
    }
}

@Suite struct TokenizerRatesTests {
    @Test("Rates are of ASCII texts and of others apart, and only of what there is")
    func kinds() {
        #expect(TokenizerRates.of(["one two"]).map(\.name) == [TokenizerRates.ascii])
        #expect(TokenizerRates.of(["zwei für", "二つ"]).map(\.name) == [TokenizerRates.mixed])
        let both = TokenizerRates.of(["one", "二つ"])
        #expect(both.map(\.name) == [TokenizerRates.ascii, TokenizerRates.mixed])
        #expect(both.allSatisfy { $0.rate > 0 })
        #expect(TokenizerRates.of([""]).isEmpty)
    }
}

@Suite struct DriverProcessTests {
    private static func run(_ script: String, seconds: Int) throws -> (
        isFinished: Bool, heard: [DriverRecord]
    ) {
        let log = NSTemporaryDirectory() + "driver-\(UUID().uuidString).log"
        defer { try? FileManager.default.removeItem(atPath: log) }
        var heard: [DriverRecord] = []
        let isFinished = try DriverProcess.run(
            ["/bin/sh", "-c", script], log: log, seconds: seconds
        ) { heard.append($0) }
        return (isFinished, heard)
    }

    @Test("What a driver says is heard; one that fails is an error")
    func ends() throws {
        let (isFinished, heard) = try Self.run(
            "echo '{\"kind\":\"stage\",\"name\":\"bulk\"}'", seconds: 600)
        #expect(isFinished && heard.map(\.name) == ["bulk"])
        #expect(throws: EngineError.self) { try Self.run("exit 3", seconds: 600) }
    }

    @Test(
        "A driver that takes too long is ended, whether it still speaks or not",
        arguments: ["exec tail -f /dev/null", "exec tail -f /dev/null >/dev/null"])
    func limit(script: String) throws {
        #expect(try !Self.run(script, seconds: 1).isFinished)
    }
}
