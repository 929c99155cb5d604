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
/// The writer (``SkipListWriter``) keeps the last splice, the pair of neighbours on each level
/// between which the last row went. Rows of one conversation arrive in order, so the next row
/// mostly goes right behind the last one, and its place is found with two comparisons. (The idea is
/// Pebble's `Inserter` and RocksDB's insert hints.) Otherwise the search climbs the splice only as
/// far as it must.
// Sendable: what the pointers lead to is written as said above.
struct SkipList: @unchecked Sendable {
    static let heightMax = 12
    static let linksOffset = 16

    /// The arena's; it outlives the list's readers.
    let chunks: UnsafeMutablePointer<UnsafeMutableRawPointer?>
    let head: UInt32

    @inline(__always)
    func memory(_ node: UInt32) -> UnsafeMutableRawPointer { Arena.pointer(chunks, node) }

    /// Levels in use, kept in the head where other nodes have the length of their value.
    @inline(__always)
    var height: UnsafeMutablePointer<Atomic<UInt32>> {
        (memory(head) + 4).assumingMemoryBound(to: Atomic<UInt32>.self)
    }

    // MARK: Nodes

    @inline(__always)
    func userKey(_ node: UInt32) -> UnsafeRawBufferPointer {
        let base = memory(node)
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
        let base = memory(node)
        let tower = Int(base.load(fromByteOffset: 12, as: UInt32.self)) &* 4
        let keyCount = Int(base.load(as: UInt32.self))
        let count = Int(base.load(fromByteOffset: 4, as: UInt32.self))
        let start = base + (Self.linksOffset &+ tower &+ keyCount &+ 8)
        return UnsafeRawBufferPointer(start: start, count: count)
    }

    @inline(__always)
    func link(_ node: UInt32, at offset: Int) -> UnsafeMutablePointer<Atomic<UInt32>> {
        (memory(node) + offset).assumingMemoryBound(to: Atomic<UInt32>.self)
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

    /// True when no row is linked.
    @inline(__always)
    var isEmpty: Bool { next(head) == 0 }

    // MARK: Search

    /// The last node whose user key sorts before `key`, the head when there is none.
    func lastBefore(_ key: UnsafeRawBufferPointer) -> UInt32 {
        var node = head
        var level = Int(height.pointee.load(ordering: .acquiring)) - 1
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
