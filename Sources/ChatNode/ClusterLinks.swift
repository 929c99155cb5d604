import ChatModel
import Replication
import Synchronization

/// What a node knows of the others, for all its lanes: who is connected, how they are, and the way
/// to them. A node that is alone has none.
final class ClusterLinks: Sendable {
    /// Another node.
    struct Peer: Sendable {
        var incarnation: UInt64
        var isConnected: Bool
        var gossip: PeerFrame.Gossip?
    }

    private struct State {
        var peers: [NodeNumber: Peer] = [:]
        var refusals: [NodeNumber: String] = [:]
    }

    /// This node.
    let node: NodeNumber
    /// Its incarnation.
    let incarnation: UInt64
    /// What the cluster agreed on.
    let formation: Formation
    /// The cluster's nodes as configured, this one included; ascending.
    let nodes: [ClusterNode]
    /// Which map of slots and shards this node goes by.
    let epoch: UInt64 = 1
    /// Who should hold and lead which shard.
    let placement: Placement
    private let port: PeerPort?
    private let state = Mutex(State())

    init(
        _ superblock: Superblock, _ formation: Formation, nodes: [ClusterNode], shards: Int,
        port: PeerPort?
    ) {
        node = superblock.number
        incarnation = superblock.incarnation
        self.formation = formation
        self.nodes = nodes
        placement = Placement(shards: shards, on: nodes.map(\.number))
        self.port = port
    }

    /// True when no other node is configured.
    var isAlone: Bool { nodes.count <= 1 }

    /// The numbers of the other nodes, ascending.
    var others: [NodeNumber] { nodes.map(\.number).filter { $0 != node } }

    /// What is known of a node; nil for a stranger.
    func peer(_ node: NodeNumber) -> Peer? { state.withLock { $0.peers[node] } }

    /// All that are connected, ascending.
    var connected: [NodeNumber] {
        state.withLock { state in
            state.peers.keys.filter { state.peers[$0]?.isConnected == true }.sorted()
        }
    }

    /// Why channels to nodes are refused, for `/status`.
    var refusals: [NodeNumber: String] { state.withLock { $0.refusals } }

    /// Sends a frame; false when it is lost for certain.
    func send(_ frame: PeerFrame, to node: NodeNumber) -> Bool {
        send(frame.encoded(), to: node)
    }

    /// Sends a frame's bytes; false when they are lost for certain.
    func send(_ bytes: [UInt8], to node: NodeNumber) -> Bool {
        guard let port, peer(node)?.isConnected == true else { return false }
        return port.send(bytes, to: node)
    }

    /// Sends a frame to every node that is connected.
    func tellAll(_ frame: PeerFrame) {
        let nodes = connected
        if nodes.isEmpty { return }
        let bytes = frame.encoded()
        for node in nodes { _ = port?.send(bytes, to: node) }
    }

    func note(_ event: PeerEvent) {
        state.withLock { state in
            switch event {
            case .connected(let hello):
                let known = state.peers[hello.node]
                state.peers[hello.node] = Peer(
                    incarnation: hello.incarnation, isConnected: true,
                    gossip: known?.incarnation == hello.incarnation ? known?.gossip : nil)
                state.refusals[hello.node] = nil
            case .disconnected(let node, let incarnation):
                guard state.peers[node]?.incarnation == incarnation else { return }
                state.peers[node]?.isConnected = false
                state.peers[node]?.gossip = nil
            case .refused(let node?, let reason): state.refusals[node] = reason
            case .refused(nil, _), .frame: break
            }
        }
    }

    func note(_ gossip: PeerFrame.Gossip, of node: NodeNumber) {
        state.withLock { $0.peers[node]?.gossip = gossip }
    }

    func attach(_ clusterName: String, _ take: @escaping @Sendable (PeerEvent) -> Void) throws {
        guard let port else { return }
        let hello = PeerHello(
            node: node, incarnation: incarnation, cluster: formation.cluster,
            clusterName: clusterName)
        try port.attach(PeerPort.Consumer(hello: hello, take: take), peers: nodes)
    }

    func detach() { port?.detach() }
}
