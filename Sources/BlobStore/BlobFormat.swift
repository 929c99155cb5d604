import Bytes

/// The bytes of a blob volume: a file header, then records.
///
///     file header, 64 bytes, written twice: at 0 and at 64
///     offset  size  field
///     0       8     "MAGPIEBV"
///     8       4     version: 1
///     12      4     kind: 1 shared by many blobs, 2 a single large one
///     16      8     id of the volume
///     24      8     salt: random, seeds every checksum below
///     32      24    zeros
///     56      8     XXH3-64 of bytes 0…55, seed: the id
///
///     record, at a multiple of 64, the first at 128
///     0       4     "MBLR"
///     4       1     kind: 1 a blob, 2 a mark (length 0, hash 0)
///     5       3     zeros
///     8       8     length: bytes of the blob
///     16      8     mark: all bytes of the volume below were durable when this was written
///     24      32    hash: names the blob; SHA-256 of its bytes by the owner's word
///     56      8     XXH3-64 of bytes 0…55, seed: Checksum.seed(file: salt, offset: of the record)
///     64      …     pages
///     …       …     zeros up to the next multiple of 64
///
///     page: up to 65,536 bytes of the blob (only the last page has fewer), then
///             8     XXH3-64 of those bytes, seed: Checksum.seed(file: salt, offset: of the page)
///
/// Integers are little endian. **Valid** is a record whose header is right and which lies inside
/// the file; its pages are checked when they are read, so a range is read without the rest.
///
/// The salt keeps uploaders from making bytes that pass for records.
///
/// **Torn or rotten**: as in the record log. A place that holds no valid record is rot when a valid
/// one behind has a mark beyond it, and the end of the volume otherwise. A volume of kind 2 gets
/// its name only when all of it is durable: what is unreadable there is rot.
///
/// **Example**: the blob `68 69` as first record of a volume takes bytes 128…255: its header, the
/// page `68 69` at 192 with its checksum at 194…201, zeros from 202.
///
/// **Weaknesses**: rot in the last blobs before a mark looks like a torn tail; XXH3 finds
/// accidents, not forgers; the hash is not checked here.
enum BlobFormat {
    static let fileMagic: UInt64 = 0x5642_4549_5047_414D
    static let recordMagic: UInt32 = 0x524C_424D
    static let version: UInt32 = 1
    static let headerBytes = 64
    /// Where the first record stands.
    static let firstRecord: UInt64 = 128
    static let alignment: UInt64 = 64
    static let pageBytes = 64 * 1024
    static let checksumBytes = 8
    /// The longest blob that a header may claim.
    static let lengthMax: UInt64 = 1 << 40

    /// Pages of a blob.
    static func pages(_ length: UInt64) -> UInt64 {
        (length + UInt64(pageBytes) - 1) / UInt64(pageBytes)
    }

    /// Bytes of a record with its padding. The length is at most ``lengthMax``.
    static func recordBytes(_ length: UInt64) -> UInt64 {
        let raw = UInt64(headerBytes) + length + pages(length) * UInt64(checksumBytes)
        return (raw + alignment - 1) & ~(alignment - 1)
    }

    /// Where page `index` of the record at `record` stands.
    static func pageOffset(record: UInt64, index: UInt64) -> UInt64 {
        record + UInt64(headerBytes) + index * UInt64(pageBytes + checksumBytes)
    }

    /// The checksum of a page at `offset`.
    static func pageChecksum(_ page: UnsafeRawBufferPointer, salt: UInt64, offset: UInt64) -> UInt64
    {
        Checksum.xxh3(page, seed: Checksum.seed(file: salt, offset: offset))
    }
}

/// The head of a volume.
struct VolumeHeader: Equatable {
    enum Kind: UInt32 {
        case shared = 1
        case single = 2
    }

    var kind: Kind
    var id: UInt64
    var salt: UInt64

    /// Both copies, 128 bytes.
    func encode() -> [UInt8] {
        var writer = ByteWriter(capacity: 128)
        writer.write(fixed: BlobFormat.fileMagic)
        writer.write(fixed: BlobFormat.version)
        writer.write(fixed: kind.rawValue)
        writer.write(fixed: id)
        writer.write(fixed: salt)
        for _ in 0..<3 { writer.write(fixed: 0 as UInt64) }
        writer.write(fixed: Checksum.xxh3(writer.bytes, seed: id))
        return writer.bytes + writer.bytes
    }

    /// Reads the first copy that is right; nil when none is.
    static func decode(_ bytes: [UInt8], id: UInt64) -> VolumeHeader? {
        for start in [0, BlobFormat.headerBytes] {
            guard bytes.count >= start + BlobFormat.headerBytes else { return nil }
            let copy = Array(bytes[start..<(start + BlobFormat.headerBytes)])
            if let header = decodeCopy(copy, id: id) { return header }
        }
        return nil
    }

    private static func decodeCopy(_ bytes: [UInt8], id: UInt64) -> VolumeHeader? {
        let header = try? ByteReader.readAll(bytes) { reader -> VolumeHeader? in
            let magic = try reader.readFixed(UInt64.self)
            let version = try reader.readFixed(UInt32.self)
            let kind = Kind(rawValue: try reader.readFixed())
            let stored = try reader.readFixed(UInt64.self)
            let salt = try reader.readFixed(UInt64.self)
            let zeros = try reader.readRaw(24)
            let checksum = try reader.readFixed(UInt64.self)
            guard magic == BlobFormat.fileMagic, version == BlobFormat.version, stored == id,
                zeros.allSatisfy({ $0 == 0 }), let kind,
                checksum == Checksum.xxh3(Array(bytes[..<56]), seed: id)
            else { return nil }
            return VolumeHeader(kind: kind, id: id, salt: salt)
        }
        return header ?? nil
    }
}

/// The head of a record.
struct BlobRecordHeader: Equatable {
    enum Kind: UInt8 {
        case blob = 1
        case mark = 2
    }

    var kind: Kind
    var length: UInt64
    var mark: UInt64
    var hash: BlobHash

    /// 64 bytes for the record at `offset`.
    func encode(salt: UInt64, offset: UInt64) -> [UInt8] {
        var writer = ByteWriter(capacity: BlobFormat.headerBytes)
        writer.write(fixed: BlobFormat.recordMagic)
        writer.write(kind.rawValue)
        writer.write(raw: [0, 0, 0])
        writer.write(fixed: length)
        writer.write(fixed: mark)
        writer.write(raw: hash.bytes)
        let seed = Checksum.seed(file: salt, offset: offset)
        writer.write(fixed: Checksum.xxh3(writer.bytes, seed: seed))
        return writer.bytes
    }

    /// Reads the 64 bytes at `offset`; nil when they are not a header.
    init?(_ bytes: UnsafeRawBufferPointer, salt: UInt64, offset: UInt64) {
        var reader = ByteReader(bytes)
        do {
            guard try reader.readFixed(UInt32.self) == BlobFormat.recordMagic,
                let kind = Kind(rawValue: try reader.readByte()),
                try reader.readRaw(3).allSatisfy({ $0 == 0 })
            else { return nil }
            self.kind = kind
            length = try reader.readFixed()
            mark = try reader.readFixed()
            guard let hash = BlobHash([UInt8](try reader.readRaw(32))) else { return nil }
            self.hash = hash
            let checked = UnsafeRawBufferPointer(rebasing: bytes[..<56])
            let checksum = Checksum.xxh3(checked, seed: Checksum.seed(file: salt, offset: offset))
            guard try reader.readFixed(UInt64.self) == checksum,
                length <= BlobFormat.lengthMax, kind == .blob || length == 0, mark <= offset
            else { return nil }
        } catch {
            return nil
        }
    }

    init(kind: Kind, length: UInt64, mark: UInt64, hash: BlobHash) {
        self.kind = kind
        self.length = length
        self.mark = mark
        self.hash = hash
    }
}
