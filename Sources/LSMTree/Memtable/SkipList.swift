import Bytes
import SortedTable
import Synchronization

/// Rows of one keyspace in memory, sorted as internal keys: user key ascending, newest first.
///
/// A skip list (Pugh, "Skip lists: a probabilistic alternative to balanced trees", 1990) whose
/// nodes lie in an ``Arena``:
///
///     0   u32  length of the user key
///     4   u32  length of the value
///     8   u32  previous node of level 0 (a hint until the row is published)
///     12  u32  height
///     16  u32  next node, one per level of the tower
///     …        user key, 8-byte trailer (sequence << 8 | kind), value
///
/// One writer inserts; any number of readers walk without a lock. A node is linked with a
/// releasing store after it is complete, and followed with an acquiring load. A reader only trusts
/// rows at or below the sequence it was given, which the writer published after all links of the
/// row stood, the backward one included: so walking backward costs what walking forward costs.
///
/// The writer keeps the last splice, the pair of neighbours on each level between which the last
/// row went. Rows of one conversation arrive in order, so the next row mostly goes right behind
/// the last one, and its place is found with two comparisons. (The idea is Pebble's `Inserter` and
/// RocksDB's insert hints.) Otherwise the search climbs the splice only as far as it must.
// Sendable: `splice` and `random` belong to the one writer; the rest is immutable or atomic.
final class SkipList: @unchecked Sendable {
    static let heightMax = 12
    static let linksOffset = 16

    let arena: Arena
    let head: UInt32
    private let height = Atomic<UInt32>(1)
    private let splice: UnsafeMutablePointer<UInt32>
    private let random: UnsafeMutablePointer<UInt64>

    init(arena: Arena, seed: UInt64) {
        self.arena = arena
        let bytes = Self.linksOffset + Self.heightMax * 4 + 8
        head = arena.allocate(bytes)
        arena.pointer(head).initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
        splice = .allocate(capacity: Self.heightMax * 2)
        for level in 0..<Self.heightMax {
            splice[level * 2] = head
            splice[level * 2 + 1] = 0
        }
        random = .allocate(capacity: 1)
        random.initialize(to: SplitMix64.mix(seed &+ 1) | 1)
    }

    deinit {
        splice.deallocate()
        random.deallocate()
    }

    // MARK: Nodes

    @inline(__always)
    func userKey(_ node: UInt32) -> UnsafeRawBufferPointer {
        let base = arena.pointer(node)
        let tower = Int(base.load(fromByteOffset: 12, as: UInt32.self)) &* 4
        let count = Int(base.load(as: UInt32.self))
        return UnsafeRawBufferPointer(start: base + (Self.linksOffset &+ tower), count: count)
    }

    /// The key with its trailer, as tables store it.
    @inline(__always)
    func internalKey(_ node: UInt32) -> UnsafeRawBufferPointer {
        let key = userKey(node)
        return UnsafeRawBufferPointer(start: key.baseAddress, count: key.count &+ 8)
    }

    @inline(__always)
    func trailer(_ node: UInt32) -> UInt64 {
        let key = userKey(node)
        let raw = UnsafeRawBufferPointer(start: key.baseAddress, count: key.count &+ 8)
        return UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: key.count, as: UInt64.self))
    }

    @inline(__always)
    func value(_ node: UInt32) -> UnsafeRawBufferPointer {
        let base = arena.pointer(node)
        let tower = Int(base.load(fromByteOffset: 12, as: UInt32.self)) &* 4
        let keyCount = Int(base.load(as: UInt32.self))
        let count = Int(base.load(fromByteOffset: 4, as: UInt32.self))
        let start = base + (Self.linksOffset &+ tower &+ keyCount &+ 8)
        return UnsafeRawBufferPointer(start: start, count: count)
    }

    @inline(__always)
    private func link(_ node: UInt32, at offset: Int) -> UnsafeMutablePointer<Atomic<UInt32>> {
        (arena.pointer(node) + offset).assumingMemoryBound(to: Atomic<UInt32>.self)
    }

    @inline(__always)
    func next(_ node: UInt32, _ level: Int = 0) -> UInt32 {
        link(node, at: Self.linksOffset &+ level &* 4).pointee.load(ordering: .acquiring)
    }

    /// The node before, the head for the first.
    @inline(__always)
    func previous(_ node: UInt32) -> UInt32 {
        link(node, at: 8).pointee.load(ordering: .acquiring)
    }

    // MARK: Insertion

    /// Adds a row that is newer than every row of its key. Returns the bytes it took.
    func insert(
        key: UnsafeRawBufferPointer, trailer: UInt64, value: UnsafeRawBufferPointer
    ) -> Int {
        findSplice(key)
        let tower = randomHeight()
        let bytes = Self.linksOffset + tower * 4 + key.count + 8 + value.count
        let node = arena.allocate(bytes)
        let base = arena.pointer(node)
        base.storeBytes(of: UInt32(key.count), as: UInt32.self)
        base.storeBytes(of: UInt32(value.count), toByteOffset: 4, as: UInt32.self)
        base.storeBytes(of: splice[0], toByteOffset: 8, as: UInt32.self)
        base.storeBytes(of: UInt32(tower), toByteOffset: 12, as: UInt32.self)
        let payload = base + Self.linksOffset + tower * 4
        if let source = key.baseAddress {
            payload.copyMemory(from: source, byteCount: key.count)
        }
        (payload + key.count).storeBytes(of: trailer.littleEndian, as: UInt64.self)
        if let source = value.baseAddress {
            (payload + key.count + 8).copyMemory(from: source, byteCount: value.count)
        }
        for level in 0..<tower {
            let offset = Self.linksOffset + level * 4
            base.storeBytes(of: splice[level * 2 + 1], toByteOffset: offset, as: UInt32.self)
        }
        let after = splice[1]
        for level in 0..<tower {
            link(splice[level * 2], at: Self.linksOffset + level * 4).pointee
                .store(node, ordering: .releasing)
            splice[level * 2] = node
        }
        // The head's back link is the last node, so that a reverse scan starts without a search.
        link(after == 0 ? head : after, at: 8).pointee.store(node, ordering: .releasing)
        if UInt32(tower) > height.load(ordering: .relaxed) {
            height.store(UInt32(tower), ordering: .releasing)
        }
        return bytes
    }

    /// Makes every level's splice enclose `key`: previous < key ≤ next.
    ///
    /// Invariant: on each level the two are neighbours, and the pairs nest from level to level.
    private func findSplice(_ key: UnsafeRawBufferPointer) {
        var level = 0
        while level < Self.heightMax {
            let before = splice[level * 2]
            let after = splice[level * 2 + 1]
            let isAfter = before == head || KeyOrder.compare(userKey(before), key) < 0
            if isAfter && (after == 0 || KeyOrder.compare(userKey(after), key) >= 0) { break }
            level += 1
        }
        var before = level == Self.heightMax ? head : splice[level * 2]
        while level > 0 {
            level -= 1
            var after = next(before, level)
            while after != 0, KeyOrder.compare(userKey(after), key) < 0 {
                before = after
                after = next(before, level)
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
        return min(1 + zeros, Self.heightMax)
    }

    // MARK: Search

    /// The last node whose user key sorts before `key`, the head when there is none.
    func lastBefore(_ key: UnsafeRawBufferPointer) -> UInt32 {
        var node = head
        var level = Int(height.load(ordering: .acquiring)) - 1
        while true {
            let after = next(node, level)
            if after != 0, KeyOrder.compare(userKey(after), key) < 0 {
                node = after
            } else if level == 0 {
                return node
            } else {
                level -= 1
            }
        }
    }

    /// The last node, 0 when the list is empty.
    @inline(__always)
    func last() -> UInt32 { previous(head) }

    /// The newest row of `key` at or below `sequence`, or 0.
    func find(_ key: UnsafeRawBufferPointer, at sequence: SequenceNumber) -> UInt32 {
        var node = next(lastBefore(key))
        while node != 0, KeyOrder.compare(userKey(node), key) == 0 {
            if trailer(node) &>> 8 <= sequence { return node }
            node = next(node)
        }
        return 0
    }
}
