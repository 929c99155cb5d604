import SortedTable

/// One sorted run of rows as a merge sees it: at most one row per user key, the newest that the
/// reader may see, deletes included.
///
/// That each source shows a key once is what makes both directions cost the same: a merge compares
/// user keys, the younger source wins a tie, and nothing has to be copied aside while walking
/// backward over versions. Tables hold one row per key by construction; a memtable's source skips
/// versions itself.
///
/// Plain memory with two kinds of moves, not subclasses: a step inside a block touches no reference
/// count and calls nothing virtual. Who adds a source to a cursor keeps its memtable or its tables.
struct MergeSource {
    /// Where the row stands that the merge compares.
    let shown: UnsafeMutablePointer<ShownRow>
    /// Range deletes of this source; they also hide rows of all older sources.
    let tombstones: RangeTombstoneSet
    /// The fragment that the last look-up hit or stood before.
    private(set) var tombstoneHint = 0

    /// Walks the tables; nil for a memtable.
    private let iterator: Unmanaged<TableIterator>?
    /// Disjoint and ascending.
    private let tables: UnsafePointer<ReadPlan.Table>?
    private let tableCount: Int
    private var current = 0

    /// Walks a memtable; nil for tables.
    private let rows: Unmanaged<MemtableRows>?

    /// A memtable's rows at a sequence.
    init(_ part: Memtable.Part, at sequence: SequenceNumber) {
        let rows = MemtableRows(part, at: sequence)
        self.rows = .passRetained(rows)
        shown = rows.shown
        tombstones = part.rangeTombstones() ?? RangeTombstoneSet(keepsHistory: true)
        iterator = nil
        tables = nil
        tableCount = 0
    }

    /// The rows of tables that do not overlap: of one of level 0, of an ingest, or of a level.
    ///
    /// - Parameters:
    ///   - tables: one at least, ascending; only those that the reader needs.
    ///   - tombstones: at least theirs.
    ///   - expiryHorizon: for the oldest source of a merge, whose deletes and expired rows hide
    ///     nothing: blocks that hold nothing else are passed by; see ``TableIterator``.
    init(
        _ tables: UnsafeBufferPointer<ReadPlan.Table>, tombstones: RangeTombstoneSet?,
        expiryHorizon: UInt64?
    ) {
        let iterator = TableIterator(
            tables[0].reader.takeUnretainedValue(), expiryHorizon: expiryHorizon)
        self.iterator = .passRetained(iterator)
        shown = iterator.shown
        self.tables = tables.baseAddress
        tableCount = tables.count
        self.tombstones = tombstones ?? RangeTombstoneSet(keepsHistory: false)
        rows = nil
    }

    /// Gives the memory back.
    func deallocate() {
        iterator?.release()
        rows?.release()
    }

    /// The place of the range delete that holds a key, or nil.
    @inline(__always)
    mutating func tombstone(covering key: UnsafeRawBufferPointer) -> Int? {
        tombstones.isEmpty ? nil : tombstones.index(covering: key, hint: &tombstoneHint)
    }

    // MARK: Moves

    /// Moves to the first row at or after a user key.
    mutating func seek(_ key: UnsafeRawBufferPointer) throws(TableError) {
        guard let rows else { return try seekTables(key) }
        rows._withUnsafeGuaranteedRef { $0.seek(key) }
    }

    /// Moves to the last row before a user key; nil: the last of all.
    mutating func seekBefore(_ key: UnsafeRawBufferPointer?) throws(TableError) {
        guard let rows else { return try seekTablesBefore(key) }
        rows._withUnsafeGuaranteedRef { $0.seekBefore(key) }
    }

    /// Moves one row on. Only when valid.
    @inline(__always)
    mutating func next() throws(TableError) {
        guard let iterator else {
            return rows.unsafelyUnwrapped._withUnsafeGuaranteedRef { $0.next() }
        }
        if iterator._withUnsafeGuaranteedRef({ $0.nextInBlock() }) { return }
        try iterator.takeUnretainedValue().next()
        if !shown.pointee.isValid { try showNextTable() }
    }

    /// Moves one row back. Only when valid.
    @inline(__always)
    mutating func previous() throws(TableError) {
        guard let iterator else {
            return rows.unsafelyUnwrapped._withUnsafeGuaranteedRef { $0.previous() }
        }
        if iterator._withUnsafeGuaranteedRef({ $0.previousInBlock() }) { return }
        try iterator.takeUnretainedValue().previous()
        if !shown.pointee.isValid { try showPreviousTable() }
    }

    // MARK: Tables

    private mutating func seekTables(_ key: UnsafeRawBufferPointer) throws(TableError) {
        guard let tables else { return }
        let index = ReadPlan.firstIndex(tables, tableCount, endingAtOrAfter: key)
        shown.pointee.isValid = false
        guard index < tableCount else { return }
        try open(index).seek(userKey: key, trailer: .max)
        if !shown.pointee.isValid { try showNextTable() }
    }

    private mutating func seekTablesBefore(_ key: UnsafeRawBufferPointer?) throws(TableError) {
        guard let tables else { return }
        shown.pointee.isValid = false
        guard let key else {
            try open(tableCount - 1).seekToLast()
            if !shown.pointee.isValid { try showPreviousTable() }
            return
        }
        // Tables that start before the key; the last of them may hold its predecessor.
        var index = ReadPlan.firstIndex(tables, tableCount, endingAtOrAfter: key)
        if index == tableCount || KeyOrder.compare(tables[index].smallest, key) >= 0 { index -= 1 }
        guard index >= 0 else { return }
        try open(index).seekForPrevious(userKey: key, trailer: .max)
        if !shown.pointee.isValid { try showPreviousTable() }
    }

    @inline(never)
    private mutating func showNextTable() throws(TableError) {
        while !shown.pointee.isValid, current + 1 < tableCount {
            try open(current + 1).seekToFirst()
        }
    }

    @inline(never)
    private mutating func showPreviousTable() throws(TableError) {
        while !shown.pointee.isValid, current > 0 { try open(current - 1).seekToLast() }
    }

    private mutating func open(_ index: Int) throws(TableError) -> TableIterator {
        guard let iterator, let tables else { preconditionFailure("a memtable has no tables") }
        let handle = tables[index].handle
        if handle._withUnsafeGuaranteedRef({ $0.health.isBad }) {
            try handle.takeUnretainedValue().requireSound()
        }
        let rows = iterator.takeUnretainedValue()
        if index != current { rows.move(to: tables[index].reader.takeUnretainedValue()) }
        current = index
        return rows
    }
}
