import Bytes
package import SortedTable

/// The tree at one sequence. It never changes, whatever is written, cut or compacted meanwhile;
/// it keeps the files it can see on disk, so it must not live for hours.
///
/// Use from any thread, several at once.
package final class Snapshot: Sendable {
    let view: View
    /// Rows up to this sequence are visible.
    package let sequence: SequenceNumber
    private let options: TreeOptions
    private let places: KeyspacePlaces

    init(view: View, sequence: SequenceNumber, options: TreeOptions, places: KeyspacePlaces) {
        self.view = view
        self.sequence = sequence
        self.options = options
        self.places = places
    }

    /// A copy of the value of `key`, or nil.
    package func get(_ keyspace: Keyspace, key: [UInt8]) throws(TreeError) -> [UInt8]? {
        var found: [UInt8]?
        try key.withRaw { key throws(TreeError) in
            try find(keyspace, key) { found = [UInt8]($0) }
        }
        return found
    }

    /// True when `key` has a value.
    package func contains(_ keyspace: Keyspace, key: [UInt8]) throws(TreeError) -> Bool {
        var isFound = false
        try key.withRaw { key throws(TreeError) in
            try find(keyspace, key) { _ in isFound = true }
        }
        return isFound
    }

    /// Gives the value of `key` to `body` without a copy; nil when there is none. The bytes live
    /// only during the call. Throws ``TreeError`` or what `body` throws.
    package func withValue<Result>(
        _ keyspace: Keyspace, key: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer) throws -> Result
    ) throws -> Result? {
        var outcome: Swift.Result<Result, any Error>?
        try find(keyspace, key) { value in
            outcome = Swift.Result { try body(value) }
        }
        return try outcome?.get()
    }

    /// An iterator over `lower ..< upper`; nil as `upper`: to the end. Not positioned yet.
    package func makeIterator(
        _ keyspace: Keyspace, lower: [UInt8] = [], upper: [UInt8]? = nil
    ) throws(TreeError) -> TreeIterator {
        let place = places[keyspace]
        var sources: [MergeSource] = []
        for memtable in memtables {
            sources.append(MemtableSource(memtable.parts[place], at: sequence))
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
        guard let length = options.keyspaces[place].filterPrefixLength, lower.count >= length,
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
        guard let prefix, table.tombstones == nil else { return true }
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

    // MARK: Point look-up

    /// Looks from young to old and stops at the first row or tombstone of the key: everything
    /// older is hidden by it.
    private func find(
        _ keyspace: Keyspace, _ key: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(TreeError) {
        let place = places[keyspace]
        if find(view.active.parts[place], key, body) { return }
        for frozen in view.frozen where find(frozen.memtable.parts[place], key, body) { return }
        let levels = view.keyspaces[place]
        do throws(TableError) {
            for table in levels.levels[0] {
                if KeyOrder.compare(table.metadata.smallest, key) > 0 { continue }
                if table.metadata.endsBefore(key) { continue }
                if try find(table, key, body) { return }
            }
            for tables in levels.levels.dropFirst() where !tables.isEmpty {
                let index = tables.firstIndex(endingAtOrAfter: key)
                guard index < tables.count,
                    KeyOrder.compare(tables[index].metadata.smallest, key) <= 0
                else { continue }
                if try find(tables[index], key, body) { return }
            }
        } catch {
            throw TreeError(error)
        }
    }

    /// True when the search ends here.
    private func find(
        _ part: Memtable.Part, _ key: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer) -> Void
    ) -> Bool {
        let cover = part.rangeTombstones()?.newest(covering: key, at: sequence) ?? 0
        let node = part.list.find(key, at: sequence)
        guard node != 0 else { return cover > 0 }
        let trailer = part.list.trailer(node)
        let isPut = UInt8(truncatingIfNeeded: trailer) == RowKind.put.rawValue
        if isPut && trailer &>> 8 > cover { body(part.list.value(node)) }
        return true
    }

    /// True when the search ends here.
    private func find(
        _ table: TableHandle, _ key: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(TableError) -> Bool {
        let cover = table.tombstones?.newest(covering: key, at: sequence) ?? 0
        guard let hit = try table.reader.find(userKey: key, at: sequence) else { return cover > 0 }
        defer { withExtendedLifetime(hit.pin) {} }
        if hit.kind == .put && hit.sequence > cover { body(hit.value) }
        return true
    }
}
