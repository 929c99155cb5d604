package import Bytes

/// The stored value of a row of the `entries` keyspace. The conversation and the seq stand in the
/// row's key, so the value does not repeat them.
///
/// ```text
/// offset  size  field
/// 0       1     version, 1
/// 1       1     kind: 1 message, 2 edit, 3 erase, 4 membership, 5 settings; 0 never valid
/// 2       1…10  m, varint
/// …       1…10  atMs, varint
/// …       16    from
/// …       1     1 when a cid follows, else 0
/// …       16    cid, when announced
/// …             body by kind:
///   message     state bits (1 edited, 2 erased), revision varint, editedAtMs and edits varints
///               when edited (see ``StoredEntry/edits``), content
///   edit        target varint, previous varint (see ``StoredEntry/previous``), content
///   erase       target varint
///   membership  user 16, change u8, role u8
///   settings    flag, then title text when set
/// content: text, bits (1 replyTo, 2 mentions, 4 media), replyTo varint, mentions (count, 16 each),
///          media (count, each: blob 16, name text, type text, size varint, bits 1 width 2 height,
///          width varint, height varint)
/// ```
///
/// A value is valid when every field is, no unknown bit is set and no byte is left over. Texts are
/// a varint length and UTF-8. Known weakness: no checksum of its own; the table's block has one.
package enum EntryCodec {
    static let version: UInt8 = 1

    /// The value of `entry`'s row. `previous` counts for edit entries only, `edits` for edited
    /// messages.
    package static func encode(
        _ entry: Entry, previous: EntrySequence = 0, edits: UInt64 = 0
    ) -> [UInt8] {
        var writer = ByteWriter(capacity: 96)
        writer.write(version)
        writer.write(kind(of: entry.body))
        writer.write(varint: entry.m)
        writer.write(varint: entry.atMs)
        writer.write(id: entry.from)
        writer.write(flag: entry.cid != nil)
        if let cid = entry.cid { writer.write(id: cid) }
        switch entry.body {
        case .message(let message):
            let isEdited: UInt8 = message.editedAtMs == nil ? 0 : 1
            writer.write(isEdited | (message.isErased ? 2 : 0))
            writer.write(varint: message.revision)
            if let editedAtMs = message.editedAtMs {
                writer.write(varint: editedAtMs)
                writer.write(varint: edits)
            }
            write(message.content, to: &writer)
        case .edit(let target, let content):
            writer.write(varint: target)
            writer.write(varint: previous)
            write(content, to: &writer)
        case .erase(let target):
            writer.write(varint: target)
        case .membership(let user, let change, let role):
            writer.write(id: user)
            writer.write(change.rawValue)
            writer.write(role.rawValue)
        case .settings(let title):
            writer.write(optionalText: title)
        }
        return writer.bytes
    }

    /// The entry of a row's value; throws ``DecodeError`` when the bytes are not one.
    package static func decode(
        _ value: UnsafeRawBufferPointer, conversation: ConversationID, seq: EntrySequence
    ) throws(DecodeError) -> StoredEntry {
        var reader = ByteReader(value)
        let kind = try readHeader(&reader)
        let m = try reader.readVarint()
        let atMs = try reader.readVarint()
        let from = try reader.readID(UserID.self)
        let cid: ClientMessageID? = try reader.readFlag() ? try reader.readID() : nil
        var (previous, edits): (EntrySequence, UInt64) = (0, 0)
        let body = try readBody(kind, &reader, previous: &previous, edits: &edits)
        try reader.expectEnd()
        let entry = Entry(
            conversation: conversation, seq: seq, m: m, cid: cid, from: from, atMs: atMs, body: body
        )
        return StoredEntry(entry: entry, previous: previous, edits: edits)
    }

    /// ``decode(_:conversation:seq:)-(UnsafeRawBufferPointer,_,_)`` for an array.
    package static func decode(
        _ value: [UInt8], conversation: ConversationID, seq: EntrySequence
    ) throws -> StoredEntry {
        try value.withUnsafeBytes { try decode($0, conversation: conversation, seq: seq) }
    }

    /// Only the `m` of a row's value, without reading the rest.
    package static func messageNumber(_ value: [UInt8]) throws -> MessageNumber {
        try value.withUnsafeBytes { raw in
            var reader = ByteReader(raw)
            _ = try readHeader(&reader)
            return try reader.readVarint()
        }
    }

    private static func readHeader(_ reader: inout ByteReader) throws(DecodeError) -> UInt8 {
        guard try reader.readByte() == version else {
            throw .invalid(offset: 0, what: "entry version")
        }
        return try reader.readByte()
    }

    private static func kind(of body: EntryBody) -> UInt8 {
        switch body {
        case .message: 1
        case .edit: 2
        case .erase: 3
        case .membership: 4
        case .settings: 5
        }
    }

    private static func readBody(
        _ kind: UInt8, _ reader: inout ByteReader, previous: inout EntrySequence,
        edits: inout UInt64
    ) throws(DecodeError) -> EntryBody {
        switch kind {
        case 1:
            let start = reader.offset
            let bits = try reader.readByte()
            guard bits < 4 else { throw .invalid(offset: start, what: "message state") }
            let revision = try reader.readVarint()
            let editedAtMs = bits & 1 == 0 ? nil : try reader.readVarint()
            if bits & 1 != 0 { edits = try reader.readVarint() }
            let content = try readContent(&reader)
            return .message(
                Message(
                    content: content, editedAtMs: editedAtMs, isErased: bits & 2 != 0,
                    revision: revision))
        case 2:
            let target = try reader.readVarint()
            previous = try reader.readVarint()
            return .edit(target: target, content: try readContent(&reader))
        case 3:
            return .erase(target: try reader.readVarint())
        case 4:
            let user = try reader.readID(UserID.self)
            let start = reader.offset
            guard let change = MembershipChange(rawValue: try reader.readByte()) else {
                throw .invalid(offset: start, what: "membership change")
            }
            return .membership(user: user, change: change, role: try reader.readRole())
        case 5:
            return .settings(title: try reader.readOptionalText())
        default:
            throw .invalid(offset: 1, what: "entry kind")
        }
    }

    /// Appends content as this format and the command format hold it.
    package static func write(_ content: MessageContent, to writer: inout ByteWriter) {
        writer.write(text: content.text)
        var bits: UInt8 = content.replyTo == nil ? 0 : 1
        if !content.mentions.isEmpty { bits |= 2 }
        if !content.media.isEmpty { bits |= 4 }
        writer.write(bits)
        if let replyTo = content.replyTo { writer.write(varint: replyTo) }
        if !content.mentions.isEmpty { writer.write(ids: content.mentions) }
        guard !content.media.isEmpty else { return }
        writer.write(varint: UInt64(content.media.count))
        for item in content.media {
            writer.write(id: item.blob)
            writer.write(text: item.name)
            writer.write(text: item.type)
            writer.write(varint: item.size)
            writer.write(pixels: item.width, item.height)
        }
    }

    /// Takes what ``write(_:to:)`` appended.
    package static func readContent(
        _ reader: inout ByteReader
    ) throws(DecodeError) -> MessageContent {
        var content = MessageContent(text: try reader.readText())
        let start = reader.offset
        let bits = try reader.readByte()
        guard bits < 8 else { throw .invalid(offset: start, what: "content bits") }
        if bits & 1 != 0 { content.replyTo = try reader.readVarint() }
        if bits & 2 != 0 { content.mentions = try reader.readIDs() }
        guard bits & 4 != 0 else { return content }
        // The least a reference takes is 20 bytes, so a count cannot make us reserve much.
        let count = try reader.readCount(max: reader.remaining / 20)
        content.media.reserveCapacity(count)
        for _ in 0..<count {
            let blob = try reader.readID(BlobID.self)
            let name = try reader.readText()
            let type = try reader.readText()
            let size = try reader.readVarint()
            let (width, height) = try reader.readPixels()
            content.media.append(
                MediaReference(
                    blob: blob, name: name, type: type, size: size, width: width, height: height))
        }
        return content
    }
}

/// An entry with what only its row knows.
package struct StoredEntry: Equatable, Sendable {
    /// The entry as clients see it.
    package var entry: Entry
    /// Of an edit entry: the target's revision before this edit, that is the seq of the edit before
    /// it, or of the target itself. It chains the edits of a message, so that erasing finds them.
    package var previous: EntrySequence
    /// Of a message: how often it was edited, which is the length of that chain.
    package var edits: UInt64

    /// An entry as stored.
    package init(entry: Entry, previous: EntrySequence = 0, edits: UInt64 = 0) {
        self.entry = entry
        self.previous = previous
        self.edits = edits
    }
}

extension ByteWriter {
    /// Appends bits (1 width, 2 height), then the known ones as varints.
    mutating func write(pixels width: UInt32?, _ height: UInt32?) {
        write(UInt8((width == nil ? 0 : 1) | (height == nil ? 0 : 2)))
        if let width { write(varint: UInt64(width)) }
        if let height { write(varint: UInt64(height)) }
    }
}

extension ByteReader {
    /// Takes what `write(pixels:_:)` appended.
    mutating func readPixels() throws(DecodeError) -> (UInt32?, UInt32?) {
        let start = offset
        let bits = try readByte()
        guard bits < 4 else { throw .invalid(offset: start, what: "pixel bits") }
        let width = bits & 1 == 0 ? nil : try readPixelCount()
        let height = bits & 2 == 0 ? nil : try readPixelCount()
        return (width, height)
    }

    private mutating func readPixelCount() throws(DecodeError) -> UInt32 {
        let start = offset
        guard let count = UInt32(exactly: try readVarint()) else {
            throw .invalid(offset: start, what: "pixels")
        }
        return count
    }

    /// Takes a role byte.
    package mutating func readRole() throws(DecodeError) -> Role {
        let start = offset
        guard let role = Role(rawValue: try readByte()) else {
            throw .invalid(offset: start, what: "role")
        }
        return role
    }
}
