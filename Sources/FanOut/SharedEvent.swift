package import ChatModel
import Synchronization

/// Something that happened, as every receiver of this node shares it.
///
/// The body is immutable. Its encodings are made once, by whoever needs one first, and are then
/// shared by reference; the hub does not know what they are, so that it needs no networking.
package final class SharedEvent: Sendable {
    /// What happened.
    package let body: EventBody
    private let encodings = Mutex<[(any Sendable)?]>(Array(repeating: nil, count: encodingCount))

    /// How many encodings an event can carry, see ``encoding(_:make:)``.
    package static let encodingCount = 2

    /// An event that nobody has encoded yet.
    package init(_ body: EventBody) {
        self.body = body
    }

    /// The encoding number `index`, made by `make` when nobody made it before.
    ///
    /// `make` runs under the event's lock, so that two loops never do the same work twice; it must
    /// not ask for another encoding of the same event. A receiver that asks with another type than
    /// the first one gets its own, unshared value. Ask once per delivery, not once per socket.
    ///
    /// - Parameter index: 0 or 1, by agreement of the gateways (JSON, binary).
    package func encoding<Encoded: Sendable>(_ index: Int, make: () -> Encoded) -> Encoded {
        precondition(index >= 0 && index < Self.encodingCount, "an event has two encodings")
        return encodings.withLock { encodings in
            if let made = encodings[index] as? Encoded { return made }
            let made = make()
            if encodings[index] == nil { encodings[index] = made }
            return made
        }
    }
}

/// The kinds of events and what they carry.
package enum EventBody: Equatable, Sendable {
    /// A new entry of a conversation.
    case entry(Entry)
    /// A member's marks moved.
    case mark(ConversationID, MarkView)
    /// A member types.
    case typing(ConversationID, UserID)
    /// A watched user came, went or was seen.
    case presence(PresenceView)
    /// A user's feed moved: no frame, but the session learns what its socket must have heard.
    case feed(FeedEvent)
    /// A device was signed out for good.
    case deviceRevoked(DeviceID)
    /// An account was closed.
    case accountDisabled(UserID)
    /// The node lets go of this socket: it hears nothing more, and its session says why.
    case closed(CloseCode)

    /// The frame that carries the event; nil for those that only the session reads.
    package var frame: ServerFrame? {
        switch self {
        case .entry(let entry): .entry(entry)
        case .mark(let conversation, let mark): .mark(conversation, mark)
        case .typing(let conversation, let user): .typing(conversation, user)
        case .presence(let view): .presence(view)
        case .feed, .deviceRevoked, .accountDisabled, .closed: nil
        }
    }

    /// True for what may be dropped without being repaired.
    package var isEphemeral: Bool {
        switch self {
        case .typing, .presence: true
        case .entry, .mark, .feed, .deviceRevoked, .accountDisabled, .closed: false
        }
    }
}

/// That a user's feed reached a position, and by which conversation.
package struct FeedEvent: Equatable, Sendable {
    /// Whose feed.
    package var user: UserID
    /// The feed's position after the change.
    package var position: FeedPosition
    /// The conversation that changed.
    package var conversation: ConversationID
    /// Its head as the user may read it.
    package var head: EntrySequence
    /// Its message count.
    package var m: MessageNumber
    /// Set when the user is no longer a member: their own last membership entry.
    package var leftSeq: EntrySequence?

    /// A movement of a feed.
    package init(
        user: UserID, position: FeedPosition, conversation: ConversationID, head: EntrySequence,
        m: MessageNumber, leftSeq: EntrySequence? = nil
    ) {
        self.user = user
        self.position = position
        self.conversation = conversation
        self.head = head
        self.m = m
        self.leftSeq = leftSeq
    }
}
