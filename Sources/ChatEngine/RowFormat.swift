import Bytes
import ChatModel

/// Values of the rows that ``KeySchema`` places; entries have ``EntryCodec``.
///
/// ```text
/// head        version 1, kind u8, head, m, change, memberCount, ownerCount (varints),
///             createdBy 16, lastAtMs varint, title text
/// member      version 1, role u8, joinedSeq, floor, joinedM (varints),
///             flag, leftSeq and leftM (varints) when it is 1
/// marks       version 1, delivered, read, readM (varints)
/// profile     version 1, name, displayName, avatar (texts), isLastSeenVisible flag
/// credential  the bytes that Secrets made
/// device      version 1, createdAtMs varint, name text
/// feed head   version 1, position varint
/// feed row    version 1, position, head, m, change (varints), flag, leftSeq varint when it is 1,
///             isLarge flag
/// dedup       expiryMs u64 LE (read by the tree), version 1, seq, m, atMs (varints),
///             content hash u64 LE
/// blob        version 1, then the record as in a command
/// number      version 1, varint (last seen, work, stamp)
/// ```
///
/// Valid when every field is and no byte is left over. Worked example: marks delivered 5, read 3,
/// readM 2 are `01 05 03 02`. Known weakness: no checksum of their own; the block has one.
enum RowFormat {
    static let version: UInt8 = 1

    static func write(_ body: (inout ByteWriter) -> Void) -> [UInt8] {
        var writer = ByteWriter(capacity: 48)
        writer.write(version)
        body(&writer)
        return writer.bytes
    }

    static func read<Row>(
        _ bytes: [UInt8], _ body: (inout ByteReader) throws -> Row
    ) throws -> Row {
        try ByteReader.readAll(bytes) { reader in
            try expectVersion(&reader)
            return try body(&reader)
        }
    }

    static func expectVersion(_ reader: inout ByteReader) throws(DecodeError) {
        let start = reader.offset
        guard try reader.readByte() == version else {
            throw .invalid(offset: start, what: "row version")
        }
    }
}

/// A row's value and its bytes.
protocol StoredRow: Equatable, Sendable {
    init(decoding bytes: [UInt8]) throws
    func encoded() -> [UInt8]
}

/// What a conversation is and how far it has come.
struct HeadRow: StoredRow {
    var kind: ConversationKind
    /// The last seq; 0 before the first entry.
    var seq: EntrySequence = 0
    var m: MessageNumber = 0
    /// Counts everything that feeds must hear of: entries, and marks while the group is small.
    var change: UInt64 = 0
    var memberCount: UInt64 = 0
    var ownerCount: UInt64 = 0
    var createdBy: UserID
    /// Stamp of the newest entry, or of the creation.
    var lastAtMs: Milliseconds
    var title: String

    init(kind: ConversationKind, createdBy: UserID, lastAtMs: Milliseconds, title: String) {
        self.kind = kind
        self.createdBy = createdBy
        self.lastAtMs = lastAtMs
        self.title = title
    }

    init(decoding bytes: [UInt8]) throws {
        self = try RowFormat.read(bytes) { reader in
            guard let kind = ConversationKind(rawValue: try reader.readByte()) else {
                throw DecodeError.invalid(offset: 1, what: "conversation kind")
            }
            let counters = try (0..<5).map { _ in try reader.readVarint() }
            var row = HeadRow(
                kind: kind, createdBy: try reader.readID(), lastAtMs: try reader.readVarint(),
                title: try reader.readText())
            (row.seq, row.m, row.change) = (counters[0], counters[1], counters[2])
            (row.memberCount, row.ownerCount) = (counters[3], counters[4])
            guard row.m <= row.seq else { throw DecodeError.invalid(offset: 3, what: "m") }
            return row
        }
    }

    func encoded() -> [UInt8] {
        RowFormat.write { writer in
            writer.write(kind.rawValue)
            for counter in [seq, m, change, memberCount, ownerCount] {
                writer.write(varint: counter)
            }
            writer.write(id: createdBy)
            writer.write(varint: lastAtMs)
            writer.write(text: title)
        }
    }
}

/// One who is, or was, a member.
struct MemberRow: StoredRow {
    var role: Role
    /// The entry that made them a member (direct: 1).
    var joinedSeq: EntrySequence
    /// The first seq they may read: the first entry of the command that made them a member.
    var floor: EntrySequence
    /// Messages below the floor: what they need not have read.
    var joinedM: MessageNumber
    /// Set when they are no longer: their own last membership entry.
    var left: LeftMark?

    struct LeftMark: Equatable {
        var seq: EntrySequence
        var m: MessageNumber
    }

    init(
        role: Role, joinedSeq: EntrySequence, floor: EntrySequence, joinedM: MessageNumber,
        left: LeftMark? = nil
    ) {
        self.role = role
        self.joinedSeq = joinedSeq
        self.floor = floor
        self.joinedM = joinedM
        self.left = left
    }

    init(decoding bytes: [UInt8]) throws {
        self = try RowFormat.read(bytes) { reader in
            var row = MemberRow(
                role: try reader.readRole(), joinedSeq: try reader.readVarint(),
                floor: try reader.readVarint(), joinedM: try reader.readVarint())
            guard row.floor >= 1, row.floor <= row.joinedSeq else {
                throw DecodeError.invalid(offset: 2, what: "floor")
            }
            if try reader.readFlag() {
                row.left = LeftMark(seq: try reader.readVarint(), m: try reader.readVarint())
            }
            return row
        }
    }

    func encoded() -> [UInt8] {
        RowFormat.write { writer in
            writer.write(role.rawValue)
            writer.write(varint: joinedSeq)
            writer.write(varint: floor)
            writer.write(varint: joinedM)
            writer.write(flag: left != nil)
            if let left {
                writer.write(varint: left.seq)
                writer.write(varint: left.m)
            }
        }
    }
}

/// A member's cumulative marks; `readM` is the message count at `read`.
struct MarkRow: StoredRow {
    var delivered: EntrySequence
    var read: EntrySequence
    var readM: MessageNumber

    init(delivered: EntrySequence, read: EntrySequence, readM: MessageNumber) {
        self.delivered = delivered
        self.read = read
        self.readM = readM
    }

    init(decoding bytes: [UInt8]) throws {
        self = try RowFormat.read(bytes) { reader in
            let row = MarkRow(
                delivered: try reader.readVarint(), read: try reader.readVarint(),
                readM: try reader.readVarint())
            guard row.readM <= row.read, row.read <= row.delivered else {
                throw DecodeError.invalid(offset: 1, what: "marks")
            }
            return row
        }
    }

    func encoded() -> [UInt8] {
        RowFormat.write { writer in
            writer.write(varint: delivered)
            writer.write(varint: read)
            writer.write(varint: readM)
        }
    }
}

/// What a client message id became.
struct DedupRow: StoredRow {
    var expiryMs: Milliseconds
    var seq: EntrySequence
    var m: MessageNumber
    var atMs: Milliseconds
    var contentHash: UInt64

    init(
        expiryMs: Milliseconds, seq: EntrySequence, m: MessageNumber, atMs: Milliseconds,
        contentHash: UInt64
    ) {
        self.expiryMs = expiryMs
        self.seq = seq
        self.m = m
        self.atMs = atMs
        self.contentHash = contentHash
    }

    init(decoding bytes: [UInt8]) throws {
        self = try ByteReader.readAll(bytes) { reader in
            let expiryMs = try reader.readFixed(UInt64.self)
            try RowFormat.expectVersion(&reader)
            return DedupRow(
                expiryMs: expiryMs, seq: try reader.readVarint(), m: try reader.readVarint(),
                atMs: try reader.readVarint(), contentHash: try reader.readFixed(UInt64.self))
        }
    }

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 40)
        writer.write(fixed: expiryMs)
        writer.write(RowFormat.version)
        writer.write(varint: seq)
        writer.write(varint: m)
        writer.write(varint: atMs)
        writer.write(fixed: contentHash)
        return writer.bytes
    }
}

/// A lone number: last seen, a work row's change, a shard's last stamp, a feed's head.
struct NumberRow: StoredRow {
    var value: UInt64

    init(_ value: UInt64) { self.value = value }

    init(decoding bytes: [UInt8]) throws {
        self.value = try RowFormat.read(bytes) { try $0.readVarint() }
    }

    func encoded() -> [UInt8] { RowFormat.write { $0.write(varint: value) } }
}
