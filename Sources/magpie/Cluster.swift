import ArgumentParser
import Foundation
import MagpieServer
import Synchronization

/// `magpie cluster`: a cluster of processes on this machine.
struct Cluster: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run a cluster of nodes on this machine.",
        discussion: """
            Starts the nodes as processes of their own on 127.0.0.1, the first at --port, the \
            others behind it, and prints "ready" once every shard has a leader. Each node keeps \
            its data, its configuration and its log under DIR; DIR/cluster.json says which process \
            is which. A node that is killed stays away until somebody starts it again:

              magpie serve --config DIR/node-2.json

            SIGINT and SIGTERM stop all nodes, those started again by hand too.

            Examples:
              magpie cluster --nodes 3 --data ./cluster --port 8081
              magpie cluster --nodes 3 --data ./cluster --port 8081 --tls
            """)

    @Option(help: "How many nodes, 1 to 5.")
    var nodes = 3

    @Option(help: "Directory of all nodes' data and configuration.")
    var data: String

    @Option(help: "Port of the first node for clients; peers talk 1,000 ports above.")
    var port = 8081

    @Flag(help: "Encrypt what nodes say to each other, with certificates made under DIR/tls.")
    var tls = false

    @Option(help: "on or off: limits on sends and sign-ins.")
    var rateLimits: Serve.Switch = .on

    @Option(help: "Megabytes for memtables and caches of each node.")
    var memory = 256

    func validate() throws {
        guard (1...5).contains(nodes) else { throw ValidationError("--nodes: 1 to 5") }
        guard port > 0, port + 1_000 + nodes <= 65_535 else {
            throw ValidationError("--port: 1 to \(64_535 - nodes)")
        }
        guard (64...1_048_576).contains(memory) else {
            throw ValidationError("--memory: at least 64 megabytes")
        }
    }

    func run() async throws {
        let layout = ClusterLayout(
            directory: data, nodes: nodes, port: port, usesTLS: tls,
            isRateLimited: rateLimits == .on, memory: memory)
        let processes = ClusterProcesses(layout)
        try processes.requireNobodyElse()
        do {
            try layout.writeConfigurations()
        } catch {
            throw CommandFailure(
                "\(data) cannot be made or written by this user: choose another --data, or change "
                    + "its owner")
        }
        let stops = StopSignals()
        try processes.start()
        try layout.writeIndex(processes.identifiers)
        let waiting = Task { try await processes.waitUntilReady() }
        stops.onSignal { waiting.cancel() }
        do {
            try await waiting.value
            FileHandle.standardOutput.write(Data("ready\n".utf8))
            await stops.wait()
        } catch is CancellationError {
            // Stopped before it was ready.
        } catch {
            await processes.stop()
            throw CommandFailure("\(error)")
        }
        await processes.stop()
    }
}

/// SIGINT and SIGTERM, heard once.
private final class StopSignals: Sendable {
    private struct State {
        var isHeard = false
        var actions: [@Sendable () -> Void] = []
    }

    private let state = Mutex(State())
    // Dispatch's sources are made here and never changed.
    nonisolated(unsafe) private var sources: [any DispatchSourceSignal] = []

    init() {
        for number in [SIGINT, SIGTERM] {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number)
            source.setEventHandler { [weak self] in self?.hear() }
            source.resume()
            sources.append(source)
        }
    }

    func onSignal(_ action: @escaping @Sendable () -> Void) {
        let isHeard = state.withLock { state in
            if !state.isHeard { state.actions.append(action) }
            return state.isHeard
        }
        if isHeard { action() }
    }

    func wait() async {
        await withCheckedContinuation { continuation in
            onSignal { continuation.resume() }
        }
    }

    private func hear() {
        let actions = state.withLock { state -> [@Sendable () -> Void] in
            if state.isHeard { return [] }
            state.isHeard = true
            defer { state.actions = [] }
            return state.actions
        }
        for action in actions { action() }
    }
}
