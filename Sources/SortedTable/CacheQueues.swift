/// The slots, hash table and queues of one cache shard; its lock holds this value.
///
/// See ``CacheShard`` for the policy. Slots are numbered and reused; the table holds slot numbers.
struct CacheQueues {
    private struct Slot {
        var fileID: UInt64
        var offset: UInt64
        var hash: UInt64
        /// Nil in a free slot and in one whose file was removed, which still waits in its queue.
        var block: TableBlock?
        var next: Int32
        var lookups: UInt8
        var isMain: Bool
    }

    private struct Queue {
        var oldest: Int32 = -1
        var newest: Int32 = -1
        var bytes = 0
    }

    private static let lookupsMax: UInt8 = 3
    /// Pinned blocks passed over for one insertion; bounds the time under the lock.
    private static let pinnedPassesMax = 32

    /// Counters without `blocks` and `bytes`.
    private(set) var counters = BlockCache.Statistics()
    /// Blocks held.
    private(set) var count = 0
    private var small = Queue()
    private var main = Queue()
    private var slots: [Slot] = []
    private var firstFree: Int32 = -1
    /// Slot numbers by hash, -1 where empty; linear probing, at most half full.
    private var table = [Int32](repeating: -1, count: 64)
    /// High half: some bits of the hash; low half: `ghostClock` when it was dropped.
    private var ghosts: [UInt64]
    private var ghostClock: UInt32 = 0

    init(ghostCapacity: Int) {
        var capacity = 64
        while capacity < ghostCapacity && capacity < 1 << 16 { capacity *= 2 }
        ghosts = [UInt64](repeating: 0, count: capacity)
    }

    /// Bytes held.
    var bytes: Int { small.bytes + main.bytes }

    @inline(__always)
    mutating func find(hash: UInt64, fileID: UInt64, offset: UInt64) -> TableBlock? {
        let slot = Int(table[position(hash: hash, fileID: fileID, offset: offset)])
        guard slot >= 0 else {
            counters.misses &+= 1
            return nil
        }
        counters.hits &+= 1
        if slots[slot].lookups < Self.lookupsMax { slots[slot].lookups &+= 1 }
        return slots[slot].block
    }

    mutating func insert(
        _ block: TableBlock, hash: UInt64, fileID: UInt64, offset: UInt64, budgetBytes: Int
    ) -> TableBlock {
        let place = position(hash: hash, fileID: fileID, offset: offset)
        if table[place] >= 0, let kept = slots[Int(table[place])].block { return kept }
        if block.chargedBytes > budgetBytes / 2 {
            counters.bypasses &+= 1
            evict(to: budgetBytes)
            return block
        }
        evict(to: budgetBytes - block.chargedBytes)
        if (count + 1) * 2 > table.count { growTable() }
        let slot = takeSlot(
            Slot(
                fileID: fileID, offset: offset, hash: hash, block: block, next: -1, lookups: 0,
                isMain: takeGhost(hash)))
        table[position(hash: hash, fileID: fileID, offset: offset)] = slot
        push(slot)
        count += 1
        counters.insertions &+= 1
        return block
    }

    mutating func removeAll(fileID: UInt64) {
        for index in slots.indices where slots[index].fileID == fileID {
            guard let block = slots[index].block else { continue }
            removeFromTable(slots[index])
            slots[index].block = nil
            // The slot is freed when its turn in the queue comes; its bytes go now.
            if slots[index].isMain {
                main.bytes -= block.chargedBytes
            } else {
                small.bytes -= block.chargedBytes
            }
            count -= 1
        }
    }

    // MARK: Eviction

    private mutating func evict(to target: Int) {
        var passes = Self.pinnedPassesMax
        while bytes > max(0, target), passes > 0 {
            let isFromMain = small.oldest < 0 || (small.bytes <= target / 10 && main.oldest >= 0)
            guard let slot = pop(isMain: isFromMain) else { return }
            let index = Int(slot)
            if slots[index].block == nil {
                free(slot)
            } else if isFromMain && slots[index].lookups > 0 {
                slots[index].lookups -= 1
                push(slot)
            } else if !isFromMain && slots[index].lookups > 1 {
                slots[index].lookups = 0
                slots[index].isMain = true
                push(slot)
            } else if !isKnownUniquelyReferenced(&slots[index].block) {
                passes -= 1
                push(slot)
            } else {
                if !isFromMain { addGhost(slots[index].hash) }
                removeFromTable(slots[index])
                counters.evictions &+= 1
                count -= 1
                free(slot)
            }
        }
    }

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

    // MARK: Queues and slots

    private mutating func push(_ slot: Int32) {
        let isMain = slots[Int(slot)].isMain
        var queue = isMain ? main : small
        slots[Int(slot)].next = -1
        if queue.newest >= 0 { slots[Int(queue.newest)].next = slot } else { queue.oldest = slot }
        queue.newest = slot
        queue.bytes += slots[Int(slot)].block?.chargedBytes ?? 0
        if isMain { main = queue } else { small = queue }
    }

    private mutating func pop(isMain: Bool) -> Int32? {
        var queue = isMain ? main : small
        let slot = queue.oldest
        guard slot >= 0 else { return nil }
        queue.oldest = slots[Int(slot)].next
        if queue.oldest < 0 { queue.newest = -1 }
        queue.bytes -= slots[Int(slot)].block?.chargedBytes ?? 0
        if isMain { main = queue } else { small = queue }
        return slot
    }

    private mutating func takeSlot(_ content: Slot) -> Int32 {
        if firstFree >= 0 {
            let slot = firstFree
            firstFree = slots[Int(slot)].next
            slots[Int(slot)] = content
            return slot
        }
        slots.append(content)
        return Int32(slots.count - 1)
    }

    private mutating func free(_ slot: Int32) {
        slots[Int(slot)].block = nil
        slots[Int(slot)].next = firstFree
        firstFree = slot
    }

    // MARK: Table

    /// Where the key stands in the table, or the empty place where it would.
    @inline(__always)
    private func position(hash: UInt64, fileID: UInt64, offset: UInt64) -> Int {
        let mask = table.count - 1
        var place = Int(truncatingIfNeeded: hash) & mask
        while table[place] >= 0 {
            let slot = Int(table[place])
            if slots[slot].offset == offset && slots[slot].fileID == fileID { break }
            place = (place + 1) & mask
        }
        return place
    }

    /// Removes a key and closes the gap (Knuth, volume 3, 6.4 algorithm R).
    private mutating func removeFromTable(_ slot: Slot) {
        let mask = table.count - 1
        var gap = position(hash: slot.hash, fileID: slot.fileID, offset: slot.offset)
        guard table[gap] >= 0 else { return }
        table[gap] = -1
        var place = (gap + 1) & mask
        while table[place] >= 0 {
            let home = Int(truncatingIfNeeded: slots[Int(table[place])].hash) & mask
            if (place - home) & mask >= (place - gap) & mask {
                table[gap] = table[place]
                table[place] = -1
                gap = place
            }
            place = (place + 1) & mask
        }
    }

    private mutating func growTable() {
        let old = table
        table = [Int32](repeating: -1, count: old.count * 2)
        let mask = table.count - 1
        for slot in old where slot >= 0 {
            var place = Int(truncatingIfNeeded: slots[Int(slot)].hash) & mask
            while table[place] >= 0 { place = (place + 1) & mask }
            table[place] = slot
        }
    }
}
