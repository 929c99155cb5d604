import Bytes
import Platform
import Simulation
import SortedTable
import Testing

@testable import LSMTree

/// Rereading tables in the background.
@Suite struct ScrubTests {
    /// A tree with one table per keyspace in level 0 and no work to do.
    private struct Stage {
        var files: SimulatedFileSystem
        let options: TreeOptions

        init(rows: Int = 300, _ change: (inout TreeOptions) -> Void = { _ in }) throws {
            files = SimulatedFileSystem(seed: 4)
            var options = TreeOptions(keyspaces: Harness.keyspaces)
            options.memtableBytes = 1 << 20
            options.blockBytes = 256
            options.levelZeroTables = 100
            options.levelBaseBytes = 1 << 30
            options.scrubBytesPerSecond = 1 << 30
            options.scrubIntervalMs = 0
            change(&options)
            self.options = options
            let scheduler = SimulatedScheduler(seed: 4)
            let tree = try Harness.open(files, options, scheduler)
            for seed in 0..<2 {
                Self.write(tree, rows: rows, seed: UInt8(seed))
                tree.cut(state: [UInt8(seed)]) { _ in }
                scheduler.runUntilIdle()
            }
            tree.close()
        }

        static func write(_ tree: Tree, rows: Int, seed: UInt8) {
            var generator = SplitMix64(seed: UInt64(seed))
            var batch = WriteBatch()
            // Over rows of the first table, so that it is kept.
            let first: [UInt8] = [7, 0, 0, 0, 0, 0, 0, 0, 0]
            batch.deleteRange(Harness.messages, from: first + [5], to: first + [9])
            for row in 0..<rows {
                let number: [UInt8] = [0, 0, 0, 0, 0, 0, UInt8(row >> 8), UInt8(row & 255)]
                let value = Harness.value(&generator, Harness.dedup)
                batch.put(Harness.messages, key: [7, seed] + number, value: value)
                batch.put(Harness.heads, key: [7, UInt8(row >> 8), UInt8(row & 255)], value: value)
                batch.put(Harness.dedup, key: [seed, UInt8(row & 255)], value: value)
            }
            tree.apply(batch)
        }
    }

    private func tables(_ files: SimulatedFileSystem) -> [String] {
        files.paths.filter { $0.hasSuffix(".sst") }
    }

    /// The blocks of a table, and its footer, as spans of the file.
    private func places(
        _ files: SimulatedFileSystem, _ path: String
    ) throws -> [(role: String, span: Range<Int>)] {
        let name = String(path.split(separator: "/").last ?? "")
        let file = try files.open(path, .read)
        defer { file.close() }
        let reader = try TableReader.open(
            file: file, fileID: try #require(TableName.fileID(name)),
            cache: BlockCache(budgetBytes: 1 << 20))
        let layout = try reader.layout()
        var places = layout.blocks.map { block in
            let start = Int(block.handle.offset)
            let end = start + Int(block.handle.bytes) + TableFormat.trailerBytes
            return (role: "\(block.role)", span: start..<end)
        }
        places.append(("footer", Int(layout.footerOffset)..<Int(layout.bytes)))
        return places
    }

    @Test("a bit that flips in any kind of block, in its trailer or in the footer is found")
    func everyPlace() throws {
        let stage = try Stage(rows: 60)
        var roles: Set<String> = []
        for path in tables(stage.files) {
            for (role, span) in try places(stage.files, path) {
                guard roles.insert(role).inserted || isLong else { continue }
                // Every byte of a footer; of a block the ends, the trailer, and some between.
                let step = role == "footer" || isLong ? 1 : max(1, span.count / 8)
                let inside = Array(stride(from: span.lowerBound, to: span.upperBound, by: step))
                for offset in inside + [span.upperBound - 9, span.upperBound - 1] {
                    try find(stage, path, role, offset)
                }
            }
        }
        #expect(
            roles == [
                "data", "columns", "index", "filter", "prefixFilter", "root", "tombstones",
                "properties", "footer",
            ])
    }

    private func find(_ stage: Stage, _ path: String, _ role: String, _ offset: Int) throws {
        let files = stage.files.copy()
        let scheduler = SimulatedScheduler(seed: 1)
        let (failures, damages) = (FailureBox(), FailureBox())
        let tree = try Harness.open(
            files, stage.options, scheduler, failures: failures, damages: damages)
        defer { tree.close() }
        files.flipBit(path, offset: offset, bit: offset & 7)
        tree.scrub(nowMs: 5_000)
        scheduler.runUntilIdle()
        let round = tree.statistics.scrub.lastRound
        #expect(round?.findings == 1, "\(role) at \(offset) of \(path)")
        #expect(round?.tables == tables(files).count - 1)
        guard case .corrupt(let file, _, _, _)? = damages.all.first else {
            Issue.record("\(role) at \(offset) of \(path): no damage is told")
            return
        }
        #expect(file.hasSuffix(path) && damages.all.count == 1 && failures.all == [])
        #expect(tree.statistics.quarantined.map(\.damage) == damages.all)
    }

    @Test("a round over sound tables reads every byte of them and is written down")
    func round() throws {
        let stage = try Stage()
        let scheduler = SimulatedScheduler(seed: 1)
        let tree = try Harness.open(stage.files, stage.options, scheduler)
        defer { tree.close() }
        tree.scrub(nowMs: 77_000)
        scheduler.runUntilIdle()
        let bytes = tables(stage.files).reduce(0) { $0 + (stage.files.contents($1)?.count ?? 0) }
        #expect(
            tree.statistics.scrub.lastRound
                == ScrubRound(
                    startedMs: 77_000, finishedMs: 77_000, tables: tables(stage.files).count,
                    bytes: UInt64(bytes)))
        #expect(tree.statistics.scrub.rounds == 1)
    }

    @Test("the next round waits for its time; a clock that was set back brings it early")
    func interval() throws {
        let stage = try Stage { $0.scrubIntervalMs = 60_000 }
        let scheduler = SimulatedScheduler(seed: 1)
        let tree = try Harness.open(stage.files, stage.options, scheduler)
        defer { tree.close() }
        let calls = [(1_000, 1), (31_000, 1), (61_000, 2), (62_000, 2), (500, 2), (1_500, 3)]
        for (nowMs, rounds) in calls {
            tree.scrub(nowMs: UInt64(nowMs))
            scheduler.runUntilIdle()
            #expect(tree.statistics.scrub.rounds == UInt64(rounds), "at \(nowMs)")
        }
    }

    @Test("it keeps to its rate and goes on where it was")
    func rate() throws {
        let stage = try Stage(rows: 2_000) { $0.scrubBytesPerSecond = 3_000 }
        let scheduler = SimulatedScheduler(seed: 1)
        let tree = try Harness.open(stage.files, stage.options, scheduler)
        defer { tree.close() }
        var largest: UInt64 = 0
        var last: UInt64 = 0
        var calls: UInt64 = 0
        while tree.statistics.scrub.rounds == 0 {
            calls += 1
            try #require(calls < 10_000)
            tree.scrub(nowMs: calls * 1_000)
            scheduler.runUntilIdle()
            let bytes = tree.statistics.scrub.bytes
            largest = max(largest, bytes - last)
            last = bytes
            // At most a piece ahead of its time.
            #expect(bytes <= calls * 3_000 + largest)
        }
        #expect(calls > 20 && last >= (calls - 10) * 3_000 / 2)
    }

    @Test("it does nothing while a flush or a compaction is under way, and goes on after it")
    func givesWay() throws {
        let stage = try Stage { options in
            options.sliceBytes = 200
            options.levelZeroTables = 3
            options.compactionBytesPerSecond = 200
        }
        let scheduler = SimulatedScheduler(seed: 1)
        let tree = try Harness.open(stage.files, stage.options, scheduler)
        defer { tree.close() }
        scheduler.runUntilIdle()
        Stage.write(tree, rows: 300, seed: 2)
        stage.files.inject(DiskFault([.create], .noSpace, on: ".sst", .always))
        tree.cut(state: [3]) { _ in }
        tree.scrub(nowMs: 1_000)
        scheduler.advance(by: .milliseconds(10))
        #expect(tree.statistics.frozenMemtables == 1)
        #expect(tree.statistics.scrub.bytes == 0 && tree.statistics.scrub.yields == 1)
        stage.files.clearFaults()
        scheduler.advance(by: .seconds(3))
        // The third table of level 0 makes a merge due, which takes its time.
        #expect(tree.statistics.frozenMemtables == 0 && !tree.isQuiet)
        tree.scrub(nowMs: 2_000)
        scheduler.advance(by: .milliseconds(10))
        #expect(tree.statistics.scrub.bytes == 0 && tree.statistics.scrub.yields == 2)
        scheduler.advance(by: .seconds(3_600))
        #expect(tree.isQuiet)
        tree.scrub(nowMs: 3_000)
        scheduler.runUntilIdle()
        #expect(tree.statistics.scrub.rounds == 1)
    }

    @Test("it gives way for ten seconds at most: a store that is always busy is checked too")
    func overdue() throws {
        let stage = try Stage(rows: 2_000) { $0.scrubBytesPerSecond = 3_000 }
        let scheduler = SimulatedScheduler(seed: 1)
        let tree = try Harness.open(stage.files, stage.options, scheduler)
        defer { tree.close() }
        scheduler.runUntilIdle()
        Stage.write(tree, rows: 30, seed: 2)
        stage.files.inject(DiskFault([.create], .noSpace, on: ".sst", .always))
        tree.cut(state: [3]) { _ in }
        for second in 1...9 as ClosedRange<UInt64> {
            tree.scrub(nowMs: second * 1_000)
            scheduler.advance(by: .milliseconds(10))
            #expect(tree.statistics.scrub.bytes == 0 && tree.statistics.scrub.yields == second)
        }
        var bytes: UInt64 = 0
        var largest: UInt64 = 0
        for second in 10...39 as ClosedRange<UInt64> {
            tree.scrub(nowMs: second * 1_000)
            scheduler.advance(by: .milliseconds(10))
            #expect(tree.statistics.frozenMemtables == 1)
            largest = max(largest, tree.statistics.scrub.bytes - bytes)
            bytes = tree.statistics.scrub.bytes
        }
        // A second's worth in each of thirty seconds, but for a piece.
        #expect(bytes >= 29 * 3_000 && bytes <= 30 * 3_000 + largest, "\(bytes), \(largest)")
    }

    @Test("a table that compaction replaces under its hands is left, and the round ends")
    func replaced() throws {
        // A piece takes all that one second brings.
        let stage = try Stage(rows: 2_000) { $0.scrubBytesPerSecond = 100_000 }
        let scheduler = SimulatedScheduler(seed: 1)
        let tree = try Harness.open(stage.files, stage.options, scheduler)
        defer { tree.close() }
        tree.scrub(nowMs: 1_000)
        scheduler.runUntilIdle()
        let started = tree.statistics.scrub
        #expect(started.bytes > 0 && started.round != nil)
        for keyspace in Harness.keyspaces { tree.requestCompaction(keyspace.keyspace) }
        scheduler.runUntilIdle()
        #expect(tree.statistics.counters.merges > 0)
        tree.scrub(nowMs: 20_000)
        scheduler.runUntilIdle()
        // All tables of the round are gone; the new ones are the next round's.
        #expect(tree.statistics.scrub.rounds == 1)
        #expect(tree.statistics.obsolete == ObsoleteFiles())
    }

    @Test("a table that the disk does not give is counted, and is not in quarantine")
    func unread() throws {
        let stage = try Stage()
        let scheduler = SimulatedScheduler(seed: 1)
        let tree = try Harness.open(stage.files, stage.options, scheduler)
        defer { tree.close() }
        stage.files.inject(DiskFault([.read], .inputOutput, on: ".sst", .once))
        tree.scrub(nowMs: 1_000)
        scheduler.runUntilIdle()
        let round = try #require(tree.statistics.scrub.lastRound)
        #expect(round.unread == 1 && round.findings == 0)
        #expect(round.tables == tables(stage.files).count - 1)
        #expect(tree.statistics.quarantined.isEmpty)
    }
}
