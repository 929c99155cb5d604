import Bytes
import Platform
import SortedTable

/// Where look-ups and scans find a keyspace's rows, young to old, in raw memory: what a ``View``
/// holds as objects, once more without a reference count to touch. Valid as long as the view is.
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
        let level: Int
        let hasTombstones: Bool
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
            levels.levels[0].map { (level: 0, tables: [$0]) }
            + levels.levels.enumerated().dropFirst().filter { !$0.element.isEmpty }
            .map { (level: $0.offset, tables: $0.element) }
        runs = .allocate(capacity: groups.count)
        for (place, group) in groups.enumerated() {
            runs.initializeElement(at: place, to: Run(group.tables, level: group.level))
        }
    }

    func deallocate() {
        for run in runs { run.deallocate() }
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

// MARK: Scans

extension ReadPlan {
    /// A merge of what the range `lower ..< upper` (nil: to the end) needs at a sequence.
    ///
    /// - Parameters:
    ///   - prefix: what all keys of the range start with and prefix filters know, or nil.
    ///   - levels: the tables of this plan.
    ///   - expiryHorizon: rows that expire up to this need not be shown; 0 in keyspaces without
    ///     expiry.
    func makeCursor(
        at sequence: SequenceNumber, lower: [UInt8], upper: [UInt8]?, prefix: [UInt8]?,
        levels: KeyspaceLevels, expiryHorizon: UInt64
    ) throws(TableError) -> MergeCursor {
        var cursor = MergeCursor(capacity: memories.count + runs.count, at: sequence)
        for memory in memories {
            let source = memory.part._withUnsafeGuaranteedRef { MergeSource($0, at: sequence) }
            cursor.add(source)
        }
        var last: (run: Run, tables: UnsafeBufferPointer<Table>)?
        for run in runs {
            let tables = try run.slice(lower, upper, prefix)
            if tables.isEmpty { continue }
            if let last { cursor.add(last.run.source(last.tables, levels, nil)) }
            last = (run, tables)
        }
        if let last { cursor.add(last.run.source(last.tables, levels, expiryHorizon)) }
        return cursor
    }

    /// Of `count` ascending tables, the first that may hold rows or tombstones at or after `key`.
    static func firstIndex(
        _ tables: UnsafePointer<Table>, _ count: Int, endingAtOrAfter key: UnsafeRawBufferPointer
    ) -> Int {
        let head = Run.head(key)
        var low = 0
        var high = count
        while low < high {
            let middle = (low &+ high) &>> 1
            if tables[middle].endsBefore(key, head) { low = middle &+ 1 } else { high = middle }
        }
        return low
    }
}

extension ReadPlan.Run {
    init(_ handles: [TableHandle], level: Int) {
        tables = .allocate(capacity: handles.count)
        count = handles.count
        self.level = level
        hasTombstones = handles.contains { $0.tombstones != nil }
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

    func deallocate() { tables.deallocate() }

    /// All tables.
    var all: UnsafeBufferPointer<ReadPlan.Table> {
        UnsafeBufferPointer(start: tables, count: count)
    }

    /// The one table that may hold rows of `key`, or nil.
    @inline(__always)
    func table(for key: UnsafeRawBufferPointer) -> UnsafeMutablePointer<ReadPlan.Table>? {
        let place = ReadPlan.firstIndex(tables, count, endingAtOrAfter: key)
        if place == count { return nil }
        let table = tables + place
        return OrderedKey.compare(table.pointee.smallest, key) <= 0 ? table : nil
    }

    fileprivate func source(
        _ tables: UnsafeBufferPointer<ReadPlan.Table>, _ levels: KeyspaceLevels,
        _ expiryHorizon: UInt64?
    ) -> MergeSource {
        let tombstones: RangeTombstoneSet? =
            if !hasTombstones {
                nil
            } else if level == 0 {
                tables[0].handle.takeUnretainedValue().tombstones
            } else {
                levels.tombstones[level]
            }
        return MergeSource(tables, tombstones: tombstones, expiryHorizon: expiryHorizon)
    }

    /// The tables that may concern keys of `lower ..< upper`; without those at either end whose
    /// prefix filter does not know `prefix`. (What lies between two that do has it as well.)
    fileprivate func slice(
        _ lower: [UInt8], _ upper: [UInt8]?, _ prefix: [UInt8]?
    ) throws(TableError) -> UnsafeBufferPointer<ReadPlan.Table> {
        var first = lower.withUnsafeBytes {
            ReadPlan.firstIndex(tables, count, endingAtOrAfter: $0)
        }
        var end = count
        if let upper {
            end = first
            upper.withUnsafeBytes { upper in
                while end < count, OrderedKey.compare(tables[end].smallest, upper) < 0 { end += 1 }
            }
        }
        if let prefix {
            while first < end, try !tables[first].mayContain(prefix) { first += 1 }
            while first < end, try !tables[end - 1].mayContain(prefix) { end -= 1 }
        }
        return UnsafeBufferPointer(start: tables + first, count: end - first)
    }

    /// The first eight bytes of a key as a number, zeros where it ends. Keys compare as their
    /// heads where these differ.
    @inline(__always)
    fileprivate static func head(_ key: UnsafeRawBufferPointer) -> UInt64 {
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

    /// False when no row has the prefix and no tombstone may hide one.
    fileprivate func mayContain(_ prefix: [UInt8]) throws(TableError) -> Bool {
        if needsCare { return true }
        return try prefix.withRaw { raw throws(TableError) in
            try reader.takeUnretainedValue().mayContain(prefix: raw)
        }
    }
}
