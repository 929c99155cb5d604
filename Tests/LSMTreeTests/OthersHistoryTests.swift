import Bytes
import Platform
import Simulation
import SortedTable
import Testing

@testable import LSMTree

/// What went wrong in the trees of other engines, so that it does not here: each test is named
/// after it, and the thread stands above it.
@Suite struct OthersHistoryTests {
    /// A tree on a simulated disk.
    private struct Stage {
        let files: SimulatedFileSystem
        let scheduler = SimulatedScheduler(seed: 5)
        let failures = FailureBox()
        let installed = InstalledBox()
        let tree: Tree

        init(_ files: SimulatedFileSystem, _ change: (inout TreeOptions) -> Void = { _ in }) throws
        {
            self.files = files
            var options = TreeOptions(keyspaces: Harness.keyspaces)
            options.levelZeroTables = 2
            change(&options)
            tree = try Harness.open(files, options, scheduler, failures: failures)
        }

        func put(_ key: UInt8, _ value: UInt8) {
            var batch = WriteBatch()
            batch.put(Harness.heads, key: [key], value: [value])
            tree.apply(batch)
        }

        func cut(_ number: Int) {
            tree.cut(state: Harness.state(number)) { [installed] in installed.add($0) }
        }

        func get(_ key: UInt8) throws -> [UInt8]? {
            try tree.snapshot().get(Harness.heads, key: [key])
        }
    }

    // https://github.com/google/leveldb/issues/333: after a power cut the manifest named a table of
    // no bytes, and the database opened for reads and failed later, naming no file.
    @Test("a table of no bytes in the manifest is refused by name, and no power cut makes one")
    func zeroLengthTableInManifest() throws {
        let files = SimulatedFileSystem()
        let stage = try Stage(files)
        stage.put(1, 1)
        let before = files.operationCount
        stage.cut(1)
        stage.scheduler.runUntilIdle()
        let path = "/" + (try #require(files.paths.first { $0.hasSuffix(".sst") }))
        let empty = files.copy()
        empty.setContents(path, [])
        let error = #expect(throws: TreeError.self) { try Stage(empty) }
        guard case .corrupt(path, _, _, _) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(empty.contents(path) == [], "what is left of it is not touched")
        for index in before..<files.operationCount {
            for seed in 0..<10 as Range<UInt64> {
                let files = SimulatedFileSystem()
                let stage = try Stage(files)
                stage.put(1, 1)
                files.plan(CrashPlan(index: index, moment: .after, seed: seed))
                stage.cut(1)
                stage.scheduler.runUntilIdle()
                let isAnnounced = !stage.installed.all.isEmpty
                if !files.isDown { files.crash(seed: seed) }
                files.restart()
                let again = try Stage(files)
                let isThere = again.tree.installedState != nil
                #expect(isThere || !isAnnounced, "operation \(index), seed \(seed)")
                #expect(try again.get(1) == (isThere ? [1] : nil))
            }
        }
    }

    // https://github.com/facebook/rocksdb/issues/5287, /pull/10573: files were synced and their
    // names were not.
    @Test("a power cut never takes the name of a table that an announced cut is in")
    func missingDirectorySync() throws {
        for seed in 0..<16 as Range<UInt64> {
            let files = SimulatedFileSystem()
            let stage = try Stage(files)
            for number in 1...3 {
                stage.put(UInt8(number), 9)
                stage.cut(number)
                while stage.installed.all.count < number { stage.scheduler.step() }
                let copy = files.copy()
                copy.crash(seed: seed)
                copy.restart()
                let again = try Stage(copy)
                #expect(again.tree.installedState == Harness.state(number), "seed \(seed)")
                #expect(try again.get(UInt8(number)) == [9], "seed \(seed)")
            }
        }
    }

    // https://github.com/cockroachdb/pebble/pull/320: ingests alone filled level 0 until writes
    // stood still, and as nothing was written nothing began the compaction that would have ended
    // it.
    @Test("ingests into an idle tree are compacted although nobody writes")
    func indefiniteStallAfterIngest() throws {
        let stage = try Stage(SimulatedFileSystem())
        for number in 0..<12 {
            let range = KeyRange(lower: [UInt8(number)], upper: [UInt8(number), 0xFF])
            let ingest = try stage.tree.beginIngest(ranges: [range])
            var rows = ByteWriter()
            rows.write(prefixed: [UInt8(number)])
            rows.write(prefixed: [7])
            try ingest.add(Harness.heads, packed: rows.bytes)
            try ingest.seal()
            // No more than the frozen memtables that may wait are flushed in between.
            while !stage.tree.canCut { #expect(stage.scheduler.step()) }
            stage.tree.install(
                ingest, state: Harness.state(number), memtableState: Harness.state(number)
            ) { [installed = stage.installed] in installed.add($0) }
        }
        stage.scheduler.runUntilIdle()
        #expect(stage.installed.all.map(Harness.number) == Array(0..<12))
        #expect(stage.tree.levelZeroTables <= 2, "level 0 is emptied")
        #expect(stage.tree.canCut && stage.tree.isQuiet && stage.failures.all == [])
        for number in 0..<12 { #expect(try stage.get(UInt8(number)) == [7]) }
    }

    // https://github.com/cockroachdb/pebble/issues/2415: an owner that trimmed a queue deleted from
    // the same start again and again; the fragments of one memtable took all memory and the flush
    // never ended.
    @Test("many range deletes from one start do not fill memory behind the memtable's back")
    func fragmenterBlowUp() throws {
        let limit = 64 << 10
        let stage = try Stage(SimulatedFileSystem()) { $0.memtableBytes = limit }
        var set = RangeTombstoneSet(keepsHistory: true)
        var count: UInt64 = 0
        while !stage.tree.shouldCut {
            count += 1
            let upper = withUnsafeBytes(of: UInt32(count).bigEndian) { [UInt8]($0) }
            var batch = WriteBatch()
            batch.deleteRange(Harness.heads, from: [0], to: upper + [1])
            stage.tree.apply(batch)
            set.insert(RangeTombstone(lower: [0], upper: upper + [1], sequence: count))
        }
        let kept = set.fragments.reduce(0) { $0 + $1.sequences.count }
        #expect(count > 50, "a memtable holds some")
        #expect(kept * MemoryLayout<SequenceNumber>.size <= limit, "\(count) range deletes")
        stage.cut(1)
        stage.scheduler.runUntilIdle()
        #expect(stage.failures.all == [] && stage.tree.isQuiet)
    }

    @Test("range deletes from one start are one fragment where only the newest counts")
    func fragmenterBlowUpInTables() {
        for isGrowing in [true, false] {
            var set = RangeTombstoneSet(keepsHistory: false)
            var work = 0
            for step in 1...2000 as ClosedRange<UInt64> {
                let end = isGrowing ? step : 2001 - step
                let upper = withUnsafeBytes(of: UInt32(end).bigEndian) { [UInt8]($0) }
                set.insert(RangeTombstone(lower: [], upper: upper, sequence: step))
                // What an insert looks at are the fragments that it overlaps.
                work += isGrowing ? set.fragments.count : 1
            }
            #expect(work <= 4000, "\(work) fragments were looked at")
            #expect(set.newestTombstones.count == (isGrowing ? 1 : 2000))
        }
    }

    // RocksDB 7.8.2 release notes, https://github.com/facebook/rocksdb/pull/11865: a flush failed,
    // and when it was tried again a younger memtable was installed before the older one.
    @Test("a flush that failed is repeated before any younger one", arguments: 0..<6)
    func failedFlushRetriedOutOfOrder(failing: Int) throws {
        let files = SimulatedFileSystem()
        let stage = try Stage(files) { $0.frozenMemtablesMax = 3 }
        files.inject(DiskFault([.create], .noSpace, on: ".sst", .after(failing % 3)))
        for number in 1...3 {
            stage.put(1, UInt8(number))
            stage.put(UInt8(10 + number), UInt8(number))
            stage.cut(number)
        }
        for _ in 0..<20 { stage.scheduler.step() }
        #expect(stage.installed.all.count < 3, "a flush failed")
        files.clearFaults()
        var announced = 0
        for _ in 0..<1000 where announced < 3 {
            if !stage.scheduler.step() { stage.scheduler.advance(by: .seconds(1)) }
            while announced < stage.installed.all.count {
                announced += 1
                #expect(stage.installed.all[announced - 1] == Harness.state(announced))
            }
            if announced == 0 { continue }
            let copy = files.copy()
            copy.crash(seed: UInt64(failing))
            copy.restart()
            let again = try Stage(copy)
            let state = try #require(again.tree.installedState.map(Harness.number))
            #expect(state >= announced)
            #expect(try again.get(1) == [UInt8(state)], "a prefix of the cuts")
            #expect(try again.get(UInt8(11 + state)) == nil)
        }
        #expect(announced == 3 && stage.failures.all == [])
        #expect(try stage.get(1) == [3])
    }
}
