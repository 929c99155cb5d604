internal import Bytes
internal import Platform
internal import Synchronization

/// One shard of the block cache: a table that readers search without a lock, and queues of segments
/// that whoever brings a block in changes under one.
///
/// S3-FIFO over segments: a block enters the small queue (a tenth of the budget) unless the ghosts
/// remember that it was dropped from there lately; then it enters the main queue. When a segment's
/// turn comes, its blocks that were looked up again move on: from the small queue to the main one,
/// in the main queue to its end. The others are dropped, so a scan passes through the small queue
/// only. To move on is to be copied, so memory has no gaps, and a segment that is full of wanted
/// blocks keeps at most three quarters of them: a few turns free a segment.
struct CacheShard: ~Copyable, Sendable {
    private let state: Mutex<CacheQueues>
    /// The address of the table that readers search.
    private let table: Atomic<UInt>

    init(budgetBytes: Int, gate: EpochGate) {
        let first = BlockTable(capacity: 64)
        table = Atomic(first.address)
        state = Mutex(CacheQueues(budgetBytes: budgetBytes, table: first, gate: gate))
    }

    deinit { state.withLock { $0.deallocate() } }

    @inline(__always)
    static func hash(fileID: UInt64, offset: UInt64) -> UInt64 {
        SplitMix64.mix(fileID &* 0x9E37_79B9_7F4A_7C15 &+ offset)
    }

    @inline(__always)
    static func hash(of block: TableBlock) -> UInt64 {
        hash(fileID: block.header.pointee.fileID, offset: block.header.pointee.offset)
    }

    /// The caller stands in the gate.
    @inline(__always)
    func find(hash: UInt64, fileID: UInt64, offset: UInt64) -> TableBlock? {
        let table = BlockTable(address: table.load(ordering: .acquiring))
        guard let block = table.find(hash: hash, fileID: fileID, offset: offset) else { return nil }
        let lookups = block.lookups.pointee.load(ordering: .relaxed)
        if lookups < CacheQueues.lookupsMax {
            block.lookups.pointee.store(lookups &+ 1, ordering: .relaxed)
        }
        return block
    }

    /// The caller stands in the gate.
    func insert(
        _ block: borrowing LoadedBlock, hash: UInt64, fileID: UInt64, offset: UInt64,
        budgetBytes: Int
    ) -> TableBlock {
        state.withLock { state in
            let kept = state.insert(
                block.block, hash: hash, fileID: fileID, offset: offset, budgetBytes: budgetBytes)
            table.store(state.table.address, ordering: .sequentiallyConsistent)
            state.retireOutgrown()
            return kept
        }
    }

    func removeAll(fileID: UInt64) {
        state.withLock { $0.removeAll(fileID: fileID) }
    }

    func add(to total: inout BlockCache.Statistics) {
        let own = state.withLock { state in
            var own = state.counters
            own.blocks = state.count
            own.bytes = state.heldBytes
            return own
        }
        total.insertions += own.insertions
        total.evictions += own.evictions
        total.bypasses += own.bypasses
        total.blocks += own.blocks
        total.bytes += own.bytes
    }
}
