import Bytes
import Platform
import Simulation
import Testing

@testable import SearchIndex

/// One index on one disk through many lives, which end at any moment, and with rot between them.
@Suite("Search store through many lives")
struct SearchStoreLivesTests {
    private static let directory = "/index"
    /// How the paths of each kind of file end.
    private static let kinds = [
        SearchManifestFormat.name, SegmentFormat.ending, DeadFormat.ending,
    ]

    private static func open(_ files: SimulatedFileSystem) throws(SearchError) -> SearchStore {
        try SearchStore.open(files: files, directory: directory, tokens: Segments.tokens)
    }

    private static func state(_ files: SimulatedFileSystem) throws -> StoreModel {
        let store = try open(files)
        let messages = try store.snapshot.messages()
        return StoreModel(
            messages: Dictionary(uniqueKeysWithValues: messages.map { ($0.key, $0) }),
            cursor: store.cursor)
    }

    /// Commits, merges and opens until the disk fails or enough was done; the last state that was
    /// acknowledged. The script's model may be one commit ahead of it.
    private static func live(
        _ files: SimulatedFileSystem, _ script: inout StoreScript
    ) -> StoreModel {
        var kept = script.model
        do throws(SearchError) {
            var store = try open(files)
            for _ in 0..<(2 + script.maker.below(14)) {
                switch script.maker.below(10) {
                case 0: store = try open(files)
                case 1, 2, 3:
                    guard let plan = Self.plan(&store, script.maker.below(3)) else { break }
                    let merged = try plan.run()
                    if script.maker.below(2) == 0 {
                        let (builder, cursor) = script.commit(script.maker.below(12))
                        try store.commit(builder, cursor: cursor)
                        kept = script.model
                    }
                    if script.maker.below(6) == 0 {
                        store.abandonMerge()
                    } else {
                        try store.install(merged)
                    }
                default:
                    let (builder, cursor) = script.commit(script.maker.below(20))
                    try store.commit(builder, cursor: cursor)
                    kept = script.model
                }
            }
        } catch {
            return kept
        }
        return kept
    }

    private static func plan(_ store: inout SearchStore, _ choice: Int) -> MergePlan? {
        switch choice {
        case 0: store.planMerge()
        case 1: store.planPurge()
        default: store.planFullMerge()
        }
    }

    @Test(
        "however a life ends, the next finds a committed state with its cursor, or sees the rot",
        arguments: Long.seeds(0, 12))
    func lives(seed: UInt64) throws {
        let files = SimulatedFileSystem(seed: seed)
        var script = StoreScript(seed: seed)
        var generator = SplitMix64(seed: seed ^ 0x6B69_6C6C)
        func below(_ count: Int) -> Int { Int(generator.next() % UInt64(count)) }
        var cuts = 0
        var flips: [String: Int] = [:]
        var rebuilds = 0
        for life in 0..<24 {
            let moments = CrashPlan.Moment.allCases
            files.plan(
                CrashPlan(
                    index: files.operationCount + below(90), moment: moments[below(moments.count)],
                    seed: generator.next()))
            let kept = Self.live(files, &script)
            // A life that came to its end is killed, or the power goes then.
            if !files.isDown {
                if below(2) == 0 { files.kill() } else { files.crash(seed: generator.next()) }
            }
            files.restart()
            cuts += 1
            let found = try Self.state(files)
            #expect(found == kept || found == script.model, "seed \(seed), life \(life)")
            script.model = found
            for kind in Self.kinds + Self.kinds {
                let paths = files.paths.filter { $0.hasSuffix(kind) }
                if paths.isEmpty { continue }
                let path = paths[below(paths.count)]
                let size = try #require(files.contents(path)?.count)
                let place = (offset: below(size), bit: below(8))
                files.flipBit(path, offset: place.offset, bit: place.bit)
                flips[kind, default: 0] += 1
                do {
                    let state = try Self.state(files)
                    #expect(state == found, "seed \(seed), life \(life): \(path), \(place)")
                } catch let error as SearchError {
                    #expect(error.needsRebuild, "seed \(seed), life \(life): \(error)")
                    if below(8) == 0 {
                        try Self.rebuild(files, found)
                        rebuilds += 1
                        continue
                    }
                }
                files.flipBit(path, offset: place.offset, bit: place.bit)
            }
            #expect(try Self.state(files) == found, "seed \(seed), life \(life)")
        }
        #expect(cuts == 24 && flips.count == 3 && rebuilds > 0, "seed \(seed): \(flips)")
        Trust.report(cuts, "lives of a search index that ended anyhow")
        for (kind, count) in flips {
            Trust.report(count, "random bit flips in files *\(kind) of a search index")
        }
        Trust.report(rebuilds, "rotten search indexes built anew")
    }

    /// What a node does with an index that it can't trust: away with it, and all messages again.
    private static func rebuild(_ files: SimulatedFileSystem, _ model: StoreModel) throws {
        try SearchStore.discard(files: files, directory: directory)
        var store = try open(files)
        #expect(store.cursor.isEmpty && store.snapshot.documents == 0)
        var builder = SegmentBuilder(memoryMax: 1 << 20)
        for message in model.sorted { builder.put(message) }
        try store.commit(builder, cursor: model.cursor)
    }
}
