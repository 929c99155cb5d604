import ChatModel
import Hummingbird
import HummingbirdCore
package import Logging
package import NIOCore
import ServiceLifecycle
package import Session
import Synchronization

/// The node's front end: one port for the HTTP API, the web client and WebSockets.
///
/// `run` serves until the surrounding service group begins a graceful shutdown or ``stop()`` is
/// called. Stopping: no more connections are accepted; every WebSocket is told `closing` 4000 with
/// a wait of its own and closed; requests under way finish; what is left after
/// ``GatewayConfiguration/shutdownTimeout`` is cut off. Then `run` returns.
package final class Gateway: Sendable {
    private let configuration: GatewayConfiguration
    private let node: any NodePort
    private let host: any GatewayHost
    private let group: any EventLoopGroup
    private let logger: Logger
    private let loops: SocketLoops
    private let running = Mutex<ServiceGroup?>(nil)

    /// A gateway for one node. `group` carries its event loops and belongs to the caller.
    package init(
        _ configuration: GatewayConfiguration, node: any NodePort, host: any GatewayHost,
        group: any EventLoopGroup, logger: Logger
    ) {
        self.configuration = configuration
        self.node = node
        self.host = host
        self.group = group
        self.logger = logger
        loops = SocketLoops(group, node: node, host: host, configuration: configuration)
    }

    /// Serves. `onReady` gets the port that was bound. Throws when the address cannot be bound.
    package func run(onReady: @escaping @Sendable (Int) async -> Void) async throws {
        let routes = Routes(node: node, host: host, configuration: configuration)
        let rules = UpgradeRules(
            allowedOrigins: configuration.allowedOrigins, publicURL: node.facts.publicURL)
        let configuration = configuration
        let loops = loops
        let application = Application(
            responder: routes.router().buildResponder(),
            server: HTTPServerBuilder { responder in
                GatewayChannel(
                    responder: responder, configuration: configuration, rules: rules, loops: loops)
            },
            configuration: ApplicationConfiguration(
                address: .hostname(configuration.host, port: configuration.port),
                backlog: configuration.backlog,
                availableConnectionsDelegate: MaximumAvailableConnections(
                    configuration.connectionsMax, logger: logger)),
            onServerRunning: { channel in
                // NIO takes four connections a turn by default, too few for a storm of returns.
                try? await channel.setOption(
                    .maxMessagesPerRead, value: configuration.acceptsPerTurn
                ).get()
                await onReady(channel.localAddress?.port ?? configuration.port)
            },
            eventLoopGroupProvider: .shared(group), logger: logger)
        let services = ServiceGroup(
            configuration: ServiceGroupConfiguration(services: [application], logger: logger))
        running.withLock { $0 = services }
        defer { running.withLock { $0 = nil } }
        try await services.run()
    }

    /// Begins the graceful stop; `run` returns when it is over.
    package func stop() async {
        guard let services = running.withLock({ $0 }) else { return }
        await services.triggerGracefulShutdown()
    }

    /// What the WebSockets did since the start, over all event loops.
    package var figures: GatewayFigures {
        loops.all.reduce(into: GatewayFigures()) { $0.add($1.figures) }
    }
}

/// Figures of the front end, for `/metrics` and `/status`.
package struct GatewayFigures: Equatable, Sendable {
    /// Open WebSockets, signed in or not.
    package var sockets: UInt64 = 0
    /// Messages and control frames from clients.
    package var framesReceived: UInt64 = 0
    /// Frames to clients, each receiver counted.
    package var framesSent: UInt64 = 0
    /// Bytes of those frames.
    package var bytesSent: UInt64 = 0
    /// Events that an event loop dropped because it could not keep up; sessions reconcile.
    package var eventsDropped: UInt64 = 0

    mutating func add(_ other: Self) {
        sockets += other.sockets
        framesReceived &+= other.framesReceived
        framesSent &+= other.framesSent
        bytesSent &+= other.bytesSent
        eventsDropped &+= other.eventsDropped
    }
}
