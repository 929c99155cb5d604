internal import Bytes

// A segment (`NNNNNNNNNNNNNNNN.segment`, the file id as 16 hexadecimal digits) is the index of some
// documents. It never changes after it is finished. Integers are little endian; a varint is an
// unsigned LEB128 number; XXH3 is XXH3-64; `seed` is Checksum.seed(file:offset:).
//
//     section*8  checksum*  footer
//
// Documents are numbered from 0 in the order of (conversation, seq). The sections follow each other
// from offset 0 without gaps:
//
//  0 documents      for each 128 documents: runs (BitPacking) of time, gap, sender, flags
//  1 blocks         for each 128 documents, 32 bytes:
//                     0 u32 where its runs start in section 0
//                     4 u8 u8 u8 u8 widths of time, gap, sender, flags
//                     8 u64 lowest time  16 u64 highest time  24 u64 lowest gap
//  2 conversations  for each, ascending, 28 bytes: id high u64, low u64, seq of its first document
//                   u64, number of its first document u32
//  3 senders        for each, ascending, 16 bytes: id high u64, low u64
//  4 lengths        for each document, 1 byte: LengthCode of its words
//  5 postings       lists of terms with more than two documents, in the order of the terms
//  6 dictionary     for each 32 terms, front coded (see below)
//  7 terms          for each 32 terms, 12 bytes: u32 where they start in section 6, u64 where the
//                   lists of these terms start in section 5
//
// Time of a document = lowest time of its block + number in the run x time unit. Its seq = seq of
// its conversation's first document + documents since + lowest gap + number in the run.
//
// Dictionary entry: shared varint (bytes taken from the term before; 0 for the first of 32), rest
// varint, rest bytes, documents varint, list bytes varint; with one or two documents the list
// follows here, otherwise it is the next in section 5.
//
// List of n < 128 documents: n postings. List of n >= 128:
//     4 bytes    bound of the list
//     n/128 skips of 14 bytes: last document u32, end of the block after the skips u32, width of
//                documents u8, width of positions u8, bound of the block
//     n/128 blocks: lanes (BitPacking) of document - previous document - 1 (the one before
//                document 0 is -1); when the block's highest frequency is above 1: u8 how many of
//                its postings are above 1, then for each its place u8 and varint frequency - 1;
//                then a run of all positions
//     n%128 postings
// Bound: highest frequency u8 (255: or more), lowest LengthCode of the documents with frequency 1
//     u8, with 2 u8, with 3 or more u8; 255 where there are none.
// Posting: varint (document - previous - 1) << 1 | (frequency > 1); then if that bit is set varint
//     frequency - 2; then positions.
// Positions of a posting: the first, then each less the one before.
//
// Terms are words, and, all before them, those whose first byte is zero, with which no word begins:
//     00 01 flag             documents that have the flag (1, 2, 4 or 8)
//     00 02 high low         documents of the sender, its id in big-endian order
// Each flag and each sender that a document has is there. Their lists say the same as section 0 and
// have no positions: a posting is varint gap << 1, all frequencies in skips and heads are 0.
//
// Behind the sections: XXH3 of each 64 KiB piece of them (the last may be shorter), seeded with
// seed(file id, offset of the piece). Footer: see SegmentFooter.
//
// Validity: footer, checksums, and everything above; SegmentCheck is that rule as code. Known
// weaknesses: a segment without its footer is lost (it is rebuilt from the messages); term bytes
// are readable in the file; checksums find accidents, not forgers.

/// Numbers of the segment format.
enum SegmentFormat {
    static let magic: UInt64 = 0x4745_5350_4741_4D  // "MAGPSEG"
    static let version: UInt32 = 2
    static let pieceBytes = 65_536
    static let blockDocuments = 128
    static let blockEntryBytes = 32
    static let conversationBytes = 28
    static let senderBytes = 16
    static let dictionaryTerms = 32
    static let termEntryBytes = 12
    static let skipBytes = 14
    static let listHeadBytes = 4
    static let inlineDocumentsMax = 2
    static let termBytesMax = 255
    static let documentsMax = 1 << 30
    /// Words of one document that are indexed; also bounds what a frequency may be.
    static let documentWordsMax = 65_535
    static let ending = ".segment"

    /// The name of a segment's file.
    static func name(_ fileID: UInt64) -> String { FileName.digits(fileID) + ending }

    /// The sections, in their order.
    enum Section: Int, CaseIterable, Sendable {
        case documents, blocks, conversations, senders, lengths, postings, dictionary, terms
    }
}

/// The last 160 bytes of a segment.
///
///     0  end of each section, 8 x u64
///    64  u64 file id         72  u32 documents       76  u32 terms
///    80  u64 words           88  u64 lowest time     96  u64 highest time
///   104  u64 time unit      112  u32 tokenizer      116  u32 Unicode
///   120  u32 zero           124  u32 version        128  u64 zero
///   136  u64 XXH3 of the checksums before the footer, seeded with seed(file id, their offset)
///   144  u64 XXH3 of bytes 0...143, seeded with seed(file id, offset of the footer)
///   152  u64 "MAGPSEG" and a zero
struct SegmentFooter: Equatable, Sendable {
    static let bytes = 160

    var ends: [UInt64]
    var fileID: UInt64
    var documents: UInt32
    var terms: UInt32
    var words: UInt64
    var minTime: UInt64
    var maxTime: UInt64
    var timeUnit: UInt64
    var tokens: TokenVersion
    var tableChecksum: UInt64

    func encode(at offset: UInt64) -> [UInt8] {
        var writer = ByteWriter(capacity: Self.bytes)
        for end in ends { writer.write(fixed: end) }
        writer.write(fixed: fileID)
        writer.write(fixed: documents)
        writer.write(fixed: terms)
        writer.write(fixed: words)
        writer.write(fixed: minTime)
        writer.write(fixed: maxTime)
        writer.write(fixed: timeUnit)
        writer.write(fixed: tokens.tokenizer)
        writer.write(fixed: tokens.unicode)
        writer.write(fixed: UInt32(0))
        writer.write(fixed: SegmentFormat.version)
        writer.write(fixed: UInt64(0))
        writer.write(fixed: tableChecksum)
        let seed = Checksum.seed(file: fileID, offset: offset)
        writer.write(fixed: Checksum.xxh3(writer.bytes, seed: seed))
        writer.write(fixed: SegmentFormat.magic)
        return writer.bytes
    }

    /// The footer in `bytes`, or what is wrong with it.
    static func decode(
        _ bytes: UnsafeRawBufferPointer, fileID: UInt64, at offset: UInt64
    ) throws(Rot) -> SegmentFooter {
        guard bytes.count == Self.bytes else {
            throw Rot(offset, "a footer", "\(bytes.count) bytes")
        }
        func word(_ at: Int) -> UInt64 {
            UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
        }
        func half(_ at: Int) -> UInt32 {
            UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self))
        }
        func expect(_ at: Int, _ name: String, _ expected: UInt64) throws(Rot) {
            if word(at) == expected { return }
            throw Rot(offset + UInt64(at), "\(name) \(expected)", "\(word(at))")
        }
        try expect(152, "magic", SegmentFormat.magic)
        try expect(64, "file id", fileID)
        let seed = Checksum.seed(file: fileID, offset: offset)
        let checked = UnsafeRawBufferPointer(rebasing: bytes[..<144])
        try expect(144, "footer checksum", Checksum.xxh3(checked, seed: seed))
        if half(124) != SegmentFormat.version { throw Rot(offset + 124, version: half(124)) }
        try expect(120, "zero and version", UInt64(SegmentFormat.version) << 32)
        try expect(128, "zero", 0)
        let footer = SegmentFooter(
            ends: (0..<8).map { word($0 * 8) }, fileID: fileID, documents: half(72),
            terms: half(76), words: word(80), minTime: word(88), maxTime: word(96),
            timeUnit: word(104), tokens: TokenVersion(tokenizer: half(112), unicode: half(116)),
            tableChecksum: word(136))
        return footer
    }
}

/// What was found where it should not be; the reader adds the file.
struct Rot: Error, Equatable, Sendable {
    let offset: UInt64
    let expected: String
    let found: String
    /// The version of the format, when the bytes are sound but of another one.
    let version: UInt32?

    init(_ offset: UInt64, _ expected: String, _ found: String) {
        self.offset = offset
        self.expected = expected
        self.found = found
        version = nil
    }

    init(_ offset: UInt64, version: UInt32) {
        self.offset = offset
        expected = "the version of the format that is written now"
        found = "version \(version)"
        self.version = version
    }

    func error(in file: String) -> SearchError {
        if let version { return .otherFormat(file: file, version: version) }
        return .corrupt(file: file, offset: offset, expected: expected, found: found)
    }
}

/// How words were cut from messages; segments of another way are rebuilt.
package struct TokenVersion: Equatable, Sendable {
    /// Version of the tokenizer's rules.
    package var tokenizer: UInt32
    /// Version of Unicode, major × 65,536 + minor × 256 + update.
    package var unicode: UInt32

    /// Those of ``Tokenizer``.
    package static let current = {
        let unicode = Tokenizer.unicodeVersion
        return TokenVersion(
            tokenizer: UInt32(Tokenizer.version),
            unicode: unicode / 10_000 << 16 | unicode / 100 % 100 << 8 | unicode % 100)
    }()

    /// Rules and tables.
    package init(tokenizer: UInt32, unicode: UInt32) {
        self.tokenizer = tokenizer
        self.unicode = unicode
    }
}

/// File ids in names: 16 lower-case hexadecimal digits.
enum FileName {
    static func digits(_ number: UInt64) -> String {
        withUnsafeBytes(of: number.bigEndian) { Hex.encode($0) }
    }

    /// The number that sixteen digits spell, in the one way that ``digits(_:)`` writes.
    static func number(_ text: some StringProtocol) -> UInt64? {
        guard text.utf8.count == 16, let bytes = Hex.decode(text) else { return nil }
        return bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }
}
