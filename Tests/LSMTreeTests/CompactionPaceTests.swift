import Bytes
import Platform
import Simulation
import SortedTable
import Testing

@testable import LSMTree

/// Who has right of way among flush and compactions, and how fast they go.
@Suite struct CompactionPaceTests {
    /// A tree whose merges are long rows of slices.
    private final class Stage {
        let files = SimulatedFileSystem(seed: 1)
        let scheduler = SimulatedScheduler(seed: 1)
        let failures = FailureBox()
        let tree: Tree
        var model = Model(3)
        private var cuts = 0

        init(_ change: (inout TreeOptions) -> Void = { _ in }) throws {
            var options = TreeOptions(keyspaces: Harness.keyspaces)
            options.memtableBytes = 1 << 20
            options.sliceBytes = 200
            options.blockBytes = 256
            options.levelZeroTables = 3
            options.levelBaseBytes = 1 << 20
            change(&options)
            tree = try Harness.open(files, options, scheduler, failures: failures)
        }

        /// Rows of one keyspace, and the cut that takes them to level 0.
        func write(_ keyspace: Keyspace, rows: Int, first: UInt8 = 0) {
            var batch = WriteBatch()
            for row in 0..<rows {
                let key = [first, UInt8(row >> 8), UInt8(row & 255)]
                batch.put(keyspace, key: key, value: [UInt8](repeating: UInt8(cuts), count: 30))
            }
            tree.apply(batch)
            model.apply(batch)
            cuts += 1
            tree.cut(state: Harness.state(cuts)) { _ in }
        }

        func level(_ place: Int, _ level: Int) -> TreeStatistics.Level {
            tree.statistics.keyspaces[place].levels[level]
        }

        func check() throws {
            #expect(failures.all == [])
            #expect(try Harness.difference(tree.snapshot(), model) == nil)
        }
    }

    /// Three levels deep: level 5 over its target, so that a deep merge is due by size.
    private func deepStage(_ change: (inout TreeOptions) -> Void = { _ in }) throws -> Stage {
        let stage = try Stage { options in
            options.levelBaseBytes = 4000
            options.levelFanOut = 2
            options.tableBytes = 60_000
            change(&options)
        }
        return stage
    }

    /// Steps until a merge from a level below 0 has done a slice.
    private func runToDeepMerge(_ stage: Stage) -> Bool {
        for _ in 0..<20_000 {
            if let run = stage.tree.compactor.runs.last, run.plan.isDeep, run.plan.work == .merge {
                for _ in 0..<4 { stage.scheduler.step() }
                if stage.tree.compactor.runs.last === run { return true }
            }
            if !stage.scheduler.step() { return false }
        }
        return false
    }

    /// Overlapping rows until level 5 must give some to level 6.
    private func fillUntilDeep(_ stage: Stage) -> Bool {
        for round in 0..<40 {
            stage.write(Harness.messages, rows: 150, first: UInt8(round % 4))
            if runToDeepMerge(stage) { return true }
        }
        return false
    }

    @Test("level 0 of another keyspace goes before a deep merge, which then goes on where it was")
    func yieldsToLevelZero() throws {
        let stage = try deepStage()
        #expect(fillUntilDeep(stage))
        let deep = try #require(stage.tree.compactor.runs.first)
        // The cuts must not stand in the way themselves: they are through before it is looked.
        for _ in 0..<3 {
            stage.write(Harness.heads, rows: 40)
            while !stage.tree.canCut { stage.scheduler.step() }
        }
        var wasFirst = false
        while stage.tree.compactor.runs.contains(where: { $0 === deep }) {
            if stage.level(1, 0).tables == 0, stage.level(1, 6).rows > 0 { wasFirst = true }
            if !stage.scheduler.step() { break }
        }
        #expect(wasFirst, "the level 0 of heads was merged while the deep merge waited")
        #expect(stage.tree.statistics.counters.yields > 0)
        stage.scheduler.runUntilIdle()
        #expect(stage.tree.isQuiet)
        try stage.check()
    }

    @Test("a deep merge stands still while a flush writes, and not when the flush has no room")
    func yieldsToFlush() throws {
        let stage = try deepStage()
        #expect(fillUntilDeep(stage))
        let deep = try #require(stage.tree.compactor.runs.first)
        stage.files.inject(DiskFault([.create], .noSpace, on: ".sst", .once))
        stage.write(Harness.heads, rows: 1)
        while stage.tree.compactor.runs.contains(where: { $0 === deep }) {
            if !stage.scheduler.step() { break }
        }
        #expect(stage.tree.statistics.frozenMemtables == 1, "the flush waits for a second")
        #expect(!stage.tree.compactor.runs.contains { $0 === deep }, "the merge did not")
        stage.scheduler.advance(by: .seconds(2))
        #expect(stage.tree.statistics.frozenMemtables == 0)

        #expect(fillUntilDeep(stage))
        let yields = stage.tree.statistics.counters.yields
        stage.write(Harness.heads, rows: 200)
        while stage.tree.statistics.frozenMemtables > 0 { stage.scheduler.step() }
        stage.scheduler.runUntilIdle()
        #expect(stage.tree.statistics.counters.yields > yields)
        #expect(stage.tree.isQuiet)
        try stage.check()
    }

    @Test("compaction rests between slices while little is due, and not when much is")
    func pace() throws {
        func restless(_ cuts: Int) throws -> Bool {
            let stage = try Stage { options in
                options.memtableBytes = 2000
                options.frozenMemtablesMax = 100
                options.compactionBytesPerSecond = 1000
            }
            for _ in 0..<cuts { stage.write(Harness.messages, rows: 50) }
            // Time stands still: only what does not rest gets done.
            stage.scheduler.runUntilIdle()
            let isDone = stage.level(0, 6).rows > 0
            stage.scheduler.advance(by: .seconds(100))
            #expect(stage.tree.isQuiet)
            try stage.check()
            return isDone
        }
        #expect(try !restless(3))
        #expect(try restless(20))
    }

    @Test("closing in the middle of a merge leaves no file behind that nobody lists")
    func close() throws {
        let stage = try deepStage { $0.compactionBytesPerSecond = 10 }
        for _ in 0..<3 { stage.write(Harness.messages, rows: 400) }
        stage.scheduler.runUntilIdle()
        #expect(!stage.tree.isQuiet)
        let listed = stage.tree.statistics.keyspaces.flatMap(\.levels).reduce(0) { $0 + $1.tables }
        stage.tree.close()
        #expect(stage.files.paths.filter { $0.hasSuffix(".sst") }.count == listed)
    }

    @Test(
        "a tree whose merges go in slices answers as a sorted dictionary does",
        arguments: 0..<(isLong ? 100 : 6))
    func model(seed: Int) throws {
        var generator = SplitMix64(seed: UInt64(seed) &* 991)
        var options = Harness.options(&generator)
        options.sliceBytes = 1 << Int(generator.next() % 10)
        options.compactionBytesPerSecond = generator.next() % 2 == 0 ? 0 : 5000
        let files = SimulatedFileSystem(seed: UInt64(seed))
        let scheduler = SimulatedScheduler(seed: UInt64(seed))
        let failures = FailureBox()
        let tree = try Harness.open(files, options, scheduler, failures: failures)
        var model = Model(3)
        var snapshots: [(Snapshot, Model)] = []
        for step in 0..<400 {
            let batch = Harness.batch(&generator)
            tree.apply(batch)
            model.apply(batch)
            if tree.shouldCut, tree.canCut { tree.cut(state: [1]) { _ in } }
            switch generator.next() % 30 {
            case 0:
                tree.requestCompaction(
                    Harness.keyspaces[Int(generator.next() % 3)].keyspace,
                    lower: Harness.key(&generator))
            case 1: scheduler.advance(by: .milliseconds(Int64(generator.next() % 500)))
            case 2: snapshots.append((tree.snapshot(), model))
            case 3: tree.expiryHorizon = generator.next() % 100
            default: for _ in 0..<(generator.next() % 8) { scheduler.step() }
            }
            if step % 20 != 0 { continue }
            let horizon = tree.expiryHorizon
            let difference = try Harness.difference(tree.snapshot(), model, horizon: horizon)
            #expect(difference == nil, "seed \(seed), step \(step)")
        }
        scheduler.advance(by: .seconds(1000))
        #expect(tree.isQuiet, "seed \(seed)")
        snapshots.append((tree.snapshot(), model))
        for (snapshot, then) in snapshots {
            let difference = try Harness.difference(snapshot, then, horizon: tree.expiryHorizon)
            #expect(difference == nil, "seed \(seed)")
        }
        #expect(failures.all == [], "seed \(seed)")
    }
}
