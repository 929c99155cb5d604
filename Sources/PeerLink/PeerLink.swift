import Bytes
package import Logging
package import NIOCore
import NIOPosix
package import Replication
import Synchronization

/// Node-to-node transport over TCP, with mutual TLS when it is configured, on a port of its own.
///
/// All its sockets live on one event loop of the group it is given, so events need no order among
/// threads. ``send(_:to:)`` puts a frame into the peer's bounded queue and wakes the loop once,
/// however much is sent until it turns; the turn writes and flushes each peer's batch.
///
/// docs/formats/peer-link.md describes what is on the wire.
package final class PeerLink: PeerTransport {
    private let configuration: PeerLinkConfiguration
    private let outbox: Outbox
    private let loop: PeerLoop
    private let port = Mutex<Int?>(nil)

    /// A transport that is not started. The group outlives it, and is shut down by its owner.
    package init(
        _ configuration: PeerLinkConfiguration, group: any EventLoopGroup, logger: Logger
    ) {
        precondition(
            configuration.frameBytesMax <= UInt32.max, "a frame's length is a 32-bit number")
        self.configuration = configuration
        outbox = Outbox(bytesMax: configuration.queueBytesMax)
        loop = PeerLoop(
            eventLoop: group.next(), configuration: configuration, outbox: outbox, logger: logger)
    }

    /// The port that is listened on; nil before the start.
    package var boundPort: Int? { port.withLock { $0 } }

    /// Queues a frame; see ``PeerTransport``.
    package func send(_ frame: [UInt8], to node: NodeNumber) -> Bool {
        precondition(!frame.isEmpty, "an empty frame is a ping, the transport's own")
        guard frame.count <= configuration.frameBytesMax else {
            loop.logger.error(
                "a frame is too long for the peer protocol",
                metadata: ["node": "\(node)", "bytes": "\(frame.count)"])
            return false
        }
        switch outbox.push(frame, to: node) {
        case .refused: return false
        case .queued: return true
        case .queuedFirst:
            let loop = loop
            loop.eventLoop.execute { loop.drain() }
            return true
        }
    }

    /// Opens the port and begins to dial. Blocks until the port is open, so it must not be called
    /// on a thread of the group. Throws ``PeerLinkError``; a transport that failed to start stays
    /// unstarted for good.
    package func start(
        hello: @escaping @Sendable () -> PeerHello, take: @escaping @Sendable (PeerEvent) -> Void
    ) throws {
        let own = hello()
        guard own.node != 0, [0, PeerLinkFormat.clusterIDBytes].contains(own.cluster.count),
            (1...PeerLinkFormat.clusterNameBytesMax).contains(own.clusterName.utf8.count)
        else { throw PeerLinkError.invalidHello }
        let tls = try configuration.tls.map { files throws(PeerLinkError) in
            try PeerTLSContexts(files)
        }
        let loop = loop
        try loop.eventLoop.submit { loop.prepare(tls: tls, hello: hello, take: take) }.wait()
        let listener = try listen()
        port.withLock { $0 = listener.localAddress?.port }
        try loop.eventLoop.submit { loop.begin(listener) }.wait()
    }

    private func listen() throws -> any Channel {
        let loop = loop
        do {
            return try ServerBootstrap(group: loop.eventLoop, childGroup: loop.eventLoop)
                .serverChannelOption(.backlog, value: Int32(configuration.strangersMax))
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture { try loop.accept(channel) }
                }
                .bind(host: configuration.listenHost, port: configuration.listenPort)
                .wait()
        } catch {
            throw PeerLinkError.listen(
                "can't listen for peers on \(configuration.listenHost):"
                    + "\(configuration.listenPort): \(error)")
        }
    }

    /// Replaces the list of peers; see ``PeerTransport``.
    package func setPeers(_ peers: [(node: NodeNumber, address: String)]) {
        let loop = loop
        loop.eventLoop.execute { loop.setPeers(peers) }
    }

    /// Ends; see ``PeerTransport``. It waits for the sockets to close. A second call does nothing.
    package func stop() {
        let loop = loop
        precondition(!loop.eventLoop.inEventLoop, "stop waits for the event loop")
        // An event loop that was shut down has closed everything already.
        try? loop.eventLoop.flatSubmit { loop.stop() }.wait()
    }
}
