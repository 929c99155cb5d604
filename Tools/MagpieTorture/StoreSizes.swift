import Bytes
import LSMTree
import RecordLog
import Replication
import ShardStore

/// Sizes of a store for one life: small ones, so that a life has cuts, merges and segments that
/// come and go; now and then those of production.
enum StoreSizes {
    static func draw(_ seed: UInt64) -> ShardStoreOptions {
        var generator = SplitMix64(seed: seed)
        func power(_ least: Int, _ steps: UInt64) -> Int { least << Int(generator.next() % steps) }
        var tree = TreeOptions(keyspaces: Workload.keyspaces)
        let isLarge = generator.next() % 6 == 0
        if !isLarge {
            tree.memtableBytes = power(2048, 8)
            tree.frozenMemtablesMax = 1 + Int(generator.next() % 3)
            tree.blockCacheBytes = power(4096, 10)
            tree.blockBytes = power(128, 7)
            tree.filterBitsPerKey = Int(generator.next() % 3) * 5
            tree.tableBytes = power(1024, 9)
            tree.levelZeroTables = 1 + Int(generator.next() % 4)
            tree.levelBaseBytes = UInt64(power(2048, 8))
            tree.levelFanOut = 2 + generator.next() % 9
            tree.manifestBytes = UInt64(power(1000, 6))
            tree.isCompressed = generator.next() % 4 != 0
        }
        var options = ShardStoreOptions(tree: tree)
        options.replication.log = SegmentLogOptions(
            segmentBytes: isLarge ? 1 << 20 : power(4096, 7),
            recycledMax: Int(generator.next() % 4))
        if !isLarge {
            options.logBytesMax = power(4096, 8)
            options.dirtyMsMax = UInt64(power(20, 8))
            options.rangeDeleteMsMax = UInt64(power(5, 8))
        }
        return options
    }
}
