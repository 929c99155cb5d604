package import ChatModel
internal import SwiftProtobuf

/// Why a client's frame is refused, and the id under which to say so.
package struct RejectedFrame: Error, Equatable, Sendable {
    /// The frame's id, when it could be read.
    package let id: String?
    /// What to answer.
    package let error: ServiceError
}

/// A client's frames from bytes. Nothing a client sends traps; what has the wrong shape is refused
/// with the name of the field. Whether names, rights and targets are good is decided elsewhere.
package enum ClientFrameDecoder {
    /// Most bytes of a frame's id.
    package static let idBytesMax = 64

    /// Reads one frame: the payload of a text or binary message.
    ///
    /// Unknown fields are ignored. More than one body is refused, and so is a frame that has an id
    /// and no body this version knows, since its sender waits for an answer.
    package static func decode(
        _ bytes: [UInt8], _ encoding: WireEncoding, _ limits: Limits
    ) throws(RejectedFrame) -> ClientFrame {
        let frame: WireClientFrame
        do {
            frame = try FieldReader.parse(
                WireClientFrame.self, bytes, encoding, what: "frame")
        } catch {
            throw RejectedFrame(id: readableID(bytes, encoding), error: error)
        }
        let id = frame.hasID ? frame.id : nil
        do throws(ServiceError) {
            if let id, id.utf8.count > idBytesMax {
                throw FieldReader.refusal("id", "longer than \(idBytesMax) bytes")
            }
            if encoding == .binary, bodyCount(bytes) > 1 {
                throw FieldReader.refusal("frame", "more than one body")
            }
            guard let wire = frame.body else {
                if id != nil, hasUnknownBody(frame, bytes, encoding) {
                    throw FieldReader.refusal("frame", "no body that this version knows")
                }
                return ClientFrame(id: id, body: nil)
            }
            return ClientFrame(id: id, body: try body(wire, limits))
        } catch {
            let isShort = (id?.utf8.count ?? 0) <= idBytesMax
            throw RejectedFrame(id: isShort ? id : nil, error: error)
        }
    }

    /// The id of a frame that could not be read as a whole.
    private static func readableID(_ bytes: [UInt8], _ encoding: WireEncoding) -> String? {
        guard let frame = try? WireCodec.parse(WireFrameID.self, bytes, encoding), frame.hasID,
            frame.id.utf8.count <= idBytesMax
        else { return nil }
        return frame.id
    }

    /// How many fields other than the id a binary frame has; 0 when it cannot be walked.
    private static func bodyCount(_ bytes: [UInt8]) -> Int {
        var count = 0
        var reader = BinaryFields(bytes: bytes)
        while let field = reader.next() {
            if field != 1 { count += 1 }
        }
        return count
    }

    private static func hasUnknownBody(
        _ frame: WireClientFrame, _ bytes: [UInt8], _ encoding: WireEncoding
    ) -> Bool {
        switch encoding {
        case .binary: !frame.unknownFields.data.isEmpty
        case .json:
            JSONMembers(bytes, in: 0..<bytes.count)?.members.contains { member in
                member.name != "id" && !bytes[member.value].elementsEqual("null".utf8)
            } ?? false
        }
    }

    private static func body(
        _ wire: WireClientFrame.OneOf_Body, _ limits: Limits
    ) throws(ServiceError) -> ClientFrameBody {
        switch wire {
        case .auth(let auth): return try authBody(auth, limits)
        case .send(let send): return try sendBody(send, limits)
        case .edit(let edit): return try editBody(edit, limits)
        case .erase(let erase): return try eraseBody(erase)
        case .mark(let marks): return .mark(try markRequests(marks, limits))
        case .typing(let typing):
            return .typing(try FieldReader.identifier(typing.conversation, "typing.conversation"))
        case .pull(let pull): return try pullBody(pull, limits)
        case .search(let search): return try searchBody(search)
        case .watch(let watch):
            let (conversations, users) = try watched(watch, "watch", limits)
            return .watch(conversations: conversations, users: users)
        case .unwatch(let watch):
            let (conversations, users) = try watched(watch, "unwatch", limits)
            return .unwatch(conversations: conversations, users: users)
        case .activity(let activity): return .activity(isActive: activity.active)
        case .ping(let ping): return .ping(feed: ping.hasFeed ? ping.feed : nil)
        }
    }

    private static func authBody(
        _ auth: WireAuth, _ limits: Limits
    ) throws(ServiceError) -> ClientFrameBody {
        let proof: AuthProof
        switch auth.proof {
        case .token(let token) where !token.isEmpty: proof = .token(token)
        case .ticket(let ticket) where !ticket.isEmpty: proof = .ticket(ticket)
        default: throw FieldReader.refusal("auth.token", "token or ticket is missing")
        }
        guard auth.hasResume else { return .auth(proof, resume: nil) }
        guard auth.resume.have.count <= limits.haveMax else {
            throw FieldReader.refusal("auth.resume.have", "more than \(limits.haveMax)")
        }
        var have: [HaveMark] = []
        for (conversation, seq) in auth.resume.have.sorted(by: { $0.key < $1.key }) {
            have.append(
                HaveMark(
                    conversation: try FieldReader.identifier(conversation, "auth.resume.have"),
                    seq: seq))
        }
        return .auth(
            proof,
            resume: Resume(epoch: auth.resume.epoch, feed: auth.resume.feed, have: have))
    }

    private static func sendBody(
        _ send: WireSend, _ limits: Limits
    ) throws(ServiceError) -> ClientFrameBody {
        let target: SendTarget
        switch send.to {
        case .conversation(let text):
            target = .conversation(try FieldReader.identifier(text, "send.conversation"))
        case .user(let text): target = .user(try FieldReader.identifier(text, "send.user"))
        case nil: throw FieldReader.refusal("send.conversation", "conversation or user is missing")
        }
        return .send(
            target, cid: try FieldReader.identifier(send.cid, "send.cid"),
            content: try FieldReader.content(
                text: send.text, replyTo: send.hasReplyTo ? send.replyTo : nil,
                mentions: send.mentions, media: send.media, field: "send.", limits: limits))
    }

    private static func editBody(
        _ edit: WireEdit, _ limits: Limits
    ) throws(ServiceError) -> ClientFrameBody {
        .edit(
            try FieldReader.identifier(edit.conversation, "edit.conversation"),
            target: try FieldReader.sequence(edit.target, "edit.target"),
            cid: try FieldReader.identifier(edit.cid, "edit.cid"),
            content: try FieldReader.content(
                text: edit.text, replyTo: edit.hasReplyTo ? edit.replyTo : nil,
                mentions: edit.mentions, media: edit.media, field: "edit.", limits: limits))
    }

    private static func eraseBody(_ erase: WireErase) throws(ServiceError) -> ClientFrameBody {
        guard erase.forAll else { throw FieldReader.refusal("erase.forAll", "must be true") }
        return .erase(
            try FieldReader.identifier(erase.conversation, "erase.conversation"),
            target: try FieldReader.sequence(erase.target, "erase.target"),
            cid: try FieldReader.identifier(erase.cid, "erase.cid"))
    }

    private static func markRequests(
        _ wire: WireMarkRequests, _ limits: Limits
    ) throws(ServiceError) -> [MarkRequest] {
        guard wire.marks.count <= limits.haveMax else {
            throw FieldReader.refusal("mark.marks", "more than \(limits.haveMax)")
        }
        var marks: [MarkRequest] = []
        for (index, mark) in wire.marks.enumerated() {
            marks.append(
                MarkRequest(
                    conversation: try FieldReader.identifier(
                        mark.conversation, "mark.marks[\(index)].conversation"),
                    delivered: mark.hasDelivered ? mark.delivered : nil,
                    read: mark.hasRead ? mark.read : nil))
        }
        return marks
    }

    private static func pullBody(
        _ pull: WirePull, _ limits: Limits
    ) throws(ServiceError) -> ClientFrameBody {
        let anchor: PageAnchor =
            switch pull.anchor {
            case nil: .newest
            case .before(let seq): .before(seq)
            case .after(let seq): .after(seq)
            case .around(let seq): .around(seq)
            }
        var limit: Int?
        if pull.hasLimit {
            guard (1...UInt32(clamping: limits.pageMax)).contains(pull.limit) else {
                throw FieldReader.refusal("pull.limit", "must be 1…\(limits.pageMax)")
            }
            limit = Int(pull.limit)
        }
        return .pull(
            try FieldReader.identifier(pull.conversation, "pull.conversation"), anchor,
            limit: limit)
    }

    private static func searchBody(
        _ search: WireSearch
    ) throws(ServiceError) -> ClientFrameBody {
        var fields = SearchFields()
        fields.text = search.q
        fields.conversation = search.conversation
        fields.from = search.from
        if search.hasBeforeMs { fields.beforeMs = search.beforeMs }
        if search.hasAfterMs { fields.afterMs = search.afterMs }
        fields.has = search.has
        fields.sort = search.sort
        if search.hasLimit { fields.limit = UInt64(search.limit) }
        fields.cursor = search.cursor
        fields.utcOffsetMinutes = Int64(search.utcOffsetMinutes)
        return .search(try fields.query(prefix: "search."))
    }

    private static func watched(
        _ watch: WireWatch, _ frame: String, _ limits: Limits
    ) throws(ServiceError) -> ([ConversationID], [UserID]) {
        (
            try FieldReader.identifiers(
                watch.conversations, "\(frame).conversations", max: limits.membersPerCall),
            try FieldReader.identifiers(
                watch.users, "\(frame).users", max: limits.membersPerCall)
        )
    }
}

/// Walks the outermost fields of a binary message that has been parsed already.
private struct BinaryFields {
    let bytes: [UInt8]
    var index = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    /// The next field's number; nil at the end or where the bytes make no sense.
    mutating func next() -> UInt64? {
        guard let key = varint() else { return nil }
        switch key & 7 {
        case 0: guard varint() != nil else { return nil }
        case 1: index += 8
        case 2:
            guard let count = varint(), let count = Int(exactly: count),
                count <= bytes.count - index
            else { return nil }
            index += count
        case 5: index += 4
        default: return nil
        }
        return key >> 3
    }

    private mutating func varint() -> UInt64? {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while index < bytes.count, shift < 64 {
            let byte = bytes[index]
            index += 1
            value |= UInt64(byte & 0x7F) &<< shift
            if byte < 0x80 { return value }
            shift += 7
        }
        return nil
    }
}
