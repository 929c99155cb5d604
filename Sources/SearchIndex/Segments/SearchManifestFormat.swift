internal import Bytes

// What an index consists of: `MANIFEST`, replaced as a whole by each commit.
//
//     0  u64 "MAGPIESM"        8  u32 format version = 2   12  u32 tokenizer
//    16  u32 Unicode          20  u32 segments             24  u64 generation
//    32  u64 next file id     40  u32 bytes of the cursor  44  u32 zero
//    48  cursor, opaque here: how far the messages were read
//        for each segment, 56 bytes and its summary of conversations:
//            0 u64 file id    8 u64 bytes    16 u64 lowest time    24 u64 highest time
//           32 u64 version of its dead documents, 0: none are dead
//           40 u32 documents  44 u32 dead documents
//           48 u32 bytes of the summary, 0: of any conversation   52 u32 zero
//           56 summary: bit n is bit n mod 64 of word n / 64 (u64). The bits are a power of two,
//              64...65,536. Of each conversation of the segment the bit XXH3 (of its id's 16 bytes)
//              mod bits is set, and no others
//   end  u64 XXH3 of all before it, seeded with seed(0, bytes of the file)
//
// Valid when the checksum is, every field is as above, file ids are different and below the next,
// every segment has a living document, and every file it names is there and valid. A commit writes
// the files that it adds and syncs them, syncs the directory, writes `MANIFEST.new`, syncs it,
// renames it over `MANIFEST` and syncs the directory. Files that no manifest names are left from a
// crash and are removed. Without a manifest the index is empty, its cursor is empty, and so all
// messages are read again.

/// The content of a manifest.
struct SearchManifest: Equatable, Sendable {
    /// One segment and the version of its dead documents.
    struct Entry: Equatable, Sendable {
        var summary: SegmentSummary
        var deadVersion: UInt64
        var dead: UInt32
    }

    var generation: UInt64 = 0
    var nextFileID: UInt64 = 1
    var cursor: [UInt8] = []
    var entries: [Entry] = []
}

/// The file of a manifest.
enum SearchManifestFormat {
    static let magic: UInt64 = 0x4D53_4549_5047_414D  // "MAGPIESM"
    static let version: UInt32 = 2
    static let name = "MANIFEST"
    static let newName = "MANIFEST.new"
    /// Segments that a manifest may name.
    static let entriesMax = 100_000
    /// Bytes that a cursor may have.
    static let cursorBytesMax = 1 << 20

    static func encode(_ manifest: SearchManifest, tokens: TokenVersion) -> [UInt8] {
        var writer = ByteWriter()
        writer.write(fixed: magic)
        writer.write(fixed: version)
        writer.write(fixed: tokens.tokenizer)
        writer.write(fixed: tokens.unicode)
        writer.write(fixed: UInt32(manifest.entries.count))
        writer.write(fixed: manifest.generation)
        writer.write(fixed: manifest.nextFileID)
        writer.write(fixed: UInt32(manifest.cursor.count))
        writer.write(fixed: UInt32(0))
        writer.write(raw: manifest.cursor)
        for entry in manifest.entries {
            writer.write(fixed: entry.summary.fileID)
            writer.write(fixed: entry.summary.bytes)
            writer.write(fixed: entry.summary.minTime)
            writer.write(fixed: entry.summary.maxTime)
            writer.write(fixed: entry.deadVersion)
            writer.write(fixed: entry.summary.documents)
            writer.write(fixed: entry.dead)
            let words = entry.summary.conversations.words
            writer.write(fixed: UInt32(words.count * 8))
            writer.write(fixed: UInt32(0))
            for word in words { writer.write(fixed: word) }
        }
        let seed = Checksum.seed(file: 0, offset: UInt64(writer.count + 8))
        writer.write(fixed: Checksum.xxh3(writer.bytes, seed: seed))
        return writer.bytes
    }

    static func decode(
        _ bytes: [UInt8]
    ) throws(Rot) -> (manifest: SearchManifest, tokens: TokenVersion) {
        guard bytes.count >= 56 else { throw Rot(0, "at least 56 bytes", "\(bytes.count)") }
        let body = Array(bytes[..<(bytes.count - 8)])
        let seed = Checksum.seed(file: 0, offset: UInt64(bytes.count))
        let checksum = Checksum.xxh3(body, seed: seed)
        let stored = bytes[(bytes.count - 8)...].reversed().reduce(0) { $0 << 8 | UInt64($1) }
        guard stored == checksum else {
            throw Rot(UInt64(body.count), "checksum \(checksum)", "\(stored)")
        }
        // One of an earlier version is whole, and its index is made anew all the same.
        let found = body[8..<12].reversed().reduce(0) { $0 << 8 | UInt32($1) }
        guard found == version else { throw Rot(8, version: found) }
        do {
            return try ByteReader.readAll(body) { try read(&$0) }
        } catch {
            throw Rot(0, "a manifest", "\(error)")
        }
    }

    private static func read(
        _ reader: inout ByteReader
    ) throws(DecodeError) -> (manifest: SearchManifest, tokens: TokenVersion) {
        let magicFound = try reader.readFixed(UInt64.self)
        _ = try reader.readFixed(UInt32.self)
        guard magicFound == magic else { throw .invalid(offset: 0, what: "magic") }
        let tokens = TokenVersion(
            tokenizer: try reader.readFixed(), unicode: try reader.readFixed())
        let count = Int(try reader.readFixed(UInt32.self))
        var manifest = SearchManifest()
        manifest.generation = try reader.readFixed()
        manifest.nextFileID = try reader.readFixed()
        let cursorBytes = Int(try reader.readFixed(UInt32.self))
        let zero = try reader.readFixed(UInt32.self)
        guard zero == 0, count <= entriesMax, cursorBytes <= cursorBytesMax else {
            throw .invalid(offset: 20, what: "counts")
        }
        manifest.cursor = [UInt8](try reader.readRaw(cursorBytes))
        var seen: Set<UInt64> = []
        for _ in 0..<count {
            let start = reader.offset
            let entry = try readEntry(&reader)
            guard entry.summary.fileID < manifest.nextFileID,
                seen.insert(entry.summary.fileID).inserted
            else { throw .invalid(offset: start, what: "file id") }
            manifest.entries.append(entry)
        }
        return (manifest, tokens)
    }

    private static func readEntry(
        _ reader: inout ByteReader
    ) throws(DecodeError) -> SearchManifest.Entry {
        let start = reader.offset
        var summary = SegmentSummary(
            fileID: try reader.readFixed(), documents: 0, bytes: try reader.readFixed(),
            minTime: try reader.readFixed(), maxTime: try reader.readFixed())
        let deadVersion = try reader.readFixed(UInt64.self)
        summary.documents = try reader.readFixed()
        let dead = try reader.readFixed(UInt32.self)
        let summaryBytes = Int(try reader.readFixed(UInt32.self))
        let zero = try reader.readFixed(UInt32.self)
        guard dead < summary.documents, UInt64(summary.documents) <= summary.bytes,
            summary.minTime <= summary.maxTime, (deadVersion == 0) == (dead == 0), zero == 0,
            summaryBytes <= ConversationSummary.bytesMax, summaryBytes % 8 == 0
        else { throw .invalid(offset: start, what: "segment") }
        var words: [UInt64] = []
        for _ in 0..<(summaryBytes / 8) { words.append(try reader.readFixed()) }
        guard let conversations = ConversationSummary(stored: words) else {
            throw .invalid(offset: start, what: "summary of conversations")
        }
        summary.conversations = conversations
        return .init(summary: summary, deadVersion: deadVersion, dead: dead)
    }
}
