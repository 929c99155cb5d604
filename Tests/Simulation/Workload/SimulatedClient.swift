import ChatModel
import Session

/// A client on some device: it keeps a socket to one node or another, sends, reads, and checks all
/// that it is told. It does what a careful client does: a change is repeated under its cid until it
/// is answered, a gap is pulled, a lost socket is opened elsewhere and resumed.
// Confined to the thread that steps the scheduler.
final class SimulatedClient: @unchecked Sendable {
    /// A change until it is answered.
    struct Pending {
        let request: SendRequest
        /// Tries so far.
        var tries = 0
        /// Some try's outcome is unknown: it may stand.
        var isUncertain = false
        /// A try is under way; the number tells its answer from that of an earlier one.
        var isUnderWay = false
        /// The node of the last try.
        var node: UInt16 = 0
        /// Which burst it belongs to; 0: none.
        var burst: UInt64 = 0
        /// The order of tries of this client.
        var place: UInt64 = 0
    }

    /// A socket, from its opening to its loss.
    struct Connection {
        let number: UInt64
        let member: SimulatedMember
        var slot: UInt64?
        var isReady = false
        /// When the last frame to the server arrives, in nanoseconds.
        var lastArrivalUp: UInt64 = 0
        var lastHeardMs: UInt64
    }

    let index: Int
    let world: SimulatedWorld
    let device: Town.Device
    let town: Town
    let rooms: [Town.Room]
    var session: SessionChecker
    var connection: Connection?
    var connectionCount: UInt64 = 0
    var pending: [UInt64: Pending] = [:]
    var feed: FeedPosition = 0
    var epoch: UInt64?
    /// The node of the last socket: a resume elsewhere is worth a mark.
    var lastNode: UInt16 = 0
    /// Own messages that stand, for edits and erasures.
    var ownMessages: [(conversation: ConversationID, seq: EntrySequence)] = []
    var isPulling = false
    var pullCount: UInt64 = 0
    var pulledConversation: ConversationID?
    var burstCount: UInt64 = 0
    /// What was acknowledged of the newest burst, without another try.
    var burstAnswers: [(change: Pending, seq: EntrySequence)] = []
    var tryCount: UInt64 = 0
    /// Makes no new requests.
    var isDraining = false
    /// Pings that were answered since draining began.
    var drainPings = 0

    var user: UserID { device.identity.user }

    init(index: Int, world: SimulatedWorld, town: Town) {
        self.index = index
        self.world = world
        self.town = town
        device = town.devices[index]
        rooms = town.rooms(of: town.devices[index].identity.user)
        session = SessionChecker(client: index, verdict: world.verdict)
    }

    func start() {
        connect()
        think()
        glance()
        wonder()
        heartbeat()
    }

    /// Nothing is under way, nothing is missing.
    var isSettled: Bool {
        pending.isEmpty && connection?.isReady == true && session.gaps.isEmpty && drainPings >= 2
    }

    /// What keeps the client from being settled.
    var complaint: String {
        if let first = pending.keys.min(), let open = pending[first] {
            return "client \(index): request \(first) has no answer after \(open.tries) tries"
        }
        if connection?.isReady != true { return "client \(index) is not connected" }
        if let gap = session.gaps.first {
            return "client \(index) cannot pull \(gap.conversation) after seq \(gap.after)"
        }
        return "client \(index) gets no answers to its pings"
    }

    // MARK: Habits

    /// Does something, again and again.
    private func think() {
        world.later(ms: 1 + world.around(ms: world.options.thinkMs)) { [self] in
            if !isDraining, pending.isEmpty { act() }
            think()
        }
    }

    /// Reads the end of some room, whatever else is going on: a stale read shows only in the
    /// moments after an election, so there must be many.
    private func glance() {
        world.later(ms: 1 + world.around(ms: world.options.thinkMs)) { [self] in
            if !isDraining, let room = world.pick(rooms) { readNewest(room, limit: 5) }
            glance()
        }
    }

    /// Searches for something.
    private func wonder() {
        world.later(ms: 1 + world.around(ms: world.options.thinkMs * 7)) { [self] in
            if !isDraining { search() }
            wonder()
        }
    }

    private func act() {
        guard let room = world.pick(rooms) else { return }
        switch world.draw(100) {
        case ..<52: send(to: room)
        case ..<58: for _ in 0..<3 { send(to: room, isBurst: true) }
        case ..<65: edit()
        case ..<68: erase()
        case ..<76: mark(room)
        case ..<86: readNewest(room, limit: 50)
        case ..<89: readBack(room)
        case ..<92: askMarks(room)
        case ..<95: changeGuest(room)
        case ..<96: setTitle(room)
        default: move()
        }
    }

    private func heartbeat() {
        world.later(ms: isDraining ? 1_500 : 15_000) { [self] in
            if let connection {
                let silent = world.nowMs - connection.lastHeardMs
                if silent > 32_000 || (isDraining && silent > 6_000) {
                    drop(isClean: false)
                } else if connection.isReady {
                    transmit(ClientFrame(id: "ping", body: .ping(feed: feed)))
                }
            }
            heartbeat()
        }
    }

    /// Another node, or the same one again.
    private func move() {
        drop(isClean: world.isDrawn(2))
    }
}
