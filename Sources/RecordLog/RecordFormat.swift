import Bytes

/// The framing of records, shared by log segments and by files that grow record by record.
///
///     offset  size  field
///     0       4     length: bytes of the payload, little endian, at most 16 MiB
///     4       1     type: 1…239 belong to the owner, 240…255 to this target; 0 is never valid
///     5       1     flags: 0 in this version
///     6       2     check of the 14 other bytes of fields 0…15 at this place
///     8       8     mark: every byte of the file below it was durable when the record was written
///     16      8     checksum of payload and fields 0…15 at this place
///     24      n     payload
///     24+n    0…7   zeros up to the next multiple of 8
///
/// **Place.** `seed = Checksum.seed(file: id, offset: offset of the record)`. The same bytes at
/// another offset, or in a file with another id, do not parse: that is what makes it safe to reuse
/// a file without wiping it.
///
/// **Check** is the top 16 bits of `mix(seed ^ (fields 0…5 as an integer) ^ mix(mark))`, where mix
/// is SplitMix64's finaliser. It makes it cheap to look for records at every offset.
///
/// **Checksum** is `XXH3-64(fields 0…15, seed: XXH3-64(payload, seed: seed))`.
///
/// **Valid** is a record that lies inside its file, with type not 0, length within bounds, check
/// and checksum right, and padding zero.
///
/// **Torn or rotten.** The first place that does not parse ends the file, unless something proves
/// that it had been durable: a record anywhere behind it whose mark lies beyond it. A mark is only
/// ever written after the sync that makes it true. With proof it is rot, and an error; without,
/// a write that the power cut, and what follows is dropped.
///
/// **Segments** of a log are record files whose first record is a header (``SegmentHeader``).
///
/// **Example.** Type 1, payload `68 69`, mark 0, at offset 0 of the file with id 7 (the first
/// record of `Tests/RecordLogTests/Golden/record-file.bin`):
///
///     02 00 00 00 01 00 7d ca  00 00 00 00 00 00 00 00
///     00 c6 44 d9 99 a7 8b 0d  68 69 00 00 00 00 00 00
///
/// **Weaknesses.** Rot inside the last batch, before any later mark, looks like a torn tail. XXH3
/// finds accidents, not forgers.
package enum RecordFormat {
    /// Bytes in front of a payload.
    package static let headerBytes = 24
    /// Records begin at multiples of this.
    package static let alignment = 8
    /// The longest payload.
    package static let payloadBytesMax = 16 << 20
    /// The highest type that owners may use.
    package static let ownerTypeMax: UInt8 = 239
    /// Types of this target.
    package static let releaseType: UInt8 = 253
    /// A record that only carries a mark.
    package static let markType: UInt8 = 254
    /// The first record of a log segment.
    package static let segmentHeaderType: UInt8 = 255

    /// Bytes that a record with a payload of `count` bytes takes.
    package static func size(payload count: Int) -> Int {
        (headerBytes + count + alignment - 1) & ~(alignment - 1)
    }

    /// Appends a record to `target`, as it must stand at `offset` of file `id`.
    ///
    /// - Precondition: the payload is within bounds and the type is not 0.
    package static func append(
        type: UInt8, payload: UnsafeRawBufferPointer, mark: UInt64, id: UInt64, offset: UInt64,
        to target: inout [UInt8]
    ) {
        precondition(payload.count <= payloadBytesMax, "a record of at most 16 MiB")
        precondition(type != 0, "type 0 is never valid")
        precondition(offset % UInt64(alignment) == 0, "records are aligned")
        let seed = Checksum.seed(file: id, offset: offset)
        let front = UInt64(payload.count) | UInt64(type) &<< 32
        let check = check(front: front, mark: mark, seed: seed)
        let fields = (
            (front | UInt64(check) &<< 48).littleEndian, mark.littleEndian
        )
        let inner = Checksum.xxh3(payload, seed: seed)
        let checksum = withUnsafeBytes(of: fields) { Checksum.xxh3($0, seed: inner) }
        withUnsafeBytes(of: fields) { target.append(contentsOf: $0) }
        withUnsafeBytes(of: checksum.littleEndian) { target.append(contentsOf: $0) }
        target.append(contentsOf: payload)
        let padding = size(payload: payload.count) - headerBytes - payload.count
        for _ in 0..<padding { target.append(0) }
    }

    /// What ties a record to its place.
    static func seed(id: UInt64, offset: UInt64) -> UInt64 {
        Checksum.seed(file: id, offset: offset)
    }

    /// The check of a header; `front` is its first six bytes as an integer.
    @inline(__always)
    static func check(front: UInt64, mark: UInt64, seed: UInt64) -> UInt16 {
        UInt16(truncatingIfNeeded: SplitMix64.mix(seed ^ front ^ SplitMix64.mix(mark)) &>> 48)
    }
}

/// The fields in front of a payload, not yet believed.
struct RecordHeader {
    let length: Int
    let type: UInt8
    let flags: UInt8
    let check: UInt16
    let mark: UInt64
    let checksum: UInt64

    /// Reads the fields of at least 24 bytes.
    init(_ bytes: UnsafeRawBufferPointer) {
        let front = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        length = Int(truncatingIfNeeded: front & 0xFFFF_FFFF)
        type = UInt8(truncatingIfNeeded: front &>> 32)
        flags = UInt8(truncatingIfNeeded: front &>> 40)
        check = UInt16(truncatingIfNeeded: front &>> 48)
        mark = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        checksum = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
    }

    /// True when the fields can be those of a record at the place of `seed`.
    func isPlausible(seed: UInt64) -> Bool {
        guard type != 0, length <= RecordFormat.payloadBytesMax else { return false }
        let front = UInt64(length) | UInt64(type) &<< 32 | UInt64(flags) &<< 40
        return check == RecordFormat.check(front: front, mark: mark, seed: seed)
    }
}
