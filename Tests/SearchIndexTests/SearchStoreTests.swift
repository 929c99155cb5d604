import Bytes
import Platform
import Simulation
import Testing

@testable import SearchIndex

@Suite("Search store")
struct SearchStoreTests {
    private static func open(_ files: SimulatedFileSystem) throws(SearchError) -> SearchStore {
        try SearchStore.open(files: files, directory: "/index", tokens: Segments.tokens)
    }

    @Test(
        "holds what was put, edited and removed, through merges and openings",
        arguments: Long.seeds(0, 8))
    func model(seed: UInt64) throws {
        let files = SimulatedFileSystem(seed: seed)
        var script = StoreScript(seed: seed)
        var store = try Self.open(files)
        for _ in 0..<25 {
            switch script.maker.below(8) {
            case 0: store = try Self.open(files)
            case 1, 2:
                let plan = script.maker.below(2) == 0 ? store.planMerge() : store.planFullMerge()
                guard let plan else { break }
                // Something dies while the merge is under way.
                let (builder, cursor) = script.commit(script.maker.below(30))
                try store.commit(builder, cursor: cursor)
                let merged = try plan.run()
                try store.install(merged)
            default:
                let (builder, cursor) = script.commit(script.maker.below(60))
                try store.commit(builder, cursor: cursor)
            }
            #expect(store.cursor == script.model.cursor, "seed \(seed)")
            #expect(try store.snapshot.messages() == script.model.sorted, "seed \(seed)")
        }
        while let plan = store.planMerge() { try store.install(try plan.run()) }
        if let plan = store.planFullMerge() { try store.install(try plan.run()) }
        let again = try Self.open(files)
        #expect(again.snapshot.segments <= 1, "seed \(seed)")
        #expect(try again.snapshot.messages() == script.model.sorted, "seed \(seed)")
        let names = try files.list("/index")
        #expect(names.count <= 3, "seed \(seed): nothing is left behind, \(names)")
    }

    /// Runs commits and merges until the disk fails; the states that may be on the disk.
    private static func run(
        _ files: SimulatedFileSystem, seed: UInt64
    ) -> (kept: StoreModel, possible: StoreModel, isDone: Bool) {
        var script = StoreScript(seed: seed)
        var kept = script.model
        do throws(SearchError) {
            var store = try open(files)
            for round in 0..<7 {
                let (builder, cursor) = script.commit(12)
                try store.commit(builder, cursor: cursor)
                kept = script.model
                if round % 3 == 2, let plan = store.planFullMerge() {
                    try store.install(try plan.run())
                }
            }
            return (kept, script.model, true)
        } catch {
            return (kept, script.model, false)
        }
    }

    @Test("a power cut at any operation leaves a state that was committed", arguments: 0..<2)
    func powerCuts(seed: UInt64) throws {
        let whole = SimulatedFileSystem(seed: seed)
        let finished = Self.run(whole, seed: seed)
        #expect(finished.isDone)
        for index in 0..<whole.operationCount {
            for moment in CrashPlan.Moment.allCases {
                let files = SimulatedFileSystem(seed: seed)
                files.plan(
                    CrashPlan(index: index, moment: moment, seed: seed &+ UInt64(index) &* 31))
                let (kept, possible, isDone) = Self.run(files, seed: seed)
                #expect(!isDone, "seed \(seed), operation \(index)")
                files.restart()
                let store = try Self.open(files)
                let found = StoreModel(
                    messages: Dictionary(
                        uniqueKeysWithValues: try store.snapshot.messages().map { ($0.key, $0) }),
                    cursor: store.cursor)
                #expect(
                    found == kept || found == possible,
                    "seed \(seed), operation \(index), \(moment)")
            }
        }
        Trust.report(whole.operationCount * 3, "power cuts in a search index")
    }

    @Test("a store that failed refuses to go on, and opens anew", arguments: 0..<20)
    func failures(seed: UInt64) throws {
        let files = SimulatedFileSystem(seed: seed)
        var script = StoreScript(seed: seed)
        var store = try Self.open(files)
        let (first, firstCursor) = script.commit(10)
        try store.commit(first, cursor: firstCursor)
        let kept = script.model
        files.inject(
            DiskFault(
                [.write, .sync, .rename, .syncDirectory], .inputOutput, .after(Int(seed) % 9)))
        let (builder, cursor) = script.commit(10)
        var failed = false
        do { try store.commit(builder, cursor: cursor) } catch { failed = true }
        files.clearFaults()
        if failed {
            #expect(throws: SearchError.self, "seed \(seed)") {
                try store.commit(builder, cursor: cursor)
            }
        }
        let again = try Self.open(files)
        let found = try again.snapshot.messages()
        #expect(
            found == script.model.sorted || (failed && found == kept.sorted), "seed \(seed)")
    }

    @Test("any flipped bit of its small files, and many of its large ones, ask for a rebuild")
    func flips() throws {
        let files = SimulatedFileSystem(seed: 1)
        var script = StoreScript(seed: 1)
        var store = try Self.open(files)
        for _ in 0..<3 {
            let (builder, cursor) = script.commit(25)
            try store.commit(builder, cursor: cursor)
        }
        var flips = 0
        for path in files.paths {
            let bytes = try #require(files.contents(path))
            let step = bytes.count > 600 ? 97 : 1
            for bit in stride(from: 0, to: bytes.count * 8, by: step) {
                files.flipBit(path, offset: bit / 8, bit: bit % 8)
                do {
                    _ = try Self.open(files).snapshot.messages()
                    Issue.record("\(path), bit \(bit): not seen")
                } catch let error as SearchError {
                    #expect(error.needsRebuild, "\(path), bit \(bit): \(error)")
                }
                files.flipBit(path, offset: bit / 8, bit: bit % 8)
                flips += 1
            }
        }
        #expect(try Self.open(files).snapshot.messages() == script.model.sorted)
        Trust.report(flips, "bit flips in a search index")
    }

    @Test("a lost file asks for a rebuild; a discarded index begins anew")
    func lost() throws {
        let files = SimulatedFileSystem(seed: 2)
        var script = StoreScript(seed: 2)
        var store = try Self.open(files)
        let (builder, cursor) = script.commit(30)
        try store.commit(builder, cursor: cursor)
        let segment = try #require(files.paths.first { $0.hasSuffix(".segment") })
        try files.unlink(segment)
        do {
            _ = try Self.open(files)
            Issue.record("a lost segment is not seen")
        } catch {
            #expect(error.needsRebuild)
        }
        try SearchStore.discard(files: files, directory: "/index")
        let again = try Self.open(files)
        #expect(again.cursor.isEmpty && again.snapshot.documents == 0)
    }

    @Test("an index of another tokenizer asks for a rebuild")
    func outdated() throws {
        let files = SimulatedFileSystem(seed: 3)
        var store = try Self.open(files)
        try store.commit(SegmentBuilder(memoryMax: 1), cursor: [1])
        let other = TokenVersion(tokenizer: 2, unicode: 0x0F_0000)
        #expect(throws: SearchError.outdated(found: Segments.tokens)) {
            _ = try SearchStore.open(files: files, directory: "/index", tokens: other)
        }
    }

    @Test("an index of an earlier format asks for a rebuild")
    func oldFormat() throws {
        let files = SimulatedFileSystem(seed: 4)
        var script = StoreScript(seed: 4)
        var store = try Self.open(files)
        let (builder, cursor) = script.commit(30)
        try store.commit(builder, cursor: cursor)
        let manifest = try #require(files.contents("/index/MANIFEST"))
        let segment = try #require(files.paths.first { $0.hasSuffix(".segment") })
        var bytes = try #require(files.contents(segment))
        bytes[bytes.count - SegmentFooter.bytes + 124] = 1
        files.setContents(segment, try #require(Segments.seal(bytes, fileID: 1)))
        do {
            _ = try Self.open(files).snapshot.messages()
            Issue.record("an old segment is not seen")
        } catch let error as SearchError {
            guard case .otherFormat(let file, 1) = error else {
                Issue.record("\(error)")
                return
            }
            #expect(file.hasSuffix(".segment") && error.needsRebuild)
        }
        // Version 1 had entries of 48 bytes.
        var old = Array(manifest[..<(48 + cursor.count + 48)])
        old[8] = 1
        var writer = ByteWriter()
        writer.write(raw: old)
        let seed = Checksum.seed(file: 0, offset: UInt64(old.count + 8))
        writer.write(fixed: Checksum.xxh3(old, seed: seed))
        files.setContents("/index/MANIFEST", writer.bytes)
        let expected = SearchError.otherFormat(file: "/index/MANIFEST", version: 1)
        #expect(throws: expected) { _ = try Self.open(files) }
        try SearchStore.discard(files: files, directory: "/index")
        #expect(try Self.open(files).snapshot.documents == 0)
    }

    @Test("merging follows tiers and rewrites what is a quarter dead")
    func policy() {
        func candidates(_ sizes: [(Int, Int)]) -> [MergePolicy.Candidate] {
            sizes.enumerated().map { .init(documents: $1.0, dead: $1.1, minTime: UInt64($0)) }
        }
        #expect(MergePolicy.pick(candidates([])) == nil)
        #expect(MergePolicy.pick(candidates(Array(repeating: (10, 0), count: 7))) == nil)
        let ten = Array(repeating: (10, 0), count: 10)
        #expect(MergePolicy.pick(candidates(ten)) == Array(0..<8))
        #expect(MergePolicy.pick(candidates([(5000, 0)] + ten)) == Array(1..<9))
        #expect(MergePolicy.pick(candidates([(5000, 0), (100, 25)])) == [1])
        #expect(MergePolicy.pick(candidates([(5000, 0), (100, 24)])) == nil)
    }
}
