import ChatNode
import Gateway
package import Logging
import NIOCore
import NIOPosix
import PeerLink
import Platform
import ServiceLifecycle
import Synchronization
import UnixSignals

/// The composition root: opens the node on the real disk, puts the front end before it, and takes
/// both down in order.
package struct MagpieServer: Sendable {
    private let configuration: ServerConfiguration
    private let logger: Logger

    /// A server that is not started.
    package init(_ configuration: ServerConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
    }

    /// Serves until SIGTERM or SIGINT, then stops gracefully. `onReady` gets the URL once clients
    /// are served; `onFailure` one message when the node can't go on, and must end the process.
    ///
    /// - Throws: ``StartFailure`` or ``ConfigurationError`` with one message for people.
    package func run(
        onReady: @escaping @Sendable (String) -> Void,
        onFailure: @escaping @Sendable (String) -> Void
    ) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: Self.eventLoops)
        do {
            try await run(on: group, onReady: onReady, onFailure: onFailure)
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
        try? await group.shutdownGracefully()
    }

    private func run(
        on group: MultiThreadedEventLoopGroup, onReady: @escaping @Sendable (String) -> Void,
        onFailure: @escaping @Sendable (String) -> Void
    ) async throws {
        var seams = NodeSeams(
            fileSystem: LinuxFileSystem(), clock: LinuxClock(), random: SystemRandom(),
            scheduler: ThreadScheduler())
        if let cluster = configuration.cluster {
            let link = PeerLink(
                try cluster.link(seed: seams.random.word()), group: group, logger: logger)
            seams.peers = PeerPort(link)
        }
        let announcement = Announcement(onReady)
        let starter = seams.scheduler.lane("starter")
        defer { starter.submit { starter.stop() } }
        let peers = seams.peers
        let node: ChatNode
        do {
            node = try await open(seams, on: starter, announcement, onFailure: onFailure)
        } catch {
            await Self.perform(on: starter) { peers?.stop() }
            throw error
        }
        let host = NodeHost(node: node, clock: seams.clock, random: seams.random)
        let gateway = Gateway(
            gatewayConfiguration, node: node, host: host, group: group, logger: logger)
        host.attach(gateway)
        let service = GatewayService(
            gateway: gateway,
            onReady: { port in announcement.isListening("http://\(urlHost):\(port)") })
        let services = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [.init(service: service)],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        var failure: (any Error)?
        do {
            try await services.run()
        } catch {
            failure = explain(error)
        }
        // Others lead from now on: the cluster need not find out that this node is gone.
        await withCheckedContinuation { continuation in
            node.handOver { continuation.resume() }
        }
        await Self.perform(on: starter) {
            node.stop()
            peers?.stop()
        }
        if let failure { throw failure }
    }

    private static func perform(
        on lane: any Lane, _ job: @escaping @Sendable () -> Void
    ) async {
        await withCheckedContinuation { continuation in
            lane.submit {
                job()
                continuation.resume()
            }
        }
    }

    /// Half of the processors, at least one: the lanes of the node need the rest.
    private static var eventLoops: Int { max(1, System.coreCount / 2) }

    private var urlHost: String {
        switch configuration.host {
        case "0.0.0.0", "::": "localhost"
        case let host where host.contains(":"): "[\(host)]"
        case let host: host
        }
    }

    private var gatewayConfiguration: GatewayConfiguration {
        var gateway = GatewayConfiguration(host: configuration.host, port: configuration.port)
        gateway.allowedOrigins =
            configuration.origins + (configuration.cluster?.nodes.map(\.url) ?? [])
        gateway.staticFiles = WebClient.files
        return gateway
    }

    /// Opens the node on a lane, since it blocks. A node that is alone has applied its log then;
    /// one of a cluster may wait for others, and says so to whoever asks.
    private func open(
        _ seams: NodeSeams, on starter: any Lane, _ announcement: Announcement,
        onFailure: @escaping @Sendable (String) -> Void
    ) async throws -> ChatNode {
        let logger = logger
        let configuration = configuration.node
        let opened = Mutex<ChatNode?>(nil)
        try await withCheckedThrowingContinuation {
            (continuation: CheckedContinuation<Void, any Error>) in
            ClusterFormation.run(
                configuration, seams: seams, notice: { logger.notice("\($0)") },
                done: { continuation.resume(with: $0) })
        }
        try await withCheckedThrowingContinuation {
            (continuation: CheckedContinuation<Void, any Error>) in
            let isAlone = configuration.cluster?.nodes.count ?? 1 <= 1
            let hooks = ChatNode.Hooks(
                ready: {
                    announcement.isReady()
                    if isAlone { continuation.resume() }
                },
                failed: { onFailure($0.description) },
                incident: { logger.notice("\($0)") })
            starter.submit {
                do {
                    let node = try ChatNode(configuration, seams: seams, hooks: hooks)
                    opened.withLock { $0 = node }
                    if !isAlone { continuation.resume() }
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
        // The lane's job that made it may still be about to put it there.
        await Self.perform(on: starter) {}
        guard let node = opened.withLock({ $0 }) else {
            throw StartFailure("the node was not opened")
        }
        return node
    }

    private func explain(_ error: any Error) -> any Error {
        guard let error = error as? IOError else { return error }
        if error.errnoCode == Self.addressInUse {
            return StartFailure(
                "port \(configuration.port) on \(configuration.host) is in use; stop the program "
                    + "that has it, or choose another with --listen HOST:PORT")
        }
        return StartFailure(
            "cannot listen on \(configuration.host):\(configuration.port): \(error); "
                + "choose another address with --listen HOST:PORT")
    }

    /// EADDRINUSE on Linux.
    private static let addressInUse: Int32 = 98
}

/// Tells once that the server is ready: it listens, and its node serves.
private final class Announcement: Sendable {
    private struct State {
        var url: String?
        var isReady = false
    }

    private let state = Mutex(State())
    private let tell: @Sendable (String) -> Void

    init(_ tell: @escaping @Sendable (String) -> Void) { self.tell = tell }

    func isListening(_ url: String) { note { $0.url = url } }

    func isReady() { note { $0.isReady = true } }

    /// Each of the two is noted once, so the later one tells.
    private func note(_ change: (inout State) -> Void) {
        let url = state.withLock { state in
            change(&state)
            return state.isReady ? state.url : nil
        }
        if let url { tell(url) }
    }
}

/// The front end as a service of the process.
private struct GatewayService: Service {
    let gateway: Gateway
    let onReady: @Sendable (Int) -> Void

    func run() async throws {
        try await gateway.run { port in onReady(port) }
    }
}
