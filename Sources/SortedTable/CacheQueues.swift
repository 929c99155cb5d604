internal import Platform
internal import Synchronization

/// The queues, the table and the ghosts of one cache shard; its lock holds this value. See
/// ``CacheShard`` for the policy.
struct CacheQueues {
    /// Look-ups that count.
    static let lookupsMax: UInt8 = 3
    /// Turns of segments, for one block that comes in, in which blocks move on.
    private static let turnsMax = 64

    private struct Queue {
        /// Oldest first; the last one is being filled.
        var segments: [CacheSegment] = []
        var bytes = 0
    }

    /// Memory that is out of sight, until the last one who may still look has left.
    private enum Limbo {
        case segment(CacheSegment)
        case table(BlockTable, epoch: UInt64)
    }

    /// Counters without `blocks`, `bytes`, `hits` and `misses`.
    private(set) var counters = BlockCache.Statistics()
    /// Blocks held.
    private(set) var count = 0
    private(set) var table: BlockTable
    private let gate: EpochGate
    private let segmentBytes: Int
    private var small = Queue()
    private var main = Queue()
    private var limbo: [Limbo] = []
    /// A table that was outgrown and may still be in sight.
    private var outgrown: BlockTable?
    private var spare: CacheSegment?
    /// High half: some bits of the hash; low half: `ghostClock` when it was dropped.
    private var ghosts: [UInt64]
    private var ghostClock: UInt32 = 0

    init(budgetBytes: Int, table: BlockTable, gate: EpochGate) {
        self.table = table
        self.gate = gate
        segmentBytes = min(256 << 10, max(4 << 10, budgetBytes / 64 & ~4095))
        var capacity = 64
        while capacity < budgetBytes / 4096 && capacity < 1 << 16 { capacity *= 2 }
        ghosts = [UInt64](repeating: 0, count: capacity)
    }

    /// Frees everything; nobody reads any more.
    mutating func deallocate() {
        for segment in small.segments + main.segments { segment.deallocate() }
        for item in limbo {
            switch item {
            case .segment(let segment): segment.deallocate()
            case .table(let old, _): old.deallocate()
            }
        }
        spare?.deallocate()
        table.deallocate()
    }

    /// Bytes of the segments in the queues.
    var heldBytes: Int { small.bytes + main.bytes }

    /// Takes a copy of a block in and answers the one that is kept for the place; for a block that
    /// is too large, one that goes when nobody looks at it any more.
    mutating func insert(
        _ block: TableBlock, hash: UInt64, fileID: UInt64, offset: UInt64, budgetBytes: Int
    ) -> TableBlock {
        sweep()
        if let kept = table.find(hash: hash, fileID: fileID, offset: offset) { return kept }
        let bytes = CacheSegment.headerBytes + CacheSegment.roomBytes(block)
        // One segment is left over for blocks that move on.
        let budget = budgetBytes - segmentBytes
        if bytes > budget / 4 {
            counters.bypasses &+= 1
            makeRoom(holding: max(0, budget), budget)
            return keepOutside(block, bytes, fileID: fileID, offset: offset)
        }
        let isMain = takeGhost(hash)
        if !hasRoom(for: bytes, isMain: isMain) {
            makeRoom(holding: budget - max(segmentBytes, bytes), budget)
        }
        let kept = append(block, fileID: fileID, offset: offset, isMain: isMain)
        if (count + 1) * 2 > table.capacity { growTable() }
        table.insert(kept, hash: hash)
        count += 1
        counters.insertions &+= 1
        return kept
    }

    mutating func removeAll(fileID: UInt64) {
        for isMain in [false, true] {
            let queue = isMain ? main : small
            var dead: [CacheSegment] = []
            for segment in queue.segments {
                segment.forEach { block in
                    let isOfFile = block.header.pointee.fileID == fileID
                    if isOfFile && block.header.pointee.isKept { drop(block) }
                }
                if segment.header.pointee.keptBlocks == 0 { dead.append(segment) }
            }
            if dead.isEmpty { continue }
            let bytes = dead.reduce(0) { $0 + $1.header.pointee.capacity }
            let left = Queue(
                segments: queue.segments.filter { !dead.contains($0) }, bytes: queue.bytes - bytes)
            if isMain { main = left } else { small = left }
            for segment in dead { retire(segment) }
        }
        sweep()
    }

    // MARK: Segments

    private func hasRoom(for bytes: Int, isMain: Bool) -> Bool {
        guard let open = (isMain ? main : small).segments.last else { return false }
        return open.header.pointee.used + bytes <= open.header.pointee.capacity
    }

    /// Copies a block to the end of a queue, in a new segment when the last one is full.
    private mutating func append(
        _ block: TableBlock, fileID: UInt64, offset: UInt64, isMain: Bool
    ) -> TableBlock {
        var copy = (isMain ? main : small).segments.last?
            .append(block, fileID: fileID, offset: offset)
        var segment = (isMain ? main : small).segments.last
        if copy == nil {
            let bytes = CacheSegment.headerBytes + CacheSegment.roomBytes(block)
            let fresh = takeSegment(bytes)
            fresh.header.pointee.isMain = isMain
            if isMain {
                main.segments.append(fresh)
                main.bytes += fresh.header.pointee.capacity
            } else {
                small.segments.append(fresh)
                small.bytes += fresh.header.pointee.capacity
            }
            copy = fresh.append(block, fileID: fileID, offset: offset)
            segment = fresh
        }
        guard let copy, let segment else { preconditionFailure("a new segment has room") }
        copy.header.pointee.isKept = true
        copy.lookups.pointee.store(0, ordering: .relaxed)
        segment.header.pointee.keptBlocks += 1
        return copy
    }

    private mutating func takeSegment(_ bytes: Int) -> CacheSegment {
        if bytes > segmentBytes { return CacheSegment(capacity: bytes) }
        if let segment = spare {
            spare = nil
            return segment
        }
        return CacheSegment(capacity: segmentBytes)
    }

    private mutating func keepOutside(
        _ block: TableBlock, _ bytes: Int, fileID: UInt64, offset: UInt64
    ) -> TableBlock {
        let segment = CacheSegment(capacity: bytes)
        guard let copy = segment.append(block, fileID: fileID, offset: offset) else {
            preconditionFailure("a segment made for a block has room for it")
        }
        retire(segment)
        return copy
    }

    /// Takes a segment out of sight: none of its blocks is in the table any more.
    private mutating func retire(_ segment: CacheSegment) {
        segment.header.pointee.epoch = gate.closeEpoch()
        limbo.append(.segment(segment))
    }

    /// Frees what nobody can look at any more.
    private mutating func sweep() {
        if limbo.isEmpty { return }
        let oldest = gate.oldest()
        var left: [Limbo] = []
        for item in limbo {
            switch item {
            case .segment(let segment):
                let isPinned = segment.pins.pointee.load(ordering: .acquiring) > 0
                if isPinned || segment.header.pointee.epoch >= oldest {
                    left.append(item)
                } else if spare == nil, segment.header.pointee.capacity == segmentBytes {
                    segment.reset()
                    spare = segment
                } else {
                    segment.deallocate()
                }
            case .table(let old, let epoch):
                if epoch >= oldest { left.append(item) } else { old.deallocate() }
            }
        }
        limbo = left
    }

    // MARK: Eviction

    /// Has segments take their turns until the queues hold at most `bytes`. What moves on may need
    /// as many segments as before, when blocks are large: after some turns nothing moves on.
    private mutating func makeRoom(holding bytes: Int, _ budget: Int) {
        var turns = 0
        while heldBytes > bytes, evict(budget, keepsSome: turns < Self.turnsMax) {
            turns += 1
            if turns % 8 == 0 { sweep() }
        }
    }

    /// Has the oldest segment of one queue make way; false when there is none.
    private mutating func evict(_ budget: Int, keepsSome: Bool) -> Bool {
        let isFromMain =
            small.segments.isEmpty || (small.bytes <= budget / 10 && !main.segments.isEmpty)
        guard let segment = pop(isMain: isFromMain) else { return false }
        var limit = isFromMain ? mainLimit(segment) : Limit(least: 2, roomBytes: 0)
        if !keepsSome { limit = Limit(least: .max, roomBytes: 0) }
        segment.forEach { block in
            guard block.header.pointee.isKept else { return }
            let lookups = block.lookups.pointee.load(ordering: .relaxed)
            let (fileID, offset) = (block.header.pointee.fileID, block.header.pointee.offset)
            let hash = CacheShard.hash(of: block)
            drop(block)
            if limit.admits(lookups, CacheSegment.roomBytes(block)) {
                let moved = append(block, fileID: fileID, offset: offset, isMain: true)
                if isFromMain { moved.lookups.pointee.store(lookups - 1, ordering: .relaxed) }
                table.insert(moved, hash: hash)
                count += 1
            } else {
                if !isFromMain { addGhost(hash) }
                counters.evictions &+= 1
            }
        }
        retire(segment)
        return true
    }

    private mutating func pop(isMain: Bool) -> CacheSegment? {
        if isMain {
            guard !main.segments.isEmpty else { return nil }
            let segment = main.segments.removeFirst()
            main.bytes -= segment.header.pointee.capacity
            return segment
        }
        guard !small.segments.isEmpty else { return nil }
        let segment = small.segments.removeFirst()
        small.bytes -= segment.header.pointee.capacity
        return segment
    }

    /// Which blocks of a segment whose turn it is move on.
    private struct Limit {
        /// Look-ups with which a block does.
        let least: UInt8
        /// With one fewer it does as long as it fits in here.
        var roomBytes: Int

        mutating func admits(_ lookups: UInt8, _ bytes: Int) -> Bool {
            if lookups >= least { return true }
            guard lookups > 0, lookups + 1 == least, bytes <= roomBytes else { return false }
            roomBytes -= bytes
            return true
        }
    }

    /// Of the main queue those that were looked up, the most looked up first, and no more than
    /// three quarters of the segment.
    private func mainLimit(_ segment: CacheSegment) -> Limit {
        var bytes = [0, 0, 0, 0]
        segment.forEach { block in
            guard block.header.pointee.isKept else { return }
            let lookups = min(block.lookups.pointee.load(ordering: .relaxed), Self.lookupsMax)
            bytes[Int(lookups)] += CacheSegment.roomBytes(block)
        }
        var room = segment.header.pointee.capacity / 4 * 3
        var least = Self.lookupsMax + 1
        while least > 1, bytes[Int(least) - 1] <= room {
            least -= 1
            room -= bytes[Int(least)]
        }
        return Limit(least: least, roomBytes: room)
    }

    /// Takes a block out of the table.
    private mutating func drop(_ block: TableBlock) {
        table.remove(block, hash: CacheShard.hash(of: block))
        block.header.pointee.isKept = false
        CacheSegment(address: block.header.pointee.segment).header.pointee.keptBlocks -= 1
        count -= 1
    }

    private mutating func growTable() {
        outgrown = table
        table = table.grown()
    }

    /// Lets go of a table that was outgrown, once ``table`` is what readers see.
    mutating func retireOutgrown() {
        guard let old = outgrown.take() else { return }
        limbo.append(.table(old, epoch: gate.closeEpoch()))
    }

    // MARK: Ghosts

    /// Remembers that a block was dropped from the small queue.
    private mutating func addGhost(_ hash: UInt64) {
        ghostClock &+= 1
        ghosts[Int(truncatingIfNeeded: hash) & (ghosts.count - 1)] =
            hash & 0xFFFF_FFFF_0000_0000 | UInt64(ghostClock)
    }

    /// Whether a block was dropped from the small queue lately; forgets it.
    private mutating func takeGhost(_ hash: UInt64) -> Bool {
        let place = Int(truncatingIfNeeded: hash) & (ghosts.count - 1)
        let ghost = ghosts[place]
        guard ghost != 0, ghost >> 32 == hash >> 32 else { return false }
        ghosts[place] = 0
        return ghostClock &- UInt32(truncatingIfNeeded: ghost) <= UInt32(clamping: count + 16)
    }
}
