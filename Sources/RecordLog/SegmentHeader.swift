import Bytes

/// The first record of a log segment: type 255, at offset 0.
///
///     offset  size  field of the payload
///     0       4     version: 1
///     4       4     zero
///     8       8     segment: its id, as in the file name
///     16      8     previous: the id of the segment before; 0 when there is none
///     24      8     previousEnd: the log goes on here after this offset of the segment before;
///                   all bytes below were durable, all bytes behind do not count
///     32      8     first: segments with a lower id were released
///     40      n     what the owner says about the state of its world at this point of the log
///
/// A segment without a valid header is not part of the log. Recovery writes a new segment's header
/// last, after the records it carries over are durable; the header's mark is their end then.
struct SegmentHeader: Equatable {
    static let version: UInt32 = 1
    static let fixedBytes = 40

    var segment: UInt64
    var previous: UInt64
    var previousEnd: UInt64
    var first: UInt64

    /// The payload, with the owner's bytes behind.
    func encode(owner: [UInt8]) -> [UInt8] {
        var writer = ByteWriter(capacity: Self.fixedBytes + owner.count)
        writer.write(fixed: Self.version)
        writer.write(fixed: 0 as UInt32)
        for field in [segment, previous, previousEnd, first] { writer.write(fixed: field) }
        writer.write(raw: owner)
        return writer.bytes
    }

    /// Reads a payload; nil when it is not one of this version.
    init?(_ payload: UnsafeRawBufferPointer) {
        var reader = ByteReader(payload)
        do {
            guard try reader.readFixed(UInt32.self) == Self.version,
                try reader.readFixed(UInt32.self) == 0
            else { return nil }
            segment = try reader.readFixed()
            previous = try reader.readFixed()
            previousEnd = try reader.readFixed()
            first = try reader.readFixed()
        } catch {
            return nil
        }
        // The id of a chain only falls towards its start, and a segment has a header at least.
        guard segment > previous, first <= segment, (previous == 0) == (previousEnd == 0)
        else { return nil }
    }

    init(segment: UInt64, previous: UInt64, previousEnd: UInt64, first: UInt64) {
        self.segment = segment
        self.previous = previous
        self.previousEnd = previousEnd
        self.first = first
    }
}

/// Names of segment files.
enum SegmentName {
    /// `NNNNNNNNNNNNNNNN.log`, the id in 16 hexadecimal digits.
    static func name(_ id: UInt64) -> String {
        let digits = String(id, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits + ".log"
    }

    /// The id that a file name stands for; nil when it is not a segment's.
    static func id(_ name: String) -> UInt64? {
        guard name.utf8.count == 20, name.hasSuffix(".log"),
            let id = UInt64(name.prefix(16), radix: 16), Self.name(id) == name, id > 0
        else { return nil }
        return id
    }
}
