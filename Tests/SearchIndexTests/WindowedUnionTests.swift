import Testing

@testable import SearchIndex

@Suite("Windowed union")
struct WindowedUnionTests {
    private static func part(_ maker: inout MessageMaker, _ count: Int) throws
        -> SearchSnapshot.Part
    {
        let messages = (0..<count).map { number in
            maker.message(
                DocumentKey(
                    conversation: MessageMaker.id(maker.below(maker.conversations)),
                    seq: UInt64(number)))
        }
        let reader = try Segments.reader(messages)
        var dead = DeadDocuments(documents: reader.documentCount)
        for document in 0..<UInt32(reader.documentCount) where maker.below(20) == 0 {
            _ = dead.insert(document)
        }
        return .init(reader: reader, dead: dead)
    }

    /// All documents that pass, scored one by one.
    private static func expected(
        _ part: SearchSnapshot.Part, _ words: [[UInt8]], _ filter: SearchFilter
    ) throws -> [SearchPosition] {
        let expression = SearchExpression.any(words.map { .word($0) })
        var budget = SegmentMatcher.Budget(left: .max)
        var scorer = try SegmentScorer(
            Relevance(expression, [part], filter.spans, &budget), 0, part.reader)
        var result: [SearchPosition] = []
        for number in 0..<UInt32(part.reader.documentCount) {
            let score = scorer.score(number)
            let document = part.reader.document(number)
            if score == 0 || part.dead.contains(number) { continue }
            guard filter.conversations?.contains(document.key.conversation) ?? true,
                filter.senders?.contains(document.sender) ?? true,
                filter.times.contains(document.time), document.flags.isSuperset(of: filter.flags),
                BruteForce.isIn(filter.spans, document.key)
            else { continue }
            result.append(
                SearchPosition(score: score.bitPattern, time: document.time, key: document.key))
        }
        return result.sorted { $0.precedes($1) }
    }

    @Test("gives the best of all documents, over many windows", arguments: Long.seeds(0, 4))
    func best(seed: UInt64) throws {
        var maker = MessageMaker(seed: seed)
        let part = try Self.part(&maker, 9_000)
        #expect(part.reader.documentCount > 8192, "seed \(seed): more than two windows")
        var windowed = 0
        for round in 0..<12 {
            var words: [[UInt8]] = []
            for _ in 0..<(3 + maker.below(12)) {
                let word = maker.someWord()
                if !words.contains(word) { words.append(word) }
            }
            let filter = round % 3 == 0 ? maker.filter() : SearchFilter()
            let expression = SearchExpression.any(words.map { .word($0) })
            var documents = DocumentFilter(part.reader)
            documents.narrow(filter)
            var budget = SegmentMatcher.Budget(left: .max)
            let relevance = try Relevance(expression, [part], filter.spans, &budget)
            if WindowedUnion.isWorth(relevance, 0, part.reader, documents) { windowed += 1 }
            let expected = try Self.expected(part, words, filter)
            var request = SearchRequest(
                expression, filter: filter, order: .relevance, limit: 1 + maker.below(30))
            for _ in 0..<2 {
                let before = request.after
                let rest = expected.filter { before?.precedes($0) ?? true }
                let answer = try SearchSnapshot([part]).search(request)
                #expect(
                    answer.hits.map(\.position) == Array(rest.prefix(request.limit)),
                    "seed \(seed), round \(round)")
                #expect(answer.atLeast <= rest.count && answer.atLeast >= answer.hits.count)
                if answer.isExact { #expect(answer.atLeast == rest.count, "seed \(seed)") }
                guard let last = answer.hits.last else { break }
                request.after = last.position
            }
            request.after = nil
            request.workMax = 1 + maker.below(20_000)
            let partial = try SearchSnapshot([part]).search(request)
            #expect(partial.hits.count <= request.limit, "seed \(seed)")
            if !partial.isPartial {
                #expect(partial.hits.map(\.position) == Array(expected.prefix(request.limit)))
            }
        }
        #expect(windowed > 3 || maker.vocabulary < 8, "seed \(seed)")
    }
}
