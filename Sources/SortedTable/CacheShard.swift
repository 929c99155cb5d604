internal import Bytes
internal import Synchronization

/// One shard of the block cache: a hash table over slots that hang in two FIFO queues.
///
/// S3-FIFO: a new block enters the small queue (a tenth of the budget) unless the ghost table
/// remembers that it was dropped from there lately; then it enters the main queue. Blocks looked up
/// while they wait in the small queue move to main when their turn comes, the others are dropped,
/// so a scan passes through the small queue only. Blocks of the main queue get another round for
/// each look-up, three at most.
struct CacheShard: ~Copyable, Sendable {
    private let state: Mutex<CacheQueues>

    init(budgetBytes: Int) {
        state = Mutex(CacheQueues(ghostCapacity: budgetBytes / 4096))
    }

    @inline(__always)
    static func hash(fileID: UInt64, offset: UInt64) -> UInt64 {
        SplitMix64.mix(fileID &* 0x9E37_79B9_7F4A_7C15 &+ offset)
    }

    @inline(__always)
    func find(hash: UInt64, fileID: UInt64, offset: UInt64) -> TableBlock? {
        state.withLock { $0.find(hash: hash, fileID: fileID, offset: offset) }
    }

    func insert(
        _ block: TableBlock, hash: UInt64, fileID: UInt64, offset: UInt64, budgetBytes: Int
    ) -> TableBlock {
        state.withLock {
            $0.insert(
                block, hash: hash, fileID: fileID, offset: offset, budgetBytes: budgetBytes)
        }
    }

    func removeAll(fileID: UInt64) {
        state.withLock { $0.removeAll(fileID: fileID) }
    }

    func add(to total: inout BlockCache.Statistics) {
        let own = state.withLock { state in
            var own = state.counters
            own.blocks = state.count
            own.bytes = state.bytes
            return own
        }
        total.hits += own.hits
        total.misses += own.misses
        total.insertions += own.insertions
        total.evictions += own.evictions
        total.bypasses += own.bypasses
        total.blocks += own.blocks
        total.bytes += own.bytes
    }
}
