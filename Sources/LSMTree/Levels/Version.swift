import SortedTable

/// One keyspace's tables, level by level. Immutable.
struct KeyspaceLevels: Sendable {
    /// Level 0: newest first, may overlap. Below: ascending, disjoint.
    private(set) var levels: [[TableHandle]]
    /// Range tombstones of each level below 0, over all its tables; nil when there are none.
    private(set) var tombstones: [RangeTombstoneSet?]
    /// The metadata alone, for picking.
    private(set) var shape = LevelShape()
    /// Sorted runs in level 0: a key is in at most one of the tables that an ingest brought, and
    /// those share their highest sequence, which no two flushed tables do.
    private(set) var levelZeroRuns = 0

    init() {
        levels = Array(repeating: [], count: TreeOptions.levelCount)
        tombstones = Array(repeating: nil, count: TreeOptions.levelCount)
    }

    var isEmpty: Bool { levels.allSatisfy(\.isEmpty) }

    /// Removes and adds tables and brings every level into order.
    mutating func apply(remove: Set<UInt64>, add: [(level: Int, table: TableHandle)]) {
        for level in levels.indices {
            let additions = add.filter { $0.level == level }.map(\.table)
            let isTouched =
                !additions.isEmpty || levels[level].contains { remove.contains($0.metadata.fileID) }
            guard isTouched else { continue }
            levels[level] =
                levels[level].filter { !remove.contains($0.metadata.fileID) } + additions
            sort(level)
            if level > 0 { tombstones[level] = Self.concatenate(levels[level]) }
            noteChange(level)
        }
    }

    /// Adds tables that a manifest lists; answers one that overlaps another of its level, if any.
    mutating func addChecked(_ add: [(level: Int, table: TableHandle)]) -> TableHandle? {
        for item in add { levels[item.level].append(item.table) }
        for level in levels.indices {
            sort(level)
            noteChange(level)
            if level == 0 { continue }
            for (left, right) in zip(levels[level], levels[level].dropFirst())
            where !left.metadata.endsBefore(right.metadata.smallest) {
                return right
            }
            tombstones[level] = Self.concatenate(levels[level])
        }
        return nil
    }

    private mutating func noteChange(_ level: Int) {
        shape.set(level, levels[level].map(\.metadata))
        if level > 0 { return }
        let tables = levels[0].map(\.metadata.properties.maxSequence)
        levelZeroRuns = zip(tables, tables.dropFirst()).reduce(min(1, tables.count)) { sum, pair in
            pair.0 == pair.1 ? sum : sum + 1
        }
    }

    private mutating func sort(_ level: Int) {
        if level == 0 {
            // Cuts install in order, so later rows have higher sequences; about ingests see
            // Tree+Ingest.
            levels[0].sort { left, right in
                left.metadata.properties.maxSequence > right.metadata.properties.maxSequence
            }
        } else {
            levels[level].sort { KeyOrder.less($0.metadata.smallest, $1.metadata.smallest) }
        }
    }

    private static func concatenate(_ tables: [TableHandle]) -> RangeTombstoneSet? {
        guard tables.contains(where: { $0.tombstones != nil }) else { return nil }
        var set = RangeTombstoneSet(keepsHistory: false)
        for table in tables {
            for fragment in table.tombstones?.fragments ?? [] { set.appendLast(fragment) }
        }
        return set
    }
}

/// Everything a reader sees apart from a sequence: the tables, and the memtables before them.
///
/// A snapshot holds one of these, so no file and no memtable that it can see goes away. That is why
/// compaction may drop every row that a newer one hides, whatever snapshots are open: **a snapshot
/// pins files, never rows**.
final class View: Sendable {
    /// The memtable that takes writes.
    let active: Memtable
    /// Frozen memtables, newest first.
    let frozen: [FrozenMemtable]
    /// One per keyspace, in the order of the options.
    let keyspaces: [KeyspaceLevels]
    /// The same for look-ups: as many.
    // Filled by init, freed by deinit.
    nonisolated(unsafe) let plans: UnsafeMutablePointer<ReadPlan>

    init(active: Memtable, frozen: [FrozenMemtable], keyspaces: [KeyspaceLevels]) {
        self.active = active
        self.frozen = frozen
        self.keyspaces = keyspaces
        plans = .allocate(capacity: keyspaces.count)
        let memtables = [active] + frozen.map(\.memtable)
        for (place, levels) in keyspaces.enumerated() {
            (plans + place).initialize(to: ReadPlan(memtables.map { $0.parts[place] }, levels))
        }
    }

    deinit {
        for place in keyspaces.indices { plans[place].deallocate() }
        plans.deallocate()
    }
}

/// A memtable that takes no more writes, with what its cut will make durable.
final class FrozenMemtable: Sendable {
    let memtable: Memtable
    /// The last sequence in it or in an older one.
    let lastSequence: SequenceNumber
    /// The owner's bytes for the manifest record.
    let state: [UInt8]
    /// Durable tables of an ingest that the record adds as well; then the memtable is empty.
    let ingested: [TableHandle]
    /// Called after that record is durable.
    let installed: @Sendable ([UInt8]) -> Void

    init(
        memtable: Memtable, lastSequence: SequenceNumber, state: [UInt8],
        ingested: [TableHandle] = [], installed: @escaping @Sendable ([UInt8]) -> Void
    ) {
        self.memtable = memtable
        self.lastSequence = lastSequence
        self.state = state
        self.ingested = ingested
        self.installed = installed
    }
}
