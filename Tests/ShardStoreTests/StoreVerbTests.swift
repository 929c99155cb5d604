import Bytes
import LSMTree
import Platform
import RaftCore
import RecordLog
import Replication
import Simulation
import Synchronization
import Testing

@testable import ShardStore

/// What a store does as a whole: copies, room that comes back, and how much it takes.
@Suite struct StoreVerbTests {
    private final class Box: Sendable {
        private let result = Mutex<Result<Checkpoint, TreeError>?>(nil)
        var value: Result<Checkpoint, TreeError>? { result.withLock { $0 } }
        func set(_ value: Result<Checkpoint, TreeError>) { result.withLock { $0 = value } }
    }

    /// A store whose owner has committed entries from nowhere.
    private static func open(
        _ disk: SimulatedFileSystem, _ scheduler: SimulatedScheduler, directory: String = "/data",
        isCheckpoint: Bool = false, _ change: (inout ShardStoreOptions) -> Void = { _ in }
    ) throws -> ShardStore {
        var options = ShardStoreOptions(tree: TreeOptions(keyspaces: Commands.keyspaces))
        options.replication.log.segmentBytes = 1 << 16
        change(&options)
        return try ShardStore.open(
            fileSystem: disk, directory: directory, scheduler: scheduler, options: options,
            shards: StoreNode.shards, isOwn: { $0 < 20 }, isCheckpoint: isCheckpoint,
            completed: { _ in }, installed: { _ in },
            onTreeFailure: { Issue.record("\($0)") })
    }

    private static func apply(
        _ store: ShardStore, _ index: UInt64, _ fill: (inout WriteBatch) -> Void
    ) {
        var batch = WriteBatch()
        fill(&batch)
        store.apply(shard: 0, index: index, term: 1, payloadBytes: batch.byteCount, batch)
    }

    @Test("a range delete brings a cut within seconds, and the tables under it go in one round")
    func rangeDelete() throws {
        let disk = SimulatedFileSystem(seed: 1)
        let scheduler = SimulatedScheduler(seed: 1)
        let store = try Self.open(disk, scheduler) { options in
            options.tree.tableBytes = 1000
            options.tree.blockBytes = 500
        }
        // Values that lz4 cannot shorten.
        var generator = SplitMix64(seed: 1)
        for index in 1...100 {
            Self.apply(store, UInt64(index)) { batch in
                for row in 0..<10 {
                    batch.put(
                        Commands.first, key: [UInt8(index), UInt8(row)],
                        value: (0..<50).map { _ in UInt8(truncatingIfNeeded: generator.next()) })
                }
            }
        }
        store.cutIfNeeded(nowMs: 1000)
        store.cut()
        scheduler.runUntilIdle()
        store.tree.requestCompaction(Commands.first)
        scheduler.runUntilIdle()
        let before = store.tree.statistics
        #expect(before.keyspaces[0].levels[6].tables > 20)
        Self.apply(store, 101) { $0.deleteRange(Commands.first, from: [0], to: [90]) }
        store.cutIfNeeded(nowMs: 2000)
        store.cutIfNeeded(nowMs: 11_999)
        #expect(store.tree.memtableBytes > 0, "ten seconds, so that many share a cut")
        let merges = store.tree.statistics.counters.merges
        store.cutIfNeeded(nowMs: 12_000)
        #expect(store.tree.memtableBytes == 0)
        scheduler.runUntilIdle()
        let after = store.tree.statistics
        #expect(after.keyspaces[0].levels[6].tables < before.keyspaces[0].levels[6].tables / 3)
        #expect(after.counters.drops > 12 && after.counters.merges - merges <= 2)
        let bytes = after.keyspaces[0].levels.reduce(0) { $0 + $1.bytes }
        let had = before.keyspaces[0].levels.reduce(0) { $0 + $1.bytes }
        #expect(bytes < had / 4)
        store.close()
    }

    @Test("a checkpoint opens as a store that goes on behind its positions")
    func checkpoint() throws {
        let disk = SimulatedFileSystem(seed: 2)
        let node = try StoreNode(disk, seed: 2)
        node.settle()
        var number: UInt64 = 1
        for _ in 0..<60 {
            _ = node.propose(ShardID(number % 3), number)
            number += 1
            node.settle()
        }
        let expected = try StoreModel.read(node.store.tree)
        let positions = StoreNode.shards.compactMap { node.store.position(of: $0.shard) }
        let box = Box()
        node.store.checkpoint(to: "/data/copy") { box.set($0) }
        // Writes go on meanwhile.
        for _ in 0..<20 {
            _ = node.propose(ShardID(number % 3), number)
            number += 1
            node.settle()
        }
        let made = try #require(try box.value?.get())
        #expect(try CutStateFormat.decode(made.state ?? []) == positions)
        let copy = try Self.open(
            disk, node.scheduler, directory: "/data/copy", isCheckpoint: true)
        #expect(StoreNode.shards.compactMap { copy.position(of: $0.shard) } == positions)
        #expect(try StoreModel.read(copy.tree) == expected)
        #expect(try StoreModel.read(node.store.tree) != expected)
        let position = try #require(copy.position(of: 0))
        copy.apply(
            shard: 0, index: position.index + 1, term: position.term, payloadBytes: 8,
            Commands.batch(number, shard: 0))
        copy.close()
        node.machine.kill()
    }

    @Test(
        "a log that is gone is rot where tables say that there was one", arguments: [true, false])
    func lostLog(isEmptied: Bool) throws {
        let disk = SimulatedFileSystem(seed: 4)
        let scheduler = SimulatedScheduler(seed: 4)
        var store = try Self.open(disk, scheduler)
        Self.apply(store, 1) { $0.put(Commands.first, key: [1], value: [1]) }
        store.cut()
        scheduler.runUntilIdle()
        store.close()
        store = try Self.open(disk, scheduler)
        store.close()
        let logs = disk.paths.filter { $0.hasSuffix(".log") }
        #expect(!logs.isEmpty)
        for path in logs {
            if isEmptied {
                disk.setContents(path, [UInt8](repeating: 0, count: 1 << 16))
            } else {
                try disk.unlink(path)
            }
        }
        do {
            try Self.open(disk, scheduler).close()
            Issue.record("it opens")
        } catch let error as ShardStoreError {
            guard case .log(.rot(let file, _, _, _)) = error else { throw error }
            #expect(file == "/data/log")
        }
    }

    @Test("work that piles up is refused bit by bit, not all at once")
    func slope() throws {
        let disk = SimulatedFileSystem(seed: 3)
        let scheduler = SimulatedScheduler(seed: 3)
        let store = try Self.open(disk, scheduler) { options in
            options.tree.memtableBytes = 4000
            options.tree.frozenMemtablesMax = 1
        }
        var seen: [Double] = []
        for index in 1...40 {
            Self.apply(store, UInt64(index)) { batch in
                batch.put(
                    Commands.first, key: [UInt8(index)], value: [UInt8](repeating: 1, count: 200))
            }
            seen.append(store.pressure)
        }
        #expect(seen.first == 0 && seen.last == 1 && store.isBehind)
        #expect(seen == seen.sorted())
        #expect(seen.filter { $0 > 0 && $0 < 1 }.count > 5)
        #expect(
            ShardStore.slope(3, from: 1, to: 2) == 1 && ShardStore.slope(0, from: 1, to: 2) == 0)
        store.cut()
        scheduler.runUntilIdle()
        #expect(store.pressure == 0)
        store.close()
    }
}
