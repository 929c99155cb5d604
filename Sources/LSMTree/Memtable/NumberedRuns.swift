import Bytes
import SortedTable
import Synchronization

/// Rows whose keys are a prefix of fixed length and a big-endian number of eight bytes, where each
/// prefix's numbers rise by one from row to row: a run of offsets per prefix.
///
/// The simple version is the ``SkipList``: every row is searched for and carries its key, its links
/// and its place in towers. But a conversation's log is only ever appended to, and what it appends
/// follows from what it has. So a prefix is searched once, a row's number is its place in the run,
/// and neither keys nor links are stored:
///
///     table     Atomic<u32> at `root` → u64 mask, then mask + 1 slots of u64:
///               half of the prefix's hash << 32 | its node; 0 is free
///     node      of the list `prefixes`; the value is the run's offset, u32
///     run       0   u64  number of the first row
///               8   u32  rows (atomic; what is below it stands)
///               12  u32  newest segment (atomic)
///               16  u32  nonzero: closed, see ``NumberedRunsWriter`` (the writer's own)
///               20  u32  zero
///               24       oldest segment
///     segment   0   u32  the one before, 0 for the oldest
///               4   u32  the one after, 0 for the newest (atomic)
///               8   u32  rows of the run before its own
///               12  u32  rows that fit
///               16       offset of each row, u32
///     row       0   u64  sequence << 8 | kind
///               8   u32  length of the value
///               12       value
///
/// The prefixes stand in a skip list, so rows come in order without sorting, at the flush as for
/// any reader. The table before it is only a short cut, so prefixes that were chosen to collide do
/// no harm: a look-up visits at most ``probesMax`` slots, then searches the list.
///
/// One writer, any number of readers, as in the skip list: a number's rows are published by storing
/// the run's count, runs by linking their node, both before the sequence that makes them visible.
/// Sequences ascend within a run, so what a reader may see of it is its beginning.
// Sendable: what the pointers lead to is written as said above.
struct NumberedRuns: @unchecked Sendable {
    static let numberBytes = 8
    static let probesMax = 32
    static let runBytes = 24
    static let segmentBytes = 16
    static let rowBytes = 12

    let prefixLength: Int
    /// The prefixes, one node each.
    let prefixes: SkipList
    /// Where the offset of the present table stands.
    let root: UInt32

    @inline(__always)
    func memory(_ offset: UInt32) -> UnsafeMutableRawPointer { prefixes.memory(offset) }

    @inline(__always)
    func atomic(_ offset: UInt32, _ field: Int = 0) -> UnsafeMutablePointer<Atomic<UInt32>> {
        (memory(offset) + field).assumingMemoryBound(to: Atomic<UInt32>.self)
    }

    @inline(__always)
    static func hash(_ prefix: UnsafeRawBufferPointer) -> UInt32 {
        UInt32(truncatingIfNeeded: Checksum.xxh3(prefix) &>> 32)
    }

    @inline(__always)
    func prefix(_ key: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: key.baseAddress, count: prefixLength)
    }

    // MARK: Prefixes

    @inline(__always)
    func slots(_ table: UnsafeMutableRawPointer) -> UnsafeMutablePointer<Atomic<UInt64>> {
        (table + 8).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// The node of a prefix, or 0.
    func node(_ prefix: UnsafeRawBufferPointer) -> UInt32 {
        let table = memory(atomic(root).pointee.load(ordering: .acquiring))
        let mask = table.load(as: UInt64.self)
        let hash = Self.hash(prefix)
        var probe: UInt64 = 0
        while probe < UInt64(Self.probesMax) {
            let place = Int(truncatingIfNeeded: (UInt64(hash) &+ probe) & mask)
            probe &+= 1
            let slot = slots(table)[place].load(ordering: .acquiring)
            if slot == 0 { return 0 }
            let node = UInt32(truncatingIfNeeded: slot)
            if slot &>> 32 == UInt64(hash), KeyOrder.compare(prefixes.userKey(node), prefix) == 0 {
                return node
            }
        }
        let node = prefixes.next(prefixes.lastBefore(prefix))
        return node != 0 && KeyOrder.compare(prefixes.userKey(node), prefix) == 0 ? node : 0
    }

    /// The run of a node.
    @inline(__always)
    func run(_ node: UInt32) -> UInt32 {
        prefixes.value(node).loadUnaligned(as: UInt32.self)
    }

    // MARK: Rows

    @inline(__always)
    func firstNumber(_ run: UInt32) -> UInt64 { memory(run).load(as: UInt64.self) }

    @inline(__always)
    func count(_ run: UInt32) -> Int {
        Int(truncatingIfNeeded: atomic(run, 8).pointee.load(ordering: .acquiring))
    }

    /// Rows of the run whose number is below `number`, of its first `count`.
    @inline(__always)
    func place(_ run: UInt32, of number: UInt64, count: Int) -> Int {
        let first = firstNumber(run)
        return number <= first ? 0 : Int(truncatingIfNeeded: min(number &- first, UInt64(count)))
    }

    /// The segment that holds the row at `place`, which is below a count that was read.
    @inline(__always)
    func segment(_ run: UInt32, holding place: Int) -> UInt32 {
        var segment = atomic(run, 12).pointee.load(ordering: .acquiring)
        while place < firstPlace(segment) { segment = memory(segment).load(as: UInt32.self) }
        return segment
    }

    /// The segment after one that is not the newest.
    @inline(__always)
    func newer(_ segment: UInt32) -> UInt32 {
        atomic(segment, 4).pointee.load(ordering: .acquiring)
    }

    @inline(__always)
    func firstPlace(_ segment: UInt32) -> Int {
        Int(memory(segment).load(fromByteOffset: 8, as: UInt32.self))
    }

    @inline(__always)
    func capacity(_ segment: UInt32) -> Int {
        Int(memory(segment).load(fromByteOffset: 12, as: UInt32.self))
    }

    /// The row at `place`, which the segment holds.
    @inline(__always)
    func row(_ segment: UInt32, _ place: Int) -> UnsafeMutableRawPointer {
        let base = memory(segment)
        let offset = Self.segmentBytes &+ (place &- firstPlace(segment)) &* 4
        return memory(base.load(fromByteOffset: offset, as: UInt32.self))
    }

    @inline(__always)
    static func trailer(_ row: UnsafeMutableRawPointer) -> UInt64 { row.load(as: UInt64.self) }

    @inline(__always)
    static func value(_ row: UnsafeMutableRawPointer) -> UnsafeRawBufferPointer {
        let count = Int(row.load(fromByteOffset: 8, as: UInt32.self))
        return UnsafeRawBufferPointer(start: row + rowBytes, count: count)
    }

    /// Of the first `count` rows those at or below `sequence`.
    func visible(_ run: UInt32, _ count: Int, at sequence: SequenceNumber) -> Int {
        var (low, high) = (0, count)
        while low < high {
            // The last first: mostly everything is visible.
            let middle = high == count ? count - 1 : (low + high) / 2
            if Self.trailer(row(segment(run, holding: middle), middle)) &>> 8 <= sequence {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }

    /// The row of `key` when it is at or below `sequence`.
    @inline(__always)
    func find(
        _ key: UnsafeRawBufferPointer, at sequence: SequenceNumber
    ) -> UnsafeMutableRawPointer? {
        guard key.count == prefixLength &+ Self.numberBytes else { return nil }
        let node = node(prefix(key))
        if node == 0 { return nil }
        let run = run(node)
        let number = Self.number(key, at: prefixLength)
        let place = number &- firstNumber(run)
        guard place < UInt64(count(run)) else { return nil }
        let index = Int(truncatingIfNeeded: place)
        let row = row(segment(run, holding: index), index)
        return Self.trailer(row) &>> 8 <= sequence ? row : nil
    }

    @inline(__always)
    static func number(_ key: UnsafeRawBufferPointer, at offset: Int) -> UInt64 {
        UInt64(bigEndian: key.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
}
