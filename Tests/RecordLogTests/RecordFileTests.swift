import Bytes
import Platform
import Simulation
import Testing

@testable import RecordLog

@Suite struct RecordFileTests {
    typealias Seen = (type: UInt8, payload: [UInt8])

    private static func read(
        _ disk: SimulatedFileSystem, _ path: String = "/m", id: UInt64 = 7
    ) throws(LogError) -> ([Seen], RecordFileSummary) {
        let file: any File
        do {
            file = try disk.open(path, .read)
        } catch {
            throw .disk(error)
        }
        var seen: [Seen] = []
        let summary = try RecordFileReader.readAll(file, id: id) { (_, type, payload) in
            seen.append((type, [UInt8](payload)))
        }
        return (seen, summary)
    }

    /// Batches of records of many lengths.
    private static func batches(_ seed: UInt64, _ count: Int) -> [[LogRecord]] {
        var generator = SplitMix64(seed: seed)
        return (0..<count).map { _ in
            (0..<(1 + generator.next() % 3)).map { _ in
                let length = Int(generator.next() % 60)
                return LogRecord(
                    type: UInt8(1 + generator.next() % 239),
                    payload: (0..<length).map { _ in UInt8(truncatingIfNeeded: generator.next()) })
            }
        }
    }

    /// A file with `batches`, each synced; where each batch ends.
    private static func write(
        _ disk: SimulatedFileSystem, _ batches: [[LogRecord]]
    ) throws -> [UInt64] {
        let writer = RecordFileWriter(try disk.open("/m", .create), id: 7)
        return try batches.map { batch in
            for record in batch { try writer.append(type: record.type, payload: record.payload) }
            try writer.sync()
            return writer.durableBytes
        }
    }

    private static func isPrefix(_ seen: [Seen], _ records: [LogRecord]) -> Bool {
        seen.count <= records.count
            && zip(seen, records).allSatisfy { $0.type == $1.type && $0.payload == $1.payload }
    }

    @Test("Records come back in order with their types, at their positions", arguments: [1, 2, 3])
    func roundTrip(_ seed: UInt64) throws {
        let disk = SimulatedFileSystem()
        let batches = Self.batches(seed, 50)
        let ends = try Self.write(disk, batches)
        let (seen, summary) = try Self.read(disk)
        #expect(
            seen.count == batches.joined().count && Self.isPrefix(seen, Array(batches.joined())))
        #expect(summary.end == ends.last && summary.cutBytes == 0 && summary.mark == ends[48])
    }

    @Test("Payloads of nothing and of the largest size survive")
    func extremes() throws {
        let disk = SimulatedFileSystem()
        let large = [UInt8](repeating: 0xA5, count: RecordFormat.payloadBytesMax)
        _ = try Self.write(
            disk, [[LogRecord(type: 1, payload: [])], [LogRecord(type: 2, payload: large)]])
        let (seen, _) = try Self.read(disk)
        #expect(seen.map(\.payload.count) == [0, large.count])
        #expect(seen[1].payload == large)
    }

    @Test("Cut at every byte, the file gives exactly the records that are whole")
    func tornAtEveryByte() throws {
        let disk = SimulatedFileSystem()
        let records = Array(Self.batches(4, 8).joined())
        _ = try Self.write(disk, [records])
        let bytes = try #require(disk.contents("/m"))
        var offset = 0
        let ends = records.map { record in
            offset += RecordFormat.size(payload: record.payload.count)
            return offset
        }
        for length in 0...bytes.count {
            let torn = SimulatedFileSystem()
            torn.setContents("/m", Array(bytes[..<length]))
            let (seen, summary) = try Self.read(torn)
            let whole = ends.count { $0 <= length }
            #expect(seen.count == whole && Self.isPrefix(seen, records), "length \(length)")
            #expect(summary.cutBytes == UInt64(length) - summary.end)
        }
    }

    @Test(
        "Every flipped bit gives a precise error below the mark and a cut above, never other data")
    func everyBit() throws {
        let disk = SimulatedFileSystem()
        let batches = Self.batches(5, 6)
        let records = Array(batches.joined())
        let ends = try Self.write(disk, batches)
        let durable = ends[ends.count - 2]
        let size = try #require(disk.contents("/m")?.count)
        for offset in 0..<size {
            for bit in 0..<8 {
                disk.flipBit("/m", offset: offset, bit: bit)
                defer { disk.flipBit("/m", offset: offset, bit: bit) }
                do {
                    let (seen, summary) = try Self.read(disk)
                    #expect(offset >= durable, "rot at \(offset) bit \(bit) was not seen")
                    #expect(Self.isPrefix(seen, records) && summary.end <= UInt64(offset))
                    #expect(summary.end >= durable)
                } catch {
                    guard case .rot(let file, let place, _, _) = error else { throw error }
                    #expect(file == "/m" && UInt64(offset) < durable)
                    #expect(place <= UInt64(offset) && place % 8 == 0)
                }
            }
        }
    }

    @Test("A file of another id or a record at another offset does not parse")
    func place() throws {
        let disk = SimulatedFileSystem()
        _ = try Self.write(disk, Self.batches(6, 5))
        #expect(try Self.read(disk, id: 8).0.isEmpty)
        let bytes = try #require(disk.contents("/m"))
        disk.setContents("/n", [UInt8](repeating: 0, count: 8) + bytes)
        #expect(try Self.read(disk, "/n").0.isEmpty)
    }

    @Test("Random bytes are never taken for records and never trap", arguments: 0..<20)
    func fuzz(_ seed: UInt64) throws {
        var generator = SplitMix64(seed: seed)
        let disk = SimulatedFileSystem()
        _ = try Self.write(disk, Self.batches(seed, 4))
        var bytes = try #require(disk.contents("/m"))
        for _ in 0..<(1 + generator.next() % 20) {
            bytes[Int(generator.next() % UInt64(bytes.count))] = UInt8(
                truncatingIfNeeded: generator.next())
        }
        disk.setContents("/m", bytes)
        do {
            let (seen, _) = try Self.read(disk)
            #expect(Self.isPrefix(seen, Array(Self.batches(seed, 4).joined())), "seed \(seed)")
        } catch {
            guard case .rot = error else { throw error }
        }
    }

    @Test(
        "A crash at every operation keeps every synced record, and a resumed file goes on",
        arguments: CrashPlan.Moment.allCases)
    func crashes(_ moment: CrashPlan.Moment) throws {
        let batches = Self.batches(9, 6)
        let records = Array(batches.joined())
        for index in 0... {
            var isDone = false
            for seed in 0..<4 as Range<UInt64> {
                let disk = SimulatedFileSystem()
                disk.setContents("/m", [])
                disk.plan(CrashPlan(index: index, moment: moment, seed: seed))
                var synced = 0
                do {
                    let writer = RecordFileWriter(try disk.open("/m", .readWrite), id: 7)
                    for batch in batches {
                        for record in batch {
                            try writer.append(type: record.type, payload: record.payload)
                        }
                        try writer.sync()
                        synced += batch.count
                    }
                    isDone = true
                } catch {}
                disk.crash(seed: seed)
                disk.restart()
                let (seen, summary) = try Self.read(disk)
                #expect(seen.count >= synced && Self.isPrefix(seen, records), "\(index) \(seed)")
                let resumed = try RecordFileWriter(
                    resuming: try disk.open("/m", .readWrite), id: 7, after: summary)
                try resumed.append(type: 9, payload: [1, 2, 3])
                try resumed.sync()
                disk.crash(seed: seed)
                disk.restart()
                let (again, _) = try Self.read(disk)
                #expect(again.count == seen.count + 1 && again.last?.payload == [1, 2, 3])
                #expect(Self.isPrefix(Array(again.dropLast()), records))
            }
            if isDone { break }
        }
    }

    @Test("A failed write or sync kills the writer", arguments: [DiskOperation.write, .sync])
    func dead(_ operation: DiskOperation) throws {
        let disk = SimulatedFileSystem()
        let writer = RecordFileWriter(try disk.open("/m", .create), id: 7)
        try writer.append(type: 1, payload: [1])
        disk.inject(DiskFault([operation], .inputOutput))
        #expect(throws: LogError.disk(DiskError(.inputOutput, operation.rawValue, "/m"))) {
            try writer.sync()
        }
        #expect(throws: LogError.dead) { try writer.sync() }
        #expect(throws: LogError.dead) { try writer.append(type: 1, payload: [1]) }
    }

    @Test("The bytes on disk are those of the golden file, and its dump explains them")
    func golden() throws {
        let disk = SimulatedFileSystem()
        let writer = RecordFileWriter(try disk.open("/m", .create), id: 7)
        try writer.append(type: 1, payload: [0x68, 0x69])
        try writer.append(type: 239, payload: [])
        try writer.sync()
        try writer.append(type: 2, payload: Array(0..<40))
        try writer.sync()
        try Golden.check("record-file.bin", try #require(disk.contents("/m")))
        let lines = try RecordDump.lines(try disk.open("/m", .read), id: 7)
        try Golden.check("record-file.txt", Array((lines.joined(separator: "\n") + "\n").utf8))
    }

    @Test("Records that find no room are forgotten, and others come in their place")
    func noRoom() throws {
        for seed in 0..<20 as Range<UInt64> {
            let disk = SimulatedFileSystem(seed: seed)
            let file = try disk.open("/m", .create)
            let writer = RecordFileWriter(file, id: 7)
            try writer.append(type: 1, payload: [1])
            try writer.sync()
            disk.inject(DiskFault([.write], .noSpace, .once))
            try writer.append(type: 2, payload: [UInt8](repeating: 2, count: 300))
            #expect(throws: LogError.disk(DiskError(.noSpace, "write", "/m"))) {
                try writer.sync()
            }
            try writer.append(type: 3, payload: [3])
            try writer.sync()
            let (seen, summary) = try Self.read(disk)
            #expect(seen.map(\.type) == [1, 3] && summary.cutBytes == 0, "seed \(seed)")
        }
    }
}
