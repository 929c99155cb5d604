package import ChatModel
package import FanOut

/// When an input arrives and how its socket stands, as the gateway sees both.
package struct SessionMoment: Equatable, Sendable {
    /// A clock that never goes back, in milliseconds: deadlines.
    package var nowMs: Milliseconds
    /// Milliseconds since 1970: what clients see, and the end of tokens.
    package var wallMs: Milliseconds
    /// Bytes written to the socket that the system has not taken yet.
    package var unsentBytes: Int
    /// When the system last took bytes, by the clock of `nowMs`; `nowMs` when nothing is unsent.
    package var progressMs: Milliseconds

    /// A moment.
    package init(
        nowMs: Milliseconds, wallMs: Milliseconds, unsentBytes: Int, progressMs: Milliseconds
    ) {
        self.nowMs = nowMs
        self.wallMs = wallMs
        self.unsentBytes = unsentBytes
        self.progressMs = progressMs
    }
}

/// Names an outstanding question of a session. Never reused by that session.
package struct QuestionToken: Hashable, Sendable {
    /// The question's number.
    package let rawValue: UInt64

    /// A name.
    package init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// What a session wants done, in this order.
package enum SessionAction: Sendable {
    /// Encodes a frame for this socket alone; `id` is the request's, repeated in the answer.
    case send(ServerFrame, id: String?)
    /// Writes the event's shared encoding; its ``EventBody/frame`` is never nil.
    case sendShared(SharedEvent)
    /// Asks the node; the answer comes back to ``SessionMachine/answered(_:_:at:)``.
    case ask(SessionQuestion, QuestionToken)
    /// Tells the node; there is no answer.
    case tell(SessionNotice)
    /// Closes the socket after what was sent; the `closing` frame went before. Nothing follows.
    case close(CloseCode, waitMs: Milliseconds)
}

/// What a session asks of its node. Each case is one call of ``NodePort`` that answers.
package enum SessionQuestion: Equatable, Sendable {
    case authenticate(AuthProof)
    case changes(since: FeedPosition, Identity)
    case feedPosition(Identity)
    case page(ConversationID, PageAnchor, limit: Int, Identity)
    case search(SearchQuery, Identity)
    case submit(ChangeRequest, Identity)
    case watch(conversations: [ConversationID], users: [UserID])
}

/// What a session tells its node. Each case is one call of ``NodePort`` that does not answer.
package enum SessionNotice: Equatable, Sendable {
    case attach(Identity)
    case detach(isClean: Bool)
    case refreshPresence(isActive: Bool)
    case typing(ConversationID, Identity)
    case unwatch(conversations: [ConversationID], users: [UserID])
}

/// What the node answered a ``SessionQuestion``.
package enum SessionAnswer: Equatable, Sendable {
    case identity(Identity)
    case changes(FeedChanges)
    case feedPosition(FeedPosition)
    case page(PageView)
    case results(SearchView)
    case result(CommandResult)
    case presence([PresenceView])
    case failure(ServiceError)
}

/// A client's frame that the codec could not turn into a ``ClientFrame``.
package enum MalformedFrame: Equatable, Sendable {
    /// It is an object of the schema, but a field is wrong: answered with an error.
    case invalid(id: String?, ServiceError)
    /// It is not of the protocol at all (no object, wrong kind of frame): closed with 4503.
    case unreadable
    /// It is longer than ``Limits/frameBytes``: closed with 4506.
    case tooLarge
}
