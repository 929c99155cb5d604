internal import Bytes
package import ChatModel

/// Bodies of HTTP requests, to bytes: the client's side.
package enum HTTPBodyEncoder {
    /// `POST /v1/accounts`.
    package static func account(_ body: AccountBody, _ encoding: WireEncoding) -> [UInt8] {
        var wire = WireNewAccount()
        wire.username = body.username
        wire.password = body.password
        if let displayName = body.displayName { wire.displayName = displayName }
        if !body.deviceName.isEmpty { wire.device = body.deviceName }
        return WireCodec.encode(wire, encoding)
    }

    /// `POST /v1/sessions`.
    package static func session(_ body: SessionBody, _ encoding: WireEncoding) -> [UInt8] {
        var wire = WireNewSession()
        wire.username = body.username
        wire.password = body.password
        if !body.deviceName.isEmpty { wire.device = body.deviceName }
        return WireCodec.encode(wire, encoding)
    }

    /// `PATCH /v1/me`.
    package static func profile(_ body: ProfileBody, _ encoding: WireEncoding) -> [UInt8] {
        var wire = WireProfilePatch()
        if let displayName = body.displayName { wire.displayName = displayName }
        if let avatar = body.avatar { wire.avatar = avatar }
        if let password = body.password { wire.password = password }
        if let currentPassword = body.currentPassword { wire.currentPassword = currentPassword }
        if let isVisible = body.isLastSeenVisible {
            wire.lastSeenVisibility = isVisible ? .contacts : .nobody
        }
        return WireCodec.encode(wire, encoding)
    }

    /// `POST /v1/conversations`.
    package static func conversation(
        _ body: ConversationBody, _ encoding: WireEncoding
    ) -> [UInt8] {
        var wire = WireNewConversation()
        switch body {
        case .direct(let peer):
            wire.kind = .direct
            wire.members = [peer.description]
        case .group(let members, let title, let cid):
            wire.kind = .group
            wire.members = members.map(\.description)
            if !title.isEmpty { wire.title = title }
            if let cid { wire.cid = cid.description }
        }
        return WireCodec.encode(wire, encoding)
    }

    /// `PATCH /v1/conversations/{id}`; nil keeps, empty clears.
    package static func conversationPatch(title: String?, _ encoding: WireEncoding) -> [UInt8] {
        var wire = WireConversationPatch()
        if let title { wire.title = title }
        return WireCodec.encode(wire, encoding)
    }

    /// `PUT /v1/conversations/{id}/members/{userId}`.
    package static func role(_ role: Role, _ encoding: WireEncoding) -> [UInt8] {
        var wire = WireMemberPut()
        wire.role = role.wire
        return WireCodec.encode(wire, encoding)
    }

    /// `POST /v1/conversations/{id}/entries`.
    package static func send(_ body: SendBody, _ encoding: WireEncoding) -> [UInt8] {
        WireCodec.encode(ClientFrameEncoder.send(body.content, cid: body.cid), encoding)
    }

    /// Path and query of `GET /v1/search`.
    package static func searchPath(_ query: SearchQuery) -> String {
        var fields = [("q", SearchFields.cut(query.text))]
        if let conversation = query.conversation {
            fields.append(("conversation", conversation.description))
        }
        if let from = query.from { fields.append(("from", from.description)) }
        if let beforeMs = query.beforeMs { fields.append(("beforeMs", String(beforeMs))) }
        if let afterMs = query.afterMs { fields.append(("afterMs", String(afterMs))) }
        for has in SearchHas.allCases where query.has.contains(has) {
            fields.append(("has", has.rawValue))
        }
        if query.sort != .newest { fields.append(("sort", query.sort.rawValue)) }
        if let limit = query.limit { fields.append(("limit", String(limit))) }
        if let cursor = query.cursor { fields.append(("cursor", cursor)) }
        if query.utcOffsetMinutes != 0 {
            fields.append(("utcOffsetMinutes", String(query.utcOffsetMinutes)))
        }
        return "/v1/search?"
            + fields.map { "\($0.0)=\(percentEncoded($0.1))" }.joined(separator: "&")
    }

    /// Text as it may stand in a query: what isn't unreserved (RFC 3986) as `%XX`.
    private static func percentEncoded(_ text: String) -> String {
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: bytes.append(byte)
            default: bytes += [0x25] + Hex.encode([byte]).uppercased().utf8
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// A session as a server opened it.
package struct SignedInAnswer: Equatable, Sendable {
    /// Who, on which device, with which token.
    package let session: SignedIn
    /// Where to open sockets.
    package let websocketURL: String
    /// The cluster's nodes.
    package let nodes: [NodeView]
}

/// Answers to HTTP requests, from bytes: the client's side. Wrong shapes throw `invalid_argument`
/// with the name of the field.
package enum HTTPAnswerDecoder {
    /// Accounts, sessions, refresh.
    package static func signedIn(
        _ bytes: [UInt8], _ encoding: WireEncoding
    ) throws(ServiceError) -> SignedInAnswer {
        let wire = try FieldReader.parse(WireSignedIn.self, bytes, encoding, what: "answer")
        let views = WireViews()
        return SignedInAnswer(
            session: SignedIn(
                user: try views.user(wire.user),
                device: try FieldReader.identifier(wire.device, "device"), token: wire.token,
                expiresAtMs: wire.expiresAtMs),
            websocketURL: wire.websocketURL, nodes: wire.nodes.map(views.node))
    }

    /// One conversation.
    package static func conversation(
        _ bytes: [UInt8], _ encoding: WireEncoding
    ) throws(ServiceError) -> ConversationView {
        var views = WireViews()
        return try views.conversation(
            try FieldReader.parse(WireConversation.self, bytes, encoding, what: "answer"))
    }

    /// Part of the list of conversations.
    package static func conversations(
        _ bytes: [UInt8], _ encoding: WireEncoding
    ) throws(ServiceError) -> ListView<ConversationView> {
        let wire = try FieldReader.parse(WireConversations.self, bytes, encoding, what: "answer")
        var views = WireViews()
        var items: [ConversationView] = []
        for item in wire.conversations { items.append(try views.conversation(item)) }
        return ListView(items: items, cursor: wire.hasCursor ? wire.cursor : nil)
    }

    /// A page of entries, and the media in it.
    package static func page(
        _ bytes: [UInt8], _ encoding: WireEncoding
    ) throws(ServiceError) -> (page: PageView, mediaURLs: [MediaURL]) {
        var views = WireViews()
        let page = try views.page(
            try FieldReader.parse(WirePage.self, bytes, encoding, what: "answer"))
        return (page, views.mediaURLs)
    }

    /// What a search found, and the media in it.
    package static func results(
        _ bytes: [UInt8], _ encoding: WireEncoding
    ) throws(ServiceError) -> (results: SearchView, mediaURLs: [MediaURL]) {
        var views = WireViews()
        let results = try views.results(
            try FieldReader.parse(WireResults.self, bytes, encoding, what: "answer"))
        return (results, views.mediaURLs)
    }

    /// Users.
    package static func users(
        _ bytes: [UInt8], _ encoding: WireEncoding
    ) throws(ServiceError) -> [UserView] {
        let wire = try FieldReader.parse(WireUsers.self, bytes, encoding, what: "answer")
        let views = WireViews()
        var users: [UserView] = []
        for user in wire.users { users.append(try views.user(user)) }
        return users
    }

    /// The answer to a send.
    package static func sent(
        _ bytes: [UInt8], _ encoding: WireEncoding
    ) throws(ServiceError) -> Sent {
        try WireViews().sent(
            try FieldReader.parse(WireSent.self, bytes, encoding, what: "answer"))
    }

    /// Presence.
    package static func presence(
        _ bytes: [UInt8], _ encoding: WireEncoding
    ) throws(ServiceError) -> [PresenceView] {
        let wire = try FieldReader.parse(WirePresenceList.self, bytes, encoding, what: "answer")
        let views = WireViews()
        var list: [PresenceView] = []
        for presence in wire.presence { list.append(try views.presence(presence)) }
        return list
    }

    /// An upload.
    package static func upload(
        _ bytes: [UInt8], _ encoding: WireEncoding
    ) throws(ServiceError) -> BlobView {
        let wire = try FieldReader.parse(WireUpload.self, bytes, encoding, what: "answer")
        return BlobView(
            blob: try FieldReader.identifier(wire.blob, "blob"), url: wire.url, size: wire.size,
            type: wire.type, contentHash: Hex.decode(wire.sha256) ?? [])
    }

    /// What an answer that isn't a success says; the status decides when the body says nothing.
    package static func problem(status: Int, _ bytes: [UInt8]) -> ServiceError {
        if let wire = try? WireCodec.parse(WireProblem.self, bytes, .json),
            let code = ErrorCode(rawValue: wire.code)
        {
            return ServiceError(
                code, wire.detail, retryAfterMs: wire.hasRetryAfterMs ? wire.retryAfterMs : nil)
        }
        let code = ErrorCode.allCases.first { $0.status == status }
        return ServiceError(
            code ?? (status >= 500 ? .unavailable : .internal), "answered with status \(status)")
    }
}
