import SortedTable

/// What picking a compaction needs to know about a table: a value, without the open file.
struct TableMetadata: Sendable, Equatable {
    /// What the writer and the manifest say.
    let summary: TableSummary
    /// The first user key of rows and range tombstones.
    let smallest: [UInt8]
    /// The last user key; see `endsBefore`.
    let largest: [UInt8]
    /// True when `largest` is the exclusive end of a range tombstone, and no row has that key.
    let isLargestExclusive: Bool
    /// Range tombstones, ascending.
    let tombstones: [RangeTombstone]

    init(summary: TableSummary, tombstones: [RangeTombstone]) {
        self.summary = summary
        self.tombstones = tombstones
        smallest = [UInt8](summary.smallestUserKey)
        largest = [UInt8](summary.largestUserKey)
        isLargestExclusive = summary.largest.withUnsafeBytes { key in
            key.count >= InternalKey.trailerBytes && InternalKey.kind(key) == .rangeDelete
        }
    }

    var fileID: UInt64 { summary.fileID }
    var bytes: UInt64 { summary.bytes }
    var properties: TableProperties { summary.properties }
    var hasTombstones: Bool { properties.deletes > 0 || properties.rangeDeletes > 0 }

    /// True when no row or tombstone of the table is at or after `key`.
    func endsBefore(_ key: [UInt8]) -> Bool {
        let order = KeyOrder.compare(largest, key)
        return order < 0 || (order == 0 && isLargestExclusive)
    }

    /// True when no row or tombstone of the table is at or after `key`.
    @inline(__always)  // Else each look-up copies the whole value, reference counts and all.
    func endsBefore(_ key: UnsafeRawBufferPointer) -> Bool {
        let order = KeyOrder.compare(largest, key)
        return order < 0 || (order == 0 && isLargestExclusive)
    }

    /// True when a row or tombstone of both may concern one key.
    func overlaps(_ other: TableMetadata) -> Bool {
        !endsBefore(other.smallest) && !other.endsBefore(smallest)
    }

    /// True when the table may concern keys of `lower ..< upper` (nil: no upper end).
    func overlaps(_ lower: [UInt8], _ upper: [UInt8]?) -> Bool {
        if endsBefore(lower) { return false }
        guard let upper else { return true }
        return KeyOrder.less(smallest, upper)
    }

    /// True when every put of the table expires at or before `horizon`.
    func isExpired(at horizon: UInt64) -> Bool {
        properties.rangeDeletes == 0 && properties.rows > 0 && properties.maxExpiry <= horizon
    }
}

/// The key space that a group of tables spans.
struct KeySpan: Sendable, Equatable {
    var lower: [UInt8]
    var upper: [UInt8]
    var isUpperExclusive: Bool

    /// The span of `tables`, or nil when there are none.
    init?(_ tables: [TableMetadata]) {
        guard let first = tables.first else { return nil }
        self.init(first)
        for table in tables.dropFirst() { form(table) }
    }

    /// The span of one table.
    init(_ table: TableMetadata) {
        lower = table.smallest
        upper = table.largest
        isUpperExclusive = table.isLargestExclusive
    }

    private mutating func form(_ table: TableMetadata) {
        lower = KeyOrder.lesser(lower, table.smallest)
        let order = KeyOrder.compare(upper, table.largest)
        if order < 0 {
            upper = table.largest
            isUpperExclusive = table.isLargestExclusive
        } else if order == 0 {
            isUpperExclusive = isUpperExclusive && table.isLargestExclusive
        }
    }

    /// True when the table may concern a key of the span.
    func overlaps(_ table: TableMetadata) -> Bool {
        !table.endsBefore(lower) && !endsBefore(table)
    }

    /// True when no key of the span is at or after the start of `table`.
    func endsBefore(_ table: TableMetadata) -> Bool {
        endsBefore(table.smallest)
    }

    /// True when both may concern one key.
    func overlaps(_ other: KeySpan) -> Bool {
        !other.endsBefore(lower) && !endsBefore(other.lower)
    }

    private func endsBefore(_ key: [UInt8]) -> Bool {
        let order = KeyOrder.compare(upper, key)
        return order < 0 || (order == 0 && isUpperExclusive)
    }
}
