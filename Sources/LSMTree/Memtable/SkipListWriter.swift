import Bytes
import Synchronization

/// Adds rows to a ``SkipList``. One thread at a time.
// Sendable: `splice` and `random` belong to the one writer; the rest is immutable or atomic.
final class SkipListWriter: @unchecked Sendable {
    private let arena: Arena
    let list: SkipList
    private let splice: UnsafeMutablePointer<UInt32>
    private let random: UnsafeMutablePointer<UInt64>

    init(arena: Arena, seed: UInt64) {
        self.arena = arena
        let bytes = SkipList.linksOffset + SkipList.heightMax * 4 + 8
        let head = arena.allocate(bytes)
        arena.pointer(head).initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
        list = SkipList(chunks: arena.chunks, head: head)
        list.height.pointee.store(1, ordering: .releasing)
        splice = .allocate(capacity: SkipList.heightMax * 2)
        for level in 0..<SkipList.heightMax {
            splice[level * 2] = head
            splice[level * 2 + 1] = 0
        }
        random = .allocate(capacity: 1)
        random.initialize(to: SplitMix64.mix(seed &+ 1) | 1)
    }

    /// The node of the last row.
    var newest: UInt32 { splice[0] }

    deinit {
        splice.deallocate()
        random.deallocate()
    }

    /// Adds a row that is newer than every row of its key. Returns the bytes it took.
    func insert(
        key: UnsafeRawBufferPointer, trailer: UInt64, value: UnsafeRawBufferPointer
    ) -> Int {
        findSplice(key)
        let tower = randomHeight()
        let bytes = SkipList.linksOffset + tower * 4 + key.count + 8 + value.count
        let node = arena.allocate(bytes)
        let base = arena.pointer(node)
        base.storeBytes(of: UInt32(key.count), as: UInt32.self)
        base.storeBytes(of: UInt32(value.count), toByteOffset: 4, as: UInt32.self)
        base.storeBytes(of: splice[0], toByteOffset: 8, as: UInt32.self)
        base.storeBytes(of: UInt32(tower), toByteOffset: 12, as: UInt32.self)
        let payload = base + SkipList.linksOffset + tower * 4
        if let source = key.baseAddress {
            payload.copyMemory(from: source, byteCount: key.count)
        }
        (payload + key.count).storeBytes(of: trailer.littleEndian, as: UInt64.self)
        if let source = value.baseAddress {
            (payload + key.count + 8).copyMemory(from: source, byteCount: value.count)
        }
        for level in 0..<tower {
            let offset = SkipList.linksOffset + level * 4
            base.storeBytes(of: splice[level * 2 + 1], toByteOffset: offset, as: UInt32.self)
        }
        let after = splice[1]
        for level in 0..<tower {
            list.link(splice[level * 2], at: SkipList.linksOffset + level * 4).pointee
                .store(node, ordering: .releasing)
            splice[level * 2] = node
        }
        // The head's back link is the last node, so that a reverse scan starts without a search.
        list.link(after == 0 ? list.head : after, at: 8).pointee.store(node, ordering: .releasing)
        if UInt32(tower) > list.height.pointee.load(ordering: .relaxed) {
            list.height.pointee.store(UInt32(tower), ordering: .releasing)
        }
        return bytes
    }

    /// Makes every level's splice enclose `key`: previous < key ≤ next.
    ///
    /// Invariant: on each level the two are neighbours, and the pairs nest from level to level.
    private func findSplice(_ key: UnsafeRawBufferPointer) {
        var level = 0
        while level < SkipList.heightMax {
            let before = splice[level * 2]
            let after = splice[level * 2 + 1]
            let isAfter = before == list.head || KeyOrder.compare(list.userKey(before), key) < 0
            if isAfter && (after == 0 || KeyOrder.compare(list.userKey(after), key) >= 0) { break }
            level += 1
        }
        var before = level == SkipList.heightMax ? list.head : splice[level * 2]
        while level > 0 {
            level -= 1
            var after = list.next(before, level)
            while after != 0, KeyOrder.compare(list.userKey(after), key) < 0 {
                before = after
                after = list.next(before, level)
            }
            splice[level * 2] = before
            splice[level * 2 + 1] = after
        }
    }

    /// 1 + the number of fair four-sided dice in a row that show zero.
    private func randomHeight() -> Int {
        var x = random.pointee
        x ^= x &<< 13
        x ^= x &>> 7
        x ^= x &<< 17
        random.pointee = x
        let zeros = (x &>> 20 | 1 &<< 40).trailingZeroBitCount / 2
        return min(1 + zeros, SkipList.heightMax)
    }
}
