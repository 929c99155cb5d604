internal import Bytes

/// The layout of a table file. `docs/formats/sorted-table.md` has a worked example with bytes.
///
///     file    = block* footer
///     block   = payload, type u8, checksum u64
///     footer  = 68 bytes at the end
///
/// Integers are little endian. Blocks follow each other without gaps from offset 0, in this order:
/// for each partition its data blocks, then its filter, prefix filter and index block; behind the
/// last partition the root, the range tombstones, the properties.
///
/// | block type (low four bits) | content |
/// |---|---|
/// | 1 data | rows: internal key → value |
/// | 2 index | rows: separator → handle of a data block, its ``BlockProperties`` |
/// | 3 root | rows: separator → handles of a partition's index, filter and prefix filter |
/// | 4 filter | Bloom lines over the user keys of a partition, see ``BloomFilter`` |
/// | 5 prefix filter | the same over the first n bytes of its user keys |
/// | 6 range tombstones | varint count; each: lower, upper (length-prefixed), sequence varint |
/// | 7 properties | see ``TableProperties/encode(into:)`` |
/// | 8 columns | rows as columns, in the place of a data block |
///
/// The high four bits say how the payload is stored: 1 as it is, 2 as `content bytes u32` and an
/// lz4 block. The checksum is XXH3-64 of payload and type, seeded by
/// ``Checksum/seed(file:offset:)`` with the file id and the block's offset, so a block that stands
/// in the wrong place is invalid.
///
/// **Row blocks** (types 1–3):
///
///     row*   offset (u16 or u32) of each row   bucket*   row count u32
///     row count: bit 31 says that offsets are u32, bit 30 that there are ``RowBuckets``
///     row  = shared varint, rest varint, rest of the user key, trailer u64, value
///
/// Rows come in bundles of 16. The first row of a bundle has its whole user key (`shared` 0), the
/// others leave out what they share with **that** key, as much as they can. So a row is read
/// without its neighbours, backward as fast as forward, and a search is two binary searches. A
/// value ends where the next row starts.
///
/// **Column blocks** (type 8) hold rows whose user keys are a prefix of one length and a big-endian
/// number of eight bytes, each key once:
///
///     value*   run*   gap*   trailer*   end*   tail (32 bytes)
///     run  = prefix, first row u32, first number u64
///     tail = trailer base u64, values end u32, runs u32, rows u32, zero u64,
///            prefix bytes u8, gap width u8, trailer width u8, end width u8
///
/// The number of row r in the run that starts at row f with number n is n + (r − f) + gap(r): gaps
/// never descend in a run, and where numbers are dense they are all 0 and have no width. So a
/// search is one over the runs and then an offset. A row's trailer is trailer base + trailer(r);
/// its value ends at end(r) and starts where the one before ends. Columns are arrays of
/// little-endian integers.
///
/// A separator is an internal key at or above every key of its block and below every key behind
/// it: where the user keys differ, the shortest user key that does, with trailer 0; else the last
/// key. Handle: `offset u64, payload bytes u32`. A root row has three; 0, 0 where there is none.
///
/// **Footer**: properties, root, range tombstones (handles, 12 bytes each), zero u32, version u32,
/// file id u64, checksum u64 (of the 52 bytes before it, seeded with file id and footer offset),
/// magic u64. It is valid when magic, version, file id, zeros and checksum are right.
///
/// Known weaknesses: a table is not readable when its root, properties or footer are rotten, though
/// its data blocks could be found by scanning; the digest of the whole file stands in the
/// manifest only; a filter holds whole user keys, so erased keys remain guessable in it.
package enum TableFormat {
    /// The last 8 bytes of every table: "MAGPISST".
    package static let magic: UInt64 = 0x5453_5349_5047_414D
    /// The version that this code reads and writes.
    package static let version: UInt32 = 3
    /// Bytes of the footer.
    package static let footerBytes = 68
    /// Bytes behind each payload: type and checksum.
    package static let trailerBytes = 9
    /// Rows that share a base key.
    static let bundleRows = 16
    /// Pieces over which the whole file's digest is chained.
    package static let digestPieceBytes = 256 << 10
    /// The most bytes a block's content may have.
    static let contentBytesMax = 256 << 20
    /// The most bytes a value may have.
    package static let valueBytesMax = 64 << 20

    /// What a block is.
    package enum Role: UInt8, Sendable {
        case data = 1
        case index = 2
        case root = 3
        case filter = 4
        case prefixFilter = 5
        case tombstones = 6
        case properties = 7
        /// Rows as columns; stands where a data block may stand.
        case columns = 8
    }

    /// How a payload is stored.
    package enum Encoding: UInt8, Sendable {
        case raw = 1
        case lz4 = 2
    }

    static func type(_ role: Role, _ encoding: Encoding) -> UInt8 {
        encoding.rawValue &<< 4 | role.rawValue
    }

    /// Continues the digest of a whole file: XXH3-64 of each piece of 256 KiB (the last may be
    /// shorter), seeded with the digest so far; the first seed is the file id.
    package static func digest(_ piece: UnsafeRawBufferPointer, after seed: UInt64) -> UInt64 {
        Checksum.xxh3(piece, seed: seed)
    }
}

/// Where a block's payload stands in the file.
package struct BlockHandle: Equatable, Sendable {
    /// Bytes of a stored handle.
    static let storedBytes = 12
    /// The place of a block that is not there: no payload is empty.
    static let none = BlockHandle(offset: 0, bytes: 0)

    /// Offset of the payload.
    package var offset: UInt64
    /// Bytes of the payload, without the block's trailer.
    package var bytes: UInt32

    /// Reads a handle; the 12 bytes must lie inside memory that was checked.
    @inline(__always)
    init(at pointer: UnsafeRawPointer) {
        offset = UInt64(littleEndian: pointer.loadUnaligned(as: UInt64.self))
        bytes = UInt32(littleEndian: pointer.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
    }

    init(offset: UInt64, bytes: UInt32) {
        self.offset = offset
        self.bytes = bytes
    }

    /// Bytes in the file, with the block's trailer.
    var totalBytes: UInt64 { UInt64(bytes) + UInt64(TableFormat.trailerBytes) }

    func encode(into writer: inout ByteWriter) {
        writer.write(fixed: offset)
        writer.write(fixed: bytes)
    }
}

/// The last bytes of a table.
struct TableFooter: Equatable {
    /// Where the file id stands in the footer.
    static let fileIDOffset = 44

    var properties: BlockHandle
    var root: BlockHandle
    var tombstones: BlockHandle

    func encode(fileID: UInt64, at offset: UInt64) -> [UInt8] {
        var writer = ByteWriter(capacity: TableFormat.footerBytes)
        properties.encode(into: &writer)
        root.encode(into: &writer)
        tombstones.encode(into: &writer)
        writer.write(fixed: UInt32(0))
        writer.write(fixed: TableFormat.version)
        writer.write(fixed: fileID)
        let seed = Checksum.seed(file: fileID, offset: offset)
        writer.write(fixed: Checksum.xxh3(writer.bytes, seed: seed))
        writer.write(fixed: TableFormat.magic)
        return writer.bytes
    }
}

/// Varints of row headers: lengths below 2^21, mostly below 2^7. Checked once per block.
enum RowVarint {
    /// Reads a varint that is known to be whole.
    @inline(__always)
    static func read(_ pointer: inout UnsafeRawPointer) -> Int {
        let first = Int(pointer.load(as: UInt8.self))
        pointer += 1
        if first < 0x80 { return first }
        let second = Int(pointer.load(as: UInt8.self))
        pointer += 1
        if second < 0x80 { return first & 0x7F | second &<< 7 }
        let third = Int(pointer.load(as: UInt8.self))
        pointer += 1
        return first & 0x7F | (second & 0x7F) &<< 7 | (third & 0x7F) &<< 14
    }

    /// Reads a varint of at most 3 bytes before `end`; -1 when it is not that.
    @inline(__always)
    static func readChecked(_ pointer: inout UnsafeRawPointer, end: UnsafeRawPointer) -> Int {
        var value = 0
        var shift = 0
        while pointer < end, shift < 21 {
            let byte = Int(pointer.load(as: UInt8.self))
            pointer += 1
            value |= (byte & 0x7F) &<< shift
            if byte < 0x80 { return value }
            shift &+= 7
        }
        return -1
    }
}
