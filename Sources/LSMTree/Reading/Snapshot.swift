import Bytes
import Platform
package import SortedTable

/// The tree at one sequence. It never changes, whatever is written, cut or compacted meanwhile;
/// it keeps the files it can see on disk, so it must not live for hours.
///
/// Use from any thread, several at once.
package final class Snapshot: Sendable {
    let view: View
    /// Rows up to this sequence are visible.
    package let sequence: SequenceNumber
    private let tree: TreeContext

    init(view: View, sequence: SequenceNumber, tree: TreeContext) {
        self.view = view
        self.sequence = sequence
        self.tree = tree
    }

    /// A copy of the value of `key`, or nil.
    package func get(_ keyspace: Keyspace, key: [UInt8]) throws(TreeError) -> [UInt8]? {
        try key.withRaw { key throws(TreeError) in
            let stay = tree.gate.enter()
            defer { tree.gate.leave(stay) }
            return try find(keyspace, key, stay).map { [UInt8]($0) }
        }
    }

    /// True when `key` has a value.
    package func contains(_ keyspace: Keyspace, key: [UInt8]) throws(TreeError) -> Bool {
        try key.withRaw { key throws(TreeError) in
            let stay = tree.gate.enter()
            defer { tree.gate.leave(stay) }
            return try find(keyspace, key, stay) != nil
        }
    }

    /// Gives the value of `key` to `body` without a copy; nil when there is none. The bytes live
    /// only during the call. Throws ``TreeError`` or what `body` throws.
    package func withValue<Result>(
        _ keyspace: Keyspace, key: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer) throws -> Result
    ) throws -> Result? {
        let stay = tree.gate.enter()
        defer { tree.gate.leave(stay) }
        guard let value = try find(keyspace, key, stay) else { return nil }
        return try body(value)
    }

    private func find(
        _ keyspace: Keyspace, _ key: UnsafeRawBufferPointer, _ stay: EpochGate.Stay
    ) throws(TreeError) -> UnsafeRawBufferPointer? {
        do throws(TableError) {
            return try view.plans[tree.places[keyspace]].find(key, at: sequence, stay)
        } catch {
            throw TreeError(error)
        }
    }

    /// An iterator over `lower ..< upper`; nil as `upper`: to the end. Not positioned yet.
    package func makeIterator(
        _ keyspace: Keyspace, lower: [UInt8] = [], upper: [UInt8]? = nil
    ) throws(TreeError) -> TreeIterator {
        let place = tree.places[keyspace]
        var sources: [MergeSource] = []
        for memtable in memtables {
            sources.append(memtable.parts[place].makeSource(at: sequence))
        }
        let prefix = filterPrefix(place, lower, upper)
        let levels = view.keyspaces[place]
        try asTreeError { () throws(TableError) in
            for table in levels.levels[0] where try needs(table, lower, upper, prefix) {
                sources.append(TableSource(table))
            }
            for level in 1..<TreeOptions.levelCount {
                var tables: [TableHandle] = []
                for table in Self.slice(levels.levels[level], lower, upper)
                where try needs(table, lower, upper, prefix) {
                    tables.append(table)
                }
                if tables.isEmpty { continue }
                sources.append(LevelSource(tables, tombstones: levels.tombstones[level]))
            }
        }
        return TreeIterator(
            snapshot: self, cursor: MergeCursor(sources, at: sequence), lower: lower, upper: upper)
    }

    private var memtables: [Memtable] {
        [view.active] + view.frozen.map(\.memtable)
    }

    /// The prefix that all keys of the range share and that table filters know, or nil.
    private func filterPrefix(_ place: Int, _ lower: [UInt8], _ upper: [UInt8]?) -> [UInt8]? {
        guard let length = tree.options.keyspaces[place].filterPrefixLength, lower.count >= length,
            let upper
        else { return nil }
        let prefix = Array(lower[..<length])
        if let end = OrderedKey.successor(ofPrefix: prefix), KeyOrder.less(end, upper) {
            return nil
        }
        return prefix
    }

    private func needs(
        _ table: TableHandle, _ lower: [UInt8], _ upper: [UInt8]?, _ prefix: [UInt8]?
    ) throws(TableError) -> Bool {
        guard table.metadata.overlaps(lower, upper) else { return false }
        guard let prefix, table.tombstones == nil, !table.health.isBad else { return true }
        return try prefix.withRaw { raw throws(TableError) in
            try table.reader.mayContain(prefix: raw)
        }
    }

    /// The tables of a sorted level that may hold keys of the range.
    private static func slice(
        _ tables: [TableHandle], _ lower: [UInt8], _ upper: [UInt8]?
    ) -> ArraySlice<TableHandle> {
        let first = lower.withUnsafeBytes { tables.firstIndex(endingAtOrAfter: $0) }
        guard let upper else { return tables[first...] }
        let last = upper.withUnsafeBytes { tables.firstIndex(endingAtOrAfter: $0) }
        return tables[first..<max(first, min(last + 1, tables.count))]
    }
}

/// What all snapshots of a tree share.
final class TreeContext: Sendable {
    let options: TreeOptions
    let places: KeyspacePlaces
    let gate: EpochGate

    init(options: TreeOptions, gate: EpochGate) {
        self.options = options
        self.gate = gate
        places = KeyspacePlaces(options)
    }
}
