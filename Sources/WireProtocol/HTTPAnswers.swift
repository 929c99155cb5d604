internal import Bytes
package import ChatModel

/// Answers to HTTP requests, to bytes.
package struct HTTPAnswerEncoder: Sendable {
    private let encoding: WireEncoding
    private let writer: WireWriter

    /// An encoder of one encoding; `links` signs the media in entries.
    package init(_ encoding: WireEncoding, links: any MediaLinks) {
        self.encoding = encoding
        writer = WireWriter(links: links)
    }

    /// A fresh session: accounts, sessions, refresh.
    package func signedIn(
        _ signedIn: SignedIn, websocketURL: String, nodes: [NodeView]
    ) -> [UInt8] {
        var wire = WireSignedIn()
        wire.user = writer.user(signedIn.user)
        wire.device = signedIn.device.description
        wire.token = signedIn.token
        wire.expiresAtMs = signedIn.expiresAtMs
        wire.websocketURL = websocketURL
        wire.nodes = nodes.map(writer.node)
        return WireCodec.encode(wire, encoding)
    }

    /// A single-use ticket.
    package func ticket(_ ticket: String, expiresAtMs: Milliseconds) -> [UInt8] {
        var wire = WireTicket()
        wire.ticket = ticket
        wire.expiresAtMs = expiresAtMs
        return WireCodec.encode(wire, encoding)
    }

    /// `GET /v1/me`.
    package func me(
        _ user: UserView, device: DeviceID, websocketURL: String, nodes: [NodeView], limits: Limits
    ) -> [UInt8] {
        var wire = WireMe()
        wire.user = writer.user(user)
        wire.device = device.description
        wire.websocketURL = websocketURL
        wire.nodes = nodes.map(writer.node)
        wire.limits = writer.limits(limits)
        return WireCodec.encode(wire, encoding)
    }

    /// One user.
    package func user(_ user: UserView) -> [UInt8] {
        WireCodec.encode(writer.user(user), encoding)
    }

    /// Users, in the order given.
    package func users(_ users: [UserView]) -> [UInt8] {
        var wire = WireUsers()
        wire.users = users.map(writer.user)
        return WireCodec.encode(wire, encoding)
    }

    /// The asker's devices.
    package func devices(_ devices: [DeviceView]) -> [UInt8] {
        var wire = WireDevices()
        wire.devices = devices.map { view in
            var device = WireDevice()
            device.id = view.id.description
            device.name = view.name
            device.createdAtMs = view.createdAtMs
            return device
        }
        return WireCodec.encode(wire, encoding)
    }

    /// One conversation.
    package func conversation(_ view: ConversationView) -> [UInt8] {
        WireCodec.encode(writer.conversation(view), encoding)
    }

    /// Part of the list of conversations.
    package func conversations(_ list: ListView<ConversationView>) -> [UInt8] {
        var wire = WireConversations()
        wire.conversations = list.items.map(writer.conversation)
        if let cursor = list.cursor { wire.cursor = cursor }
        return WireCodec.encode(wire, encoding)
    }

    /// Part of the list of members.
    package func members(_ list: ListView<MemberView>) -> [UInt8] {
        var wire = WireMembers()
        wire.members = list.items.map(writer.member)
        if let cursor = list.cursor { wire.cursor = cursor }
        return WireCodec.encode(wire, encoding)
    }

    /// Part of the list of marks.
    package func marks(_ list: ListView<MarkView>) -> [UInt8] {
        var wire = WireMarks()
        wire.marks = list.items.map(writer.mark)
        if let cursor = list.cursor { wire.cursor = cursor }
        return WireCodec.encode(wire, encoding)
    }

    /// A member as changed by a PUT.
    package func member(_ view: MemberView) -> [UInt8] {
        WireCodec.encode(writer.member(view), encoding)
    }

    /// A page of entries.
    package func page(_ page: PageView) -> [UInt8] {
        WireCodec.encode(writer.page(page), encoding)
    }

    /// What a search found.
    package func results(_ view: SearchView) -> [UInt8] {
        WireCodec.encode(writer.results(view), encoding)
    }

    /// The answer to a send.
    package func sent(_ sent: Sent) -> [UInt8] {
        WireCodec.encode(writer.sent(sent), encoding)
    }

    /// An upload, as its uploader sees it.
    package func upload(_ blob: BlobView) -> [UInt8] {
        var wire = WireUpload()
        wire.blob = blob.blob.description
        wire.url = blob.url
        wire.size = blob.size
        wire.type = blob.type
        wire.sha256 = Hex.encode(blob.contentHash)
        return WireCodec.encode(wire, encoding)
    }

    /// Presence, in the order given.
    package func presence(_ views: [PresenceView]) -> [UInt8] {
        var wire = WirePresenceList()
        wire.presence = views.map(writer.presence)
        return WireCodec.encode(wire, encoding)
    }

    /// An error: `application/problem+json` (RFC 9457) whatever the encoding of other answers.
    package static func problem(_ error: ServiceError) -> [UInt8] {
        var wire = WireProblem()
        wire.type = "about:blank"
        wire.title = title(error.code)
        wire.status = UInt32(clamping: error.code.status)
        wire.code = error.code.rawValue
        wire.detail = error.detail
        if let retryAfterMs = error.retryAfterMs { wire.retryAfterMs = retryAfterMs }
        return WireCodec.encode(wire, .json)
    }

    /// The media type of ``problem(_:)``.
    package static let problemContentType = "application/problem+json"

    /// The phrase of the code's status.
    private static func title(_ code: ErrorCode) -> String {
        switch code {
        case .invalidArgument: "Bad Request"
        case .unauthenticated: "Unauthorized"
        case .permissionDenied: "Forbidden"
        case .notFound: "Not Found"
        case .methodNotAllowed: "Method Not Allowed"
        case .conflict: "Conflict"
        case .gone: "Gone"
        case .tooLarge: "Content Too Large"
        case .unsupportedMediaType: "Unsupported Media Type"
        case .rangeNotSatisfiable: "Range Not Satisfiable"
        case .readOnly: "Locked"
        case .rateLimited: "Too Many Requests"
        case .internal: "Internal Server Error"
        case .unavailable: "Service Unavailable"
        case .noQuorum: "Gateway Timeout"
        case .quotaExceeded: "Insufficient Storage"
        }
    }
}
