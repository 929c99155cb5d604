import Bytes
import Platform
import Simulation
import Testing

@testable import RecordLog

/// What went wrong in the logs of other engines, so that it does not here: each test is named after
/// it, and the thread stands above it.
@Suite struct OthersHistoryTests {
    /// A log of records of one size; each holds a number.
    private final class Journal {
        let disk: SimulatedFileSystem
        let scheduler = SimulatedScheduler(seed: 1)
        private(set) var log: SegmentLog
        /// Numbers that recovery showed.
        private(set) var seen: [UInt64]

        static let recordBytes = 200
        static let segmentBytes = 4096

        init(_ disk: SimulatedFileSystem, hasLane: Bool = true) throws {
            self.disk = disk
            var seen: [UInt64] = []
            log = try SegmentLog.recover(
                fileSystem: disk, directory: "/log",
                options: SegmentLogOptions(segmentBytes: Self.segmentBytes),
                lane: hasLane ? scheduler.lane("files") : nil, segmentHeader: { [] },
                visit: { (_, type, payload) throws(LogError) in
                    if type == 1 { seen.append(payload.loadUnaligned(as: UInt64.self)) }
                })
            self.seen = seen
            scheduler.runUntilIdle()
        }

        /// Appends a record; not durable yet.
        @discardableResult
        func append(_ number: UInt64) throws -> LogPosition {
            let filler = [UInt8](repeating: 7, count: Self.recordBytes - 8)
            let payload = withUnsafeBytes(of: number) { [UInt8]($0) } + filler
            return try #require(try log.append([LogRecord(type: 1, payload: payload)]).first)
        }

        func write(_ number: UInt64) throws {
            try append(number)
            try log.sync()
            scheduler.runUntilIdle()
        }

        func path(_ segment: UInt64) -> String { "/log/" + SegmentName.name(segment) }
        var lastPath: String { path(log.end.segment) }
    }

    private static func crashed(_ disk: SimulatedFileSystem, _ seed: UInt64) -> SimulatedFileSystem
    {
        let copy = disk.copy()
        copy.crash(seed: seed)
        copy.restart()
        return copy
    }

    // https://github.com/cockroachdb/pebble/issues/567, /pull/580: a log file that was written by
    // an earlier run was recycled; old records behind the new ones were replayed as if they were
    // new.
    @Test("the tail of a recycled file is not replayed, whichever run wrote it")
    func recycledTailReplayed() throws {
        let first = try Journal(SimulatedFileSystem())
        while first.log.segmentIDs.count < 2 { try first.write(UInt64.max) }
        let oldID = try #require(first.log.segmentIDs.first)
        let old = try #require(first.disk.contents(first.path(oldID)))
        let second = try Journal(first.disk.copy())
        second.log.release(before: second.log.end.segment)
        try second.log.mark()
        for number in 1...4 as ClosedRange<UInt64> { try second.write(number) }
        #expect(second.log.end.offset < UInt64(old.count / 2), "old records lie behind")
        // As if the file had been the old one and nobody had wiped a byte: records of one size, so
        // that each old one begins where a new one ends.
        let path = second.lastPath
        let fresh = try #require(second.disk.contents(path))
        let end = Int(second.log.end.offset)
        let disk = second.disk.copy()
        disk.setContents(path, Array(fresh[..<end]) + old.dropFirst(end))
        #expect(try Journal(disk).seen.suffix(4) == [1, 2, 3, 4])
        #expect(try Journal(second.disk).seen.suffix(4) == [1, 2, 3, 4])
    }

    // https://github.com/facebook/rocksdb/pull/7701: a log that was cut short, above all exactly
    // between two records, was taken for whole, and recovery went on with the next one.
    @Test("a segment cut between two records is no end of the log while a later one exists")
    func holeAtRecordBoundary() throws {
        let journal = try Journal(SimulatedFileSystem())
        while journal.log.segmentIDs.count < 3 { try journal.write(1) }
        let size = RecordFormat.size(payload: Journal.recordBytes)
        var cuts = 0
        for id in journal.log.segmentIDs.dropLast() {
            let path = journal.path(id)
            let whole = try #require(journal.disk.contents(path))
            let end = try #require(journal.log.segments.first { $0.id == id }?.end)
            var boundary = Int(end) - size
            while boundary > 0 {
                let disk = journal.disk.copy()
                disk.setContents(path, Array(whole[..<boundary]))
                let error = #expect(throws: LogError.self) { try Journal(disk) }
                guard case .rot(path, _, _, _) = error else {
                    Issue.record("cut at \(boundary): \(String(describing: error))")
                    return
                }
                cuts += 1
                boundary -= size
            }
        }
        #expect(cuts > 20)
    }

    // https://github.com/facebook/rocksdb/issues/7784, /pull/7859: an empty log behind one with a
    // torn end made recovery speak of corruption where there was none.
    @Test("an empty segment behind a torn one is no corruption, and behind a rotten one no excuse")
    func emptyLogAfterADamagedOne() throws {
        let journal = try Journal(SimulatedFileSystem())
        for number in 1...4 as ClosedRange<UInt64> { try journal.write(number) }
        let durable = Int(journal.log.end.offset)
        try journal.append(5)
        let path = journal.lastPath
        let next = "/" + (try #require(journal.disk.paths.last))
        #expect(next > path, "a next segment lies ready")
        #expect(journal.disk.contents(next)?.allSatisfy { $0 == 0 } == true, "and is empty")
        let torn = journal.disk.copy()
        let bytes = try #require(torn.contents(path))
        torn.setContents(path, Array(bytes[..<(durable + Journal.recordBytes / 2)]))
        #expect(try Journal(torn).seen == [1, 2, 3, 4])
        let rotten = journal.disk.copy()
        rotten.flipBit(path, offset: durable / 2, bit: 3)
        let error = #expect(throws: LogError.self) { try Journal(rotten) }
        guard case .rot(path, _, _, _) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    // https://github.com/facebook/rocksdb/pull/10573: a log file was synced, its name in the
    // directory was not, so that a power cut took the whole file.
    @Test("a power cut never takes the name of a segment that holds acknowledged records")
    func missingDirectorySync() throws {
        let journal = try Journal(SimulatedFileSystem())
        var number: UInt64 = 0
        while journal.log.segmentIDs.count < 3 {
            number += 1
            try journal.write(number)
            for seed in 0..<12 as Range<UInt64> {
                let seen = try Journal(Self.crashed(journal.disk, seed)).seen
                try #require(seen == Array(1...number), "seed \(seed), record \(number)")
            }
        }
    }

    // RocksDB 7.7.0 release notes: FlushWAL(true) left writes at the tail of a log that came while
    // it ran, and a change of the log file, without a sync for good.
    @Test("a sync covers everything appended before, also what lies in the segment before")
    func parallelTailWritesNeverSynced() throws {
        let journal = try Journal(SimulatedFileSystem())
        let first = try journal.append(1)
        var number: UInt64 = 1
        var last = first
        while last.segment == first.segment {
            number += 1
            last = try journal.append(number)
        }
        try journal.log.sync()
        for seed in 0..<24 as Range<UInt64> {
            #expect(
                try Journal(Self.crashed(journal.disk, seed)).seen == Array(1...number),
                "seed \(seed)")
        }
        // The same with a mark, which ends a segment by itself.
        try journal.append(number + 1)
        journal.log.noteErasure(endsSegment: true)
        try journal.append(number + 2)
        try journal.log.mark()
        for seed in 0..<24 as Range<UInt64> {
            #expect(
                try Journal(Self.crashed(journal.disk, seed)).seen == Array(1...(number + 2)),
                "seed \(seed)")
        }
    }

    // https://github.com/fjall-rs/fjall/pull/317: recovery that found no journal made one under a
    // name that the next recovery did not look for, and what was written after it was gone.
    @Test("what is written after a recovery is found by the next one, whatever that one found")
    func recoveryWritesToAWronglyNamedFile() throws {
        let disk = SimulatedFileSystem()
        var expected: [UInt64] = []
        for life in 1...6 as ClosedRange<UInt64> {
            let journal = try Journal(disk, hasLane: life % 2 == 0)
            #expect(journal.seen == expected, "life \(life)")
            for step in 0..<(life * 6) {
                try journal.write(life * 100 + step)
                expected.append(life * 100 + step)
            }
            for segment in journal.log.segments {
                #expect(segment.file.path == journal.path(segment.id))
            }
            #expect(disk.paths.allSatisfy { $0.hasPrefix("log/") && $0.hasSuffix(".log") })
            journal.log.close()
            if life == 3 {
                // Somebody removed all of it: the log begins anew, and is found again.
                for path in disk.paths { try disk.unlink(path) }
                expected = []
            }
        }
    }
}
