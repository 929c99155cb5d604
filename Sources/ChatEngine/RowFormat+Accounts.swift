import Bytes
import ChatModel

/// A user's public side.
struct ProfileRow: StoredRow {
    var name: String
    var displayName: String
    var avatar: String
    var isLastSeenVisible: Bool

    init(name: String, displayName: String, avatar: String = "", isLastSeenVisible: Bool = true) {
        self.name = name
        self.displayName = displayName
        self.avatar = avatar
        self.isLastSeenVisible = isLastSeenVisible
    }

    init(decoding bytes: [UInt8]) throws {
        self = try RowFormat.read(bytes) { reader in
            ProfileRow(
                name: try reader.readText(), displayName: try reader.readText(),
                avatar: try reader.readText(), isLastSeenVisible: try reader.readFlag())
        }
    }

    func encoded() -> [UInt8] {
        RowFormat.write { writer in
            writer.write(text: name)
            writer.write(text: displayName)
            writer.write(text: avatar)
            writer.write(flag: isLastSeenVisible)
        }
    }
}

/// A signed-in device; revoking deletes the row.
struct DeviceRow: StoredRow {
    var createdAtMs: Milliseconds
    var name: String

    init(createdAtMs: Milliseconds, name: String) {
        self.createdAtMs = createdAtMs
        self.name = name
    }

    init(decoding bytes: [UInt8]) throws {
        self = try RowFormat.read(bytes) { reader in
            DeviceRow(createdAtMs: try reader.readVarint(), name: try reader.readText())
        }
    }

    func encoded() -> [UInt8] {
        RowFormat.write { writer in
            writer.write(varint: createdAtMs)
            writer.write(text: name)
        }
    }
}

/// What a user's feed knows of one conversation.
struct FeedRow: StoredRow {
    var position: FeedPosition
    var head: EntrySequence
    var m: MessageNumber
    /// The conversation's change counter that the row has heard of.
    var change: UInt64
    var leftSeq: EntrySequence?
    /// The conversation has its row in the index of large ones.
    var isLarge: Bool

    init(
        position: FeedPosition, head: EntrySequence, m: MessageNumber, change: UInt64,
        leftSeq: EntrySequence?, isLarge: Bool
    ) {
        self.position = position
        self.head = head
        self.m = m
        self.change = change
        self.leftSeq = leftSeq
        self.isLarge = isLarge
    }

    init(decoding bytes: [UInt8]) throws {
        self = try RowFormat.read(bytes) { reader in
            FeedRow(
                position: try reader.readVarint(), head: try reader.readVarint(),
                m: try reader.readVarint(), change: try reader.readVarint(),
                leftSeq: try reader.readOptionalVarint(), isLarge: try reader.readFlag())
        }
    }

    func encoded() -> [UInt8] {
        RowFormat.write { writer in
            writer.write(varint: position)
            writer.write(varint: head)
            writer.write(varint: m)
            writer.write(varint: change)
            writer.write(optionalVarint: leftSeq)
            writer.write(flag: isLarge)
        }
    }
}

/// An upload.
struct BlobRow: StoredRow {
    var record: BlobRecord

    init(_ record: BlobRecord) { self.record = record }

    init(decoding bytes: [UInt8]) throws {
        self.record = try RowFormat.read(bytes) { try CommandCodec.readBlob(&$0) }
    }

    func encoded() -> [UInt8] { RowFormat.write { CommandCodec.write(record, to: &$0) } }
}
