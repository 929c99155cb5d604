import ChatModel
import ChatNode
import FanOut
import Platform
import Session

/// The sockets of one simulated process: it does for session machines what the gateway does, with
/// frames as values instead of bytes.
// Confined to the thread that steps the scheduler.
final class SocketHost: DeliveryLoop, @unchecked Sendable {
    private let node: ChatNode
    private let clock: MachineClock
    /// Stands for the gateway's event loop.
    let lane: any Lane
    private var sockets: [UInt64: ServerSocket] = [:]
    private var nextSlot: UInt64 = 1

    init(node: ChatNode, machine: SimulatedMachine, clock: MachineClock) {
        self.node = node
        self.clock = clock
        lane = machine.lane("sockets")
    }

    /// A client's socket reaches the process. `send` carries frames to the client, `close` the end.
    func accept(
        send: @escaping @Sendable (ServerFrame, String?) -> Void,
        close: @escaping @Sendable (CloseCode?) -> Void
    ) -> UInt64 {
        let slot = nextSlot
        nextSlot += 1
        let socket = ServerSocket(
            host: self, slot: slot, node: node, clock: clock, send: send, close: close)
        sockets[slot] = socket
        socket.open()
        return slot
    }

    /// A frame of a client arrives.
    func received(_ frame: ClientFrame, slot: UInt64) {
        sockets[slot]?.received(frame)
    }

    /// A client's socket is gone.
    func lost(slot: UInt64, isClean: Bool) {
        sockets.removeValue(forKey: slot)?.lost(isClean: isClean)
    }

    func removed(slot: UInt64) { sockets[slot] = nil }

    func socket(_ slot: UInt64) -> ServerSocket? { sockets[slot] }

    func deliver(_ batch: [Delivery]) {
        lane.submit { [self] in
            for delivery in batch {
                for slot in delivery.slots { sockets[slot]?.delivered(delivery.event) }
            }
        }
    }

    /// The process stops: clients are asked to come back.
    func close() {
        for slot in sockets.keys.sorted() { sockets[slot]?.close(.restart) }
        sockets = [:]
    }

    /// The process is dead: clients find out.
    func abandon() {
        let last = sockets
        sockets = [:]
        for slot in last.keys.sorted() { last[slot]?.abandon() }
    }
}

/// The server's end of one socket.
// Confined to the thread that steps the scheduler.
final class ServerSocket: @unchecked Sendable {
    private unowned let host: SocketHost
    private let slot: UInt64
    private let clock: MachineClock
    private let driver: SessionDriver
    private let send: @Sendable (ServerFrame, String?) -> Void
    private let closed: @Sendable (CloseCode?) -> Void
    private var machine: SessionMachine
    private var armedMs: Milliseconds?
    private var isOver = false

    init(
        host: SocketHost, slot: UInt64, node: ChatNode, clock: MachineClock,
        send: @escaping @Sendable (ServerFrame, String?) -> Void,
        close: @escaping @Sendable (CloseCode?) -> Void
    ) {
        self.host = host
        self.slot = slot
        self.clock = clock
        self.send = send
        closed = close
        driver = SessionDriver(node: node, endpoint: SessionEndpoint(loop: host, slot: slot))
        machine = SessionMachine(facts: node.facts)
    }

    func open() { perform(machine.opened(at: moment)) }

    func received(_ frame: ClientFrame) { perform(machine.received(frame, at: moment)) }

    func delivered(_ event: SharedEvent) { perform(machine.delivered(event, at: moment)) }

    func lost(isClean: Bool) { perform(machine.peerClosed(isClean: isClean, at: moment)) }

    func close(_ code: CloseCode) {
        isOver = true
        closed(code)
    }

    func abandon() {
        isOver = true
        closed(nil)
    }

    private var moment: SessionMoment {
        let now = clock.monotonicNanoseconds() / 1_000_000
        return SessionMoment(
            nowMs: now, wallMs: clock.wallMilliseconds(), unsentBytes: 0, progressMs: now)
    }

    private func perform(_ actions: [SessionAction]) {
        for action in actions where !isOver {
            switch action {
            case .send(let frame, let id): send(frame, id)
            case .sendShared(let event): if let frame = event.body.frame { send(frame, nil) }
            case .ask(let question, let token):
                let (host, slot) = (host, slot)
                driver.ask(question) { answer in
                    host.lane.submit { host.socket(slot)?.answered(token, answer) }
                }
            case .tell(let notice): driver.tell(notice)
            case .close(let code, _):
                isOver = true
                closed(code)
                host.removed(slot: slot)
            }
        }
        arm()
    }

    private func answered(_ token: QuestionToken, _ answer: SessionAnswer) {
        if !isOver { perform(machine.answered(token, answer, at: moment)) }
    }

    private func arm() {
        guard !isOver, let deadlineMs = machine.deadlineMs else { return }
        if let armedMs, armedMs <= deadlineMs { return }
        armedMs = deadlineMs
        let nowMs = clock.monotonicNanoseconds() / 1_000_000
        let waitMs = max(1, deadlineMs - min(deadlineMs, nowMs))
        let (host, slot) = (host, slot)
        host.lane.submit(after: .milliseconds(Int64(clamping: waitMs))) {
            host.socket(slot)?.wake()
        }
    }

    private func wake() {
        armedMs = nil
        perform(machine.tick(at: moment))
    }
}
