package import Platform
internal import Synchronization

/// The blocks of all tables that are kept in memory: in segments of our own, sharded, within a byte
/// budget, scan resistant.
///
/// Replacement is S3-FIFO (Yang and others: "FIFO queues are all you need for cache eviction",
/// SOSP 2023), see ``CacheShard``. Index and filter blocks are ordinary entries; what tables keep
/// for as long as they are open is charged with ``chargeFixed(_:)`` and leaves less for the rest.
///
/// Readers take no lock and count no references. A block is there for as long as the reader stands
/// in ``gate``, or beyond that with ``TableBlock/pin()``; memory that is evicted meanwhile is given
/// back afterwards, so the budget is exceeded by what is in use. Locks are held to bring a block
/// in, never during a disk read.
package final class BlockCache: Sendable {
    /// A reading of the cache's counters.
    package struct Statistics: Equatable, Sendable {
        /// Look-ups that found their block.
        package var hits: UInt64 = 0
        /// Look-ups that did not.
        package var misses: UInt64 = 0
        /// Blocks taken in.
        package var insertions: UInt64 = 0
        /// Blocks dropped to keep the budget.
        package var evictions: UInt64 = 0
        /// Blocks too large for a shard, never taken in.
        package var bypasses: UInt64 = 0
        /// Blocks held now.
        package var blocks: Int = 0
        /// Bytes held now, without ``fixedBytes``.
        package var bytes: Int = 0
        /// Bytes charged by open tables.
        package var fixedBytes: Int = 0
        /// The budget.
        package var budgetBytes: Int = 0
    }

    /// Look-ups that found their block, as the gate counts them.
    private static let hitCounter = 0
    private static let missCounter = 1

    /// Where readers of blocks stand.
    package let gate = EpochGate()
    // Filled by init, given back by deinit; a shard guards its content with its own lock. Raw
    // memory, because an array of objects would cost a reference count on every look-up.
    nonisolated(unsafe) private let shards: UnsafeMutablePointer<CacheShard>
    private let shardCount: Int
    private let shardShift: UInt64
    private let fixed = Atomic<Int>(0)

    /// The budget in bytes.
    package let budgetBytes: Int

    /// A cache that holds at most `budgetBytes`, spread over up to `shardsMax` shards of at least
    /// 8 MiB each.
    package init(budgetBytes: Int, shardsMax: Int = 16) {
        precondition(budgetBytes >= 0, "a budget is not negative")
        precondition(shardsMax > 0 && shardsMax <= 256, "1 to 256 shards")
        self.budgetBytes = budgetBytes
        var bits = 0
        while 2 << bits <= shardsMax && budgetBytes >> (bits + 1) >= 8 << 20 { bits += 1 }
        shardShift = UInt64(64 - bits)
        shardCount = 1 << bits
        shards = .allocate(capacity: shardCount)
        for number in 0..<shardCount {
            (shards + number).initialize(
                to: CacheShard(budgetBytes: budgetBytes >> bits, gate: gate))
        }
    }

    deinit {
        shards.deinitialize(count: shardCount)
        shards.deallocate()
    }

    /// The counters now; shards are read one after another.
    package var statistics: Statistics {
        var total = Statistics()
        for number in 0..<shardCount { shards[number].add(to: &total) }
        total.hits = gate.total(Self.hitCounter)
        total.misses = gate.total(Self.missCounter)
        total.fixedBytes = fixed.load(ordering: .relaxed)
        total.budgetBytes = budgetBytes
        return total
    }

    /// Takes `bytes` (negative: gives them back) out of what blocks may use: memory that an open
    /// table keeps anyway.
    package func chargeFixed(_ bytes: Int) {
        fixed.add(bytes, ordering: .relaxed)
    }

    /// Forgets every block of a file that was removed. Linear in the number of blocks.
    package func removeAll(fileID: UInt64) {
        for number in 0..<shardCount { shards[number].removeAll(fileID: fileID) }
    }

    /// The block at `offset` of a file, or nil. The caller stands in ``gate``.
    @inline(__always)
    func find(fileID: UInt64, offset: UInt64, _ stay: EpochGate.Stay) -> TableBlock? {
        let hash = CacheShard.hash(fileID: fileID, offset: offset)
        guard let block = shards[shard(hash)].find(hash: hash, fileID: fileID, offset: offset)
        else { return nil }
        stay.count(Self.hitCounter)
        return block
    }

    /// Takes a copy of a block in; the answer is the block that is now kept for this place: another
    /// thread may have been faster. The caller stands in ``gate``.
    func insert(
        _ block: borrowing LoadedBlock, fileID: UInt64, offset: UInt64, _ stay: EpochGate.Stay
    ) -> TableBlock {
        stay.count(Self.missCounter)
        let hash = CacheShard.hash(fileID: fileID, offset: offset)
        let share = max(0, budgetBytes - fixed.load(ordering: .relaxed)) / shardCount
        return shards[shard(hash)].insert(
            block, hash: hash, fileID: fileID, offset: offset, budgetBytes: share)
    }

    @inline(__always)
    private func shard(_ hash: UInt64) -> Int {
        // A shift by 64 gives 0: one shard.
        Int(truncatingIfNeeded: hash >> shardShift)
    }
}
