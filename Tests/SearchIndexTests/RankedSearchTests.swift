import Testing

@testable import SearchIndex

@Suite("Search by relevance")
struct RankedSearchTests {
    /// Segments with lists of many blocks, and what of them is alive.
    private struct World {
        let snapshot: SearchSnapshot
        let alive: [Message]

        init(_ maker: inout MessageMaker, sizes: [Int]) throws {
            var parts: [SearchSnapshot.Part] = []
            var alive: [Message] = []
            var number: UInt64 = 0
            for size in sizes {
                let messages = (0..<size).map { _ in
                    number += 1 + UInt64(maker.below(2))
                    return maker.message(
                        DocumentKey(
                            conversation: MessageMaker.id(maker.below(maker.conversations)),
                            seq: number))
                }
                let reader = try Segments.reader(messages, fileID: UInt64(parts.count + 1))
                var dead = DeadDocuments(documents: reader.documentCount)
                for message in messages {
                    if maker.below(25) == 0, let document = reader.find(message.key) {
                        _ = dead.insert(document)
                    } else {
                        alive.append(message)
                    }
                }
                parts.append(.init(reader: reader, dead: dead))
            }
            snapshot = SearchSnapshot(parts)
            self.alive = alive
        }

        /// Places of all matches in their order: each message looked at, each score made alone.
        func expected(_ request: SearchRequest) throws -> [SearchPosition] {
            var budget = SegmentMatcher.Budget(left: .max)
            let parts = try snapshot.parts()
            let relevance = try Relevance(
                request.expression, parts, request.filter.spans, &budget)
            var scores: [DocumentKey: Double] = [:]
            for (index, part) in parts.enumerated() {
                var scorer = SegmentScorer(relevance, index, part.reader)
                for document in 0..<UInt32(part.reader.documentCount) {
                    scores[part.reader.key(document)] = scorer.score(document)
                }
            }
            return BruteForce(messages: alive).matches(request).map { message in
                SearchPosition(
                    score: (scores[message.key] ?? 0).bitPattern, time: message.document.time,
                    key: message.key)
            }.sorted { $0.precedes($1) }
        }
    }

    private static func expression(_ maker: inout MessageMaker, _ kind: Int) -> SearchExpression {
        func word() -> SearchExpression { .word(maker.someWord()) }
        switch kind {
        case 0, 1: return word()
        case 2: return .prefix(Array(maker.someWord().prefix(1 + maker.below(2))))
        case 3: return .all([word(), word()])
        case 4: return .all([word(), word(), word()])
        case 5: return .all([word(), .not(word())])
        case 6: return .all([.prefix(Array(maker.someWord().prefix(1))), .not(word())])
        case 7: return .all([.matching(maker.filter()), word(), .not(.any([word(), word()]))])
        case 8: return .all([word(), .prefix(Array(maker.someWord().prefix(1)))])
        case 9: return .any([word(), word()])
        case 10: return .all([word(), .any([word(), word()])])
        case 11: return .prefix(Array("nobody".utf8))
        case 12: return maker.expression()
        default:
            // Words that follow each other somewhere, the last perhaps only begun.
            var words: ArraySlice<String> = []
            while words.count < 2 { words = maker.message().words.prefix(2 + maker.below(2)) }
            let isOpen = maker.below(3) == 0
            return .phrase(
                words.enumerated().map { index, word in
                    PhraseWord(
                        Array(word.utf8), offset: UInt32(index),
                        isPrefix: isOpen && index == words.count - 1)
                })
        }
    }

    @Test(
        "gives the best of all matches with their scores, newest first among equals, in pages",
        arguments: Long.seeds(0, 4))
    func best(seed: UInt64) throws {
        var maker = MessageMaker(seed: seed)
        let world = try World(&maker, sizes: seed % 2 == 0 ? [4_000] : [2_000, 300, 1_200])
        var ties = 0
        for round in 0..<32 {
            let filter = maker.below(2) == 0 ? maker.filter() : SearchFilter()
            var request = SearchRequest(
                Self.expression(&maker, round % 16), filter: filter, order: .relevance,
                limit: 1 + maker.below(maker.below(4) == 0 ? 200 : 15))
            let expected = try world.expected(request)
            for (left, right) in zip(expected, expected.dropFirst()).prefix(request.limit)
            where left.score == right.score { ties += 1 }
            for _ in 0..<3 {
                let before = request.after
                let rest = expected.filter { before?.precedes($0) ?? true }
                let answer = try world.snapshot.search(request)
                #expect(
                    answer.hits.map(\.position) == Array(rest.prefix(request.limit)),
                    "seed \(seed), \(request)")
                #expect(
                    answer.atLeast <= rest.count && answer.atLeast >= answer.hits.count,
                    "seed \(seed), \(request)")
                if answer.isExact {
                    #expect(answer.atLeast == rest.count, "seed \(seed), \(request)")
                }
                guard let last = answer.hits.last else { break }
                request.after = last.position
            }
            request.after = nil
            request.workMax = 1 + maker.below(6_000)
            let partial = try world.snapshot.search(request)
            let found = partial.hits.map(\.position)
            #expect(found.allSatisfy { expected.contains($0) }, "seed \(seed), \(request)")
            if !partial.isPartial {
                #expect(found == Array(expected.prefix(request.limit)), "seed \(seed), \(request)")
            }
        }
        #expect(ties > 20, "seed \(seed): many of one score")
    }

    @Test("blocks that cannot hold a hit are not decoded")
    func skips() throws {
        var maker = MessageMaker(seed: 40)
        let word = Array("a".utf8)
        // Short messages early, long ones behind them.
        let messages = (0..<20_000).map { number in
            var message = maker.message(
                DocumentKey(conversation: MessageMaker.id(0), seq: UInt64(number)))
            message.words = ["a", "b"] + (number < 400 ? [] : Array(repeating: "c", count: 7))
            return message
        }
        let reader = try Segments.reader(messages)
        let snapshot = SearchSnapshot([
            .init(reader: reader, dead: DeadDocuments(documents: reader.documentCount))
        ])
        for expression in [
            SearchExpression.word(word), .prefix(word),
            .all([.word(word), .word(Array("b".utf8))]),
        ] {
            let answer = try snapshot.search(
                SearchRequest(expression, order: .relevance, limit: 10))
            let newest = messages[390..<400].reversed().map(\.key.seq).sorted()
            #expect(answer.hits.map(\.document.key.seq).sorted() == newest)
            #expect(answer.work < 4_000 && !answer.isExact, "\(expression): \(answer.work)")
        }
    }

    @Test("a wrong bound is found by the check, and does no harm", arguments: Long.seeds(50, 4))
    func bounds(seed: UInt64) throws {
        var maker = MessageMaker(seed: seed)
        let messages = maker.messages(1_500)
        let original = try Segments.bytes(messages)
        let reader = try Segments.open(original)
        let rank = (0..<5).first { rank in
            let found = try? reader.find(term: Array(MessageMaker.spelling(rank).utf8))
            return (found?.documents ?? 0) >= 256
        }
        guard let rank else { return }
        let word = Array(MessageMaker.spelling(rank).utf8)
        guard let postings = try reader.find(term: word) else { return }
        let list = Int(reader.offset(postings.list))
        let skip = list + SegmentFormat.listHeadBytes
        for place in Array(list..<(list + 4)) + Array((skip + 10)..<(skip + 14)) {
            for value in [0, 1, original[place] &+ 1, 255] as [UInt8] where value != original[place]
            {
                var bytes = original
                bytes[place] = value
                let sealed = try #require(Segments.seal(bytes))
                let rotten = try Segments.open(sealed)
                #expect(throws: SearchError.self, "seed \(seed), byte \(place)") {
                    try rotten.verify()
                }
                let snapshot = SearchSnapshot([
                    .init(reader: rotten, dead: DeadDocuments(documents: rotten.documentCount))
                ])
                for expression in [
                    SearchExpression.word(word), .prefix(word),
                    .all([.word(word), .word(maker.someWord())]),
                    .phrase([PhraseWord(word, offset: 0), PhraseWord(word, offset: 1)]),
                ] {
                    let request = SearchRequest(expression, order: .relevance, limit: 10)
                    guard let answer = try? snapshot.search(request) else { continue }
                    let expected = BruteForce(messages: messages).matches(request)
                        .map(\.document)
                    #expect(
                        answer.hits.allSatisfy { expected.contains($0.document) },
                        "seed \(seed), byte \(place)")
                }
            }
        }
    }
}
