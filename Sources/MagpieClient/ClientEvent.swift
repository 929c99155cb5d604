package import ChatModel

/// What a connection tells its owner, in order.
package enum ClientEvent: Equatable, Sendable {
    /// Let in: `changed` frames follow as events, and the outbox is being repeated.
    case connected(user: UserID, epoch: UInt64)
    /// The socket is gone; the connection comes back by itself.
    case disconnected(reason: String)
    /// The connection will not come back by itself.
    case stopped(ServiceError)
    /// The token has expired: set a new one and the connection goes on.
    case tokenExpired
    /// The server was restored from a backup: what was known of entries is void.
    case epochChanged(UInt64)
    /// A conversation changed while the client was away.
    case changed(ChangedView)
    /// An entry, once each and in seq order within a conversation.
    case entry(Entry)
    /// An own message stands; its `entry` may not come on this socket.
    case sent(Sent, ClientFrameBody)
    /// A member's marks moved.
    case mark(ConversationID, MarkView)
    /// A member types.
    case typing(ConversationID, UserID)
    /// Someone came, went or is away.
    case presence(PresenceView)
}

/// How a connection behaves.
package struct ClientOptions: Equatable, Sendable {
    /// True: binary frames.
    package var isBinary = false
    /// The ceiling of the first wait before coming back.
    package var backoffBase = Duration.milliseconds(250)
    /// The ceiling of every wait.
    package var backoffCap = Duration.seconds(20)
    /// From the first packet to `ready`.
    package var connectTimeout = Duration.seconds(15)
    /// Most bytes of a server's message.
    package var messageBytesMax = 16 << 20
    /// Most conversations named in a resume.
    package var haveMax = 200

    /// The defaults.
    package init() {}
}
