import Bytes
import ChatModel

/// Which shard owns a slot: a meta shard and 16 data shards, each with an equal, contiguous run of
/// slots, so that a shard is a contiguous range of every keyspace.
enum ShardMap {
    /// Shard 0.
    static let meta: UInt32 = 0
    /// Data shards, 1…16.
    static let dataShards: UInt32 = 16
    /// All shards in order.
    static let all: [UInt32] = Array(0...dataShards)

    /// The id of this node's placement of a shard: a wiped node has another incarnation and so
    /// comes back as another replica. Never 0.
    static func replica(of shard: UInt32, _ incarnation: UInt64) -> UInt64 {
        SplitMix64.mix(incarnation ^ UInt64(shard)) | 1
    }

    /// The data shard of a slot.
    static func shard(of slot: Slot) -> UInt32 {
        1 + UInt32(slot.rawValue) * dataShards / UInt32(Slot.count)
    }
}
