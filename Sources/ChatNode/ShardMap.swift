import Bytes
import ChatModel
import RaftCore
import Replication

/// Which shard owns a slot: a meta shard and a number of data shards, each with an equal,
/// contiguous run of slots, so that a shard is a contiguous range of every keyspace.
struct ShardMap: Equatable, Sendable {
    /// Shard 0.
    static let meta: UInt32 = 0
    /// Data shards, 1…; 16 unless a test wants fewer.
    let dataShards: UInt32
    /// All shards in order.
    let all: [UInt32]

    init(dataShards: UInt32 = 16) {
        precondition(dataShards > 0 && dataShards <= 1024, "1 to 1,024 data shards")
        self.dataShards = dataShards
        all = Array(0...dataShards)
    }

    /// The data shard of a slot.
    func shard(of slot: Slot) -> UInt32 {
        1 + UInt32(slot.rawValue) * dataShards / UInt32(Slot.count)
    }

    /// The slots of a data shard; none for the meta shard.
    func slots(of shard: UInt32) -> ClosedRange<Slot>? {
        guard shard > 0, shard <= dataShards else { return nil }
        let count = UInt32(Slot.count)
        // The first slot s with s × dataShards / count = shard − 1.
        let first = ((shard - 1) * count + dataShards - 1) / dataShards
        let next = (shard * count + dataShards - 1) / dataShards
        return Slot(rawValue: UInt16(first))...Slot(rawValue: UInt16(next - 1))
    }
}

/// Names of placements: a node's number, and what no other placement ever was called.
///
///     bits 63…48   number of the node
///     bits 47…0    hash of (incarnation, shard), lowest bit set
///
/// A wiped node has another incarnation and so comes back as other replicas, which can't vote as
/// the old ones.
enum ReplicaName {
    static func replica(
        of shard: UInt32, node: NodeNumber, incarnation: UInt64
    ) -> ReplicaID {
        let hash = SplitMix64.mix(incarnation ^ (UInt64(shard) &+ 1) &* 0x9E37_79B9_7F4A_7C15)
        return UInt64(node) << 48 | (hash & 0xFFFF_FFFF_FFFF) | 1
    }

    /// The node of a replica.
    static func node(of replica: ReplicaID) -> NodeNumber { NodeNumber(replica >> 48) }
}
