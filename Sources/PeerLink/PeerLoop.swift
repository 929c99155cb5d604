import Bytes
import Logging
import NIOCore
import Replication

/// Everything of the transport that lives on its event loop: the port, the connections, the clock.
// Touched on `eventLoop` only, which every entry point asserts or reaches by `execute`/`submit`;
// what other threads use (`eventLoop`, `outbox`, `configuration`, `logger`) is immutable.
final class PeerLoop: @unchecked Sendable {
    /// Beyond this the socket takes no more frames; they wait in the outbox.
    static let waterMark = ChannelOptions.Types.WriteBufferWaterMark(
        low: 256 << 10, high: 1 << 20)

    let eventLoop: any EventLoop
    let configuration: PeerLinkConfiguration
    let outbox: Outbox
    let logger: Logger
    /// Jitter between attempts.
    var generator: SplitMix64

    private var tls: PeerTLSContexts?
    private var hello: (@Sendable () -> PeerHello)?
    private var take: (@Sendable (PeerEvent) -> Void)?
    private var listener: (any Channel)?
    private var ticker: RepeatedTask?
    /// The configured peers, by number.
    private var dialers: [NodeNumber: Dialer] = [:]
    /// The list while there is no start yet.
    private var wanted: [(node: NodeNumber, address: String)] = []
    private var connections: [ObjectIdentifier: PeerConnection] = [:]
    /// Open channels that peers dialed, by the peer's number.
    private var accepted: [NodeNumber: PeerConnection] = [:]
    /// When a refusal was told last, so that an attempt a second is not a line a second.
    private var told: [String: NIODeadline] = [:]
    private var isStopped = false

    private static let toldMax = 256

    init(
        eventLoop: any EventLoop, configuration: PeerLinkConfiguration, outbox: Outbox,
        logger: Logger
    ) {
        self.eventLoop = eventLoop
        self.configuration = configuration
        self.outbox = outbox
        self.logger = logger
        generator = SplitMix64(seed: configuration.seed)
    }

    var usesTLS: Bool { tls != nil }

    // MARK: Start and stop

    /// Everything but the port.
    func prepare(
        tls: PeerTLSContexts?, hello: @escaping @Sendable () -> PeerHello,
        take: @escaping @Sendable (PeerEvent) -> Void
    ) {
        eventLoop.assertInEventLoop()
        precondition(self.hello == nil && !isStopped, "a transport starts once")
        self.tls = tls
        self.hello = hello
        self.take = take
        setPeers(wanted)
    }

    /// The port is open: begin to dial.
    func begin(_ listener: any Channel) {
        eventLoop.assertInEventLoop()
        guard !isStopped else {
            listener.close(promise: nil)
            return
        }
        self.listener = listener
        let interval = configuration.pingInterval
        ticker = eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
            self.tick()
        }
        for dialer in dialers.values { dialer.dial() }
    }

    /// Closes everything; completes when all sockets are closed.
    func stop() -> EventLoopFuture<Void> {
        eventLoop.assertInEventLoop()
        ticker?.cancel()
        ticker = nil
        for dialer in dialers.values { dialer.stop() }
        dialers = [:]
        var closing = connections.values.compactMap { $0.closed }
        for connection in Array(connections.values) { connection.close() }
        if let listener {
            closing.append(listener.closeFuture)
            listener.close(promise: nil)
        }
        listener = nil
        isStopped = true
        hello = nil
        take = nil
        return .andAllComplete(closing, on: eventLoop)
    }

    /// Replaces the list of peers.
    func setPeers(_ peers: [(node: NodeNumber, address: String)]) {
        eventLoop.assertInEventLoop()
        guard !isStopped else { return }
        guard let own = hello?().node else {
            wanted = peers
            return
        }
        var addresses: [NodeNumber: String] = [:]
        for peer in peers where peer.node != own && peer.node != 0 {
            addresses[peer.node] = peer.address
        }
        for (node, dialer) in dialers where addresses[node] != dialer.address {
            dialers[node] = nil
            dialer.stop()
            if addresses[node] == nil { accepted[node]?.close() }
        }
        for (node, address) in addresses where dialers[node] == nil {
            let dialer = Dialer(node: node, address: address, loop: self)
            dialers[node] = dialer
            if listener != nil { dialer.dial() }
        }
    }

    /// Frames wait in the outbox.
    func drain() {
        eventLoop.assertInEventLoop()
        outbox.beginDrain()
        for dialer in dialers.values { dialer.drain() }
    }

    private func tick() {
        let now = NIODeadline.now()
        for connection in Array(connections.values) { connection.tick(now: now) }
    }

    // MARK: Connections come and go

    /// Prepares a connection that came in. Too many strangers: it is closed, unread.
    func accept(_ channel: any Channel) throws {
        eventLoop.assertInEventLoop()
        let strangers = connections.values.reduce(0) { $0 + ($1.isStranger ? 1 : 0) }
        guard strangers < configuration.strangersMax else {
            refused(
                nil,
                "\(strangers) connections on the peer port have not said who they are, and no more "
                    + "are taken: keep clients away from this port")
            channel.close(promise: nil)
            return
        }
        guard let connection = makeConnection(.accepted) else {
            channel.close(promise: nil)
            return
        }
        try install(connection, in: channel)
    }

    /// A connection that will say who this node is now; nil when the transport has stopped.
    func makeConnection(_ role: PeerConnection.Role) -> PeerConnection? {
        hello.map { PeerConnection(role: role, own: $0(), loop: self) }
    }

    /// Puts a connection, under TLS when it is configured, on its channel.
    func install(_ connection: PeerConnection, in channel: any Channel) throws {
        eventLoop.assertInEventLoop()
        let pipeline = channel.pipeline.syncOperations
        switch connection.role {
        case .accepted: try tls?.addServer(to: pipeline)
        case .dialed: try tls?.addClient(to: pipeline)
        }
        try pipeline.addHandler(connection)
    }

    func add(_ connection: PeerConnection) {
        connections[ObjectIdentifier(connection)] = connection
    }

    func remove(_ connection: PeerConnection) {
        connections[ObjectIdentifier(connection)] = nil
    }

    /// Why a node that dialed is not welcome; nil when it is.
    func refusal(of hello: PeerHello, own: PeerHello) -> PeerRefusal? {
        PeerRules.refusal(
            of: hello, own: own, isListed: dialers[hello.node] != nil,
            live: accepted[hello.node]?.peer?.incarnation)
    }

    /// A node that dialed is welcome. The same process may come again before its former channel
    /// is known to be dead: the new one counts.
    func welcomed(_ connection: PeerConnection, _ hello: PeerHello) {
        accepted.updateValue(connection, forKey: hello.node)?.close()
    }

    /// The channel to a node is open.
    func opened(_ connection: PeerConnection, _ node: NodeNumber, _ hello: PeerHello) {
        dialers[node]?.opened()
        told = [:]
        outbox.open(node)
        take?(.connected(hello))
    }

    func ended(_ connection: PeerConnection, wasOpen: Bool) {
        switch connection.role {
        case .accepted:
            if let node = connection.peer?.node, accepted[node] === connection {
                accepted[node] = nil
            }
        case .dialed(let node, _):
            if wasOpen, let peer = connection.peer {
                outbox.close(node)
                take?(.disconnected(node, incarnation: peer.incarnation))
            }
            dialers[node]?.ended(connection)
        }
    }

    // MARK: Events

    func received(_ frame: [UInt8], from peer: PeerHello) {
        take?(.frame(from: peer, frame))
    }

    /// Tells of a refusal, unless the same was told lately.
    func refused(_ node: NodeNumber?, _ text: String) {
        let now = NIODeadline.now()
        if let last = told[text], now - last < configuration.refusalInterval { return }
        if told.count >= Self.toldMax { told = [:] }
        told[text] = now
        take?(.refused(node, text))
    }
}
