package import SortedTable

/// The rows of several tables of one keyspace in one run, by internal key: for tools, which must
/// not believe in levels.
///
/// Where the tree's own merge takes the youngest source's row and hides the others, this one shows
/// every row of every table, of one user key the newest first. Tables are opened when the run
/// comes to them and let go of behind their last row, so no more are open than overlap.
package struct TableMerge {
    /// A range tombstone that reaches over the current row, or could reach over a later one.
    package struct Cover: Equatable {
        /// Which table has it: its place in the list that the merge was made from.
        package let table: Int
        /// The tombstone.
        package let tombstone: RangeTombstone
    }

    private struct Source {
        let table: Int
        let rows: TableIterator
    }

    private let summaries: [TableSummary]
    private let open: (TableSummary) throws -> TableReader
    /// Places of tables that are not open yet, by first key, the last one first.
    private var pending: [Int]
    private var sources: [Source] = []
    /// Tombstones of opened tables that do not end before the current row.
    private var covers: [Cover] = []

    /// A merge that stands on the first row.
    ///
    /// - Parameter open: gives the reader of a table; called at most once for each.
    package init(
        _ summaries: [TableSummary], open: @escaping (TableSummary) throws -> TableReader
    ) throws {
        self.summaries = summaries
        self.open = open
        pending = summaries.indices.filter { !summaries[$0].isEmpty }.sorted { left, right in
            InternalKey.compare(summaries[left].smallest, summaries[right].smallest) > 0
        }
        try openReached()
    }

    /// Whether it stands on a row; otherwise the rows are over.
    package var isValid: Bool { !sources.isEmpty }

    /// The internal key of the row; valid until the next move.
    ///
    /// - Precondition: valid, as for what follows.
    package var key: UnsafeRawBufferPointer { sources[0].rows.key }

    /// The value of the row; valid until the next move.
    package var value: UnsafeRawBufferPointer { sources[0].rows.value }

    /// Which table has the row: its place in the list that the merge was made from.
    package var table: Int { sources[0].table }

    /// The range tombstones, of any table, over the user key of the row.
    package var covering: [Cover] {
        if covers.isEmpty { return [] }
        let userKey = InternalKey.userKey(key)
        return covers.filter { cover in
            KeyOrder.compare(cover.tombstone.lower, userKey) <= 0
                && KeyOrder.compare(cover.tombstone.upper, userKey) > 0
        }
    }

    /// Moves to the next row; of equal keys that of the table with the higher file id comes first.
    package mutating func next() throws {
        try sources[0].rows.next()
        settleFirst()
        try openReached()
    }

    /// Opens the tables whose keys may come next.
    private mutating func openReached() throws {
        while let next = pending.last {
            if isValid {
                let order = summaries[next].smallest.withUnsafeBytes { smallest in
                    // Bounds count tombstones as their lower end, so none opens too late.
                    KeyOrder.compare(InternalKey.userKey(smallest), InternalKey.userKey(key))
                }
                if order > 0 { break }
            }
            pending.removeLast()
            let reader = try open(summaries[next])
            covers += reader.rangeTombstones.map { Cover(table: next, tombstone: $0) }
            let rows = reader.makeIterator()
            try rows.seekToFirst()
            if rows.isValid {
                sources.append(Source(table: next, rows: rows))
                siftUp(sources.count - 1)
            }
        }
        guard isValid, !covers.isEmpty else { return }
        let userKey = InternalKey.userKey(key)
        covers.removeAll { KeyOrder.compare($0.tombstone.upper, userKey) <= 0 }
    }

    // MARK: Heap

    private func comesFirst(_ left: Int, _ right: Int) -> Bool {
        let order = InternalKey.compare(sources[left].rows.key, sources[right].rows.key)
        if order != 0 { return order < 0 }
        return summaries[sources[left].table].fileID > summaries[sources[right].table].fileID
    }

    private mutating func settleFirst() {
        if !sources[0].rows.isValid {
            sources.swapAt(0, sources.count - 1)
            sources.removeLast()
        }
        var place = 0
        while true {
            var child = 2 * place + 1
            if child >= sources.count { return }
            if child + 1 < sources.count, comesFirst(child + 1, child) { child += 1 }
            if !comesFirst(child, place) { return }
            sources.swapAt(place, child)
            place = child
        }
    }

    private mutating func siftUp(_ start: Int) {
        var place = start
        while place > 0, comesFirst(place, (place - 1) / 2) {
            sources.swapAt(place, (place - 1) / 2)
            place = (place - 1) / 2
        }
    }
}
