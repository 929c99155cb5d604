package import Bytes

/// Bytes of a ``Command`` in the replicated log, and of a ``CommandBatch``.
///
/// ```text
/// command: kind u8 (1…17; 0 never valid), version u8 (1), fields of the kind
/// batch:   version u8 (1), stampMs u64 LE, count varint, commands (length varint, bytes) each
/// ```
///
/// Fields stand in the order of the case's labels; identifiers are 16 bytes, integers varints,
/// texts and byte strings a varint length and the bytes, lists a varint count and the items,
/// optional fields a byte 0 or 1 before the value. `docs/formats/commands.md` has the table.
///
/// A command is valid when every field is and no byte is left over. A later release adds fields
/// under a higher version and still reads the lower ones; bytes of a version above its own are
/// refused, because replicas that guess would part ways. Known weakness: no checksum of its own;
/// the log record around it has one.
package enum CommandCodec {
    static let version: UInt8 = 1

    /// The bytes of `command`.
    package static func encode(_ command: Command) -> [UInt8] {
        var writer = ByteWriter(capacity: 128)
        writer.write(kind(of: command))
        writer.write(version)
        switch command {
        case .createAccount(let account): write(account, to: &writer)
        case .openDevice(let user, let device, let name):
            writer.write(id: user)
            writer.write(id: device)
            writer.write(text: name)
        case .revokeDevice(let user, let device):
            writer.write(id: user)
            writer.write(id: device)
        case .updateProfile(let user, let change):
            writer.write(id: user)
            write(change, to: &writer)
        case .createDirect(let conversation, let by, let peer):
            writer.write(id: conversation)
            writer.write(id: by)
            writer.write(id: peer)
        case .createGroup(let group):
            writer.write(id: group.conversation)
            writer.write(id: group.creator)
            writer.write(ids: group.members)
            writer.write(text: group.title)
        case .registerBlob(let blob): write(blob, to: &writer)
        case .setMap(let map): map.write(to: &writer)
        case .setLastSeen(let user, let atMs):
            writer.write(id: user)
            writer.write(varint: atMs)
        case .touchFeed(let user, let touch):
            writer.write(id: user)
            write(touch, to: &writer)
        case .send, .edit, .erase, .changeMembers, .setTitle, .mark, .clearWork:
            writeInConversation(command, to: &writer)
        }
        return writer.bytes
    }

    /// The command of `bytes`; throws ``DecodeError`` when they are not one.
    package static func decode(_ bytes: [UInt8]) throws -> Command {
        try ByteReader.readAll(bytes) { try read(&$0) }
    }

    private static func kind(of command: Command) -> UInt8 {
        switch command {
        case .createAccount: 1
        case .openDevice: 2
        case .revokeDevice: 3
        case .updateProfile: 4
        case .createDirect: 5
        case .createGroup: 6
        case .send: 7
        case .edit: 8
        case .erase: 9
        case .changeMembers: 10
        case .setTitle: 11
        case .mark: 12
        case .touchFeed: 13
        case .clearWork: 14
        case .registerBlob: 15
        case .setLastSeen: 16
        case .setMap: 17
        }
    }

    private static func writeInConversation(_ command: Command, to writer: inout ByteWriter) {
        switch command {
        case .send(let conversation, let peer, let by, let content):
            writer.write(id: conversation)
            writer.write(flag: peer != nil)
            if let peer { writer.write(id: peer) }
            write(by, to: &writer)
            EntryCodec.write(content, to: &writer)
        case .edit(let conversation, let by, let target, let content):
            writer.write(id: conversation)
            write(by, to: &writer)
            writer.write(varint: target)
            EntryCodec.write(content, to: &writer)
        case .erase(let conversation, let by, let target):
            writer.write(id: conversation)
            write(by, to: &writer)
            writer.write(varint: target)
        case .changeMembers(let conversation, let by, let users, let role):
            writer.write(id: conversation)
            writer.write(id: by)
            writer.write(ids: users)
            writer.write(role?.rawValue ?? 0)
        case .setTitle(let conversation, let by, let title):
            writer.write(id: conversation)
            writer.write(id: by)
            writer.write(text: title)
        case .mark(let conversation, let user, let delivered, let read):
            writer.write(id: conversation)
            writer.write(id: user)
            writer.write(varint: delivered)
            writer.write(varint: read)
        case .clearWork(let conversation, let work, let change):
            writer.write(id: conversation)
            writer.write(work.rawValue)
            writer.write(varint: change)
        default: preconditionFailure("a command outside any conversation")
        }
    }

    private static func read(_ reader: inout ByteReader) throws(DecodeError) -> Command {
        let kind = try reader.readByte()
        guard try reader.readByte() == version else {
            throw .invalid(offset: 1, what: "command version")
        }
        switch kind {
        case 1: return .createAccount(try readAccount(&reader))
        case 2:
            return .openDevice(
                user: try reader.readID(), device: try reader.readID(), name: try reader.readText())
        case 3: return .revokeDevice(user: try reader.readID(), device: try reader.readID())
        case 4:
            return .updateProfile(
                user: try reader.readID(), change: try readProfileChange(&reader))
        case 5:
            return .createDirect(
                conversation: try reader.readID(), by: try reader.readID(),
                peer: try reader.readID())
        case 6:
            return .createGroup(
                NewGroup(
                    conversation: try reader.readID(), creator: try reader.readID(),
                    members: try reader.readIDs(), title: try reader.readText()))
        case 13:
            return .touchFeed(user: try reader.readID(), touch: try readTouch(&reader))
        case 15: return .registerBlob(try readBlob(&reader))
        case 16: return .setLastSeen(user: try reader.readID(), atMs: try reader.readVarint())
        case 17: return .setMap(try ClusterMap(from: &reader))
        default: return try readInConversation(kind, &reader)
        }
    }

    private static func readInConversation(
        _ kind: UInt8, _ reader: inout ByteReader
    ) throws(DecodeError) -> Command {
        guard (7...14).contains(kind) else { throw .invalid(offset: 0, what: "command kind") }
        let conversation = try reader.readID(ConversationID.self)
        switch kind {
        case 7:
            let peer: UserID? = try reader.readFlag() ? try reader.readID() : nil
            return .send(
                conversation: conversation, peer: peer, by: try readAuthor(&reader),
                content: try EntryCodec.readContent(&reader))
        case 8:
            return .edit(
                conversation: conversation, by: try readAuthor(&reader),
                target: try reader.readVarint(), content: try EntryCodec.readContent(&reader))
        case 9:
            return .erase(
                conversation: conversation, by: try readAuthor(&reader),
                target: try reader.readVarint())
        case 10:
            let by = try reader.readID(UserID.self)
            let users = try reader.readIDs(UserID.self)
            let start = reader.offset
            let byte = try reader.readByte()
            let role = Role(rawValue: byte)
            guard byte == 0 || role != nil else { throw .invalid(offset: start, what: "role") }
            return .changeMembers(conversation: conversation, by: by, users: users, role: role)
        case 11:
            return .setTitle(
                conversation: conversation, by: try reader.readID(), title: try reader.readText())
        case 12:
            return .mark(
                conversation: conversation, user: try reader.readID(),
                delivered: try reader.readVarint(), read: try reader.readVarint())
        default:
            let start = reader.offset
            guard let work = WorkKind(rawValue: try reader.readByte()) else {
                throw .invalid(offset: start, what: "work kind")
            }
            return .clearWork(
                conversation: conversation, work: work, change: try reader.readVarint())
        }
    }
}

extension CommandCodec {
    private static func write(_ author: Author, to writer: inout ByteWriter) {
        writer.write(id: author.user)
        writer.write(id: author.cid)
    }

    private static func readAuthor(_ reader: inout ByteReader) throws(DecodeError) -> Author {
        Author(user: try reader.readID(), cid: try reader.readID())
    }

    private static func write(_ account: NewAccount, to writer: inout ByteWriter) {
        writer.write(id: account.user)
        writer.write(text: account.name)
        writer.write(text: account.displayName)
        writer.write(prefixed: account.credential)
        writer.write(id: account.device)
        writer.write(text: account.deviceName)
    }

    private static func readAccount(_ reader: inout ByteReader) throws(DecodeError) -> NewAccount {
        NewAccount(
            user: try reader.readID(), name: try reader.readText(),
            displayName: try reader.readText(), credential: try reader.readPrefixedBytes(),
            device: try reader.readID(), deviceName: try reader.readText())
    }

    private static func write(_ change: ProfileChange, to writer: inout ByteWriter) {
        writer.write(optionalText: change.displayName)
        writer.write(optionalText: change.avatar)
        writer.write(flag: change.credential != nil)
        if let credential = change.credential { writer.write(prefixed: credential) }
        writer.write(flag: change.isLastSeenVisible != nil)
        if let isVisible = change.isLastSeenVisible { writer.write(flag: isVisible) }
    }

    private static func readProfileChange(
        _ reader: inout ByteReader
    ) throws(DecodeError) -> ProfileChange {
        ProfileChange(
            displayName: try reader.readOptionalText(), avatar: try reader.readOptionalText(),
            credential: try reader.readFlag() ? try reader.readPrefixedBytes() : nil,
            isLastSeenVisible: try reader.readFlag() ? try reader.readFlag() : nil)
    }

    private static func write(_ touch: FeedTouch, to writer: inout ByteWriter) {
        writer.write(id: touch.conversation)
        writer.write(varint: touch.change)
        writer.write(varint: touch.head)
        writer.write(varint: touch.m)
        writer.write(optionalVarint: touch.leftSeq)
        writer.write(flag: touch.isLarge)
    }

    private static func readTouch(_ reader: inout ByteReader) throws(DecodeError) -> FeedTouch {
        FeedTouch(
            conversation: try reader.readID(), change: try reader.readVarint(),
            head: try reader.readVarint(), m: try reader.readVarint(),
            leftSeq: try reader.readOptionalVarint(), isLarge: try reader.readFlag())
    }

    /// Appends a blob record; also the value of its row.
    package static func write(_ blob: BlobRecord, to writer: inout ByteWriter) {
        writer.write(id: blob.blob)
        writer.write(prefixed: blob.contentHash)
        writer.write(id: blob.uploader)
        writer.write(text: blob.type)
        writer.write(varint: blob.size)
        writer.write(pixels: blob.width, blob.height)
    }

    /// Takes what ``write(_:to:)`` appended for a blob.
    package static func readBlob(_ reader: inout ByteReader) throws(DecodeError) -> BlobRecord {
        var record = BlobRecord(
            blob: try reader.readID(), contentHash: try reader.readPrefixedBytes(),
            uploader: try reader.readID(), type: try reader.readText(),
            size: try reader.readVarint())
        (record.width, record.height) = try reader.readPixels()
        return record
    }
}
