import Bytes
import Platform
import Simulation
import Synchronization

@testable import RecordLog

/// A log with an owner that checks it: records carry ascending numbers, segment headers the number
/// of the next record.
final class LogWorld {
    let disk: SimulatedFileSystem
    let lane: (any Lane)?
    let options: SegmentLogOptions
    var log: SegmentLog?

    /// Payload lengths and contents follow from a record's number, so that they can be checked.
    static func payload(_ number: UInt64) -> [UInt8] {
        var generator = SplitMix64(seed: number)
        let length = Int(generator.next() % 400)
        var writer = ByteWriter()
        writer.write(fixed: number)
        writer.write(raw: (0..<length).map { _ in UInt8(truncatingIfNeeded: generator.next()) })
        return writer.bytes
    }

    /// What a recovery showed.
    struct Seen {
        var numbers: [UInt64] = []
        var positions: [LogPosition] = []
        var headers: [UInt64] = []
        var problems: [String] = []
    }

    /// Number of the next record.
    var next: UInt64 = 0
    /// Records below are synced.
    var synced: UInt64 = 0
    /// Records below are not needed any more.
    var released: UInt64 = 0
    /// First record of each segment that is known.
    var firstOfSegment: [UInt64: UInt64] = [:]
    private let headerNumber = Mutex<UInt64>(0)

    init(
        disk: SimulatedFileSystem, lane: (any Lane)? = nil, segmentBytes: Int = 4096,
        recycledMax: Int = 2
    ) {
        self.disk = disk
        self.lane = lane
        options = SegmentLogOptions(segmentBytes: segmentBytes, recycledMax: recycledMax)
    }

    /// Starts the log; what it showed. The next record's number follows from it.
    func recover() throws(LogError) -> Seen {
        var seen = Seen()
        headerNumber.withLock { $0 = 0 }
        let log = try SegmentLog.recover(
            fileSystem: disk, directory: "/log", options: options, lane: lane,
            segmentHeader: { [weak self] in self?.headerPayload() ?? [] },
            visit: { (position, type, payload) throws(LogError) in
                if let last = seen.positions.last, last >= position {
                    seen.problems.append("\(position) after \(last)")
                }
                seen.positions.append(position)
                let number = UInt64(littleEndian: payload.loadUnaligned(as: UInt64.self))
                if type == RecordFormat.segmentHeaderType {
                    if !seen.headers.isEmpty, number != self.headerNumber.withLock({ $0 }) {
                        seen.problems.append("header at \(position) says \(number)")
                    }
                    seen.headers.append(number)
                    self.firstOfSegment[position.segment] = number
                } else {
                    if [UInt8](payload) != Self.payload(number) || type != UInt8(1 + number % 200) {
                        seen.problems.append("record \(number) has other bytes")
                    }
                    if seen.headers.isEmpty { seen.problems.append("no header before \(number)") }
                    seen.numbers.append(number)
                    self.headerNumber.withLock { $0 = number + 1 }
                }
                // A header may be all that is left of what came before.
                self.headerNumber.withLock { $0 = max($0, number) }
            })
        self.log = log
        next = headerNumber.withLock { $0 }
        synced = next
        if let first = seen.numbers.first,
            seen.numbers != Array(first..<(first + UInt64(seen.numbers.count)))
        {
            seen.problems.append("numbers \(seen.numbers) have holes or repeats")
        }
        if let number = firstOfSegment[log.end.segment], number > next {
            seen.problems.append("the fresh header is ahead")
        }
        return seen
    }

    private func headerPayload() -> [UInt8] {
        var writer = ByteWriter()
        writer.write(fixed: headerNumber.withLock { $0 })
        return writer.bytes
    }

    /// Appends records with the next numbers.
    func append(_ count: Int) throws(LogError) {
        guard let log else { return }
        let records = (0..<UInt64(count)).map { step in
            LogRecord(type: UInt8(1 + (next + step) % 200), payload: Self.payload(next + step))
        }
        let first = next
        next += UInt64(count)
        let positions: [LogPosition]
        do throws(LogError) {
            positions = try log.append(records)
        } catch {
            // Then nothing of it was written, and it may come again.
            if error.isWaitedOut { next = first }
            throw error
        }
        if let position = positions.first, firstOfSegment[position.segment] == nil {
            firstOfSegment[position.segment] = first
        }
        headerNumber.withLock { $0 = next }
    }

    func sync() throws(LogError) {
        try log?.sync()
        synced = next
    }

    /// Lets go of all segments but the last `count`.
    func release(keeping count: Int) {
        guard let log, log.segmentIDs.count > count else { return }
        let ids = log.segmentIDs
        let floor = ids[ids.count - count]
        released = max(released, firstOfSegment[floor] ?? released)
        log.release(before: floor)
    }

    /// A script that fills, rotates, marks, releases and reuses segments.
    func script(seed: UInt64, steps: Int, pump: () -> Void = {}) throws(LogError) {
        var generator = SplitMix64(seed: seed)
        for _ in 0..<steps {
            switch generator.next() % 10 {
            case 0, 3: release(keeping: 1 + Int(generator.next() % 3))
            case 1:
                try log?.mark()
                synced = next
            case 2: try append(1)
            case 4: log?.noteErasure(endsSegment: true)
            default:
                try append(1 + Int(generator.next() % 6))
                try sync()
            }
            if generator.next() % 3 != 0 { pump() }
        }
    }
}
