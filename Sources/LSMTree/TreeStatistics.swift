package import SortedTable
import Synchronization

/// What a tree has done since it was opened.
package struct TreeCounters: Equatable, Sendable {
    /// Cuts made.
    package var cuts: UInt64 = 0
    /// Compactions that merged tables.
    package var merges: UInt64 = 0
    /// Tables moved down unread.
    package var moves: UInt64 = 0
    /// Tables dropped unread.
    package var drops: UInt64 = 0
    /// Times that a merge stood back for a flush or for level 0.
    package var yields: UInt64 = 0
    /// Bytes of tables that merges read.
    package var mergeReadBytes: UInt64 = 0
    /// Bytes of tables that merges wrote.
    package var mergeWrittenBytes: UInt64 = 0

    mutating func count(_ plan: CompactionPlan, _ result: CompactionRun.Result) {
        switch plan.work {
        case .move: moves += 1
        case .drop: drops += UInt64(plan.inputs.count)
        case .merge:
            merges += 1
            mergeReadBytes += result.remove.reduce(0) { $0 + $1.table.metadata.bytes }
            mergeWrittenBytes += result.add.reduce(0) { $0 + $1.table.metadata.bytes }
        }
    }
}

/// A reading of a tree's size and work.
package struct TreeStatistics: Equatable, Sendable {
    /// One level of one keyspace.
    package struct Level: Equatable, Sendable {
        /// Tables on the level.
        package var tables = 0
        /// Bytes of their files.
        package var bytes: UInt64 = 0
        /// Rows, deletes included.
        package var rows: UInt64 = 0
        /// Deletes and range deletes among them.
        package var tombstones: UInt64 = 0
    }

    /// One keyspace.
    package struct Keyspace: Equatable, Sendable {
        /// From the options.
        package var name: String
        /// Level 0 first.
        package var levels: [Level]
    }

    /// In the order of the options.
    package var keyspaces: [Keyspace]
    /// Bytes in the memtable that takes writes.
    package var memtableBytes: Int
    /// Frozen memtables that wait for their flush.
    package var frozenMemtables: Int
    /// Bytes in those.
    package var frozenBytes: Int
    /// Bytes that compaction must move until every level is at its target.
    package var debt: UInt64
    /// True while a full disk holds up flush or compaction.
    package var isOutOfSpace: Bool
    /// The block cache's counters.
    package var cache: BlockCache.Statistics
    /// Work done.
    package var counters: TreeCounters
    /// Tables in quarantine.
    package var quarantined: [QuarantinedTable]
    /// Table files that are no part of the tree any more and wait for their readers.
    package var obsolete: ObsoleteFiles
    /// How far the scrub is.
    package var scrub: ScrubStatistics

    /// Bytes of all tables.
    package var tableBytes: UInt64 {
        keyspaces.reduce(0) { $0 + $1.levels.reduce(0) { $0 + $1.bytes } }
    }
}

/// A table in which damage was found.
package struct QuarantinedTable: Equatable, Sendable {
    /// The keyspace's name.
    package var keyspace: String
    /// Where it stands.
    package var level: Int
    /// Bytes of its file.
    package var bytes: UInt64
    /// What was found first: file, offset, expected, found.
    package var damage: TreeError
}

extension Tree {
    /// A reading of the whole tree. Linear in the number of tables.
    package var statistics: TreeStatistics {
        let (view, counters, isOutOfSpace, debt, scrub) = state.withLock { state in
            (
                state.view, state.counters, state.isOutOfSpace, state.compactionDebt, state.scrub
            )
        }
        let keyspaces = zip(options.keyspaces, view.keyspaces).map { options, levels in
            TreeStatistics.Keyspace(
                name: options.name,
                levels: levels.levels.map { tables in
                    var level = TreeStatistics.Level()
                    for table in tables {
                        let properties = table.metadata.properties
                        level.tables += 1
                        level.bytes += table.metadata.bytes
                        level.rows += properties.rows
                        level.tombstones += properties.deletes + properties.rangeDeletes
                    }
                    return level
                })
        }
        return TreeStatistics(
            keyspaces: keyspaces, memtableBytes: view.active.bytes,
            frozenMemtables: view.frozen.count,
            frozenBytes: view.frozen.reduce(0) { $0 + $1.memtable.bytes },
            debt: debt, isOutOfSpace: isOutOfSpace,
            cache: store.cache.statistics, counters: counters, quarantined: quarantined(view),
            obsolete: store.graveyard.waiting, scrub: scrub)
    }

    private func quarantined(_ view: View) -> [QuarantinedTable] {
        zip(options.keyspaces, view.keyspaces).flatMap { options, levels in
            levels.levels.enumerated().flatMap { level, tables in
                tables.compactMap { table in
                    table.health.damage.map { damage in
                        QuarantinedTable(
                            keyspace: options.name, level: level, bytes: table.metadata.bytes,
                            damage: TreeError(damage))
                    }
                }
            }
        }
    }

    /// Bytes of background work that is due: frozen memtables and what compaction must move. The
    /// owner slows down or refuses writes by it; the tree itself never delays anybody. Cheap.
    package var debt: UInt64 { state.withLock { dueBytes($0) } }

    /// ``debt`` in terms of what is much: four times what makes compaction go at full speed, or all
    /// bytes of the tree when that is more. Cheap.
    package var debtShare: Double {
        let (due, total) = state.withLock { state in
            (dueBytes(state), state.view.keyspaces.reduce(0) { $0 + $1.shape.bytes })
        }
        return Double(due) / Double(max(1, 4 * options.fullPaceDebt, total))
    }

    func dueBytes(_ state: State) -> UInt64 {
        state.view.frozen.reduce(state.compactionDebt) { $0 + UInt64($1.memtable.bytes) }
    }
}
