import Bytes
import Platform
import Simulation
import SortedTable
import Testing

@testable import LSMTree

/// Which bytes of the tables are said to be garbage.
@Suite struct GarbageTests {
    private final class Stage {
        let files = SimulatedFileSystem(seed: 2)
        let scheduler = SimulatedScheduler(seed: 2)
        let tree: Tree

        init() throws {
            var options = TreeOptions(keyspaces: Harness.keyspaces)
            options.memtableBytes = 1 << 20
            options.blockBytes = 256
            // Nothing is compacted unless it is asked for.
            options.levelZeroTables = 100
            options.levelBaseBytes = 1 << 30
            tree = try Harness.open(files, options, scheduler)
        }

        func cut(_ fill: (inout WriteBatch) -> Void) {
            var batch = WriteBatch()
            fill(&batch)
            tree.apply(batch)
            tree.cut(state: []) { _ in }
            scheduler.runUntilIdle()
        }

        func sink(_ keyspace: Keyspace) {
            tree.requestCompaction(keyspace)
            scheduler.runUntilIdle()
        }

        func level(_ place: Int, _ level: Int) -> TreeGarbage.Level {
            tree.garbage.keyspaces[place].levels[level]
        }
    }

    private func key(_ row: Int) -> [UInt8] { [1, UInt8(row >> 8), UInt8(row & 255)] }

    private func fill(_ batch: inout WriteBatch, rows: Range<Int>, seed: UInt64 = 1) {
        var generator = SplitMix64(seed: seed)
        for row in rows {
            let value = (0..<40).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
            batch.put(Harness.heads, key: key(row), value: value)
        }
    }

    @Test("rows that were written once are no garbage")
    func none() throws {
        let stage = try Stage()
        defer { stage.tree.close() }
        stage.cut { fill(&$0, rows: 0..<300) }
        stage.sink(Harness.heads)
        stage.cut { fill(&$0, rows: 400..<500) }
        let garbage = stage.tree.garbage
        for level in garbage.keyspaces[1].levels {
            #expect(level == TreeGarbage.Level(bytes: level.bytes))
        }
        let statistics = stage.tree.statistics
        #expect(
            garbage.keyspaces[1].levels.map(\.bytes) == statistics.keyspaces[1].levels.map(\.bytes))
        #expect(garbage.keyspaces[1].levels.count { $0.bytes > 0 } == 2)
    }

    @Test("deletes and rewritten rows are counted on the level where the hidden rows lie")
    func shadows() throws {
        let stage = try Stage()
        defer { stage.tree.close() }
        stage.cut { fill(&$0, rows: 0..<400) }
        stage.sink(Harness.heads)
        stage.cut { batch in
            for row in stride(from: 0, to: 400, by: 4) {
                batch.delete(Harness.heads, key: key(row))
                fill(&batch, rows: row + 1..<row + 3)
            }
        }
        let bottom = stage.level(1, TreeOptions.levelCount - 1)
        #expect(bottom.bytes > 0)
        // A quarter and a half of the rows.
        #expect(abs(Int(bottom.deletedBytes) - Int(bottom.bytes) / 4) <= 1)
        #expect(abs(Int(bottom.overwrittenBytesMax) - Int(bottom.bytes) / 2) <= 1)
        #expect(bottom.coveredBytes == 0)
        let top = stage.level(1, 0)
        #expect(top.tombstoneBytes > 0 && top.deletedBytes == 0)
        stage.sink(Harness.heads)
        #expect(stage.level(1, TreeOptions.levelCount - 1).deletedBytes == 0)
        stage.cut { fill(&$0, rows: 0..<150, seed: 2) }
        let again = stage.level(1, TreeOptions.levelCount - 1)
        // 150 of 300 rows may be written again; which of them nobody knows without reading.
        #expect(abs(Int(again.overwrittenBytesMax) - Int(again.bytes) / 2) <= 1)
    }

    @Test("a table under a range tombstone counts whole, one that it cuts counts in part")
    func covered() throws {
        let stage = try Stage()
        defer { stage.tree.close() }
        stage.cut { fill(&$0, rows: 0..<4_000) }
        stage.sink(Harness.heads)
        stage.cut { $0.deleteRange(Harness.heads, from: key(1_000), to: key(3_000)) }
        let part = stage.level(1, TreeOptions.levelCount - 1)
        #expect(part.bytes > 0)
        let half = Double(part.coveredBytes) / Double(part.bytes)
        #expect(half > 0.3 && half < 0.7, "\(half) of the table")
        #expect(stage.level(1, 0).tombstoneBytes > 0)
    }

    @Test("expired rows are counted by the part of a table's time that is over")
    func expired() throws {
        let stage = try Stage()
        defer { stage.tree.close() }
        stage.cut { batch in
            for row in 0..<200 {
                let expiry = withUnsafeBytes(of: UInt64(1_000 + row).littleEndian) { [UInt8]($0) }
                batch.put(Harness.dedup, key: key(row), value: expiry)
            }
        }
        #expect(stage.level(2, 0).expiredBytes == 0)
        stage.tree.expiryHorizon = 1_050
        let level = stage.level(2, 0)
        let share = Double(level.expiredBytes) / Double(level.bytes)
        #expect(share > 0.2 && share < 0.3, "\(share) of the table")
    }

    @Test("files that a snapshot holds are counted until it goes")
    func obsolete() throws {
        let stage = try Stage()
        defer { stage.tree.close() }
        stage.cut { fill(&$0, rows: 0..<100) }
        stage.cut { fill(&$0, rows: 0..<100, seed: 2) }
        let bytes = stage.tree.statistics.keyspaces[1].levels[0].bytes
        var snapshot: Snapshot? = stage.tree.snapshot()
        stage.sink(Harness.heads)
        #expect(stage.tree.garbage.obsolete == ObsoleteFiles(files: 2, bytes: bytes))
        #expect(try snapshot?.get(Harness.heads, key: key(3)) != nil)
        snapshot = nil
        // The view before goes with the next change of the tables, if it was still looked at.
        stage.cut { fill(&$0, rows: 0..<1) }
        stage.scheduler.advance(by: .seconds(1))
        #expect(stage.tree.garbage.obsolete == ObsoleteFiles())
    }

    @Test("whatever a tree holds, no byte is counted twice", arguments: 0..<20)
    func once(seed: Int) throws {
        var generator = SplitMix64(seed: UInt64(seed))
        let scheduler = SimulatedScheduler(seed: 1)
        let tree = try Harness.open(
            SimulatedFileSystem(seed: 1), Harness.options(&generator), scheduler)
        defer { tree.close() }
        for round in 0..<60 {
            for _ in 0..<6 { tree.apply(Harness.batch(&generator)) }
            tree.expiryHorizon = UInt64(round) * 10
            if tree.canCut { tree.cut(state: Harness.state(round)) { _ in } }
            for _ in 0..<(generator.next() % 40) { scheduler.step() }
            let garbage = tree.garbage
            for level in garbage.keyspaces.flatMap(\.levels) {
                let sum =
                    level.coveredBytes + level.expiredBytes + level.deletedBytes
                    + level.overwrittenBytesMax
                #expect(sum <= level.bytes && level.tombstoneBytes <= level.bytes, "seed \(seed)")
            }
        }
    }
}
