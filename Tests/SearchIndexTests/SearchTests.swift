import Bytes
import Simulation
import Testing

@testable import SearchIndex

@Suite("Search")
struct SearchTests {
    /// An index in several states of merging, and what is in it.
    private static func world(
        seed: UInt64, commits: Int, size: Int, merges: Bool
    ) throws -> (snapshot: SearchSnapshot, script: StoreScript) {
        let files = SimulatedFileSystem(seed: seed)
        var script = StoreScript(seed: seed)
        var store = try SearchStore.open(
            files: files, directory: "/index", tokens: Segments.tokens)
        for _ in 0..<commits {
            let (builder, cursor) = script.commit(1 + script.maker.below(size))
            try store.commit(builder, cursor: cursor)
            if script.maker.below(3) == 0, let plan = store.planMerge() {
                try store.install(try plan.run())
            }
        }
        if merges, let plan = store.planFullMerge() { try store.install(try plan.run()) }
        // Nothing of it is open: what a search does not open must not be needed.
        store = try SearchStore.open(
            files: files, directory: "/index", tokens: Segments.tokens)
        return (store.snapshot, script)
    }

    /// Pages of a search, put together; each page continues behind the one before.
    private static func pages(
        _ snapshot: SearchSnapshot, _ request: SearchRequest
    ) throws -> [SearchHit] {
        var hits: [SearchHit] = []
        var request = request
        while true {
            let answer = try snapshot.search(request)
            #expect(!answer.isPartial)
            #expect(answer.hits.count <= request.limit)
            #expect(answer.atLeast >= answer.hits.count)
            hits += answer.hits
            guard let last = answer.hits.last, answer.hits.count == request.limit else {
                return hits
            }
            request.after = last.position
        }
    }

    @Test(
        "newest first gives what a scan gives, for any expression and filter, in pages",
        arguments: Long.seeds(0, 7))
    func newest(seed: UInt64) throws {
        var (snapshot, script) = try Self.world(
            seed: seed, commits: 1 + Int(seed) % 7, size: seed % 5 == 4 ? 300 : 50,
            merges: seed % 3 == 0)
        let brute = BruteForce(messages: script.model.sorted)
        for _ in 0..<20 {
            var request = SearchRequest(
                script.maker.expression(), filter: script.maker.filter(),
                limit: 1 + script.maker.below(12))
            let expected = brute.matches(request).sorted(by: BruteForce.isNewer).map(\.document)
            let found = try Self.pages(snapshot, request).map(\.document)
            #expect(found == expected, "seed \(seed), \(request)")
            request.limit = 500
            let whole = try snapshot.search(request)
            #expect(whole.hits.map(\.document) == Array(expected.prefix(500)), "seed \(seed)")
            #expect(whole.atLeast <= expected.count, "seed \(seed), \(request)")
            if whole.isExact { #expect(whole.atLeast == expected.count, "seed \(seed)") }
            request.limit = 0
            let counted = try snapshot.search(request)
            #expect(counted.hits.isEmpty && counted.atLeast == expected.count && counted.isExact)
        }
    }

    @Test(
        "newest first in one of few long conversations, whose end is looked at before the rest",
        arguments: Long.seeds(500, 3))
    func newestOfLong(seed: UInt64) throws {
        var maker = MessageMaker(seed: seed)
        // A few documents share each time, also at the place from which the end is looked at.
        let messages = (0..<7_000).map { number in
            let key = DocumentKey(
                conversation: MessageMaker.id(number / 6_000), seq: UInt64(number))
            return Message(
                document: SearchDocument(
                    key: key, time: 1_000 + UInt64(number / (1 + Int(seed) % 7)),
                    sender: MessageMaker.id(100 + number % 3), flags: []),
                words: ["all"] + (0..<maker.below(4)).map { _ in maker.word() })
        }.sorted { $0.key < $1.key }
        let reader = try Segments.reader(messages)
        let dead = DeadDocuments(documents: reader.documentCount)
        let snapshot = SearchSnapshot([.init(reader: reader, dead: dead)])
        let brute = BruteForce(messages: messages)
        for round in 0..<12 {
            var filter = SearchFilter()
            filter.conversations = [MessageMaker.id(round % 4 == 0 ? 1 : 0)]
            let expression: SearchExpression =
                round % 3 == 0 ? .word(Array("all".utf8)) : maker.expression()
            var request = SearchRequest(expression, filter: filter, limit: 1 + maker.below(400))
            let expected = brute.matches(request).sorted(by: BruteForce.isNewer).map(\.document)
            let found = try Self.pages(snapshot, request).map(\.document)
            #expect(found == expected, "seed \(seed), \(request)")
            request.workMax = 1 + maker.below(5_000)
            let cut = try snapshot.search(request)
            #expect(cut.atLeast <= expected.count && cut.hits.count <= request.limit)
            if !cut.isPartial {
                #expect(cut.hits.map(\.document) == Array(expected.prefix(request.limit)))
            }
        }
    }

    @Test(
        "by relevance the same documents come, best first, in pages",
        arguments: Long.seeds(1000, 6))
    func ranked(seed: UInt64) throws {
        var (snapshot, script) = try Self.world(
            seed: seed, commits: 1 + Int(seed) % 7, size: 60, merges: seed % 3 == 0)
        let brute = BruteForce(messages: script.model.sorted)
        for _ in 0..<20 {
            let request = SearchRequest(
                script.maker.expression(), filter: script.maker.filter(), order: .relevance,
                limit: 1 + script.maker.below(12))
            let expected = brute.matches(request).map(\.document)
            let found = try Self.pages(snapshot, request)
            for (left, right) in zip(found, found.dropFirst()) {
                #expect(left.position.precedes(right.position), "seed \(seed), \(request)")
            }
            let keys = found.map(\.document).sorted { $0.key < $1.key }
            #expect(keys == expected, "seed \(seed), \(request)")
        }
    }

    @Test(
        "the best ten of words in OR are those of BM25 as in the books, over what may be read",
        arguments: Long.seeds(2000, 6))
    func oracle(seed: UInt64) throws {
        var maker = MessageMaker(seed: seed)
        var parts: [[Message]] = [[]]
        let messages = maker.messages(1500)
        for message in messages {
            if seed % 2 == 0, maker.below(300) == 0 { parts.append([]) }
            parts[parts.count - 1].append(message)
        }
        let snapshot = SearchSnapshot(
            try parts.filter { !$0.isEmpty }.enumerated().map { index, messages in
                let reader = try Segments.reader(messages, fileID: UInt64(index + 1))
                return .init(
                    reader: reader, dead: DeadDocuments(documents: reader.documentCount))
            })
        for _ in 0..<12 {
            let spans = maker.below(2) == 0 ? maker.spans() : nil
            let brute = BruteForce(messages: messages.filter { BruteForce.isIn(spans, $0.key) })
            var words: [[UInt8]] = []
            for _ in 0..<(1 + maker.below(5)) {
                let word = maker.someWord()
                if !words.contains(word) { words.append(word) }
            }
            let isAll = maker.below(3) == 0
            let parts = words.map { SearchExpression.word($0) }
            var filter = maker.below(3) == 0 ? maker.filter() : SearchFilter()
            filter.spans = spans
            let request = SearchRequest(
                isAll ? .all(parts) : .any(parts), filter: filter, order: .relevance, limit: 10)
            let scored = brute.matches(request).map { ($0, brute.score($0, words)) }
            let expected = scored.sorted { left, right in
                abs(left.1 - right.1) > 1e-9
                    ? left.1 > right.1 : BruteForce.isNewer(left.0, right.0)
            }.prefix(10)
            let answer = try snapshot.search(request)
            #expect(answer.hits.count == expected.count, "seed \(seed), \(request)")
            for (hit, wanted) in zip(answer.hits, expected) {
                let score = Double(bitPattern: hit.position.score)
                #expect(abs(score - wanted.1) < 1e-9, "seed \(seed), \(request)")
            }
        }
    }

    @Test(
        "a search whose work runs out says that it is partial, and lies about nothing",
        arguments: Long.seeds(3000, 4))
    func work(seed: UInt64) throws {
        var (snapshot, script) = try Self.world(seed: seed, commits: 4, size: 80, merges: false)
        let brute = BruteForce(messages: script.model.sorted)
        var partial = 0
        for _ in 0..<80 {
            let request = SearchRequest(
                script.maker.expression(), filter: script.maker.filter(),
                order: script.maker.below(2) == 0 ? .newest : .relevance, limit: 10,
                workMax: script.maker.below(300))
            let answer = try snapshot.search(request)
            let expected = brute.matches(request).map(\.document)
            #expect(answer.hits.allSatisfy { expected.contains($0.document) }, "seed \(seed)")
            if answer.isPartial { partial += 1 }
            if !answer.isPartial {
                #expect(answer.hits.count == min(10, expected.count), "seed \(seed), \(request)")
            }
        }
        #expect(partial > 0, "seed \(seed)")
    }

    @Test("pages stay whole while messages come: no hit twice, none of the old missed")
    func pagesUnderWrites() throws {
        let files = SimulatedFileSystem(seed: 9)
        var script = StoreScript(seed: 9)
        var store = try SearchStore.open(
            files: files, directory: "/index", tokens: Segments.tokens)
        let (builder, cursor) = script.commit(300)
        try store.commit(builder, cursor: cursor)
        let before = BruteForce(messages: script.model.sorted)
        var request = SearchRequest(.all([]), limit: 7)
        let expected = before.matches(request).sorted(by: BruteForce.isNewer).map(\.key)
        var found: [DocumentKey] = []
        while true {
            let answer = try store.snapshot.search(request)
            found += answer.hits.map(\.document.key)
            guard let last = answer.hits.last else { break }
            request.after = last.position
            var more = SegmentBuilder(memoryMax: 1 << 20)
            let key = DocumentKey(
                conversation: MessageMaker.id(0), seq: 10_000 + UInt64(found.count))
            more.put(script.maker.message(key))
            try store.commit(more, cursor: [])
            if let plan = store.planMerge() { try store.install(try plan.run()) }
        }
        #expect(found == expected)
    }

    @Test("searching forged segments never traps", arguments: Long.seeds(4000, 8))
    func forged(seed: UInt64) throws {
        var maker = MessageMaker(seed: seed)
        let original = try Segments.bytes(maker.messages(400))
        for _ in 0..<15 {
            var bytes = original
            for _ in 0...maker.below(6) {
                bytes[maker.below(bytes.count)] = UInt8(maker.below(256))
            }
            guard let sealed = Segments.seal(bytes), let reader = try? Segments.open(sealed)
            else { continue }
            let snapshot = SearchSnapshot([
                .init(reader: reader, dead: DeadDocuments(documents: reader.documentCount))
            ])
            for _ in 0..<8 {
                let request = SearchRequest(
                    maker.expression(), filter: maker.filter(),
                    order: maker.below(2) == 0 ? .newest : .relevance, limit: 10)
                if let answer = try? snapshot.search(request) {
                    #expect(answer.hits.count <= 10, "seed \(seed)")
                }
            }
        }
    }

    @Test("the logarithm is that of the books")
    func logarithm() {
        #expect(NaturalLogarithm.of(1) == 0)
        #expect(abs(NaturalLogarithm.of(2.718281828459045) - 1) < 1e-15)
        #expect(abs(NaturalLogarithm.of(1e6) - 13.815510557964274) < 1e-14)
        #expect(abs(NaturalLogarithm.of(1.5) - 0.4054651081081644) < 1e-16)
    }
}
