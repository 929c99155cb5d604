import ChatModel
package import Replication
import Synchronization

/// A node's way to its peers, over the node's whole life: first it finds its cluster, then it is a
/// part of it. Whoever attaches is told of the channels that are open already.
package final class PeerPort: Sendable {
    /// Who gets what comes, and who this node says it is.
    struct Consumer: Sendable {
        let hello: PeerHello
        let take: @Sendable (PeerEvent) -> Void
    }

    private struct State {
        var consumer: Consumer?
        /// Who this node last said it is.
        var hello: PeerHello?
        var connected: [PeerHello] = []
        var isStarted = false
    }

    private let transport: any PeerTransport
    private let state = Mutex(State())

    /// A port on a transport that nobody has started.
    package init(_ transport: any PeerTransport) {
        self.transport = transport
    }

    /// From now on `consumer` gets what comes.
    func attach(_ consumer: Consumer, peers: [ClusterMap.Node]) throws {
        let (mustStart, connected) = state.withLock { state in
            defer { state.isStarted = true }
            state.consumer = consumer
            state.hello = consumer.hello
            return (!state.isStarted, state.connected)
        }
        setPeers(peers)
        if mustStart {
            let first = consumer.hello
            try transport.start(
                hello: { [weak self] in self?.state.withLock { $0.hello } ?? first },
                take: { [weak self] in self?.take($0) })
        }
        for hello in connected { consumer.take(.connected(hello)) }
    }

    /// Nobody gets anything until the next ``attach(_:peers:)``.
    func detach() {
        state.withLock { $0.consumer = nil }
    }

    /// The nodes to keep channels to.
    func setPeers(_ peers: [ClusterMap.Node]) {
        transport.setPeers(peers.map { ($0.number, $0.peerAddress) })
    }

    /// Queues a frame; false when it is lost for certain.
    func send(_ frame: [UInt8], to node: NodeNumber) -> Bool {
        transport.send(frame, to: node)
    }

    /// Closes all channels.
    package func stop() {
        detach()
        transport.stop()
    }

    private func take(_ event: PeerEvent) {
        let consumer = state.withLock { state -> Consumer? in
            switch event {
            case .connected(let hello):
                state.connected.removeAll { $0.node == hello.node }
                state.connected.append(hello)
            case .disconnected(let node, let incarnation):
                state.connected.removeAll { $0.node == node && $0.incarnation == incarnation }
            case .frame, .refused: break
            }
            return state.consumer
        }
        consumer?.take(event)
    }
}
