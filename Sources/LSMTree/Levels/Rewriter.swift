import SortedTable

/// Copies rows from a merge into new tables and leaves out what nobody can see: the heart of flush
/// and compaction.
///
/// - Of each key only the newest row goes on (the merge shows no other).
/// - A row under a newer range tombstone stays out (the merge skips it).
/// - A delete, a range tombstone or an expired row goes on as a delete as long as an older table
///   may hold a row for it to hide, and stays out otherwise.
///
/// Open snapshots need none of what is left out: they pin the files they can see.
struct Rewriter {
    let options: KeyspaceOptions
    /// Rows with 0 < expiry ≤ horizon are absent; only in expiring keyspaces.
    let horizon: UInt64
    /// Everything that may be older than the rows.
    var older: OlderTables

    /// Moves `cursor` to the first row.
    static func start(_ cursor: inout MergeCursor) throws(TableError) {
        try cursor.seek(UnsafeRawBufferPointer(start: nil, count: 0))
    }

    /// Copies rows from where `cursor` stands. False after about `bytes` of them, to be called
    /// again; true when the last has gone through and the tables are finished.
    mutating func run(
        _ cursor: inout MergeCursor, _ output: TableOutput, bytes: Int
    ) throws(TableError) -> Bool {
        var left = bytes
        while cursor.isValid {
            if left <= 0 { return false }
            let row = cursor.row.pointee
            left &-= row.internalKey.count &+ row.value.count
            if row.isDelete {
                if older.mayHold(row.userKey) { try output.add(row.internalKey, row.value) }
            } else if options.isExpiring, isExpired(row.value) {
                if older.mayHold(row.userKey) {
                    let delete = InternalKey.make(
                        userKey: row.userKey, sequence: row.sequence, kind: .delete)
                    try add(delete, output)
                }
            } else {
                try output.add(row.internalKey, row.value)
            }
            try cursor.advance()
        }
        try output.finish()
        return true
    }

    private func add(_ key: [UInt8], _ output: TableOutput) throws(TableError) {
        try key.withRaw { raw throws(TableError) in
            try output.add(raw, UnsafeRawBufferPointer(start: nil, count: 0))
        }
    }

    private func isExpired(_ value: UnsafeRawBufferPointer) -> Bool {
        guard value.count >= 8 else { return false }
        let expiry = UInt64(littleEndian: value.loadUnaligned(as: UInt64.self))
        return expiry > 0 && expiry <= horizon
    }
}

/// The tables under a rewrite, asked for keys in ascending order.
struct OlderTables {
    /// Level 0, any order.
    private let loose: [TableMetadata]
    /// Ascending and disjoint each.
    private let levels: [[TableMetadata]]
    private var positions: [Int]

    init(loose: [TableMetadata], levels: [[TableMetadata]]) {
        self.loose = loose
        self.levels = levels.filter { !$0.isEmpty }
        positions = Array(repeating: 0, count: self.levels.count)
    }

    /// Everything below a level.
    init(_ shape: LevelShape, below level: Int) {
        self.init(loose: [], levels: Array(shape.levels[(level + 1)...]))
    }

    /// True when one of the tables spans `key`. Keys must ascend from call to call.
    mutating func mayHold(_ key: UnsafeRawBufferPointer) -> Bool {
        for table in loose
        where !table.endsBefore(key) && KeyOrder.compare(table.smallest, key) <= 0 {
            return true
        }
        for index in levels.indices {
            let tables = levels[index]
            var position = positions[index]
            while position < tables.count, tables[position].endsBefore(key) { position += 1 }
            positions[index] = position
            if position < tables.count,
                KeyOrder.compare(tables[position].smallest, key) <= 0
            {
                return true
            }
        }
        return false
    }

    /// True when one of the tables reaches into the range. In any order.
    func mayHold(_ tombstone: RangeTombstone) -> Bool {
        loose.contains { $0.overlaps(tombstone.lower, tombstone.upper) }
            || levels.contains { $0.contains { $0.overlaps(tombstone.lower, tombstone.upper) } }
    }
}
