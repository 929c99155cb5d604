import Bytes
import Platform
import Simulation
import Testing

@testable import RecordLog

@Suite struct SegmentLogTests {
    /// What must hold of a recovery after a crash of `world`.
    private static func check(
        _ seen: LogWorld.Seen, synced: UInt64, appended: UInt64, released: UInt64, _ comment: String
    ) {
        #expect(seen.problems.isEmpty, "\(seen.problems) \(comment)")
        if let first = seen.numbers.first { #expect(first <= released, "\(comment)") }
        let end = max(seen.numbers.last.map { $0 + 1 } ?? 0, seen.headers.max() ?? 0)
        #expect(end >= synced && end <= appended, "\(end) of \(synced)…\(appended) \(comment)")
        if released < synced { #expect(!seen.numbers.isEmpty, "\(comment)") }
    }

    @Test(
        "Records come back in order after a clean stop, over many segments", arguments: [1, 2, 3])
    func roundTrip(_ seed: UInt64) throws {
        let world = LogWorld(disk: SimulatedFileSystem())
        _ = try world.recover()
        for _ in 0..<40 {
            try world.append(3)
            try world.sync()
        }
        #expect((world.log?.segmentIDs.count ?? 0) > 5)
        world.log?.close()
        let again = LogWorld(disk: world.disk)
        let seen = try again.recover()
        #expect(seen.numbers == Array(0..<120) && seen.problems.isEmpty)
    }

    @Test("Positions from append and from recovery read the same records")
    func positions() throws {
        let world = LogWorld(disk: SimulatedFileSystem())
        _ = try world.recover()
        let log = try #require(world.log)
        var expected: [(LogPosition, LogRecord)] = []
        for number in 0..<60 as Range<UInt64> {
            let record = LogRecord(type: 1, payload: LogWorld.payload(number))
            expected.append((try #require(try log.append([record]).first), record))
            try log.sync()
        }
        let large = LogRecord(type: 2, payload: [UInt8](repeating: 3, count: 50_000))
        expected.append((try #require(try log.append([large]).first), large))
        for (position, record) in expected { #expect(try log.reader.read(position) == record) }
        log.release(before: log.end.segment)
        try log.mark()
        let first = try #require(expected.first?.0)
        #expect(throws: LogError.released(first)) { try log.reader.read(first) }
    }

    @Test("A segment that is cut at every byte behind its last mark loses whole records only")
    func tornAtEveryByte() throws {
        let world = LogWorld(disk: SimulatedFileSystem(), segmentBytes: 64 * 1024)
        _ = try world.recover()
        try world.append(5)
        try world.sync()
        let durable = Int(try #require(world.log).durable.offset)
        try world.append(8)
        let log = try #require(world.log)
        let path = "/log/" + SegmentName.name(log.end.segment)
        let bytes = try #require(world.disk.contents(path))
        for length in durable...Int(log.end.offset) {
            let disk = world.disk.copy()
            disk.setContents(path, Array(bytes[..<length]))
            let torn = LogWorld(disk: disk)
            let seen = try torn.recover()
            Self.check(seen, synced: 5, appended: 13, released: 0, "length \(length)")
        }
    }

    @Test("Every flipped bit gives right records or an error that names file and place")
    func everyBit() throws {
        let world = LogWorld(disk: SimulatedFileSystem())
        _ = try world.recover()
        for _ in 0..<4 {
            try world.append(3)
            try world.sync()
        }
        try world.log?.mark()
        try world.append(2)
        try world.sync()
        let log = try #require(world.log)
        for segment in log.segments {
            let path = "/log/" + SegmentName.name(segment.id)
            let isLast = segment.id == log.end.segment
            var cuts = 0
            for offset in 0..<Int(segment.end) {
                let bit = (offset * 7) % 8
                let disk = world.disk.copy()
                disk.flipBit(path, offset: offset, bit: bit)
                let other = LogWorld(disk: disk)
                do {
                    let seen = try other.recover()
                    Self.check(seen, synced: 12, appended: 14, released: 0, "\(path) \(offset)")
                    if seen.numbers.count < 14 { cuts += 1 }
                } catch {
                    guard case .rot(let file, let place, _, _) = error else { throw error }
                    #expect(file == path && place <= UInt64(offset))
                }
            }
            #expect(isLast == (cuts > 0), "only the last batch can look torn")
        }
    }

    @Test("A missing or wiped segment in the middle is rot")
    func missing() throws {
        let world = LogWorld(disk: SimulatedFileSystem())
        _ = try world.recover()
        for _ in 0..<20 {
            try world.append(3)
            try world.sync()
        }
        let ids = try #require(world.log).segmentIDs
        for id in ids.dropLast() {
            let path = "/log/" + SegmentName.name(id)
            for isWiped in [false, true] {
                let disk = world.disk.copy()
                if isWiped {
                    disk.setContents(path, [UInt8](repeating: 0, count: 4096))
                } else {
                    try disk.unlink(path)
                }
                do {
                    _ = try LogWorld(disk: disk).recover()
                    Issue.record("a log without \(path) was accepted")
                } catch {
                    guard case .rot(let file, 0, _, _) = error else { throw error }
                    #expect(file == path)
                }
            }
        }
    }

    @Test("Reused segments never show records of their former life", arguments: 1..<4)
    func reuse(_ seed: UInt64) throws {
        let scheduler = SimulatedScheduler(seed: seed)
        let world = LogWorld(disk: SimulatedFileSystem(), lane: scheduler.lane("log files"))
        _ = try world.recover()
        var ids: Set<UInt64> = []
        for step in 0..<60 {
            try world.append(4)
            try world.sync()
            scheduler.runUntilIdle()
            ids.formUnion(try #require(world.log).segmentIDs)
            if step % 4 == 0 { world.release(keeping: 2) }
        }
        #expect(ids.count > 12, "many lives")
        #expect(try world.disk.list("/log").count <= 8, "in few files")
        for crash in 0..<10 as Range<UInt64> {
            let disk = world.disk.copy()
            disk.crash(seed: seed * 100 + crash)
            disk.restart()
            let seen = try LogWorld(disk: disk).recover()
            Self.check(
                seen, synced: world.synced, appended: world.next, released: world.released,
                "seed \(seed) \(crash)")
        }
    }

    @Test("A stale record that stands where the next one would is not taken for it")
    func staleNeighbour() throws {
        for seed in 0..<20 as Range<UInt64> {
            let disk = SimulatedFileSystem()
            func recover() throws(LogError) -> (SegmentLog, [UInt8]) {
                var seen: [UInt8] = []
                let log = try SegmentLog.recover(
                    fileSystem: disk, directory: "/log",
                    options: SegmentLogOptions(segmentBytes: 16_384), segmentHeader: { [] },
                    visit: { (_, type, payload) throws(LogError) in
                        if type == 1, let life = payload.first { seen.append(life) }
                    })
                return (log, seen)
            }
            // Records of one size, so that those of the second life lie exactly on the first's.
            let (log, _) = try recover()
            var life: UInt8 = 1
            while log.segmentIDs.max() ?? 0 < 6 {
                let before = log.end.segment
                let positions = try log.append([
                    LogRecord(type: 1, payload: [UInt8](repeating: life, count: 1000))
                ])
                try log.sync()
                if positions.first?.segment != before {
                    life += 1
                    log.release(before: log.end.segment)
                }
            }
            // The last append opened segment 6, a file that was full of records before.
            for _ in 0..<6 {
                _ = try log.append([
                    LogRecord(type: 1, payload: [UInt8](repeating: life, count: 1000))
                ])
                try log.sync()
            }
            disk.crash(seed: seed)
            disk.restart()
            let seen = try recover().1
            #expect(seen.count >= 6 && seen.suffix(6).allSatisfy { $0 == life }, "\(seen)")
            #expect(seen == seen.sorted())
        }
    }

    @Test("Batches that were never synced are never called rot, whatever survives of them")
    func unsyncedIsNotRot() throws {
        for seed in 0..<200 as Range<UInt64> {
            let world = LogWorld(disk: SimulatedFileSystem(), segmentBytes: 64 * 1024)
            _ = try world.recover()
            try world.append(2)
            try world.sync()
            for _ in 0..<5 { try world.append(4) }
            world.disk.crash(seed: seed)
            world.disk.restart()
            let seen = try LogWorld(disk: world.disk).recover()
            Self.check(seen, synced: 2, appended: 22, released: 0, "seed \(seed)")
        }
    }

    @Test("A failed write or sync kills the log for good", arguments: [DiskOperation.write, .sync])
    func dead(_ operation: DiskOperation) throws {
        let world = LogWorld(disk: SimulatedFileSystem())
        _ = try world.recover()
        try world.append(2)
        try world.sync()
        world.disk.inject(DiskFault([operation], .inputOutput))
        #expect(throws: LogError.self) {
            try world.append(1)
            try world.sync()
        }
        let log = try #require(world.log)
        #expect(throws: LogError.dead) { try log.sync() }
        #expect(throws: LogError.dead) { try log.mark() }
        #expect(throws: LogError.dead) { try log.append([]) }
        for seed in 0..<20 as Range<UInt64> {
            let disk = world.disk.copy()
            disk.crash(seed: seed)
            disk.restart()
            let seen = try LogWorld(disk: disk).recover()
            Self.check(seen, synced: 2, appended: 3, released: 0, "seed \(seed)")
        }
    }

    @Test("What a recovery showed is still there after power goes")
    func recoveredIsDurable() throws {
        for seed in 0..<60 as Range<UInt64> {
            let disk = SimulatedFileSystem()
            let world = LogWorld(disk: disk)
            _ = try world.recover()
            for _ in 0..<(1 + seed % 8) {
                try world.append(3)
                try world.sync()
            }
            try world.append(4)
            let all = Array(0..<world.next)
            // The sync fails, the pages turn clean: readable, but never written.
            disk.inject(DiskFault([.sync], .inputOutput))
            #expect(throws: LogError.self) { try world.sync() }
            disk.kill()
            disk.restart()
            let second = LogWorld(disk: disk)
            #expect(try second.recover().numbers == all)
            disk.crash(seed: seed)
            disk.restart()
            let third = LogWorld(disk: disk)
            #expect(try third.recover().numbers == all, "seed \(seed)")
        }
    }

    @Test("While no next segment is ready, the log goes on in a larger one")
    func overrun() throws {
        let scheduler = SimulatedScheduler(seed: 1)
        let world = LogWorld(disk: SimulatedFileSystem(), lane: scheduler.lane("log files"))
        _ = try world.recover()
        for _ in 0..<10 {
            try world.append(4)
            try world.sync()
        }
        #expect(try #require(world.log).segmentIDs.count == 1)
        scheduler.runUntilIdle()
        for _ in 0..<3 {
            try world.append(4)
            try world.sync()
        }
        #expect(try #require(world.log).segmentIDs.count == 2)
        #expect(try LogWorld(disk: world.disk).recover().numbers == Array(0..<52))
    }

    @Test("A full disk in the background stops nothing; in the foreground it is told")
    func fullDisk() throws {
        let scheduler = SimulatedScheduler(seed: 1)
        let disk = SimulatedFileSystem()
        let world = LogWorld(disk: disk, lane: scheduler.lane("log files"))
        _ = try world.recover()
        disk.inject(DiskFault([.preallocate], .noSpace, .always))
        for _ in 0..<10 {
            try world.append(3)
            try world.sync()
            scheduler.runUntilIdle()
        }
        #expect(try #require(world.log).backgroundFailure?.reason == .noSpace)
        disk.clearFaults()
        for _ in 0..<10 {
            try world.append(3)
            try world.sync()
            scheduler.runUntilIdle()
        }
        #expect(try #require(world.log).segmentIDs.count > 2)
        #expect(try LogWorld(disk: disk).recover().numbers == Array(0..<60))
    }

    @Test("An append that finds no room has done nothing and goes through later", arguments: 0..<20)
    func waitsForRoom(seed: Int) throws {
        var generator = SplitMix64(seed: UInt64(seed))
        let disk = SimulatedFileSystem(seed: UInt64(seed))
        let world = LogWorld(disk: disk)
        _ = try world.recover()
        disk.inject(
            DiskFault(
                [.create, .write, .preallocate, .rename], .noSpace, on: ".log", .chance(20_000)))
        var refused = 0
        /// As a turn of the log does: the same again until there is room.
        func insist(_ body: () throws(LogError) -> Void) throws {
            while true {
                do throws(LogError) {
                    return try body()
                } catch {
                    try #require(error.isWaitedOut, "seed \(seed): \(error)")
                    refused += 1
                }
            }
        }
        for _ in 0..<60 {
            let count = 1 + Int(generator.next() % 6)
            try insist { () throws(LogError) in try world.append(count) }
            try world.sync()
            switch generator.next() % 5 {
            case 0: world.release(keeping: 1 + Int(generator.next() % 3))
            case 1: try insist { () throws(LogError) in try world.log?.mark() }
            case 2: world.log?.noteErasure(endsSegment: true)
            default: break
            }
        }
        #expect(refused > 5)
        disk.crash(seed: UInt64(seed))
        disk.restart()
        let again = LogWorld(disk: disk)
        let seen = try again.recover()
        #expect(seen.problems == [] && seen.numbers.last == world.next - 1, "seed \(seed)")
        #expect(seen.numbers.first ?? 0 <= world.released, "seed \(seed)")
    }

    @Test("A crash while an append waits for room loses nothing that was synced", arguments: 0..<40)
    func crashWithoutRoom(seed: Int) throws {
        let disk = SimulatedFileSystem(seed: UInt64(seed))
        let world = LogWorld(disk: disk)
        _ = try world.recover()
        for step in 0..<(4 + seed) {
            try world.append(1 + step % 5)
            try world.sync()
        }
        disk.inject(DiskFault([.write], .noSpace, on: ".log", .always))
        for _ in 0..<3 { #expect(throws: LogError.self) { try world.append(4) } }
        if seed % 2 == 0 {
            // Another try went through, but its sync was never reached.
            disk.clearFaults()
            try world.append(4)
        }
        disk.crash(seed: UInt64(seed))
        disk.restart()
        let seen = try LogWorld(disk: disk).recover()
        #expect(seen.problems == [], "seed \(seed)")
        #expect(UInt64(seen.numbers.count) >= world.synced, "seed \(seed)")
    }

    @Test("The log says what it takes on the disk")
    func space() throws {
        let disk = SimulatedFileSystem()
        let world = LogWorld(disk: disk)
        _ = try world.recover()
        for _ in 0..<40 {
            try world.append(3)
            try world.sync()
        }
        world.release(keeping: 1)
        try world.append(1)
        try world.sync()
        let log = try #require(world.log)
        let space = log.space
        #expect(space.recordBytes == log.byteCount && space.spareBytes == 2 * 4096)
        #expect(space.bytes == disk.usedBytes)
    }

    @Test("Files that are not segments are left alone")
    func strangers() throws {
        let disk = SimulatedFileSystem()
        disk.setContents("/log/LOCK", [1])
        disk.setContents("/log/0000000000000000.log", [1])
        disk.setContents("/log/000000000000001.log", [1])
        let world = LogWorld(disk: disk)
        _ = try world.recover()
        try world.append(1)
        try world.sync()
        #expect(disk.contents("/log/LOCK") == [1])
        #expect(disk.paths.count == 4)
    }

    @Test("A segment's bytes are those of the golden file, and its dump explains them")
    func golden() throws {
        let disk = SimulatedFileSystem()
        let log = try SegmentLog.recover(
            fileSystem: disk, directory: "/log",
            options: SegmentLogOptions(segmentBytes: 4096), segmentHeader: { [0xAA, 0xBB] },
            visit: { (_, _, _) throws(LogError) in })
        _ = try log.append([
            LogRecord(type: 1, payload: [1, 2, 3]), LogRecord(type: 2, payload: []),
        ])
        try log.sync()
        try log.mark()
        let path = "/log/" + SegmentName.name(log.end.segment)
        let bytes = try #require(disk.contents(path)).prefix(Int(log.end.offset))
        try Golden.check("log-segment.bin", Array(bytes))
        let lines = try RecordDump.lines(try disk.open(path, .read), id: log.end.segment)
        try Golden.check("log-segment.txt", Array((lines.joined(separator: "\n") + "\n").utf8))
    }

    @Test("The log runs on the real disk, with files made by a thread")
    func linux() throws {
        let files = LinuxFileSystem()
        let directory = "/tmp/magpie-log-tests/\(Hex.encode(SystemRandom().bytes(8)))"
        let lane = ThreadScheduler().lane("log files")
        let options = SegmentLogOptions(segmentBytes: 16_384)
        var next: UInt64 = 0
        for _ in 0..<3 {
            var seen: [UInt64] = []
            let log = try SegmentLog.recover(
                fileSystem: files, directory: directory, options: options, lane: lane,
                segmentHeader: { [] },
                visit: { (_, type, payload) throws(LogError) in
                    if type == 1 { seen.append(UInt64(payload.count)) }
                })
            #expect(seen.suffix(3) == Array(0..<next).suffix(3))
            for _ in 0..<40 {
                let position = try #require(
                    try log.append([
                        LogRecord(type: 1, payload: [UInt8](repeating: 1, count: Int(next)))
                    ]).first)
                try log.sync()
                #expect(try log.reader.read(position).payload.count == Int(next))
                next += 1
            }
            log.release(before: log.end.segment)
            try log.mark()
            log.close()
        }
        lane.stop()
        for name in try files.list(directory) { try files.unlink("\(directory)/\(name)") }
    }
}
