import Bytes
import Platform
import Simulation
import SortedTable
import Testing

@testable import LSMTree

/// Damaged tables: who hears of them, who may still read, and what compaction does.
@Suite struct QuarantineTests {
    /// A tree that is written, damaged and mended, beside its model.
    private final class Stage {
        let files = SimulatedFileSystem(seed: 8)
        var scheduler = SimulatedScheduler(seed: 8)
        let (failures, damages) = (FailureBox(), FailureBox())
        let options: TreeOptions
        var tree: Tree
        var model = Model(3)
        private var flips: [String: Int] = [:]

        init(_ options: TreeOptions) throws {
            self.options = options
            tree = try Harness.open(
                files, options, scheduler, failures: failures, damages: damages)
        }

        func write(_ batch: WriteBatch) {
            tree.apply(batch)
            model.apply(batch)
        }

        var tables: [String] { files.paths.filter { $0.hasSuffix(".sst") } }

        /// Flips a bit of a table's first block, if it has none yet.
        func damage(_ path: String) {
            if flips.updateValue(0, forKey: path) == nil {
                files.flipBit(path, offset: 0, bit: 3)
            }
        }

        /// Flips all bits back and opens the tree anew.
        func mend() throws {
            tree.close()
            for path in flips.keys where files.contents(path) != nil {
                files.flipBit(path, offset: 0, bit: 3)
            }
            flips = [:]
            scheduler = SimulatedScheduler(seed: 9)
            tree = try Harness.open(files, options, scheduler, failures: failures)
        }
    }

    private var quietOptions: TreeOptions {
        var options = TreeOptions(keyspaces: Harness.keyspaces)
        options.memtableBytes = 1 << 20
        options.blockBytes = 256
        options.levelZeroTables = 3
        options.levelBaseBytes = 1 << 20
        return options
    }

    private func batch(_ first: UInt8, rows: Int = 60) -> WriteBatch {
        var batch = WriteBatch()
        for row in 0..<rows {
            batch.put(
                Harness.heads, key: [first, UInt8(row)], value: [UInt8](repeating: first, count: 30)
            )
        }
        return batch
    }

    /// Damage is met by a read: the table is in quarantine as a whole.
    @Test("a read that meets a bad block fails with its place, and so does every read of the table")
    func read() throws {
        let stage = try Stage(quietOptions)
        defer { stage.tree.close() }
        for first in [1, 5] as [UInt8] {
            stage.write(batch(first))
            stage.tree.cut(state: [first]) { _ in }
            stage.scheduler.runUntilIdle()
        }
        let path = try #require(stage.tables.first)
        stage.damage(path)
        let bad = try #require(
            #expect(throws: TreeError.self) {
                try stage.tree.snapshot().get(Harness.heads, key: [1, 0])
            })
        guard case .corrupt(let file, let offset, let expected, let found) = bad else {
            Issue.record("\(bad)")
            return
        }
        #expect(file.hasSuffix(path) && offset == 0)
        #expect(expected.contains("checksum") && !found.isEmpty)
        stage.scheduler.runUntilIdle()
        #expect(stage.damages.all == [bad])
        // A block that is sound, in the same table.
        #expect(throws: bad) { try stage.tree.snapshot().get(Harness.heads, key: [1, 59]) }
        #expect(throws: bad) {
            _ = try Harness.rows(stage.tree.snapshot(), Harness.heads, lower: [1, 50], upper: [2])
        }
        #expect(try stage.tree.snapshot().get(Harness.heads, key: [5, 9]) != nil)
        #expect(try stage.tree.snapshot().get(Harness.heads, key: [0]) == nil)
        let rows = try Harness.rows(stage.tree.snapshot(), Harness.heads, lower: [2])
        #expect(rows == stage.model.sorted(1, lower: [2]))
        let quarantined = try #require(stage.tree.statistics.quarantined.first)
        #expect(quarantined.damage == bad && quarantined.level == 0)
        #expect(quarantined.keyspace == "heads")
        #expect(stage.tree.isDamaged([1, 3], [1, 4]) && !stage.tree.isDamaged([2], nil))
        // What is written over it is read without it.
        stage.write(batch(1, rows: 1))
        #expect(try stage.tree.snapshot().get(Harness.heads, key: [1, 0]) != nil)
        #expect(stage.failures.all == [] && stage.damages.all.count == 1)
    }

    @Test("a merge that meets a bad block gives the table up, does not come back, and works on")
    func merge() throws {
        let stage = try Stage(quietOptions)
        defer { stage.tree.close() }
        stage.write(batch(1))
        stage.tree.cut(state: [1]) { _ in }
        stage.scheduler.runUntilIdle()
        stage.damage(try #require(stage.tables.first))
        for number in 2..<20 as Range<UInt8> {
            stage.write(batch(1, rows: 30))
            stage.write(batch(number))
            stage.tree.cut(state: [number]) { _ in }
            stage.scheduler.runUntilIdle()
        }
        #expect(stage.failures.all == [] && stage.damages.all.count == 1)
        #expect(stage.tree.isQuiet)
        let statistics = stage.tree.statistics
        #expect(statistics.quarantined.count == 1)
        // It sank, so that level 0 is merged over it.
        #expect(statistics.keyspaces[1].levels[0].tables < 3)
        #expect(statistics.counters.merges > 3)
        #expect(statistics.quarantined.first?.level ?? 0 > 1)
        // Rows that are newer than the table are read.
        #expect(
            try Harness.rows(stage.tree.snapshot(), Harness.heads, lower: [2])
                == stage.model.sorted(1, lower: [2]))
        #expect(try stage.tree.snapshot().get(Harness.heads, key: [1, 29]) != nil)
        #expect(throws: TreeError.self) {
            try stage.tree.snapshot().get(Harness.heads, key: [1, 40])
        }
        try stage.mend()
        #expect(try Harness.difference(stage.tree.snapshot(), stage.model) == nil)
    }

    @Test("a table in quarantine goes unread when a range delete covers it")
    func covered() throws {
        let stage = try Stage(quietOptions)
        defer { stage.tree.close() }
        stage.write(batch(1))
        stage.tree.cut(state: [1]) { _ in }
        stage.scheduler.runUntilIdle()
        stage.damage(try #require(stage.tables.first))
        #expect(throws: TreeError.self) {
            try stage.tree.snapshot().get(Harness.heads, key: [1, 0])
        }
        stage.scheduler.runUntilIdle()
        var delete = WriteBatch()
        delete.deleteRange(Harness.heads, from: [0], to: [9])
        stage.write(delete)
        stage.tree.cut(state: [2]) { _ in }
        stage.scheduler.runUntilIdle()
        #expect(stage.tree.statistics.quarantined.isEmpty && stage.tree.isQuiet)
        #expect(try Harness.difference(stage.tree.snapshot(), stage.model) == nil)
    }

    /// Rows are written, tables damaged, compaction goes on; at the end the disk is mended, and
    /// then every row must be where its age says.
    @Test("damage at random: no read is wrong, no merge loops, nothing is lost", arguments: 0..<30)
    func random(seed: Int) throws {
        var generator = SplitMix64(seed: UInt64(seed))
        var options = Harness.options(&generator)
        options.scrubBytesPerSecond = generator.next() % 2 == 0 ? 0 : 1 << 20
        options.scrubIntervalMs = 0
        let stage = try Stage(options)
        defer { stage.tree.close() }
        var refused = 0
        for step in 0..<(isLong ? 400 : 120) {
            for _ in 0..<5 { stage.write(Harness.batch(&generator)) }
            if stage.tree.canCut { stage.tree.cut(state: Harness.state(step)) { _ in } }
            if generator.next() % 12 == 0, let path = stage.tables.randomElement(using: &generator)
            {
                stage.damage(path)
            }
            if generator.next() % 20 == 0 { stage.tree.requestCompaction(Harness.heads) }
            stage.tree.scrub(nowMs: UInt64(step) * 1_000)
            try #require(settles(stage), "seed \(seed): the background ends")
            for place in 0..<3 { refused += try compare(stage, place, &generator) }
        }
        #expect(stage.failures.all == [], "seed \(seed)")
        try stage.mend()
        #expect(try Harness.difference(stage.tree.snapshot(), stage.model) == nil, "seed \(seed)")
        Trust.report(refused, "reads refused by a quarantine")
    }

    private func settles(_ stage: Stage) -> Bool {
        for _ in 0..<50_000 where !stage.scheduler.step() { return true }
        return false
    }

    /// Looks some keys up: each is as in the model, or refused because of a damaged table over it.
    private func compare(
        _ stage: Stage, _ place: Int, _ generator: inout SplitMix64
    ) throws -> Int {
        let keyspace = Harness.keyspaces[place].keyspace
        var refused = 0
        for _ in 0..<10 {
            let key = Harness.key(&generator)
            do throws(TreeError) {
                let found = try stage.tree.snapshot().get(keyspace, key: key)
                #expect(found == stage.model.rows[place][key])
            } catch {
                guard case .corrupt(let file, _, _, _) = error else { throw error }
                #expect(stage.files.contents(file) != nil)
                stage.scheduler.runUntilIdle()
                #expect(stage.tree.statistics.quarantined.contains { $0.damage == error })
                #expect(stage.tree.isDamaged(key, KeyOrder.successor(key)))
                refused += 1
            }
        }
        return refused
    }
}
