import Bytes
import Simulation
import Testing

@testable import SearchIndex

/// What has not been committed is searched as if it had; several indexes are searched as one.
@Suite("Search preview")
struct SearchPreviewTests {
    private static func open(_ files: SimulatedFileSystem) throws(SearchError) -> SearchStore {
        try SearchStore.open(files: files, directory: "/index", tokens: Segments.tokens)
    }

    @Test("shows what a commit would, and writes nothing", arguments: Long.seeds(0, 8))
    func preview(seed: UInt64) throws {
        let files = SimulatedFileSystem(seed: seed)
        var script = StoreScript(seed: seed)
        var store = try Self.open(files)
        for round in 0..<12 {
            let before = try store.snapshot.messages()
            let (builder, cursor) = script.commit(script.maker.below(40))
            let operations = files.operationCount
            let base = store.snapshot
            let shown = try base.preview(builder, tokens: Segments.tokens)
            #expect(files.operationCount == operations, "seed \(seed), round \(round)")
            #expect(try shown.messages() == script.model.sorted, "seed \(seed), round \(round)")
            #expect(try base.messages() == before, "seed \(seed), round \(round)")
            try store.commit(builder, cursor: cursor)
            #expect(try store.snapshot.messages() == script.model.sorted, "seed \(seed)")
        }
    }

    @Test("stretches of conversations let through what lies in them", arguments: Long.seeds(20, 8))
    func spans(seed: UInt64) throws {
        let files = SimulatedFileSystem(seed: seed)
        var script = StoreScript(seed: seed)
        var store = try Self.open(files)
        for _ in 0..<4 {
            let (builder, cursor) = script.commit(80)
            try store.commit(builder, cursor: cursor)
        }
        for _ in 0..<40 {
            let wanted = (0..<script.maker.conversations + 3).map { MessageMaker.id($0) }.sorted()
            var spans: [SearchSpan] = []
            for id in wanted where script.maker.below(3) > 0 {
                let low = UInt64(script.maker.below(4_200))
                let end = script.maker.below(5) == 0 ? UInt64.max : low
                spans.append(
                    SearchSpan(
                        conversation: id,
                        seqs: low...max(end, low + UInt64(script.maker.below(3_000)))))
            }
            var filter = SearchFilter()
            filter.spans = spans
            let expected = script.model.sorted.filter { message in
                spans.contains {
                    $0.conversation == message.key.conversation && $0.seqs.contains(message.key.seq)
                }
            }
            for order in [SearchOrder.newest, .relevance] {
                let answer = try store.snapshot.search(
                    SearchRequest(.all([]), filter: filter, order: order, limit: 1_000))
                #expect(
                    answer.hits.map(\.document).sorted { $0.key < $1.key }
                        == expected.map(\.document), "seed \(seed)")
                #expect(answer.atLeast == expected.count, "seed \(seed)")
            }
        }
    }

    @Test("indexes of different conversations are searched as one", arguments: Long.seeds(40, 6))
    func joined(seed: UInt64) throws {
        var maker = MessageMaker(seed: seed)
        let messages = maker.messages(300)
        var snapshots: [SearchSnapshot] = [.empty]
        for shard in 0..<3 as Range<UInt64> {
            let own = messages.filter { $0.key.conversation.low % 3 == shard }
            var builder = SegmentBuilder(memoryMax: 1 << 20)
            for message in own { builder.put(message) }
            snapshots.append(
                try SearchSnapshot.empty.preview(builder, tokens: Segments.tokens))
        }
        let joined = SearchSnapshot(joining: snapshots)
        let brute = BruteForce(messages: messages)
        for _ in 0..<20 {
            let request = SearchRequest(
                maker.expression(), filter: maker.filter(), limit: 1 + maker.below(30))
            let expected = brute.matches(request).sorted(by: BruteForce.isNewer)
            let found = try joined.search(request).hits.map(\.document)
            #expect(
                found == expected.prefix(request.limit).map(\.document), "seed \(seed), \(request)")
        }
    }

    @Test("after a purge no dead document is on the disk", arguments: Long.seeds(60, 4))
    func purge(seed: UInt64) throws {
        let files = SimulatedFileSystem(seed: seed)
        var script = StoreScript(seed: seed)
        var store = try Self.open(files)
        for _ in 0..<10 {
            let (builder, cursor) = script.commit(60)
            try store.commit(builder, cursor: cursor)
        }
        #expect(store.snapshot.deadDocuments > 0, "seed \(seed)")
        while let plan = store.planPurge() { try store.install(try plan.run()) }
        #expect(store.snapshot.deadDocuments == 0, "seed \(seed)")
        #expect(try store.snapshot.messages() == script.model.sorted, "seed \(seed)")
        #expect(!files.paths.contains { $0.hasSuffix(".dead") }, "seed \(seed)")
    }
}
