import Logging
import NIOCore
import NIOPosix
import Replication
import Synchronization
import Testing

@testable import PeerLink

/// The test ended before what it waited for came.
struct NothingCame: Error {}

/// A node with a transport, and what it was told.
final class TestNode {
    let hello: PeerHello
    let link: PeerLink
    private final class Flag: Sendable { let value = Atomic(false) }

    private let hasStopped = Flag()
    private var events: AsyncStream<PeerEvent>.Iterator
    private let continuation: AsyncStream<PeerEvent>.Continuation

    init(
        _ node: NodeNumber, incarnation: UInt64? = nil, cluster: [UInt8] = [],
        name: String = "lab", port: Int = 0, tls: PeerTLS? = nil,
        _ change: (inout PeerLinkConfiguration) -> Void = { _ in }
    ) throws {
        hello = PeerHello(
            node: node, incarnation: incarnation ?? UInt64(node) * 11, cluster: cluster,
            clusterName: name)
        var configuration = PeerLinkConfiguration(
            listenHost: "127.0.0.1", listenPort: port, tls: tls)
        configuration.seed = UInt64(node)
        configuration.reconnectMax = .milliseconds(100)
        // A busy machine is not a dead peer; tests about silence say how long it lasts.
        configuration.handshakeTimeout = .minutes(1)
        configuration.silenceMax = .minutes(1)
        change(&configuration)
        link = PeerLink(
            configuration, group: MultiThreadedEventLoopGroup.singleton,
            logger: Logger(label: "peer") { _ in SwiftLogNoOpLogHandler() })
        let (stream, continuation) = AsyncStream<PeerEvent>.makeStream()
        events = stream.makeAsyncIterator()
        self.continuation = continuation
        try link.start(
            hello: { [hello] in hello },
            take: { [hasStopped] event in
                if hasStopped.value.load(ordering: .relaxed) {
                    Issue.record("an event came after stop: \(event)")
                }
                continuation.yield(event)
            })
    }

    deinit { link.stop() }

    var port: Int { link.boundPort ?? 0 }
    var address: String { "127.0.0.1:\(port)" }

    /// Ends the transport; what came until then can still be read, then `nil`.
    func stop() {
        link.stop()
        hasStopped.value.store(true, ordering: .relaxed)
        continuation.finish()
    }

    /// The next event that `pick` makes something of; others are dropped.
    func next<Value>(_ pick: (PeerEvent) -> Value?) async throws -> Value {
        while let event = await events.next() {
            if let value = pick(event) { return value }
        }
        throw NothingCame()
    }

    /// All events up to the end.
    func rest() async -> [PeerEvent] {
        var rest: [PeerEvent] = []
        while let event = await events.next() { rest.append(event) }
        return rest
    }

    func connected() async throws -> PeerHello {
        try await next { if case .connected(let hello) = $0 { hello } else { nil } }
    }

    func disconnected() async throws -> (NodeNumber, UInt64) {
        try await next {
            if case .disconnected(let node, let incarnation) = $0 {
                (node, incarnation)
            } else {
                nil
            }
        }
    }

    func frame() async throws -> (PeerHello, [UInt8]) {
        try await next { if case .frame(let hello, let bytes) = $0 { (hello, bytes) } else { nil } }
    }

    func refused() async throws -> (node: NodeNumber?, text: String) {
        try await next {
            if case .refused(let node, let text) = $0 { (node, text) } else { nil }
        }
    }

    /// Waits for a refusal that says so, among others.
    func refused(with words: String) async throws {
        while !(try await refused().text.contains(words)) {}
    }
}

/// Makes every node a peer of all others, and waits until all channels are open.
func connect(_ nodes: [TestNode]) async throws {
    for node in nodes { node.link.setPeers(nodes.map { ($0.hello.node, $0.address) }) }
    for node in nodes {
        var missing = Set(nodes.map(\.hello.node))
        missing.remove(node.hello.node)
        while !missing.isEmpty { missing.remove(try await node.connected().node) }
    }
}

/// The other end of a connection, played by the test: bytes in, bytes out.
final class RawPeer {
    private final class Collector: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        let continuation: AsyncStream<[UInt8]>.Continuation

        init(_ continuation: AsyncStream<[UInt8]>.Continuation) {
            self.continuation = continuation
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            continuation.yield([UInt8](unwrapInboundIn(data).readableBytesView))
        }

        func handlerRemoved(context: ChannelHandlerContext) { continuation.finish() }
    }

    let channel: any Channel
    private var chunks: AsyncStream<[UInt8]>.Iterator
    private var received: [UInt8] = []

    private init(channel: any Channel, chunks: AsyncStream<[UInt8]>) {
        self.channel = channel
        self.chunks = chunks.makeAsyncIterator()
    }

    deinit { channel.close(promise: nil) }

    /// Dials a node.
    static func dial(_ port: Int) async throws -> RawPeer {
        let (stream, continuation) = AsyncStream<[UInt8]>.makeStream()
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Collector(continuation))
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        return RawPeer(channel: channel, chunks: stream)
    }

    /// Dials and introduces itself; the answer is consumed.
    static func dial(_ node: TestNode, as hello: PeerHello) async throws -> RawPeer {
        let peer = try await dial(node.port)
        try await peer.write(PeerLinkFormat.encode(.hello(hello)))
        #expect(try await peer.greeting() == .hello(node.hello))
        return peer
    }

    func write(_ bytes: [UInt8]) async throws {
        try await channel.writeAndFlush(ByteBuffer(bytes: bytes)).get()
    }

    /// The next `count` bytes.
    func read(_ count: Int) async throws -> [UInt8] {
        while received.count < count {
            guard let chunk = await chunks.next() else { throw NothingCame() }
            received += chunk
        }
        defer { received.removeFirst(count) }
        return Array(received.prefix(count))
    }

    func greeting() async throws -> Greeting {
        while true {
            if let decoded = try received.withUnsafeBytes({ try PeerLinkFormat.decode($0) }) {
                received.removeFirst(decoded.byteCount)
                return decoded.greeting
            }
            guard let chunk = await chunks.next() else { throw NothingCame() }
            received += chunk
        }
    }

    /// What comes until the node closes.
    func rest() async -> [UInt8] {
        while let chunk = await chunks.next() { received += chunk }
        return received
    }
}

/// A port on which the test answers: what connects is handed over.
final class RawServer {
    private final class Announcer: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        let continuation: AsyncStream<any Channel>.Continuation

        init(_ continuation: AsyncStream<any Channel>.Continuation) {
            self.continuation = continuation
        }

        func channelActive(context: ChannelHandlerContext) { continuation.yield(context.channel) }
    }

    private let channel: any Channel
    private var accepted: AsyncStream<any Channel>.Iterator

    init() async throws {
        let (stream, continuation) = AsyncStream<any Channel>.makeStream()
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Announcer(continuation))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        accepted = stream.makeAsyncIterator()
    }

    deinit { channel.close(promise: nil) }

    var address: String { "127.0.0.1:\(channel.localAddress?.port ?? 0)" }

    /// The next connection; nothing is read from it.
    func accept() async throws -> any Channel {
        guard let channel = await accepted.next() else { throw NothingCame() }
        return channel
    }
}
