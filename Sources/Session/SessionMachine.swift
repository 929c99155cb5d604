package import ChatModel
package import FanOut

/// One client's session over a WebSocket, as a pure state machine: inputs go in, actions come out,
/// and the gateway performs them in order. It knows no socket, no clock and no thread.
///
/// A conversation's log reaches the socket as one *stream*: entries and the answers to the
/// client's own sends, ascending by seq. The sending socket gets `sent` in the place of its own
/// entry. What cannot be streamed (dropped by fan-out, too long a tail, a slow reader) is
/// announced by a `gap`; the client pulls it. Three rules keep that true:
///
/// 1. `streamed` of a conversation only grows: no entry goes out twice or backwards.
/// 2. An entry that does not follow on what was announced is preceded by a `gap` up to it.
/// 3. A `pong` names a feed position only after everything up to it was announced here: the session
///    asks for the changes above what it has reconciled, says `gap` and `mark` for what this socket
///    was not told, and only then answers. Large conversations, whose messages move no feed, stand
///    in every such answer.
///
/// An input returns its actions; after `close` there are none. Every table is bounded, see
/// ``SessionLimits``.
package struct SessionMachine {
    enum Stage: Equatable {
        case greeted
        case authenticating
        case resuming
        case live
        case closed
    }

    /// What an outstanding question was asked for.
    enum Asked {
        case proof(id: String?)
        case resumeChanges
        case resumePosition
        case tail(Tail)
        case submit(Submission)
        /// The entry came by fan-out and was answered with it.
        case answeredSubmit
        case mark(batch: UInt64, MarkRequest)
        case pull(id: String?, PageAnchor)
        case search(id: String?, SearchQuery)
        case watch(id: String?)
        case reconcile
    }

    struct Submission {
        var id: String?
        var cid: ClientMessageID
        /// nil: to a user, whose direct conversation the session need not know.
        var conversation: ConversationID?
    }

    struct HeldAnswer {
        var sent: Sent
        var id: String?
        var dueMs: Milliseconds
    }

    /// A page or a search that waits for its turn.
    struct WaitingRead {
        var question: SessionQuestion
        var purpose: Asked
    }

    let facts: NodeFacts
    let bounds: SessionLimits
    var stage = Stage.greeted
    var moment = SessionMoment(nowMs: 0, wallMs: 0, unsentBytes: 0, progressMs: 0)
    /// The reported backlog and what was sent since.
    var unsentEstimate = 0
    var actions: [SessionAction] = []

    /// Who is signed in.
    package internal(set) var identity: Identity?
    var openedMs: Milliseconds = 0
    var heardMs: Milliseconds = 0
    var presenceMs: Milliseconds = 0
    var isActive = true
    var bucket: FrameBucket

    var nextToken: UInt64 = 1
    var asked: [QuestionToken: Asked] = [:]
    /// Sends, edits and erasures that wait for their answer, by the client's id.
    var submissions: [ClientMessageID: QuestionToken] = [:]

    var streams: ConversationStreams
    var knownMarks: KnownMarks
    var gaps = PendingGaps()
    var heldAnswers: [HeldAnswer] = []
    var resume: ResumeState?

    var markRequests: [MarkRequest] = []
    var markIDs: [String] = []
    var markDueMs: Milliseconds?
    var markBatches: [UInt64: MarkBatch] = [:]
    var nextMarkBatch: UInt64 = 1

    var waitingReads: [WaitingRead] = []
    var readsInFlight = 0
    var heldPresence: [SharedEvent] = []
    var watchesInFlight = 0

    /// Every change up to here was announced on this socket.
    var reconciled: FeedPosition = 0
    /// How far the list of changes that is being read has come.
    var reconcileCursor: FeedPosition = 0
    var waitingPings: [String?] = []
    var isReconciling = false

    /// A session of a socket that is about to open.
    package init(facts: NodeFacts, bounds: SessionLimits = SessionLimits()) {
        self.facts = facts
        self.bounds = bounds
        streams = ConversationStreams(capacity: bounds.conversations)
        knownMarks = KnownMarks(capacity: bounds.knownMarks)
        bucket = FrameBucket(bounds: bounds)
    }

    // MARK: Inputs

    /// The socket is open: says `hello`.
    package mutating func opened(at moment: SessionMoment) -> [SessionAction] {
        openedMs = moment.nowMs
        heardMs = moment.nowMs
        guard begin(moment) else { return finish() }
        send(
            .hello(
                Hello(
                    version: 1, node: facts.id, serverTimeMs: moment.wallMs,
                    heartbeatSeconds: facts.limits.heartbeatSeconds, limits: facts.limits)))
        return finish()
    }

    /// The client said something.
    package mutating func received(
        _ frame: ClientFrame, at moment: SessionMoment
    ) -> [SessionAction] {
        heardMs = max(heardMs, moment.nowMs)
        guard begin(moment), admitsFrame(id: frame.id) else { return finish() }
        if let id = frame.id, id.utf8.count > bounds.idBytes {
            refuse(nil, .invalidArgument, "id is longer than \(bounds.idBytes) bytes")
            return finish()
        }
        if let body = frame.body { take(body, id: frame.id) }
        return finish()
    }

    /// The client said something that is no frame.
    package mutating func receivedMalformed(
        _ frame: MalformedFrame, at moment: SessionMoment
    ) -> [SessionAction] {
        heardMs = max(heardMs, moment.nowMs)
        guard begin(moment) else { return finish() }
        switch frame {
        case .invalid(let id, let error):
            guard admitsFrame(id: nil) else { break }
            let fits = id.map { $0.utf8.count <= bounds.idBytes } ?? true
            send(.error(error), id: fits ? id : nil)
        case .unreadable: close(.protocolError)
        case .tooLarge: close(.frameTooLarge)
        }
        return finish()
    }

    /// Fan-out delivered an event to this socket.
    package mutating func delivered(
        _ event: SharedEvent, at moment: SessionMoment
    ) -> [SessionAction] {
        guard begin(moment) else { return finish() }
        hear(event)
        return finish()
    }

    /// The node answered a question; unknown tokens are passed over.
    package mutating func answered(
        _ token: QuestionToken, _ answer: SessionAnswer, at moment: SessionMoment
    ) -> [SessionAction] {
        guard begin(moment), let purpose = asked.removeValue(forKey: token) else {
            return finish()
        }
        switch purpose {
        case .proof(let id): tookProof(answer, id: id)
        case .resumeChanges: tookResumeChanges(answer)
        case .resumePosition: tookResumePosition(answer)
        case .tail(let tail): tookTail(answer, tail)
        case .submit(let submission): tookResult(answer, submission, token)
        case .answeredSubmit: break
        case .mark(let batch, let request): tookMark(answer, batch, request)
        case .pull(let id, let anchor): tookPage(answer, id: id, anchor)
        case .search(let id, let query): tookResults(answer, id: id, query)
        case .watch(let id): tookPresence(answer, id: id)
        case .reconcile: tookReconciliation(answer)
        }
        return finish()
    }

    /// Time passed, or the socket took bytes. To be called when ``deadlineMs`` is reached, and
    /// when the backlog has fallen; calling it more often does no harm.
    package mutating func tick(at moment: SessionMoment) -> [SessionAction] {
        guard begin(moment) else { return finish() }
        flushDueGaps()
        flushDueAnswers()
        flushDueMarks()
        return finish()
    }

    /// The socket is gone; `isClean` after a close handshake.
    package mutating func peerClosed(isClean: Bool, at moment: SessionMoment) -> [SessionAction] {
        guard stage != .closed else { return [] }
        self.moment = moment
        flushMarks()
        if identity != nil { actions.append(.tell(.detach(isClean: isClean))) }
        end()
        return finish()
    }

    /// The node stops (4000) or sheds sockets (4001): asks the client to come back after a wait of
    /// its own within the window, so that not all return at once.
    package mutating func shutDown(
        _ code: CloseCode = .restart, within windowMs: Milliseconds,
        using generator: inout some RandomNumberGenerator, at moment: SessionMoment
    ) -> [SessionAction] {
        guard stage != .closed else { return [] }
        self.moment = moment
        close(code, waitMs: Milliseconds.random(in: 0...windowMs, using: &generator))
        return finish()
    }

    /// When ``tick(at:)`` must be called at the latest, by the clock of ``SessionMoment/nowMs``;
    /// nil after the end.
    package var deadlineMs: Milliseconds? {
        guard stage != .closed else { return nil }
        var deadline = heardMs &+ silenceMs
        func consider(_ candidate: Milliseconds?) {
            if let candidate { deadline = min(deadline, candidate) }
        }
        if let identity {
            let left = identity.expiresAtMs.subtractingReportingOverflow(moment.wallMs)
            consider(left.overflow ? moment.nowMs : moment.nowMs.saturatingAdd(left.partialValue))
        } else {
            consider(openedMs &+ bounds.authMs)
        }
        consider(gaps.earliestDueMs)
        consider(heldAnswers.lazy.map(\.dueMs).min())
        consider(markDueMs)
        if moment.unsentBytes > 0 { consider(moment.progressMs &+ facts.limits.stalledMs) }
        if waitsForRoom { consider(moment.nowMs &+ bounds.markMs) }
        return deadline
    }

    // MARK: Frame of every input

    var silenceMs: Milliseconds { Milliseconds(max(1, facts.limits.heartbeatSeconds)) * 2_000 }

    /// Looks at the time and the backlog first; false when the session is over.
    mutating func begin(_ moment: SessionMoment) -> Bool {
        guard stage != .closed else { return false }
        self.moment = moment
        unsentEstimate = max(0, moment.unsentBytes)
        let now = moment.nowMs
        if isStalled {
            close(.slowConsumer, waitMs: bounds.comeBackMs)
        } else if identity == nil, now >= openedMs &+ bounds.authMs {
            close(.heartbeat)
        } else if now >= heardMs &+ silenceMs {
            close(.heartbeat)
        } else if let identity, moment.wallMs >= identity.expiresAtMs {
            close(.tokenExpired)
        } else if gaps.hasCollapsed, !isCollapsing, stage == .live {
            for gap in gaps.take(where: { $0.dueMs == nil }) {
                announce(gap.conversation, gap.head)
            }
        }
        return stage != .closed
    }

    /// Goes on with what waited for room, and hands out the actions.
    mutating func finish() -> [SessionAction] {
        if stage != .closed { makeProgress() }
        let result = actions
        actions = []
        return result
    }

    private mutating func makeProgress() {
        pumpResume()
        pumpReads()
    }
}

extension UInt64 {
    func saturatingAdd(_ other: UInt64) -> UInt64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
