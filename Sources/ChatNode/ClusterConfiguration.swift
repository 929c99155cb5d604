import ChatModel
package import Replication

/// The cluster that a node belongs to, as its operator wrote it down.
package struct ClusterConfiguration: Equatable, Sendable {
    /// Equal on all nodes; keeps clusters on one network apart.
    package var name: String
    /// Which of the nodes this one is.
    package var node: NodeNumber
    /// All nodes, this one included.
    package var nodes: [ClusterNode]

    /// A cluster.
    package init(name: String, node: NodeNumber, nodes: [ClusterNode]) {
        self.name = name
        self.node = node
        self.nodes = nodes.sorted { $0.number < $1.number }
    }

    /// Why it can't be, or nil.
    package var objection: String? {
        if name.isEmpty || name.utf8.count > 64 { return "cluster.name: 1 to 64 bytes" }
        if nodes.count > ClusterLimits.nodesMax {
            return "cluster.nodes: at most \(ClusterLimits.nodesMax)"
        }
        for (index, node) in nodes.enumerated() {
            if node.number == 0 { return "cluster.nodes: numbers start at 1" }
            if index > 0, nodes[index - 1].number == node.number {
                return "cluster.nodes: number \(node.number) stands twice"
            }
        }
        if !nodes.contains(where: { $0.number == node }) {
            return "cluster.number: \(node) is not among cluster.nodes"
        }
        return nil
    }
}

/// One node of a cluster, as the others know it.
package struct ClusterNode: Equatable, Sendable {
    /// Its number.
    package var number: NodeNumber
    /// Where it takes other nodes' channels, HOST:PORT.
    package var peerAddress: String
    /// Where clients reach it.
    package var url: String

    /// A node.
    package init(number: NodeNumber, peerAddress: String, url: String) {
        self.number = number
        self.peerAddress = peerAddress
        self.url = url
    }

    /// As the cluster's map has it.
    var mapped: ClusterMap.Node {
        ClusterMap.Node(number: number, peerAddress: peerAddress, url: url)
    }
}

/// Every limit of what nodes do for each other, in one place. Times in ticks of the consensus lane
/// (50 ms) where they say so.
enum ClusterLimits {
    /// Nodes of a cluster.
    static let nodesMax = 5
    /// Replicas of a shard: every node answers from its own rows, so every node holds every shard.
    static let replicasMax = 5
    /// Ticks that a proposal waits for a leader or a decision: 5 s, then its outcome is unknown.
    static let proposalTicks: UInt64 = 100
    /// Ticks that a batch may be under way to a node that no longer leads its shard: 300 ms.
    static let strayTicks: UInt64 = 6
    /// Ticks without a leader of some shard within reach, after which a node is not ready: 5 s.
    static let outOfTouchTicks: UInt64 = 100
    /// Ticks that a read waits for its shards: 5 s.
    static let readTicks: UInt64 = 100
    /// Ticks that a question to a leader may stay without an answer before it is put again: 1 s.
    static let askTicks: UInt64 = 20
    /// Reads that wait at once.
    static let readsMax = 65_536
    /// Ticks between looks at who should be in a group and who should lead it: 1 s.
    static let membershipTicks: UInt64 = 20
    /// A node whose clock is further from the majority's does not lead: 10 s.
    static let clockOffsetMsMax: Milliseconds = 10_000
    /// Ticks between reports for `/status`: half a second.
    static let reportTicks: UInt64 = 10
    /// Leaderships that a node hands over in one look.
    static let movesMax = 8
    /// Entries that a learner may lack when it becomes a voter.
    static let promotionLag: UInt64 = 256
    /// Seconds for which a refusal is shown; while its reason lasts it is told again each minute.
    static let refusalAgeMax = 130
    /// Presence and typing that wait to be told to other nodes.
    static let gossipMax = 16_384
}
