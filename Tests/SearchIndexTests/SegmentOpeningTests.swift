import Bytes
import Platform
import Simulation
import Synchronization
import Testing

@testable import SearchIndex

/// Segments are opened by who first needs them, and what is wrong with them is met then.
@Suite("Opening of segments")
struct SegmentOpeningTests {
    /// Counts what is done with segments on a disk.
    private final class Watch: Sendable {
        private let counts = Mutex<[DiskOperation: Int]>([:])

        init(_ files: SimulatedFileSystem) {
            files.onOperation { [weak self] event in
                guard event.path.hasSuffix(SegmentFormat.ending) else { return }
                self?.counts.withLock { $0[event.operation, default: 0] += 1 }
            }
        }

        /// How often since the last call.
        func take(_ operation: DiskOperation) -> Int {
            counts.withLock { counts in
                defer { counts[operation] = nil }
                return counts[operation] ?? 0
            }
        }
    }

    private static let start: UInt64 = 1_700_000_000_000

    /// Segment n has ten messages of conversation n and one of conversation 100, said from n
    /// seconds on.
    private static func messages(_ segment: Int) -> [Message] {
        (0..<11).map { number in
            let conversation = number == 10 ? 100 : segment
            return Message(
                document: SearchDocument(
                    key: DocumentKey(
                        conversation: MessageMaker.id(conversation),
                        seq: UInt64(segment * 20 + number)),
                    time: start + UInt64(segment * 1000 + number), sender: MessageMaker.id(7),
                    flags: []),
                words: ["tea", "w\(segment)"])
        }
    }

    private static func open(_ files: SimulatedFileSystem) throws(SearchError) -> SearchStore {
        try SearchStore.open(files: files, directory: "/index", tokens: Segments.tokens)
    }

    /// An index of so many segments, not opened.
    private static func world(
        _ segments: Int = 6
    ) throws -> (files: SimulatedFileSystem, watch: Watch) {
        let files = SimulatedFileSystem(seed: 1)
        var store = try open(files)
        for segment in 0..<segments { try commit(messages(segment), &store) }
        return (files, Watch(files))
    }

    private static func commit(_ messages: [Message], _ store: inout SearchStore) throws {
        var builder = SegmentBuilder(memoryMax: 1 << 20)
        for message in messages { builder.put(message) }
        try store.commit(builder, cursor: [1])
    }

    private static func filter(_ segments: [Int]) -> SearchFilter {
        SearchFilter(conversations: segments.map { MessageMaker.id($0) })
    }

    private static let word = SearchExpression.word(Array("tea".utf8))

    // MARK: What is opened

    @Test("a start and what it says of itself read no segment; commits of what is new neither")
    func start() throws {
        let (files, watch) = try Self.world()
        var store = try Self.open(files)
        let snapshot = store.snapshot
        #expect(snapshot.documents == 66 && snapshot.segments == 6 && snapshot.openedBytes == 0)
        #expect(snapshot.bytes > 1000)
        try Self.commit(Self.messages(6), &store)
        #expect(watch.take(.open) == 0 && watch.take(.read) == 0)
        #expect(store.snapshot.documents == 77)
        // One document is said to be of the time of the third segment; only that may have it.
        try Self.commit([Self.messages(2)[10]], &store)
        #expect(watch.take(.open) == 1)
        #expect(store.snapshot.documents == 77 && store.snapshot.deadDocuments == 1)
        // A removal has no time: all with the conversation are asked.
        var builder = SegmentBuilder(memoryMax: 1 << 20)
        builder.remove(Self.messages(5)[10].key)
        try store.commit(builder, cursor: [2])
        #expect(store.snapshot.documents == 76)
        #expect(watch.take(.open) == 7, "six of before and the one of the edit, without the open")
    }

    @Test("a search opens what its conversations and times may be in, and no other")
    func excluded() throws {
        let (files, watch) = try Self.world()
        func opened(_ request: SearchRequest, hits: Int) throws -> Int {
            let answer = try Self.open(files).snapshot.search(request)
            #expect(answer.hits.count == hits && answer.isExact, "\(request)")
            return watch.take(.open)
        }
        let three = try #require(Self.messages(3).first).document
        var spans = SearchFilter()
        spans.spans = [SearchSpan(conversation: three.key.conversation, seqs: 0...1000)]
        let time = Self.start + 3000
        for order in [SearchOrder.newest, .relevance] {
            func ask(_ filter: SearchFilter, _ expression: SearchExpression = Self.word)
                -> SearchRequest
            { SearchRequest(expression, filter: filter, order: order, limit: 100) }
            #expect(try opened(ask(spans), hits: 10) == 1)
            #expect(try opened(ask(SearchFilter()), hits: 66) == 6)
            #expect(try opened(ask(Self.filter([77])), hits: 0) == (order == .newest ? 0 : 6))
            if order == .relevance { continue }
            #expect(try opened(ask(Self.filter([3])), hits: 10) == 1)
            #expect(try opened(ask(Self.filter([1, 4])), hits: 20) == 2)
            let times = SearchFilter(times: time...(time + 1000))
            #expect(try opened(ask(times), hits: 12) == 2)
            let inside = SearchExpression.all([Self.word, .matching(Self.filter([2]))])
            #expect(try opened(ask(SearchFilter(), inside), hits: 10) == 1)
            let either = SearchExpression.any([.matching(times), .matching(Self.filter([0]))])
            #expect(try opened(ask(SearchFilter(), either), hits: 22) == 3)
            let not = SearchExpression.not(.matching(Self.filter([2])))
            #expect(try opened(ask(SearchFilter(), not), hits: 56) == 6)
            #expect(try opened(ask(SearchFilter(), .any([])), hits: 0) == 0)
        }
    }

    @Test(
        "newest first, older segments than those with enough hits stay closed; so do newer pages'")
    func pages() throws {
        let (files, watch) = try Self.world()
        var request = SearchRequest(Self.word, limit: 12)
        let first = try Self.open(files).snapshot.search(request)
        #expect(first.hits.count == 12 && watch.take(.open) == 2)
        request.after = SearchPosition(time: Self.start + 1005, key: Self.messages(1)[5].key)
        let later = try Self.open(files).snapshot.search(request)
        #expect(later.hits.count == 12 && watch.take(.open) == 2, "two of six")
    }

    @Test("a segment is opened once, however many ask for it at once")
    func once() async throws {
        let (files, watch) = try Self.world()
        let snapshot = try Self.open(files).snapshot
        let found = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<16 {
                group.addTask {
                    try snapshot.search(SearchRequest(Self.word, limit: 100)).hits.count
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(found == Array(repeating: 66, count: 16))
        #expect(watch.take(.open) == 6)
        #expect(snapshot.openedBytes == snapshot.bytes)
    }

    @Test("a merge's result is not read, also when some of it dies meanwhile")
    func merge() throws {
        let (files, watch) = try Self.world()
        var store = try Self.open(files)
        let planned = store.planFullMerge()
        let plan = try #require(planned)
        try Self.commit([Self.messages(2)[3], Self.messages(4)[10]], &store)
        let merged = try plan.run()
        _ = watch.take(.read)
        try store.install(merged)
        #expect(watch.take(.read) == 0)
        #expect(store.snapshot.deadDocuments == 2 && store.snapshot.documents == 66)
        let all = (0..<6).flatMap(Self.messages).sorted { $0.key < $1.key }
        #expect(try store.snapshot.messages() == all)
        #expect(try Self.open(files).snapshot.messages() == all)
    }

    @Test("an input that dies whole while it waits to be merged is not missed")
    func deadInput() throws {
        let (files, _) = try Self.world(2)
        var store = try Self.open(files)
        let planned = store.planFullMerge()
        let plan = try #require(planned)
        var builder = SegmentBuilder(memoryMax: 1 << 20)
        for message in Self.messages(0) { builder.remove(message.key) }
        try store.commit(builder, cursor: [2])
        try store.install(try plan.run())
        #expect(try store.snapshot.messages() == Self.messages(1).sorted { $0.key < $1.key })
        #expect(try Self.open(files).snapshot.documents == 11)
    }

    // MARK: What is wrong

    enum Harm: CaseIterable { case rot, loss, unreadable, other }

    /// Harms the fourth segment.
    private static func harm(_ harm: Harm, _ files: SimulatedFileSystem) throws {
        let paths = files.paths.filter { $0.hasSuffix(SegmentFormat.ending) }
        let path = paths[3]
        switch harm {
        case .rot: files.flipBit(path, offset: 200, bit: 3)
        case .loss: try files.unlink(path)
        case .unreadable: files.inject(DiskFault([.read], .inputOutput, on: path, .always))
        case .other: files.setContents(path, try #require(files.contents(paths[2])))
        }
    }

    private static func expectRot(_ comment: String, _ body: () throws -> Void) {
        do {
            try body()
            Issue.record("\(comment): it is not seen")
        } catch let error as SearchError {
            #expect(error.needsRebuild, "\(comment): \(error)")
            guard case .corrupt(let file, _, _, _) = error else { return }
            #expect(file == "/index/0000000000000004.segment", "\(comment)")
        } catch {
            Issue.record("\(comment): \(error)")
        }
    }

    @Test(
        "harm is met by the first search, commit or merge that needs the segment, by none before",
        arguments: Harm.allCases)
    func harmed(harm: Harm) throws {
        let (files, _) = try Self.world()
        var store = try Self.open(files)
        let snapshot = store.snapshot
        try Self.harm(harm, files)
        let rest = try snapshot.search(
            SearchRequest(Self.word, filter: Self.filter([0, 1, 2, 4, 5]), limit: 100))
        #expect(rest.hits.count == 50)
        for _ in 0..<2 {
            Self.expectRot("search") {
                _ = try snapshot.search(
                    SearchRequest(Self.word, filter: Self.filter([3]), limit: 100))
            }
        }
        try Self.commit(Self.messages(6), &store)
        let document = Self.messages(3)[10]
        var builder = SegmentBuilder(memoryMax: 1 << 20)
        builder.put(document)
        Self.expectRot("preview") {
            _ = try snapshot.preview(builder, tokens: Segments.tokens)
        }
        let planned = store.planFullMerge()
        let plan = try #require(planned)
        Self.expectRot("merge") { _ = try plan.run() }
        do {
            try Self.commit([document], &store)
            Issue.record("commit: it is not seen")
        } catch let error as SearchError {
            #expect(error.needsRebuild)
        }
        files.clearFaults()
        let old = Set(files.paths)
        try SearchStore.discard(files: files, directory: "/index")
        var anew = try SearchStore.open(
            files: files, directory: "/index", tokens: Segments.tokens,
            nextFileID: store.nextFileID)
        try Self.commit((0..<6).flatMap(Self.messages), &anew)
        #expect(try anew.snapshot.search(SearchRequest(Self.word, limit: 100)).hits.count == 66)
        #expect(old.isDisjoint(with: files.paths.filter { $0.hasSuffix(SegmentFormat.ending) }))
        let hasOld = anew.hasSegment(at: "/index/0000000000000004.segment")
        #expect(!hasOld)
    }

    @Test("rot since the opening is not merged into a sound segment")
    func late() throws {
        let (files, _) = try Self.world()
        var store = try Self.open(files)
        #expect(try store.snapshot.search(SearchRequest(Self.word, limit: 100)).hits.count == 66)
        try Self.harm(.rot, files)
        let before = Set(files.paths)
        let planned = store.planFullMerge()
        let plan = try #require(planned)
        Self.expectRot("merge") { _ = try plan.run() }
        #expect(Set(files.paths) == before)
    }

    @Test("a disk that fails otherwise asks for no rebuild, and the segment opens later")
    func passing() throws {
        let (files, _) = try Self.world()
        let snapshot = try Self.open(files).snapshot
        files.inject(DiskFault([.open], .system(24), on: SegmentFormat.ending))
        let request = SearchRequest(Self.word, limit: 100)
        do {
            _ = try snapshot.search(request)
            Issue.record("it is not seen")
        } catch {
            #expect(!error.needsRebuild)
        }
        #expect(try snapshot.search(request).hits.count == 66)
    }

    /// Messages of which the segment is so many whole pages long.
    private static func wholePages(_ maker: inout MessageMaker) throws -> [Message] {
        var messages = maker.messages(300)
        func missing() throws -> Int { 4096 - (try Segments.bytes(messages).count - 1) % 4096 - 1 }
        var words = 0
        while try missing() > 200 {
            messages[0].words.append("q\(words)" + String(repeating: "x", count: 100))
            words += 1
        }
        messages[0].words.append("z")
        while try missing() != 0 {
            let word = messages[0].words.removeLast()
            messages[0].words.append(word + "z")
        }
        return messages
    }

    @Test("a real file of whole pages is mapped and read to its last byte", arguments: 0..<3)
    func wholePages(seed: UInt64) throws {
        // What decoders read beyond the last list is at most the footer.
        #expect(SegmentFooter.bytes >= BitPacking.slack)
        var maker = MessageMaker(seed: seed)
        let messages = try Self.wholePages(&maker)
        let files = LinuxFileSystem()
        try files.makeDirectory("/tmp/magpie-search-tests")
        let path = "/tmp/magpie-search-tests/\(Hex.encode(SystemRandom().bytes(8)))"
        let file = try files.open(path, .create)
        defer { file.close() }
        try file.write(try Segments.bytes(messages), at: 0)
        let reader = try SegmentReader.open(file: file, fileID: 7)
        try files.unlink(path)
        #expect(reader.summary.bytes % 4096 == 0)
        try reader.verify()
        #expect(try reader.messages() == messages)
    }

    // MARK: Summaries

    @Test(
        "a summary denies no conversation of its segment, and most others while there are few",
        arguments: [1, 2, 8, 9, 100, 5000, 8192, 32_768, 32_769])
    func summaries(count: Int) throws {
        var writer = ByteWriter()
        for number in 0..<count {
            let id = MessageMaker.id(number)
            writer.write(fixed: id.high)
            writer.write(fixed: id.low)
            writer.write(fixed: UInt64(1))
            writer.write(fixed: UInt32(number))
        }
        let summary = writer.bytes.withUnsafeBytes { ConversationSummary(table: $0) }
        #expect((0..<count).allSatisfy { summary.mayHave(MessageMaker.id($0)) })
        let others = (0..<1000).filter { summary.mayHave(MessageMaker.id(1_000_000 + $0)) }.count
        switch count {
        case ...8192: #expect(others < 180 && summary.words.count * 8 <= max(8, count * 2))
        case ...32_768: #expect(others < 500 && summary.words.count == 1024)
        default: #expect(others == 1000 && summary == .any)
        }
        #expect(ConversationSummary(stored: summary.words) == summary)
    }
}
