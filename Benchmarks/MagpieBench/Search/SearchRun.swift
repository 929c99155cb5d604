import Foundation
import Glibc
import SearchIndex

/// Makes the files of a run, lets each engine's driver work on them, and compares their hits with
/// the scan's.
struct SearchRun {
    let settings: DriverSettings
    let engines: [SearchEngineKind]
    /// Where the peers' drivers and Python's packages are.
    let drivers: String
    let environment: String
    let set: QuerySet
    private let oracles: [IndexState: SearchOracle]
    private let tokenizerRate: Double
    /// What the data is, for the results.
    let data: String

    /// Writes tokens, changes and queries into the directory of `settings`.
    init(
        _ corpus: SearchCorpus, queries: Int, settings: DriverSettings,
        engines: [SearchEngineKind], drivers: String, environment: String
    ) throws {
        self.settings = settings
        self.engines = engines
        self.drivers = drivers
        self.environment = environment
        tokenizerRate = Self.tokenizerRate(corpus)
        let tokens = TokenCorpus(corpus, seed: settings.seed)
        let changes = tokens.changes(batch: settings.batch, seed: settings.seed)
        try tokens.write(to: settings.tokens)
        try tokens.write(changes, to: settings.changes)
        let oracle = SearchOracle(tokens)
        var drawer = QueryDrawer(
            oracle, texts: corpus.messages.map(\.text), count: queries, seed: settings.seed)
        set = drawer.draw()
        try set.write(to: settings.queries)
        oracles = [.one: oracle, .natural: SearchOracle(tokens.changed(by: changes))]
        data =
            "\(corpus.source): \(tokens.documents.count) messages, \(tokens.tokens.count) tokens, "
            + "\(tokens.vocabulary.count) different, \(oracle.conversationSizes.count) "
            + "conversations; pictures drawn by seed; \(changes.count) edits and removals in the "
            + "natural state, commits of \(settings.batch) messages; \(set.queries.count) queries, "
            + "\(queries) of each class and filter, \(settings.passes) passes, seed "
            + "\(settings.seed)"
    }

    /// Megabytes of the corpus that are cut a second, the best of three times.
    private static func tokenizerRate(_ corpus: SearchCorpus) -> Double {
        let texts = corpus.messages.prefix(300_000).map { Array($0.text.utf8) }
        let bytes = texts.reduce(0) { $0 + $1.count }
        var tokenizer = Tokenizer()
        var best = UInt64.max
        var count = 0
        for _ in 0..<3 {
            let start = Meter.now()
            for text in texts {
                text.withUnsafeBytes { tokenizer.tokenize($0) { _, _, _, _ in count &+= 1 } }
            }
            best = min(best, Meter.now() - start)
        }
        return count == 0 ? 0 : Double(bytes) * 1_000 / Double(best)
    }

    /// Runs all drivers.
    func perform() throws -> SearchResults {
        let stages = settings.stages
        var progress = Progress(
            weights: engines.flatMap { engine in stages.map { $0.weight * engine.weight } },
            isQuiet: false)
        var records: [(engine: SearchEngineKind, records: [DriverRecord])] = []
        for (place, engine) in engines.enumerated() {
            var own: [DriverRecord] = []
            let directory = settings.directory + "/" + engine.rawValue
            try FileManager.default.createDirectory(
                atPath: directory, withIntermediateDirectories: true)
            var settings = settings
            settings.directory = directory
            let command = engine.command(drivers: drivers, environment: environment)
            try DriverProcess.run(
                command + settings.arguments, log: directory + ".log"
            ) { record in
                if record.kind == .stage {
                    progress.step("\(engine.rawValue), \(record.name ?? "")")
                }
                if record.kind == .skipped {
                    Terminal.error("\(engine.rawValue) skipped: \(record.reason ?? "")")
                }
                own.append(record)
            }
            progress.skip(to: (place + 1) * stages.count)
            try? FileManager.default.removeItem(atPath: directory)
            if engine == .magpie {
                var record = DriverRecord(.figure, state: .one)
                record.name = "tokenizer MB/s"
                record.value = tokenizerRate
                own.append(record)
            }
            records.append((engine, own))
        }
        progress.end()
        let checks = records.flatMap { check($0.engine, $0.records) }
        return SearchResults(records, set, checks: checks)
    }

    // MARK: Comparing with the scan

    private struct Expected {
        let count: Int
        let crc: UInt32
        let crcListed: UInt32
        let hits: [UInt32]
    }

    /// Queries come filter by filter: the words are looked for once.
    private func expected(_ state: IndexState) -> [Expected] {
        guard let oracle = oracles[state] else { return [] }
        var last: (query: WordQuery, matches: [UInt32])?
        return set.queries.map { query in
            let matches =
                last?.query == query.query ? last?.matches ?? [] : oracle.matches(query.query)
            last = (query.query, matches)
            let hits = oracle.newest(matches, set.filters[query.filter])
            return Expected(
                count: hits.count, crc: HitChecksum(hits.prefix(1_000)).value,
                crcListed: HitChecksum(hits.prefix(SearchRequests.listedMax)).value, hits: hits)
        }
    }

    /// How the hits of an engine compare, state by state.
    func check(_ engine: SearchEngineKind, _ records: [DriverRecord]) -> [SearchCheck] {
        settings.states.compactMap { state in
            let own = records.filter { $0.state == state }
            guard own.contains(where: { $0.kind == .check }) else { return nil }
            let expected = expected(state)
            var check = SearchCheck(workload: "search", engine: engine, state: state)
            for record in own {
                guard let id = record.id, expected.indices.contains(id) else { continue }
                let query = set.queries[id]
                let wanted = expected[id]
                if record.kind == .check {
                    check.queries += 1
                    let isRight =
                        record.count == wanted.count && record.crc == wanted.crc
                        && record.crcListed ?? wanted.crcListed == wanted.crcListed
                    if isRight { continue }
                    check.wrong += 1
                } else if record.kind == .ranked, state == .one, let hits = record.hits {
                    check.ranked += 1
                    if isRanked(hits, query, wanted.hits) { continue }
                    check.wrongRanked += 1
                } else {
                    continue
                }
                if check.examples.count < 3 {
                    check.examples.append(
                        "\(query.query.op.rawValue) \(query.query.words.joined(separator: " ")) "
                            + "\(query.filterKind.rawValue): \(record.count ?? -1) for "
                            + "\(wanted.count)")
                }
            }
            if check.queries != set.queries.count {
                check.wrong += set.queries.count - check.queries
                check.examples.append("\(set.queries.count - check.queries) queries unanswered")
            }
            return check
        }
    }

    /// True when the hits are different ones with the highest scores there are.
    private func isRanked(_ hits: [UInt32], _ query: BenchQuery, _ matches: [UInt32]) -> Bool {
        guard let oracle = oracles[.one] else { return false }
        let best = oracle.scores(query.query, matches).sorted(by: >).prefix(10)
        guard Set(hits).count == best.count, Set(hits).isSubset(of: matches) else { return false }
        return zip(oracle.scores(query.query, hits), best).allSatisfy { abs($0 - $1) < 1e-6 }
    }
}
