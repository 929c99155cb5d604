package import ChatModel

/// Frames to servers, to bytes: the client's side.
package enum ClientFrameEncoder {
    /// The payload of one text (JSON) or binary message.
    package static func encode(_ frame: ClientFrame, _ encoding: WireEncoding) -> [UInt8] {
        var wire = WireClientFrame()
        if let id = frame.id { wire.id = id }
        wire.body = frame.body.map(body)
        return WireCodec.encode(wire, encoding)
    }

    private static func body(_ body: ClientFrameBody) -> WireClientFrame.OneOf_Body {
        switch body {
        case .auth(let proof, let resume): return .auth(auth(proof, resume))
        case .send(let target, let cid, let content):
            var wire = send(content, cid: cid)
            switch target {
            case .conversation(let id): wire.conversation = id.description
            case .user(let id): wire.user = id.description
            }
            return .send(wire)
        case .edit(let conversation, let target, let cid, let content):
            var wire = WireEdit()
            wire.conversation = conversation.description
            wire.target = target
            wire.cid = cid.description
            wire.text = content.text
            if let replyTo = content.replyTo { wire.replyTo = replyTo }
            wire.mentions = content.mentions.map(\.description)
            wire.media = content.media.map(media)
            return .edit(wire)
        case .erase(let conversation, let target, let cid):
            var wire = WireErase()
            wire.conversation = conversation.description
            wire.target = target
            wire.cid = cid.description
            wire.forAll = true
            return .erase(wire)
        case .mark(let marks):
            var wire = WireMarkRequests()
            wire.marks = marks.map { mark in
                var wire = WireMarkRequest()
                wire.conversation = mark.conversation.description
                if let delivered = mark.delivered { wire.delivered = delivered }
                if let read = mark.read { wire.read = read }
                return wire
            }
            return .mark(wire)
        case .typing(let conversation):
            var wire = WireTypingRequest()
            wire.conversation = conversation.description
            return .typing(wire)
        case .pull(let conversation, let anchor, let limit):
            return .pull(pull(conversation, anchor, limit))
        case .search(let query): return .search(search(query))
        case .watch(let conversations, let users): return .watch(watch(conversations, users))
        case .unwatch(let conversations, let users): return .unwatch(watch(conversations, users))
        case .activity(let isActive):
            var wire = WireActivity()
            wire.active = isActive
            return .activity(wire)
        case .ping(let feed):
            var wire = WirePing()
            if let feed { wire.feed = feed }
            return .ping(wire)
        }
    }

    private static func auth(_ proof: AuthProof, _ resume: Resume?) -> WireAuth {
        var wire = WireAuth()
        switch proof {
        case .token(let token): wire.token = token
        case .ticket(let ticket): wire.ticket = ticket
        }
        if let resume {
            wire.resume.epoch = resume.epoch
            wire.resume.feed = resume.feed
            for mark in resume.have { wire.resume.have[mark.conversation.description] = mark.seq }
        }
        return wire
    }

    /// A send without its target, as it also goes over HTTP.
    static func send(_ content: MessageContent, cid: ClientMessageID) -> WireSend {
        var wire = WireSend()
        wire.cid = cid.description
        wire.text = content.text
        if let replyTo = content.replyTo { wire.replyTo = replyTo }
        wire.mentions = content.mentions.map(\.description)
        wire.media = content.media.map(media)
        return wire
    }

    private static func media(_ media: MediaReference) -> WireMedia {
        var wire = WireMedia()
        wire.blob = media.blob.description
        wire.name = media.name
        return wire
    }

    private static func pull(
        _ conversation: ConversationID, _ anchor: PageAnchor, _ limit: Int?
    ) -> WirePull {
        var wire = WirePull()
        wire.conversation = conversation.description
        switch anchor {
        case .newest: break
        case .before(let seq): wire.before = seq
        case .after(let seq): wire.after = seq
        case .around(let seq): wire.around = seq
        }
        if let limit { wire.limit = UInt32(clamping: limit) }
        return wire
    }

    private static func search(_ query: SearchQuery) -> WireSearch {
        var wire = WireSearch()
        wire.q = query.text
        if let conversation = query.conversation { wire.conversation = conversation.description }
        if let from = query.from { wire.from = from.description }
        if let beforeMs = query.beforeMs { wire.beforeMs = beforeMs }
        if let afterMs = query.afterMs { wire.afterMs = afterMs }
        wire.has = SearchHas.allCases.filter(query.has.contains).map(\.rawValue)
        if query.sort != .newest { wire.sort = query.sort.rawValue }
        if let limit = query.limit { wire.limit = UInt32(clamping: limit) }
        if let cursor = query.cursor { wire.cursor = cursor }
        wire.utcOffsetMinutes = Int32(clamping: query.utcOffsetMinutes)
        return wire
    }

    private static func watch(
        _ conversations: [ConversationID], _ users: [UserID]
    ) -> WireWatch {
        var wire = WireWatch()
        wire.conversations = conversations.map(\.description)
        wire.users = users.map(\.description)
        return wire
    }
}
