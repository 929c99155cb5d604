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
        /// How far its wall clock is ahead of the own one, in milliseconds.
        var clockOffsetMs: Int64 = 0
    }

    /// Why a channel was refused, and seconds since it was told.
    private struct Refusal {
        let reason: String
        var age = 0
    }

    private struct State {
        var peers: [NodeNumber: Peer] = [:]
        var refusals: [NodeNumber: Refusal] = [:]
        var map: ClusterMap
        var placement: Placement
    }

    /// This node.
    let node: NodeNumber
    /// Its incarnation.
    let incarnation: UInt64
    /// What the cluster agreed on.
    let formation: Formation
    /// True when no other node is configured.
    let isAlone: Bool
    private let shards: Int
    private let port: PeerPort?
    private let state: Mutex<State>

    init(
        _ superblock: Superblock, _ formation: Formation, nodes: [ClusterNode], shards: Int,
        port: PeerPort?
    ) {
        node = superblock.number
        incarnation = superblock.incarnation
        self.formation = formation
        self.shards = shards
        self.port = port
        isAlone = nodes.count <= 1
        let map = ClusterMap(
            epoch: 1,
            nodes: nodes.map {
                $0.mapped
            })
        let placement = Placement(shards: shards, on: nodes.map(\.number))
        state = Mutex(State(map: map, placement: placement))
    }

    /// The cluster's nodes and their epoch: as configured, or as the meta shard has them.
    var map: ClusterMap { state.withLock { $0.map } }

    /// True while the map counts this node in, and it is not leaving.
    var isMember: Bool { state.withLock { $0.map.staying.contains(node) } }

    /// Which map this node goes by.
    var epoch: UInt64 { state.withLock { $0.map.epoch } }

    /// Which nodes should hold a shard, the one that should lead it first.
    func placement(of shard: Int) -> [NodeNumber] {
        state.withLock { $0.placement.nodes[shard] }
    }

    /// Goes by another map from now on; false when it is not newer.
    func take(_ map: ClusterMap) -> Bool {
        let isNew = state.withLock { state in
            guard map.epoch > state.map.epoch else { return false }
            state.map = map
            state.placement = Placement(shards: shards, on: map.staying)
            return true
        }
        if isNew { port?.setPeers(map.nodes) }
        return isNew
    }

    /// What is known of a node; nil for a stranger.
    func peer(_ node: NodeNumber) -> Peer? { state.withLock { $0.peers[node] } }

    /// True when frames get through to a node.
    func isConnected(_ node: NodeNumber) -> Bool { peer(node)?.isConnected == true }

    /// True when a node says that it serves.
    func isReady(_ node: NodeNumber) -> Bool { peer(node)?.gossip?.isReady == true }

    /// All that are connected, ascending.
    var connected: [NodeNumber] {
        state.withLock { state in
            state.peers.keys.filter { state.peers[$0]?.isConnected == true }.sorted()
        }
    }

    /// Why channels to nodes are refused, for `/status`.
    var refusals: [NodeNumber: String] { state.withLock { $0.refusals.mapValues(\.reason) } }

    /// A second has passed: what was not told again for long is over.
    func ageRefusals() {
        state.withLock { state in
            for node in state.refusals.keys { state.refusals[node]?.age += 1 }
            state.refusals = state.refusals.filter { $0.value.age < ClusterLimits.refusalAgeMax }
        }
    }

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
            case .refused(let node?, let reason): state.refusals[node] = Refusal(reason: reason)
            case .refused(nil, _), .frame: break
            }
        }
    }

    /// Takes what a node says of itself; `wallMs` is the own clock.
    func note(_ gossip: PeerFrame.Gossip, of node: NodeNumber, wallMs: Milliseconds) {
        state.withLock { state in
            state.peers[node]?.gossip = gossip
            state.peers[node]?.clockOffsetMs =
                Int64(clamping: gossip.wallMs) - Int64(clamping: wallMs)
        }
    }

    /// True when the own clock is far from the majority's: the median of all clocks, the own
    /// included, is off. Who leads stamps with it, so this node should not.
    var isClockOff: Bool {
        state.withLock { state in
            let heard = state.peers.values.filter { $0.isConnected && $0.gossip != nil }
            guard heard.count * 2 >= state.map.nodes.count - 1, !heard.isEmpty else { return false }
            let offsets = ([0] + heard.map(\.clockOffsetMs)).sorted()
            // With an even number the one nearer to the own clock counts.
            let middle = [offsets[(offsets.count - 1) / 2], offsets[offsets.count / 2]]
            let least = middle.map(\.magnitude).min() ?? 0
            return least > UInt64(ClusterLimits.clockOffsetMsMax)
        }
    }

    func attach(_ clusterName: String, _ take: @escaping @Sendable (PeerEvent) -> Void) throws {
        guard let port else { return }
        let hello = PeerHello(
            node: node, incarnation: incarnation, cluster: formation.cluster,
            clusterName: clusterName)
        try port.attach(PeerPort.Consumer(hello: hello, take: take), peers: map.nodes)
    }

    func detach() { port?.detach() }
}
