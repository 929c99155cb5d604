import Bytes
import ChatModel
import Replication

/// Which nodes should hold a shard, and which of them should lead it: rendezvous hashing with a
/// bound on the load (Thaler and Ravishankar, 1998; Mirrokni et al., "Consistent hashing with
/// bounded loads", 2018). Every shard ranks the nodes by a hash of both; it takes the best ones
/// that still have room. Adding a node to N moves about 1/(N + 1) of the replicas.
struct Placement: Equatable, Sendable {
    /// Per shard, ascending: its nodes, the one that should lead it first.
    let nodes: [[NodeNumber]]

    /// The placement of `shards` shards on `nodes`.
    init(shards: Int, on nodes: [NodeNumber]) {
        let replicas = min(ClusterLimits.replicasMax, nodes.count)
        var held: [NodeNumber: Int] = [:]
        var led: [NodeNumber: Int] = [:]
        let heldMax = Self.share(shards * replicas, of: nodes.count)
        let ledMax = Self.share(shards, of: nodes.count)
        var placed: [[NodeNumber]] = []
        for shard in 0..<shards {
            let ranked = Self.rank(nodes, for: shard)
            // Room first, rank second: those above their share come only when nobody else is left.
            let roomy = ranked.filter { held[$0, default: 0] < heldMax }
            let full = ranked.filter { held[$0, default: 0] >= heldMax }
            var chosen = Array((roomy + full).prefix(replicas))
            for node in chosen { held[node, default: 0] += 1 }
            if let leader = chosen.firstIndex(where: { led[$0, default: 0] < ledMax }) {
                chosen.swapAt(0, leader)
            }
            if let leader = chosen.first { led[leader, default: 0] += 1 }
            placed.append(chosen)
        }
        self.nodes = placed
    }

    /// The nodes of a user, best first: the first one that lives is the user's home.
    static func homes(of user: UserID, among nodes: [NodeNumber]) -> [NodeNumber] {
        ranked(nodes, seed: user.high ^ user.low)
    }

    private static func rank(_ nodes: [NodeNumber], for shard: Int) -> [NodeNumber] {
        ranked(nodes, seed: UInt64(shard) &* 0xD6E8_FEB8_6659_FD93)
    }

    private static func ranked(_ nodes: [NodeNumber], seed: UInt64) -> [NodeNumber] {
        let weighed = nodes.map { (weight: SplitMix64.mix(seed ^ SplitMix64.mix(UInt64($0))), $0) }
        return weighed.sorted { ($0.weight, $0.1) > ($1.weight, $1.1) }.map(\.1)
    }

    private static func share(_ items: Int, of nodes: Int) -> Int {
        nodes == 0 ? 0 : (items + nodes - 1) / nodes
    }
}
