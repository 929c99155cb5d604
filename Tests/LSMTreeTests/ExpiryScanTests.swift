import Bytes
import Simulation
import SortedTable
import Testing

@testable import LSMTree

/// Scans over rows that are expired but not yet compacted away.
@Suite struct ExpiryScanTests {
    private let scheduler = SimulatedScheduler(seed: 1)
    private let tree: Tree

    init() throws {
        var options = TreeOptions(keyspaces: Harness.keyspaces)
        options.blockBytes = 512
        options.blockCacheBytes = 0
        tree = try Harness.open(SimulatedFileSystem(seed: 1), options, scheduler)
    }

    private func put(_ numbers: Range<UInt16>, expiry: UInt64, value: UInt8) {
        var batch = WriteBatch()
        for number in numbers {
            var key = OrderedKey()
            key.append(number)
            let start = withUnsafeBytes(of: expiry.littleEndian) { [UInt8]($0) }
            batch.put(Harness.dedup, key: key.bytes, value: start + [value])
        }
        tree.apply(batch)
    }

    private func settle() {
        tree.cut(state: []) { _ in }
        scheduler.runUntilIdle()
        tree.requestCompaction(Harness.dedup)
        scheduler.runUntilIdle()
    }

    /// Rows and blocks read of a scan both ways.
    private func scan() throws -> (forward: [Row], backward: [Row], reads: UInt64) {
        let snapshot = tree.snapshot()
        let before = tree.statistics.cache.misses
        let forward = try Harness.rows(snapshot, Harness.dedup)
        let backward = try Harness.rowsBackward(snapshot, Harness.dedup)
        return (forward, backward, tree.statistics.cache.misses - before)
    }

    @Test("blocks of the oldest source in which every row is expired are not read")
    func passesExpiredBlocks() throws {
        put(0..<1000, expiry: 10, value: 1)
        put(1000..<2000, expiry: 1000, value: 1)
        settle()
        let all = try scan()
        #expect(all.forward.count == 2000 && all.forward == all.backward)
        // Compaction has not run since.
        tree.expiryHorizon = 20
        let live = try scan()
        #expect(live.forward == live.backward)
        #expect(live.forward.filter { !$0.isExpired(20) } == Array(all.forward.suffix(1000)))
        // Half of the blocks, and one with rows of both kinds.
        #expect(live.reads <= all.reads / 2 + 4, "\(live.reads) of \(all.reads) blocks")
        #expect(live.forward.count < 1040)
    }

    @Test("an expired row goes on hiding the older one below it")
    func hidesOlderRows() throws {
        put(0..<500, expiry: 0, value: 1)
        settle()
        put(0..<500, expiry: 10, value: 2)
        tree.cut(state: []) { _ in }
        scheduler.runUntilIdle()
        tree.expiryHorizon = 20
        let found = try scan()
        #expect(found.forward.allSatisfy { $0.value.last == 2 } && found.forward == found.backward)
    }
}
