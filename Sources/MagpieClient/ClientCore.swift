internal import ChatModel

/// A client's connection as a step function: what happens goes in, what to do comes out. It holds
/// no socket, no timer and no clock, so every course of events can be replayed in a test.
///
/// ```text
///   idle ──▶ waiting ──▶ opening ──hello──▶ proving ──ready──▶ live
///              ▲            │                  │                 │
///              └────────────┴──── socket lost ─┴─────────────────┘
///   stopped: the server told the client not to come back, or the owner closed
/// ```
///
/// **Outbox.** A change (send, edit, erase) stays in the outbox until it is answered. Changes to
/// one conversation go out one at a time, so they stand in the order they were made. What was not
/// answered when a socket was lost is sent again under the same cid; the server answers a repeat as
/// it answered first.
///
/// **Contiguity.** For each conversation it follows, the core knows up to which seq nothing is
/// missing. An entry that follows directly is delivered; a jump is never delivered but pulled,
/// page by page, until the tail is reached.
struct ClientCore {
    /// What the shell is to do, in order.
    enum Action: Equatable {
        /// Open a socket to the address of this index.
        case open(addressIndex: Int)
        /// Send a frame.
        case transmit(ClientFrame)
        /// Drop the socket; `isClean` with a close handshake.
        case close(isClean: Bool)
        /// Call ``timerFired(_:)`` after this time.
        case schedule(Timer, after: Duration)
        /// Tell the owner.
        case emit(ClientEvent)
        /// A change is answered.
        case resolve(UInt64, Result<Sent, ServiceError>)
        /// A question is answered.
        case answer(UInt64, Result<ServerFrame, ServiceError>)
    }

    /// A timer belongs to one socket (or the pause before it) and means nothing afterwards.
    enum Timer: Equatable {
        case reconnect(epoch: UInt64)
        case openTimeout(epoch: UInt64)
        case heartbeat(epoch: UInt64)
        case retry(UInt64)
    }

    enum Phase: Equatable {
        case idle
        case waiting
        case opening
        case proving
        case live
        case stopped
    }

    let options: ClientOptions
    let addressCount: Int
    var token: String
    var phase = Phase.idle
    var backoff: Backoff
    /// Counts sockets, so that what belongs to an old one is recognised.
    var socketEpoch: UInt64 = 0
    var addressIndex = 0
    var heartbeat = Duration.seconds(45)
    var heardSinceHeartbeat = true
    var silentHeartbeats = 0
    /// The least wait a server named in `closing`.
    var announcedWait = Duration.zero

    // What to resume from.
    var serverEpoch: UInt64?
    var feed: FeedPosition = 0
    var isCaughtUp = false
    var pendingFeed: FeedPosition = 0
    var followed: [ConversationID: Followed] = [:]
    var touches: UInt64 = 0

    // What waits for an answer.
    var nextNumber: UInt64 = 1
    var outbox: [UInt64: OutboxItem] = [:]
    var lanes: [Lane: [UInt64]] = [:]
    var questions: [UInt64: Question] = [:]

    /// What is known of a conversation that the client follows.
    struct Followed: Equatable {
        /// Nothing is missing up to here.
        var seq: EntrySequence
        /// A pull is under way.
        var isPulling = false
        /// The newest seq heard of.
        var head: EntrySequence = 0
        /// When it was last touched, for the choice of those that a resume names.
        var touched: UInt64
        /// The last resume named it.
        var isResumed = false
    }

    /// Changes that must keep their order.
    enum Lane: Hashable {
        case conversation(ConversationID)
        case user(UserID)
    }

    /// A change until it is answered.
    struct OutboxItem: Equatable {
        let lane: Lane
        let body: ClientFrameBody
        var isInFlight = false
        var refusals = 0
    }

    /// A frame other than a change that waits for an answer.
    enum Question: Equatable {
        /// Asked by the owner.
        case owner
        /// The core's own pull of a hole.
        case hole(ConversationID)
        case auth
        case ping
    }

    init(token: String, addressCount: Int, options: ClientOptions, seed: UInt64) {
        precondition(addressCount > 0, "a client needs a server's address")
        self.token = token
        self.addressCount = addressCount
        self.options = options
        addressIndex = Int(seed % UInt64(addressCount))
        backoff = Backoff(base: options.backoffBase, cap: options.backoffCap, seed: seed)
    }

    // MARK: Sockets

    /// The owner wants to be connected.
    mutating func start() -> [Action] {
        guard phase == .idle else { return [] }
        return open()
    }

    private mutating func open() -> [Action] {
        phase = .opening
        socketEpoch += 1
        return [
            .open(addressIndex: addressIndex),
            .schedule(.openTimeout(epoch: socketEpoch), after: options.connectTimeout),
        ]
    }

    /// A new token; needed after ``ClientEvent/tokenExpired``.
    mutating func setToken(_ token: String) -> [Action] {
        self.token = token
        return phase == .idle && serverEpoch != nil ? open() : []
    }

    /// The socket is gone, or never came to be. `closeCode` is what the server's close frame said.
    mutating func socketLost(reason: String, closeCode: UInt16?) -> [Action] {
        guard [.opening, .proving, .live].contains(phase) else { return [] }
        let wasLive = phase == .live
        var actions = dropQuestions()
        if let code = closeCode.flatMap(CloseCode.init(rawValue:)) {
            if code == .tokenExpired {
                phase = .idle
                return actions + [.emit(.tokenExpired)]
            }
            if !code.isResumable {
                return actions + stop(ServiceError(.unauthenticated, "closed with \(code)"))
            }
        }
        if !wasLive { addressIndex = (addressIndex + 1) % addressCount }
        if wasLive { actions.append(.emit(.disconnected(reason: reason))) }
        phase = .waiting
        let wait = backoff.next(floor: announcedWait)
        announcedWait = .zero
        return actions + [.schedule(.reconnect(epoch: socketEpoch), after: wait)]
    }

    /// The owner is done: everything that waits fails.
    mutating func close() -> [Action] {
        let hasSocket = [.opening, .proving, .live].contains(phase)
        let actions = dropQuestions() + stop(ServiceError(.unavailable, "the client was closed"))
        return hasSocket ? actions + [.close(isClean: true)] : actions
    }

    mutating func stop(_ error: ServiceError) -> [Action] {
        guard phase != .stopped else { return [] }
        phase = .stopped
        var actions: [Action] = [.emit(.stopped(error))]
        for number in outbox.keys.sorted() { actions.append(.resolve(number, .failure(error))) }
        outbox = [:]
        lanes = [:]
        return actions
    }

    /// Questions die with their socket; changes don't.
    private mutating func dropQuestions() -> [Action] {
        var actions: [Action] = []
        for (number, question) in questions.sorted(by: { $0.key < $1.key })
        where question == .owner {
            let error = ServiceError(.unavailable, "the connection was lost", retryAfterMs: 0)
            actions.append(.answer(number, .failure(error)))
        }
        questions = [:]
        for conversation in followed.keys { followed[conversation]?.isPulling = false }
        for number in outbox.keys { outbox[number]?.isInFlight = false }
        return actions
    }

    mutating func timerFired(_ timer: Timer) -> [Action] {
        switch timer {
        case .reconnect(let epoch):
            guard epoch == socketEpoch, phase == .waiting else { return [] }
            return open()
        case .openTimeout(let epoch):
            guard epoch == socketEpoch, phase == .opening || phase == .proving else { return [] }
            return [.close(isClean: false)]
                + socketLost(reason: "no answer in time", closeCode: nil)
        case .heartbeat(let epoch):
            guard epoch == socketEpoch, phase == .live else { return [] }
            return beat()
        case .retry(let number):
            guard let item = outbox[number], !item.isInFlight else { return [] }
            return pump(item.lane)
        }
    }

    /// Pings, or gives a server up that said nothing for two rounds.
    private mutating func beat() -> [Action] {
        silentHeartbeats = heardSinceHeartbeat ? 0 : silentHeartbeats + 1
        heardSinceHeartbeat = false
        guard silentHeartbeats < 2 else {
            return [.close(isClean: false)]
                + socketLost(reason: "the server fell silent", closeCode: nil)
        }
        return [
            ask(.ping(feed: isCaughtUp ? feed : nil), .ping),
            .schedule(.heartbeat(epoch: socketEpoch), after: heartbeat * 3 / 4),
        ]
    }

    /// A frame that wants an answer.
    mutating func ask(_ body: ClientFrameBody, _ question: Question) -> Action {
        let number = nextNumber
        nextNumber += 1
        questions[number] = question
        return .transmit(ClientFrame(id: String(number), body: body))
    }

    /// A question of the owner's; answered with a failure at once when there is no socket.
    mutating func question(_ body: ClientFrameBody) -> (number: UInt64, actions: [Action]) {
        let number = nextNumber
        guard phase == .live else {
            nextNumber += 1
            let error = ServiceError(.unavailable, "not connected", retryAfterMs: 0)
            return (number, [.answer(number, .failure(error))])
        }
        return (number, [ask(body, .owner)])
    }

    /// A frame without an answer; dropped when there is no socket.
    func notify(_ body: ClientFrameBody) -> [Action] {
        phase == .live ? [.transmit(ClientFrame(id: nil, body: body))] : []
    }
}
