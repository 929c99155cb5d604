import Bytes
import Platform

/// What stands at one place of a file.
enum RecordScan {
    /// A valid record; the payload lives until the scanner's next call.
    case record(RecordHeader, payload: UnsafeRawBufferPointer, end: UInt64)
    /// No valid record.
    case unreadable(expected: String, found: String)
}

/// Reads records of one file through a sliding window, trusting nothing.
struct RecordScanner: ~Copyable {
    let file: any File
    let id: UInt64
    let size: UInt64
    private var window: UnsafeMutableRawBufferPointer
    private var windowStart: UInt64 = 0
    private var windowCount = 0

    private static let windowBytes = 1 << 20

    init(_ file: any File, id: UInt64) throws(LogError) {
        self.file = file
        self.id = id
        size = try onDisk { () throws(DiskError) in try file.size() }
        window = .allocate(byteCount: Self.windowBytes, alignment: 16)
    }

    deinit { window.deallocate() }

    /// Looks at `offset`.
    mutating func scan(at offset: UInt64) throws(LogError) -> RecordScan {
        let headerBytes = UInt64(RecordFormat.headerBytes)
        guard size >= headerBytes, offset <= size - headerBytes else {
            return .unreadable(expected: "a record", found: "the end of the file")
        }
        let header = RecordHeader(try bytes(at: offset, count: RecordFormat.headerBytes))
        let seed = Checksum.seed(file: id, offset: offset)
        guard header.isPlausible(seed: seed) else {
            return .unreadable(expected: "a record header", found: Self.describe(header))
        }
        let total = RecordFormat.size(payload: header.length)
        guard UInt64(total) <= size - offset else {
            return .unreadable(
                expected: "a record of \(total) bytes", found: "\(size - offset) bytes")
        }
        let raw = try bytes(at: offset, count: total)
        if let (expected, found) = Self.damage(in: raw, header, seed: seed) {
            return .unreadable(expected: expected, found: found)
        }
        let payload = UnsafeRawBufferPointer(
            rebasing: raw[RecordFormat.headerBytes..<(RecordFormat.headerBytes + header.length)])
        if header.flags != 0 {
            throw .rot(
                file: file.path, offset: offset, expected: "flags 0", found: "\(header.flags)")
        }
        return .record(header, payload: payload, end: offset + UInt64(total))
    }

    /// What is wrong with the whole record in `raw`, whose header is plausible; nil: nothing.
    static func damage(
        in raw: UnsafeRawBufferPointer, _ header: RecordHeader, seed: UInt64
    ) -> (expected: String, found: String)? {
        let payloadEnd = RecordFormat.headerBytes + header.length
        let payload = UnsafeRawBufferPointer(rebasing: raw[RecordFormat.headerBytes..<payloadEnd])
        let inner = Checksum.xxh3(payload, seed: seed)
        let checksum = Checksum.xxh3(UnsafeRawBufferPointer(rebasing: raw[..<16]), seed: inner)
        if checksum != header.checksum {
            return (
                "checksum \(String(header.checksum, radix: 16))", String(checksum, radix: 16)
            )
        }
        for index in payloadEnd..<RecordFormat.size(payload: header.length) where raw[index] != 0 {
            return ("padding of zeros", "byte \(raw[index])")
        }
        return nil
    }

    /// Looks behind `hole` for a record that proves that the byte at `hole` was durable; its
    /// offset, or nil.
    mutating func proof(beyond hole: UInt64) throws(LogError) -> UInt64? {
        let headerBytes = RecordFormat.headerBytes
        var offset = hole &+ UInt64(RecordFormat.alignment)
        while size >= UInt64(headerBytes), offset <= size - UInt64(headerBytes) {
            let step = Int(min(UInt64(Self.windowBytes), size - offset))
            var candidate: UInt64?
            let raw = try bytes(at: offset, count: step)
            var index = 0
            while index &+ headerBytes <= step {
                let mark = UInt64(
                    littleEndian: raw.loadUnaligned(fromByteOffset: index &+ 8, as: UInt64.self))
                if mark > hole, mark <= offset &+ UInt64(index) {
                    let place = offset &+ UInt64(index)
                    let header = RecordHeader(UnsafeRawBufferPointer(rebasing: raw[index...]))
                    if header.isPlausible(seed: Checksum.seed(file: id, offset: place)) {
                        candidate = place
                        break
                    }
                }
                index &+= RecordFormat.alignment
            }
            guard let candidate else {
                offset += UInt64(index)
                continue
            }
            if case .record = try scan(at: candidate) { return candidate }
            offset = candidate + UInt64(RecordFormat.alignment)
        }
        return nil
    }

    /// Bytes of the file, valid until the next call. The range lies inside the file.
    mutating func bytes(
        at offset: UInt64, count: Int
    ) throws(LogError) -> UnsafeRawBufferPointer {
        let isInside =
            offset >= windowStart && offset - windowStart <= UInt64(windowCount)
            && UInt64(windowCount) - (offset - windowStart) >= UInt64(count)
        if !isInside { try fill(at: offset, count: count) }
        let start = Int(offset - windowStart)
        return UnsafeRawBufferPointer(
            rebasing: UnsafeRawBufferPointer(window)[start..<(start + count)])
    }

    private mutating func fill(at offset: UInt64, count: Int) throws(LogError) {
        if count > window.count {
            window.deallocate()
            window = .allocate(byteCount: max(count, Self.windowBytes), alignment: 16)
        }
        windowStart = offset
        windowCount = 0
        let wanted = Int(min(UInt64(window.count), size - offset))
        let target = UnsafeMutableRawBufferPointer(rebasing: window[..<wanted])
        windowCount = try onDisk { () throws(DiskError) in try file.read(into: target, at: offset) }
        if windowCount < count {
            throw .disk(DiskError(.inputOutput, "pread", file.path))
        }
    }

    private static func describe(_ header: RecordHeader) -> String {
        let isEmpty =
            header.length == 0 && header.type == 0 && header.mark == 0 && header.checksum == 0
        return isEmpty ? "zeros" : "type \(header.type), length \(header.length), a wrong check"
    }
}
