internal import Bytes

// Which documents of a segment are dead: `SSSSSSSSSSSSSSSS-VVVVVVVVVVVVVVVV.dead`, the segment's
// file id and the version, 16 hexadecimal digits each. A file never changes; a commit that kills
// documents writes the next version whole, and the manifest says which version counts.
//
//     0  u64 "MAGPDEAD"       8  u32 format version = 1    12  u32 documents of the segment
//    16  u64 segment         24  u64 version
//    32  u32 dead documents  36  u32 zero
//    40  for each dead document, ascending: varint (document - the one before - 1), the one before
//        the first being -1
//   end  u64 XXH3 of all before it, seeded with seed(segment, version)
//
// Valid when the checksum is, every field is as above, the documents are below the segment's count
// and nothing follows. Weakness: a version costs bytes for all dead documents, not only for the
// new ones; the merge policy rewrites a segment of which a quarter is dead.

/// Documents of one segment that are not to be found any more.
package struct DeadDocuments: Equatable, Sendable {
    /// Bit i of word w: document 64 w + i is dead. Empty while none is.
    private(set) var bits: [UInt64]
    /// How many are dead.
    package private(set) var count = 0
    /// Documents of the segment.
    package let documents: Int

    /// None of `documents` is dead.
    package init(documents: Int) {
        self.documents = documents
        bits = []
    }

    /// True when it is dead.
    @inline(__always)
    package func contains(_ document: UInt32) -> Bool {
        count > 0 && bits[Int(document >> 6)] &>> UInt64(document & 63) & 1 == 1
    }

    /// Kills a document; false when it was dead.
    package mutating func insert(_ document: UInt32) -> Bool {
        precondition(document < documents, "a document of the segment")
        if contains(document) { return false }
        if bits.isEmpty { bits = [UInt64](repeating: 0, count: (documents + 63) / 64) }
        bits[Int(document >> 6)] |= 1 &<< UInt64(document & 63)
        count += 1
        return true
    }

    /// The dead, ascending.
    package var all: [UInt32] {
        var list: [UInt32] = []
        for (index, word) in bits.enumerated() {
            var word = word
            while word != 0 {
                list.append(UInt32(index * 64 + word.trailingZeroBitCount))
                word &= word - 1
            }
        }
        return list
    }
}

/// The file of dead documents.
enum DeadFormat {
    static let magic: UInt64 = 0x4441_4544_5047_414D  // "MAGPDEAD"
    static let formatVersion: UInt32 = 1
    static let ending = ".dead"

    static func name(segment: UInt64, version: UInt64) -> String {
        "\(FileName.digits(segment))-\(FileName.digits(version))\(ending)"
    }

    static func encode(_ dead: DeadDocuments, segment: UInt64, version: UInt64) -> [UInt8] {
        var writer = ByteWriter()
        writer.write(fixed: magic)
        writer.write(fixed: formatVersion)
        writer.write(fixed: UInt32(dead.documents))
        writer.write(fixed: segment)
        writer.write(fixed: version)
        writer.write(fixed: UInt32(dead.count))
        writer.write(fixed: UInt32(0))
        var before: UInt32 = .max
        for document in dead.all {
            writer.write(varint: UInt64(document &- before &- 1))
            before = document
        }
        let seed = Checksum.seed(file: segment, offset: version)
        writer.write(fixed: Checksum.xxh3(writer.bytes, seed: seed))
        return writer.bytes
    }

    /// Of how many documents a list says it is; 0 when it is too short to say, or says too many.
    static func storedDocuments(_ bytes: [UInt8]) -> Int {
        guard bytes.count >= 48 else { return 0 }
        let count = bytes[12..<16].reversed().reduce(0) { $0 << 8 | Int($1) }
        return count <= SegmentFormat.documentsMax ? count : 0
    }

    static func decode(
        _ bytes: [UInt8], segment: UInt64, version: UInt64, documents: Int
    ) throws(Rot) -> DeadDocuments {
        guard bytes.count >= 48 else { throw Rot(0, "at least 48 bytes", "\(bytes.count)") }
        let body = Array(bytes[..<(bytes.count - 8)])
        let checksum = Checksum.xxh3(body, seed: Checksum.seed(file: segment, offset: version))
        let stored = bytes[(bytes.count - 8)...].reversed().reduce(0) { $0 << 8 | UInt64($1) }
        guard stored == checksum else {
            throw Rot(UInt64(body.count), "checksum \(checksum)", "\(stored)")
        }
        do {
            return try ByteReader.readAll(body) { reader in
                guard try reader.readFixed(UInt64.self) == magic,
                    try reader.readFixed(UInt32.self) == formatVersion,
                    try reader.readFixed(UInt32.self) == UInt32(documents),
                    try reader.readFixed(UInt64.self) == segment,
                    try reader.readFixed(UInt64.self) == version
                else { throw DecodeError.invalid(offset: 0, what: "head") }
                let count = try reader.readFixed(UInt32.self)
                guard try reader.readFixed(UInt32.self) == 0 else {
                    throw DecodeError.invalid(offset: 36, what: "zero")
                }
                var dead = DeadDocuments(documents: documents)
                var next: UInt64 = 0
                for _ in 0..<count {
                    let step = try reader.readVarint()
                    guard step < UInt64(documents), next + step < UInt64(documents) else {
                        throw DecodeError.invalid(offset: reader.offset, what: "document")
                    }
                    _ = dead.insert(UInt32(next + step))
                    next += step + 1
                }
                return dead
            }
        } catch {
            throw Rot(0, "dead documents of segment \(segment)", "\(error)")
        }
    }
}
