import Simulation
import Testing

@testable import SearchIndex

/// Searches in which lists of senders and of flags may lead.
@Suite("Searches by sender and flag")
struct FilterListTests {
    private static let senders = 14

    /// Messages of senders and flags of all rarities, some of them edited, moved or removed again.
    private struct World {
        var maker: MessageMaker
        var model: [DocumentKey: Message] = [:]
        let snapshot: SearchSnapshot

        init(seed: UInt64) throws {
            var maker = MessageMaker(seed: seed)
            var model: [DocumentKey: Message] = [:]
            var store = try SearchStore.open(
                files: SimulatedFileSystem(seed: seed), directory: "/index",
                tokens: Segments.tokens)
            for commit in 0..<(1 + maker.below(3)) {
                var builder = SegmentBuilder(memoryMax: 1 << 20)
                for _ in 0..<(300 + maker.below(300)) {
                    var message = maker.message()
                    message.document.sender = Self.sender(&maker)
                    message.document.flags = []
                    // A message's time stays, whatever becomes of it.
                    message.document.time =
                        model[message.key]?.document.time ?? message.document.time
                    for (index, flag) in DocumentFlags.each.enumerated()
                    where maker.below([2, 8, 60, 300][index]) == 0 {
                        message.document.flags.insert(flag)
                    }
                    builder.put(message)
                    model[message.key] = message
                }
                for key in model.keys.sorted() where commit > 0 && maker.below(20) == 0 {
                    builder.remove(key)
                    model[key] = nil
                }
                try store.commit(builder, cursor: [UInt8(commit)])
            }
            if maker.below(2) == 0, let plan = store.planFullMerge() {
                try store.install(try plan.run())
            }
            snapshot = store.snapshot
            (self.maker, self.model) = (maker, model)
        }

        private static func sender(_ maker: inout MessageMaker) -> SearchID {
            let rank = min(
                maker.below(FilterListTests.senders), maker.below(FilterListTests.senders),
                maker.below(FilterListTests.senders))
            return MessageMaker.id(100 + rank)
        }

        /// Asks for senders, for flags or for both.
        mutating func filter() -> SearchFilter {
            var filter = maker.below(4) == 0 ? maker.filter() : SearchFilter()
            if maker.below(3) > 0 {
                let count = maker.below(12) == 0 ? 20 : maker.below(4)
                filter.senders = (0...count).map { _ in
                    MessageMaker.id(100 + maker.below(FilterListTests.senders + 1))
                }
            }
            if maker.below(2) == 0 {
                for flag in DocumentFlags.each where maker.below(3) == 0 {
                    filter.flags.insert(flag)
                }
            }
            return filter
        }

        mutating func words(_ count: Int) -> [SearchExpression] {
            (0..<count).map { _ in .word(maker.someWord()) }
        }

        mutating func expression() -> SearchExpression {
            switch maker.below(9) {
            case 0: .all(words(1 + maker.below(2)) + [.matching(filter())])
            case 1: .all([.any(words(2 + maker.below(3))), .matching(filter())])
            case 2: .all([.not(.matching(filter())), .any(words(maker.below(5)))])
            case 3: .any([.matching(filter()), .matching(filter())] + words(maker.below(2)))
            case 4: .all([.not(.any([.matching(filter()), .word(maker.someWord())]))])
            case 5: .all(words(1) + [.not(.all(words(1) + [.matching(filter())]))])
            case 6: .any(words(1 + maker.below(25)))
            case 7: .all([.prefix(Array(maker.someWord().prefix(1))), .matching(filter())])
            default: maker.expression()
            }
        }

        /// In how many segments lists lead.
        func led(_ request: SearchRequest) throws -> Int {
            var count = 0
            for part in try snapshot.parts() {
                var budget = SegmentMatcher.Budget(left: .max)
                let matcher = try SegmentPlanner.matcher(
                    part, request.expression, request.filter, nil, &budget)
                if matcher.isLedByFilter { count += 1 }
            }
            return count
        }
    }

    @Test(
        "newest first gives what a scan gives, and says rightly how many",
        arguments: Long.seeds(0, 8))
    func newest(seed: UInt64) throws {
        var world = try World(seed: seed)
        let brute = BruteForce(messages: world.model.values.sorted { $0.key < $1.key })
        var led = 0
        for _ in 0..<40 {
            var request = SearchRequest(
                world.expression(), filter: world.filter(), limit: 1 + world.maker.below(12))
            let expected = brute.matches(request).sorted(by: BruteForce.isNewer).map(\.document)
            led += try world.led(request)
            let some = try world.snapshot.search(request)
            let found = some.hits.map(\.document)
            #expect(
                found == Array(expected.prefix(request.limit)), "seed \(seed), \(request)")
            #expect(some.atLeast <= expected.count && some.atLeast >= some.hits.count)
            if some.isExact { #expect(some.atLeast == expected.count, "seed \(seed), \(request)") }
            request.after = some.hits.last?.position
            let next = try world.snapshot.search(request).hits.map(\.document)
            #expect(
                next == Array(expected.dropFirst(found.count).prefix(request.limit)),
                "seed \(seed), \(request)")
            request.after = nil
            request.limit = 0
            let counted = try world.snapshot.search(request)
            #expect(
                counted.atLeast == expected.count && counted.isExact, "seed \(seed), \(request)")
        }
        #expect(led > 0, "seed \(seed): lists lead now and then")
    }

    @Test(
        "by relevance, a filter leaves out and changes nothing else",
        arguments: Long.seeds(1000, 8))
    func ranked(seed: UInt64) throws {
        var world = try World(seed: seed)
        let brute = BruteForce(messages: world.model.values.sorted { $0.key < $1.key })
        let spans = world.maker.below(2) == 0 ? world.maker.spans() : nil
        for _ in 0..<40 {
            let expression = world.expression()
            var open = SearchFilter()
            open.spans = spans
            var filter = world.filter()
            filter.spans = spans
            // All scores; expressions that match much are left out above the highest limit.
            let all = try world.snapshot.search(
                SearchRequest(
                    expression, filter: open, order: .relevance, limit: SearchRequest.limitMax))
            if !all.isExact || all.atLeast > all.hits.count { continue }
            let request = SearchRequest(
                expression, filter: filter, order: .relevance, limit: 1 + world.maker.below(12))
            let keys = Set(brute.matches(request).map(\.key))
            let expected = all.hits.filter { keys.contains($0.document.key) }
            #expect(expected.count == keys.count, "seed \(seed), \(request)")
            let answer = try world.snapshot.search(request)
            #expect(
                answer.hits == Array(expected.prefix(request.limit)), "seed \(seed), \(request)")
            #expect(answer.atLeast <= expected.count && answer.atLeast >= answer.hits.count)
            if answer.isExact {
                #expect(answer.atLeast == expected.count, "seed \(seed), \(request)")
            }
        }
    }

    @Test("messages of the words that are asked, and of no other, are not too short for a list")
    func shortest() throws {
        let sender = MessageMaker.id(7)
        let messages = (0..<4_000).map { number in
            Message(
                document: SearchDocument(
                    key: DocumentKey(
                        conversation: MessageMaker.id(number / 500), seq: UInt64(1 + number % 500)),
                    time: 1_700_000_000_000 + UInt64(number * 7_919 % 4_001) * 1_000,
                    sender: number % 20 == 3 ? sender : MessageMaker.id(8), flags: []),
                words: number % 2 == 1 ? ["ok"] : ["ok", "then", "all", "of", "it", "now"])
        }.sorted { $0.key < $1.key }
        let reader = try Segments.reader(messages)
        let snapshot = SearchSnapshot([
            .init(reader: reader, dead: DeadDocuments(documents: reader.documentCount))
        ])
        let expected = messages.filter { $0.document.sender == sender }
            .sorted(by: BruteForce.isNewer).map(\.document)
        let request = SearchRequest(
            .word(Array("ok".utf8)), filter: SearchFilter(senders: [sender]), order: .relevance,
            limit: 10)
        let found = try snapshot.search(request).hits.map(\.document)
        #expect(found == Array(expected.prefix(10)))
    }

    @Test("short of work, what is found is right", arguments: Long.seeds(2000, 4))
    func work(seed: UInt64) throws {
        var world = try World(seed: seed)
        let brute = BruteForce(messages: world.model.values.sorted { $0.key < $1.key })
        var partial = 0
        for _ in 0..<60 {
            let request = SearchRequest(
                world.expression(), filter: world.filter(),
                order: world.maker.below(2) == 0 ? .newest : .relevance, limit: 10,
                workMax: world.maker.below(600))
            let answer = try world.snapshot.search(request)
            let expected = Set(brute.matches(request).map(\.key))
            #expect(answer.hits.allSatisfy { expected.contains($0.document.key) }, "seed \(seed)")
            if answer.isPartial {
                partial += 1
            } else {
                #expect(
                    answer.hits.count == min(10, expected.count), "seed \(seed), \(request)")
            }
        }
        #expect(partial > 0, "seed \(seed)")
    }
}
