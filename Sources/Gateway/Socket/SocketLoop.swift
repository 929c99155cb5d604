import Bytes
import ChatModel
import FanOut
import NIOCore
import NIOPosix
import Session
import Synchronization
import WebSocketCodec
import WireProtocol

/// All WebSockets of one event loop: their inbox from other threads, their deadlines and their
/// flushes.
///
/// Everything that comes from other threads (events of the hub, answers of the node) goes through
/// one bounded inbox and wakes the loop once however much arrives; a turn writes to any number of
/// sockets and flushes each once at its end. Deadlines of all sockets hang on one repeating tick.
///
/// Answers are never dropped: each belongs to a question, and sessions bound those. Events are
/// hints: when the loop cannot keep up they are dropped and counted, and the sessions find the
/// hole at the next ping.
// The inbox is behind its lock; everything else is touched on `eventLoop` only, which every entry
// point either asserts or reaches by `execute`.
final class SocketLoop: DeliveryLoop, @unchecked Sendable {
    fileprivate struct Inbox {
        var deliveries: [Delivery] = []
        var answers: [(slot: UInt64, token: QuestionToken, answer: SessionAnswer)] = []
        var isScheduled = false
        var dropped: UInt64 = 0
    }

    /// Milliseconds a tick: the finest that a session's deadlines need.
    static let tickMs: Milliseconds = 50
    private static let wheelTicks = 1_024

    let eventLoop: any EventLoop
    let node: any NodePort
    let host: any GatewayHost
    let configuration: GatewayConfiguration
    private let inbox = Mutex(Inbox())
    private let openCount = Atomic<Int>(0)
    private let receivedCount = Atomic<UInt64>(0)
    private let sentCount = Atomic<UInt64>(0)
    private let sentBytes = Atomic<UInt64>(0)

    private var sockets: [UInt64: SocketHandler] = [:]
    private var nextSlot: UInt64 = 1
    private var wheel = TimingWheel(span: SocketLoop.wheelTicks)
    private var ticker: RepeatedTask?
    private var tickNumber: UInt64 = 0
    /// Counts turns: what is measured once a turn remembers which.
    private(set) var turn: UInt64 = 0
    /// The time at the start of this turn: a clock that never goes back, and the clients' clock.
    private(set) var nowMs: Milliseconds = 0
    private(set) var wallMs: Milliseconds = 0
    private var dirty: [SocketHandler] = []
    private var isStopping = false
    /// The host was ready at the last tick.
    private var wasReady = true
    /// Jitter of waits.
    var jitter: SplitMix64
    /// The encoding that the last shared event of each kind got, so that a run over many sockets
    /// asks the event once.
    private var lastShared: [(event: SharedEvent, frame: ByteBuffer)?] = [nil, nil]

    init(
        eventLoop: any EventLoop, node: any NodePort, host: any GatewayHost,
        configuration: GatewayConfiguration
    ) {
        self.eventLoop = eventLoop
        self.node = node
        self.host = host
        self.configuration = configuration
        jitter = SplitMix64(seed: host.randomSeed())
    }

    /// Reads the clocks. Every entry from outside begins with it.
    func beginTurn() {
        turn &+= 1
        nowMs = NIODeadline.now().uptimeNanoseconds / 1_000_000
        wallMs = host.wallMilliseconds()
    }

    // MARK: From any thread

    func deliver(_ batch: [Delivery]) {
        let wakes = inbox.withLock { inbox in
            let room = configuration.loopInboxMax - inbox.deliveries.count
            inbox.deliveries.append(contentsOf: batch.prefix(max(0, room)))
            inbox.dropped += UInt64(max(0, batch.count - max(0, room)))
            return inbox.wake()
        }
        if wakes { eventLoop.execute { self.drain() } }
    }

    /// An answer of the node for the socket that asked.
    func post(_ answer: SessionAnswer, _ token: QuestionToken, to slot: UInt64) {
        let wakes = inbox.withLock { inbox in
            inbox.answers.append((slot, token, answer))
            return inbox.wake()
        }
        if wakes { eventLoop.execute { self.drain() } }
    }

    /// What the loop did since the start.
    var figures: GatewayFigures {
        GatewayFigures(
            sockets: UInt64(max(0, openCount.load(ordering: .relaxed))),
            framesReceived: receivedCount.load(ordering: .relaxed),
            framesSent: sentCount.load(ordering: .relaxed),
            bytesSent: sentBytes.load(ordering: .relaxed),
            eventsDropped: inbox.withLock { $0.dropped })
    }

    func countReceived() { receivedCount.wrappingAdd(1, ordering: .relaxed) }

    func countSent(bytes: Int) {
        sentCount.wrappingAdd(1, ordering: .relaxed)
        sentBytes.wrappingAdd(UInt64(bytes), ordering: .relaxed)
    }

    // MARK: On the loop

    /// A socket for a connection that is about to be upgraded.
    func makeSocket(
        _ request: UpgradeRequest, _ channel: any Channel
    ) throws(ServiceError) -> SocketHandler {
        eventLoop.assertInEventLoop()
        guard !isStopping else {
            throw ServiceError(
                .unavailable, "this node is stopping", retryAfterMs: configuration.restartWaitMs)
        }
        guard host.isReady() else {
            throw ServiceError(
                .unavailable, "this node is out of touch with its cluster: use another node",
                retryAfterMs: configuration.restartWaitMs)
        }
        defer { nextSlot += 1 }
        return SocketHandler(slot: nextSlot, loop: self, request: request, channel: channel)
    }

    func add(_ socket: SocketHandler) {
        eventLoop.assertInEventLoop()
        sockets[socket.slot] = socket
        openCount.wrappingAdd(1, ordering: .relaxed)
        if ticker == nil {
            let tick = TimeAmount.milliseconds(Int64(Self.tickMs))
            ticker = eventLoop.scheduleRepeatedTask(initialDelay: tick, delay: tick) { _ in
                self.tick()
            }
        }
    }

    func remove(_ socket: SocketHandler) {
        eventLoop.assertInEventLoop()
        guard sockets.removeValue(forKey: socket.slot) != nil else { return }
        openCount.wrappingSubtract(1, ordering: .relaxed)
        guard sockets.isEmpty else { return }
        dirty = []
        // No sockets, no ticks: an idle loop sleeps, and a stopping one can end.
        ticker?.cancel()
        ticker = nil
    }

    /// The tick at which `deadlineMs` has passed.
    func tick(at deadlineMs: Milliseconds) -> UInt64 {
        let wait = deadlineMs > nowMs ? deadlineMs - nowMs : 0
        return tickNumber + 1 + wait / Self.tickMs
    }

    /// Wakes the socket at that tick, or at an earlier one when that is too far; returns which.
    func arm(_ socket: SocketHandler, at tick: UInt64) -> UInt64 {
        let distance = max(1, min(tick &- tickNumber, UInt64(Self.wheelTicks - 1)))
        wheel.insert(socket.slot, after: Int(distance))
        return tickNumber + distance
    }

    private func tick() {
        beginTurn()
        tickNumber += 1
        for slot in wheel.advance() { sockets[slot]?.wake(tick: tickNumber) }
        shedIfUnready()
        flush()
    }

    /// A node that cannot serve any more sends its clients elsewhere.
    private func shedIfUnready() {
        let isReady = host.isReady()
        defer { wasReady = isReady }
        guard wasReady, !isReady, !isStopping else { return }
        for slot in sockets.keys.sorted() { sockets[slot]?.shutDown(.drain) }
    }

    private func drain() {
        beginTurn()
        let (deliveries, answers) = inbox.withLock { inbox in
            inbox.isScheduled = false
            defer {
                inbox.deliveries = []
                inbox.answers = []
            }
            return (inbox.deliveries, inbox.answers)
        }
        // Events before answers: an answer may assume that what was published before it is out.
        for delivery in deliveries {
            for slot in delivery.slots { sockets[slot]?.deliver(delivery.event) }
        }
        for (slot, token, answer) in answers { sockets[slot]?.answer(token, answer) }
        lastShared = [nil, nil]
        flush()
    }

    /// Remembers that something was written to the socket in this turn.
    func markDirty(_ socket: SocketHandler) { dirty.append(socket) }

    private func flush() {
        let written = dirty
        dirty.removeAll(keepingCapacity: true)
        for socket in written { socket.flush() }
    }

    /// The event as a whole frame, made once per event and encoding for all loops.
    func frame(of event: SharedEvent, _ encoding: WireEncoding) -> ByteBuffer? {
        let index = encoding == .json ? 0 : 1
        if let last = lastShared[index], last.event === event { return last.frame }
        guard let body = event.body.frame else { return nil }
        let frame = event.encoding(index) { [node] in
            SocketHandler.encode(body, id: nil, encoding, links: node.links)
        }
        lastShared[index] = (event, frame)
        return frame
    }

    /// From now on no socket opens here.
    func stopAccepting() {
        eventLoop.assertInEventLoop()
        isStopping = true
    }
}

extension SocketLoop.Inbox {
    /// True when the loop sleeps and the caller must wake it.
    fileprivate mutating func wake() -> Bool {
        guard !isScheduled else { return false }
        isScheduled = true
        return true
    }
}

/// The socket loops of a group, by event loop.
struct SocketLoops: Sendable {
    let all: [SocketLoop]

    init(
        _ group: any EventLoopGroup, node: any NodePort, host: any GatewayHost,
        configuration: GatewayConfiguration
    ) {
        all = group.makeIterator().map { eventLoop in
            SocketLoop(
                eventLoop: eventLoop, node: node, host: host, configuration: configuration)
        }
    }

    /// Throws for an event loop of another group.
    func loop(of eventLoop: any EventLoop) throws(ServiceError) -> SocketLoop {
        guard let loop = all.first(where: { $0.eventLoop === eventLoop }) else {
            throw ServiceError(.unavailable, "no loop for this connection")
        }
        return loop
    }
}
