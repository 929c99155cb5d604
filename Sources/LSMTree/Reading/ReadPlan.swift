import Bytes
import Platform
import SortedTable

/// Where a look-up finds a keyspace's rows, young to old, in raw memory: what a ``View`` holds as
/// objects, once more without a reference count to touch. Valid as long as the view is.
struct ReadPlan {
    /// A memtable's part.
    struct Memory {
        let index: MemtableIndex
        let part: Unmanaged<Memtable.Part>
    }

    /// A table.
    struct Table {
        /// The first bytes of `largest`, so that a search mostly compares numbers.
        let largestHead: UInt64
        let smallest: UnsafeRawBufferPointer
        let largest: UnsafeRawBufferPointer
        let isLargestExclusive: Bool
        /// It has range tombstones, or is in quarantine.
        let needsCare: Bool
        let handle: Unmanaged<TableHandle>
        let reader: Unmanaged<TableReader>
    }

    /// Tables that do not overlap, ascending: one of level 0, or a level below.
    struct Run {
        let tables: UnsafeMutablePointer<Table>
        let count: Int
    }

    private let memories: UnsafeMutableBufferPointer<Memory>
    private let runs: UnsafeMutableBufferPointer<Run>

    init(_ parts: [Memtable.Part], _ levels: KeyspaceLevels) {
        memories = .allocate(capacity: parts.count)
        for (place, part) in parts.enumerated() {
            memories.initializeElement(
                at: place, to: Memory(index: part.index, part: .passUnretained(part)))
        }
        let groups =
            levels.levels[0].map { [$0] } + levels.levels.dropFirst().filter { !$0.isEmpty }
        runs = .allocate(capacity: groups.count)
        for (place, tables) in groups.enumerated() {
            runs.initializeElement(at: place, to: Run(tables))
        }
    }

    func deallocate() {
        for run in runs { run.tables.deallocate() }
        runs.deallocate()
        memories.deallocate()
    }

    /// The value of `key` at a sequence, or nil: looks from young to old and stops at the first row
    /// or range tombstone, since everything older is hidden by it. The caller stands in the gate.
    @inline(__always)
    func find(
        _ key: UnsafeRawBufferPointer, at sequence: SequenceNumber, _ stay: EpochGate.Stay
    ) throws(TableError) -> UnsafeRawBufferPointer? {
        var place = 0
        while place < memories.count {
            let cover = memories[place].part._withUnsafeGuaranteedRef {
                $0.newestTombstone(covering: key, at: sequence)
            }
            if let row = memories[place].index.find(key, at: sequence) {
                let isPut = UInt8(truncatingIfNeeded: row.trailer) == RowKind.put.rawValue
                return isPut && row.trailer &>> 8 > cover ? row.value : nil
            }
            if cover > 0 { return nil }
            place &+= 1
        }
        if runs.count == 0 { return nil }
        let hash = TableReader.filterHash(key)
        place = 0
        while place < runs.count {
            let run = runs[place]
            place &+= 1
            guard let table = run.table(for: key) else { continue }
            let cover = table.pointee.needsCare ? try Self.cover(table, key, sequence) : 0
            let hit = try table.pointee.reader.takeUnretainedValue()
                .find(userKey: key, hash: hash, at: sequence, stay)
            if let hit { return hit.kind == .put && hit.sequence > cover ? hit.value : nil }
            if cover > 0 { return nil }
        }
        return nil
    }

    @inline(never)
    private static func cover(
        _ table: UnsafeMutablePointer<Table>, _ key: UnsafeRawBufferPointer,
        _ sequence: SequenceNumber
    ) throws(TableError) -> SequenceNumber {
        let handle = table.pointee.handle.takeUnretainedValue()
        try handle.requireSound()
        return handle.tombstones?.newest(covering: key, at: sequence) ?? 0
    }
}

extension ReadPlan.Run {
    init(_ handles: [TableHandle]) {
        tables = .allocate(capacity: handles.count)
        count = handles.count
        for (place, handle) in handles.enumerated() {
            (tables + place).initialize(
                to: ReadPlan.Table(
                    largestHead: Self.head(handle.bounds.largest),
                    smallest: handle.bounds.smallest, largest: handle.bounds.largest,
                    isLargestExclusive: handle.metadata.isLargestExclusive,
                    needsCare: handle.tombstones != nil || handle.health.isBad,
                    handle: .passUnretained(handle),
                    reader: .passUnretained(handle.reader)))
        }
    }

    /// The one table that may hold rows of `key`, or nil.
    @inline(__always)
    func table(for key: UnsafeRawBufferPointer) -> UnsafeMutablePointer<ReadPlan.Table>? {
        let head = Self.head(key)
        var low = 0
        var high = count
        while low < high {
            let middle = (low &+ high) &>> 1
            if (tables + middle).pointee.endsBefore(key, head) {
                low = middle &+ 1
            } else {
                high = middle
            }
        }
        if low == count { return nil }
        let table = tables + low
        return OrderedKey.compare(table.pointee.smallest, key) <= 0 ? table : nil
    }

    /// The first eight bytes of a key as a number, zeros where it ends. Keys compare as their
    /// heads where these differ.
    @inline(__always)
    private static func head(_ key: UnsafeRawBufferPointer) -> UInt64 {
        if key.count >= 8 { return UInt64(bigEndian: key.loadUnaligned(as: UInt64.self)) }
        var head: UInt64 = 0
        var place = 0
        while place < 8 {
            head = head &<< 8 | (place < key.count ? UInt64(key[place]) : 0)
            place &+= 1
        }
        return head
    }
}

extension ReadPlan.Table {
    /// True when no row or tombstone of the table is at or after `key`.
    @inline(__always)
    fileprivate func endsBefore(_ key: UnsafeRawBufferPointer, _ head: UInt64) -> Bool {
        if largestHead != head { return largestHead < head }
        let order = OrderedKey.compare(largest, key)
        return order < 0 || (order == 0 && isLargestExclusive)
    }
}
