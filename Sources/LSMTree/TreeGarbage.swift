import SortedTable
import Synchronization

/// Which bytes of a tree's tables nobody can read any more, and why they are still there.
///
/// All of it is an estimate from what is in memory of every table, its properties, range tombstones
/// and root; no block is read. A byte is counted once, under the first of the reasons below.
package struct TreeGarbage: Equatable, Sendable {
    /// A level of a keyspace.
    package struct Level: Equatable, Sendable {
        /// Bytes of the tables.
        package var bytes: UInt64 = 0
        /// Of rows under range tombstones of younger tables.
        package var coveredBytes: UInt64 = 0
        /// Of rows that have expired. Between a table's lowest and highest expiry rows are taken to
        /// lie evenly; where some never expire, none of the table counts.
        package var expiredBytes: UInt64 = 0
        /// Of rows that deletes of younger tables hide, if each of them hides one.
        package var deletedBytes: UInt64 = 0
        /// Of rows that younger tables write again, if each row there that may does. It is the
        /// most that it can be: what is written once, as messages are, may lie over the same range.
        package var overwrittenBytesMax: UInt64 = 0
        /// Of deletes and range tombstones themselves, which are not garbage before they reach the
        /// last level.
        package var tombstoneBytes: UInt64 = 0

        /// Adds another level's.
        package mutating func add(_ other: Level) {
            bytes += other.bytes
            coveredBytes += other.coveredBytes
            expiredBytes += other.expiredBytes
            deletedBytes += other.deletedBytes
            overwrittenBytesMax += other.overwrittenBytesMax
            tombstoneBytes += other.tombstoneBytes
        }
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
    /// Files that compaction replaced and that wait for their readers.
    package var obsolete: ObsoleteFiles
}

extension Tree {
    /// Where the garbage is now. Costs time linear in the tables and in how many of them overlap:
    /// for reports. Any thread.
    package var garbage: TreeGarbage {
        let view = state.withLock { $0.view }
        let horizon = expiryHorizon
        return TreeGarbage(
            keyspaces: zip(options.keyspaces, view.keyspaces).map { options, levels in
                let estimate = GarbageEstimate(
                    levels, horizon: options.isExpiring ? horizon : 0)
                return TreeGarbage.Keyspace(name: options.name, levels: estimate.levels)
            },
            obsolete: store.graveyard.waiting)
    }
}

/// The estimate for one keyspace.
private struct GarbageEstimate {
    /// Rows of younger tables that may hide rows of a table.
    private struct Shadow {
        var deletes = 0.0
        var puts = 0.0
    }

    private(set) var levels: [TreeGarbage.Level] = []
    private var shadows: [UInt64: Shadow] = [:]

    /// - Parameter horizon: what expired up to then is gone; 0: nothing expires.
    init(_ keyspace: KeyspaceLevels, horizon: UInt64) {
        castShadows(keyspace.shape)
        var younger = RangeTombstoneSet(keepsHistory: false)
        for (number, tables) in keyspace.levels.enumerated() {
            var level = TreeGarbage.Level()
            for table in tables {
                level.add(estimate(table, under: younger, horizon: horizon))
                // Tables of a deeper level don't overlap each other.
                if number == 0, let own = table.tombstones { younger.insert(own) }
            }
            if number > 0, let own = keyspace.tombstones[number] { younger.insert(own) }
            levels.append(level)
        }
    }

    /// Spreads the rows of every table over the older tables that overlap it, by their rows: each
    /// hides at most one row, the next version of its key, and that is in one of them.
    private mutating func castShadows(_ shape: LevelShape) {
        for (level, tables) in shape.levels.enumerated() {
            for (place, table) in tables.enumerated() {
                let span = KeySpan(table)
                var older =
                    level == 0 ? shape.levels[0][(place + 1)...].filter { span.overlaps($0) } : []
                for deeper in shape.levels.indices.dropFirst(level + 1) {
                    older += shape.tables(deeper, overlapping: span)
                }
                let total = older.reduce(0.0) { $0 + Double($1.properties.rows) }
                if total == 0 { continue }
                let deletes = Double(table.properties.deletes)
                let puts = Double(table.properties.rows) - deletes
                for other in older {
                    let share = Double(other.properties.rows) / total
                    shadows[other.fileID, default: Shadow()].deletes += deletes * share
                    shadows[other.fileID, default: Shadow()].puts += puts * share
                }
            }
        }
    }

    private func estimate(
        _ table: TableHandle, under tombstones: RangeTombstoneSet, horizon: UInt64
    ) -> TreeGarbage.Level {
        let metadata = table.metadata
        let properties = metadata.properties
        var level = TreeGarbage.Level()
        level.bytes = metadata.bytes
        level.tombstoneBytes = Self.tombstoneBytes(metadata)
        var left = metadata.bytes
        func take(_ share: Double, of bytes: UInt64) -> UInt64 {
            let taken = min(left, UInt64(Double(bytes) * min(1, max(0, share))))
            left -= taken
            return taken
        }
        let rows = Double(max(1, properties.rows))
        let shadow = shadows[metadata.fileID] ?? Shadow()
        level.coveredBytes = min(left, Self.coveredBytes(table, tombstones))
        left -= level.coveredBytes
        level.expiredBytes = take(Self.expiredShare(properties, horizon), of: left)
        let visible = left
        level.deletedBytes = take(shadow.deletes / rows, of: visible)
        level.overwrittenBytesMax = take(shadow.puts / rows, of: visible)
        return level
    }

    private static func coveredBytes(
        _ table: TableHandle, _ tombstones: RangeTombstoneSet
    ) -> UInt64 {
        let metadata = table.metadata
        var index = tombstones.firstIndex(endingAfter: metadata.smallest)
        var bytes: UInt64 = 0
        while index < tombstones.fragments.count {
            let fragment = tombstones.fragments[index]
            if KeyOrder.less(metadata.largest, fragment.lower.key) { break }
            // A tombstone of a younger source is younger than every row of an older one.
            bytes += table.reader.estimatedBytes(
                from: fragment.lower.key, to: fragment.upper.key)
            index += 1
        }
        return bytes
    }

    private static func expiredShare(_ properties: TableProperties, _ horizon: UInt64) -> Double {
        if horizon == 0 || properties.minExpiry > horizon { return 0 }
        if properties.maxExpiry <= horizon { return 1 }
        if properties.maxExpiry == .max { return 0 }
        let span = Double(properties.maxExpiry - properties.minExpiry)
        return Double(horizon - properties.minExpiry) / max(1, span)
    }

    private static func tombstoneBytes(_ table: TableMetadata) -> UInt64 {
        let properties = table.properties
        let raw = Double(max(1, properties.rawKeyBytes + properties.rawValueBytes))
        let keys = Double(properties.rawKeyBytes) / Double(max(1, properties.rows))
        let points = Double(properties.deletes) * keys * Double(properties.dataBytes) / raw
        let ranges = table.tombstones.reduce(0) { $0 + $1.lower.count + $1.upper.count }
        return min(table.bytes, UInt64(min(points, Double(table.bytes))) + UInt64(ranges))
    }
}
