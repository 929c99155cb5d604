/// A frame from a client: at most one body, and the id its answer repeats.
package struct ClientFrame: Equatable, Sendable {
    /// Up to 64 bytes; nil when the client wants no answer.
    package var id: String?
    /// What the client says; nil for an empty frame, which only counts as a sign of life.
    package var body: ClientFrameBody?

    /// A frame.
    package init(id: String?, body: ClientFrameBody?) {
        self.id = id
        self.body = body
    }
}

/// What a client says over its socket.
package enum ClientFrameBody: Equatable, Sendable {
    case auth(AuthProof, resume: Resume?)
    case send(SendTarget, cid: ClientMessageID, content: MessageContent)
    case edit(
        ConversationID, target: EntrySequence, cid: ClientMessageID, content: MessageContent)
    case erase(ConversationID, target: EntrySequence, cid: ClientMessageID)
    case mark([MarkRequest])
    case typing(ConversationID)
    case pull(ConversationID, PageAnchor, limit: Int?)
    case search(SearchQuery)
    case watch(conversations: [ConversationID], users: [UserID])
    case unwatch(conversations: [ConversationID], users: [UserID])
    case activity(isActive: Bool)
    case ping(feed: FeedPosition?)
}

/// What a socket shows to be let in.
package enum AuthProof: Equatable, Sendable {
    case token(String)
    case ticket(String)
}

/// Where a client left off.
package struct Resume: Equatable, Sendable {
    /// The epoch it knows.
    package var epoch: UInt64
    /// The feed position it stored.
    package var feed: FeedPosition
    /// Contiguous seq per open conversation, at most ``Limits/haveMax``, in the client's order.
    package var have: [HaveMark]

    /// A position.
    package init(epoch: UInt64, feed: FeedPosition, have: [HaveMark]) {
        self.epoch = epoch
        self.feed = feed
        self.have = have
    }
}

/// What a client has of a conversation.
package struct HaveMark: Equatable, Sendable {
    /// Which.
    package var conversation: ConversationID
    /// Contiguous up to here.
    package var seq: EntrySequence

    /// A mark.
    package init(conversation: ConversationID, seq: EntrySequence) {
        self.conversation = conversation
        self.seq = seq
    }
}

/// Where a message goes.
package enum SendTarget: Equatable, Sendable {
    case conversation(ConversationID)
    /// The direct conversation with this user, created if new.
    case user(UserID)
}

/// One mark to move.
package struct MarkRequest: Equatable, Sendable {
    /// Where.
    package var conversation: ConversationID
    /// Delivered up to here; nil keeps.
    package var delivered: EntrySequence?
    /// Read up to here; nil keeps.
    package var read: EntrySequence?

    /// A request.
    package init(
        conversation: ConversationID, delivered: EntrySequence?, read: EntrySequence?
    ) {
        self.conversation = conversation
        self.delivered = delivered
        self.read = read
    }
}

/// A frame to a client. `id` of the request is added when it is encoded.
package enum ServerFrame: Equatable, Sendable {
    case hello(Hello)
    case ready(Ready)
    case changed([ChangedView], isComplete: Bool)
    case sent(Sent)
    case entry(Entry)
    case gap(ConversationID, head: EntrySequence)
    case mark(ConversationID, MarkView)
    case typing(ConversationID, UserID)
    case presence(PresenceView)
    case page(PageView)
    case results(SearchView)
    case pong(serverTimeMs: Milliseconds, feed: FeedPosition)
    case done
    case error(ServiceError)
    case closing(CloseCode, waitMs: Milliseconds)
}

/// The first frame on a socket.
package struct Hello: Equatable, Sendable {
    /// Protocol version, 1.
    package var version: UInt32
    /// The node's id.
    package var node: String
    /// Now.
    package var serverTimeMs: Milliseconds
    /// Seconds between pings.
    package var heartbeatSeconds: Int
    /// What this server takes.
    package var limits: Limits

    /// A greeting.
    package init(
        version: UInt32, node: String, serverTimeMs: Milliseconds, heartbeatSeconds: Int,
        limits: Limits
    ) {
        self.version = version
        self.node = node
        self.serverTimeMs = serverTimeMs
        self.heartbeatSeconds = heartbeatSeconds
        self.limits = limits
    }
}

/// The answer to auth.
package struct Ready: Equatable, Sendable {
    /// Who the socket belongs to.
    package var user: UserID
    /// On which device.
    package var device: DeviceID
    /// Changes only after a restore from backup.
    package var epoch: UInt64
    /// What changed; its `position` is the feed to store once complete.
    package var changes: FeedChanges

    /// An answer.
    package init(user: UserID, device: DeviceID, epoch: UInt64, changes: FeedChanges) {
        self.user = user
        self.device = device
        self.epoch = epoch
        self.changes = changes
    }
}

/// Why a socket is closed; 4000–4499: come back and resume.
package enum CloseCode: UInt16, Sendable, CaseIterable {
    case restart = 4000
    case drain = 4001
    case heartbeat = 4002
    case slowConsumer = 4003
    case tokenExpired = 4005
    case rateLimited = 4006
    case `internal` = 4007
    case authFailed = 4500
    case accountDisabled = 4501
    case deviceRevoked = 4502
    case protocolError = 4503
    case version = 4504
    case frameTooLarge = 4506

    /// True when the client may come back unaided and resume.
    package var isResumable: Bool { rawValue < 4500 }
}
