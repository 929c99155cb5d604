import Bytes
import Platform
import RecordLog

/// Record files and segments whose bytes are wrong.
enum FuzzLogs {
    private static let id: UInt64 = 7

    /// A record as an input describes it.
    private struct Record {
        var type: UInt8
        var mark: UInt64
        var payload: [UInt8]
    }

    /// Seals records behind each other from `start` on.
    private static func seal(_ records: [Record], id: UInt64, from start: Int = 0) -> [UInt8] {
        var bytes: [UInt8] = []
        for record in records {
            record.payload.withUnsafeBytes { raw in
                RecordFormat.append(
                    type: record.type, payload: raw, mark: record.mark, id: id,
                    offset: UInt64(start + bytes.count), to: &bytes)
            }
        }
        return bytes
    }

    private static func readRecords(_ input: inout FuzzInput, isBound: Bool) -> [Record] {
        var records: [Record] = []
        var end: UInt64 = 0
        while !input.isAtEnd, records.count < 40 {
            let type = max(1, input.byte())
            let mark: UInt64 =
                switch input.byte() % 8 {
                case 0: isBound ? end : end &+ 8
                case 1: isBound ? end / 2 : input.number()
                default: 0
                }
            let payload = input.take(Int(input.byte()))
            records.append(Record(type: type, mark: mark, payload: payload))
            end += UInt64(RecordFormat.size(payload: payload.count))
        }
        return records
    }

    // MARK: Targets

    /// A file as it is.
    static func file(_ input: [UInt8]) -> FuzzTarget.Outcome {
        FuzzFormats.outcome {
            let file = MemoryFile("records", input)
            _ = try? RecordDump.lines(file, id: id)
            let summary = try RecordFileReader.readAll(file, id: id) { (_, _, _) in }
            precondition(summary.end + summary.cutBytes == UInt64(input.count), "all is counted")
        }
    }

    /// Sealed records: those with possible marks come back as they are; others are rot.
    static func records(_ input: [UInt8]) -> FuzzTarget.Outcome {
        var input = FuzzInput(input)
        let isBound = input.byte() % 4 != 0
        let records = readRecords(&input, isBound: isBound)
        let file = MemoryFile("records", seal(records, id: id))
        var seen = 0
        let outcome = FuzzFormats.outcome {
            _ = try RecordFileReader.readAll(file, id: id) { (_, type, payload) in
                precondition(
                    type == records[seen].type && [UInt8](payload) == records[seen].payload,
                    "a sealed record comes back as it is")
                seen += 1
            }
            precondition(seen == records.count, "all records come back")
        }
        if isBound, case .refused = outcome { preconditionFailure("sound records are read") }
        _ = try? RecordDump.lines(file, id: id)
        return outcome
    }

    /// Segments with sealed headers and records. What one start accepts the next one shows again.
    static func segments(_ input: [UInt8]) -> FuzzTarget.Outcome {
        var input = FuzzInput(input)
        let disk = MemoryDisk()
        for number in 1...(1 + UInt64(input.byte() % 3)) {
            let header = header(&input, number)
            var part = FuzzInput(input.take(Int(input.byte())))
            let records = readRecords(&part, isBound: input.byte() % 4 != 0)
            var bytes = seal([header] + records, id: number)
            if input.byte() % 4 == 0, !bytes.isEmpty {
                bytes[input.below(bytes.count)] ^= 1 << (input.byte() % 8)
            }
            bytes += [UInt8](repeating: 0, count: max(0, 4096 - bytes.count))
            disk["log/" + name(number)] = bytes
        }
        guard let first = start(disk) else { return .refused }
        guard let second = start(disk) else {
            preconditionFailure("what was started once starts again")
        }
        precondition(second.starts(with: first), "the second start shows what the first did")
        return .accepted
    }

    private static func header(_ input: inout FuzzInput, _ number: UInt64) -> Record {
        var writer = ByteWriter()
        writer.write(fixed: UInt32(input.byte() % 16 == 1 ? 2 : 1))
        writer.write(fixed: UInt32(input.byte() % 16 == 1 ? 1 : 0))
        let isOdd = input.byte() % 4 == 1
        writer.write(fixed: isOdd ? input.number() : number)
        let previous = isOdd ? input.number() : number - 1
        writer.write(fixed: previous)
        // Where a segment is said to have ended, it had a header.
        writer.write(fixed: previous == 0 ? 0 : max(64, input.number() & ~7))
        writer.write(fixed: isOdd ? input.number() : min(number, UInt64(input.byte())))
        writer.write(raw: input.take(Int(input.byte() % 32)))
        let mark = input.byte() % 4 == 0 ? input.number() : 0
        return Record(type: RecordFormat.segmentHeaderType, mark: mark, payload: writer.bytes)
    }

    /// Starts the log, writes one record more, and gives what it showed and that record.
    private static func start(_ disk: MemoryDisk) -> [[UInt8]]? {
        var seen: [[UInt8]] = []
        do {
            let log = try SegmentLog.recover(
                fileSystem: disk, directory: "log",
                options: SegmentLogOptions(segmentBytes: 4096), segmentHeader: { [1, 2] }
            ) { (_, type, payload) throws(LogError) in
                if type != RecordFormat.segmentHeaderType { seen.append([type] + payload) }
            }
            let position = try log.append([LogRecord(type: 9, payload: [7])])
            try log.sync()
            let record = try log.reader.read(position[0])
            precondition(record.payload == [7], "what was appended is there")
            try log.mark()
            log.close()
            seen.append([9, 7])
            return seen
        } catch {
            return nil
        }
    }

    private static func name(_ number: UInt64) -> String {
        Hex.encode(withUnsafeBytes(of: number.bigEndian) { [UInt8]($0) }) + ".log"
    }

    // MARK: Seeds

    /// A sound file.
    static var sample: [UInt8] {
        seal(
            [
                Record(type: 1, mark: 0, payload: [1, 2, 3]),
                Record(type: 239, mark: 32, payload: []),
                Record(type: 2, mark: 56, payload: [UInt8](repeating: 4, count: 50)),
            ], id: id)
    }

    static var recordSeeds: [[UInt8]] {
        [
            [1, 1, 2, 3, 7, 7, 7, 200, 0, 0, 5, 1, 1, 9, 9, 9],
            [0, 1, 0, 0, 255, 1, 40], [1] + [UInt8](repeating: 3, count: 60),
        ]
    }

    static var segmentSeeds: [[UInt8]] {
        let header: [UInt8] = [0, 0, 0, 0, 1, 2, 5, 6, 1]
        let part: [UInt8] = [12, 1, 2, 3, 7, 7, 7, 5, 2, 3, 8, 8, 8]
        let tail: [UInt8] = [1, 1]
        let whole = header + part + tail
        return [[0] + whole, [1] + whole + whole, [2] + whole + whole + whole]
    }
}
