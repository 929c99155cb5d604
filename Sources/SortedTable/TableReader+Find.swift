internal import Bytes

/// A row found in a table. The value lives as long as the hit (or a copy of it) does.
package struct TableHit {
    /// Put or delete.
    package let kind: RowKind
    /// The row's sequence number.
    package let sequence: SequenceNumber
    /// The value, in the block that ``pin`` holds.
    package let value: UnsafeRawBufferPointer
    /// What keeps the value's memory.
    package let pin: TableBlock
}

extension TableReader {
    /// The hash under which the filters know a user key: callers that ask several tables compute it
    /// once.
    @inline(__always)
    package static func filterHash(_ userKey: UnsafeRawBufferPointer) -> UInt64 {
        BloomFilter.hash(userKey)
    }

    /// The newest row of a user key at or below `sequence`, or nil. Range tombstones are not
    /// applied. Costs: root search, filter, index and data block; no allocation when they are
    /// cached.
    package func find(
        userKey: UnsafeRawBufferPointer, at sequence: SequenceNumber, hash: UInt64? = nil
    ) throws(TableError) -> TableHit? {
        let trailer = InternalKey.seekTrailer(sequence)
        let partition = root.lowerBound(userKey, trailer)
        guard partition < root.rowCount else { return nil }
        let filter = root.handle(partition, part: 1)
        if filter.bytes > 0 {
            let block = try block(filter, .filter)
            if !BloomFilter.mayContain(block, hash ?? BloomFilter.hash(userKey)) { return nil }
        }
        let index = try block(root.handle(partition), .index)
        let entry = index.lowerBound(userKey, trailer)
        guard entry < index.rowCount else { throw wrongSeparator(partition) }
        let data = try block(index.handle(entry), .data)
        defer { withExtendedLifetime(data) {} }
        // A row at or above the search key with this user key can only be in this block: see the
        // rule of separators in `TableFormat`.
        let number = data.lowerBound(userKey, trailer)
        guard number < data.rowCount else { return nil }
        let row = data.row(number)
        guard data.hasUserKey(userKey, row: number, row) else { return nil }
        let found = row.trailer
        return TableHit(
            kind: RowKind(rawValue: UInt8(truncatingIfNeeded: found)) ?? .delete,
            sequence: found &>> 8,
            value: UnsafeRawBufferPointer(start: row.value, count: row.valueBytes), pin: data)
    }

    /// The error of an index whose last separator is below the root's.
    func wrongSeparator(_ partition: Int) -> TableError {
        loader.corrupt(
            root.handle(partition).offset, "a last separator equal to the root's", "one below it")
    }

    /// Hands the newest row of a user key at or below `sequence` to `body`, and answers what that
    /// answers; nil without a row. The value is valid during `body` only. Throws ``TableError`` and
    /// what `body` throws.
    package func get<R>(
        userKey: UnsafeRawBufferPointer, at sequence: SequenceNumber,
        _ body: (RowKind, SequenceNumber, UnsafeRawBufferPointer) throws -> R
    ) throws -> R? {
        guard let hit = try find(userKey: userKey, at: sequence) else { return nil }
        defer { withExtendedLifetime(hit.pin) {} }
        return try body(hit.kind, hit.sequence, hit.value)
    }

    /// False when no row has a user key that starts with `prefix`, as far as the prefix filter
    /// knows: it knows the first ``TableProperties/filterPrefixLength`` bytes. Range tombstones
    /// are not considered.
    package func mayContain(prefix: UnsafeRawBufferPointer) throws(TableError) -> Bool {
        guard let length = properties.filterPrefixLength, prefix.count >= length else {
            return root.rowCount > 0
        }
        let start = UnsafeRawBufferPointer(rebasing: prefix[..<length])
        let hash = BloomFilter.hash(start)
        var partition = root.lowerBound(start, .max)
        // The separator of a partition may itself start with the prefix though only the next
        // partition has such rows; one step behind such separators is enough.
        while partition < root.rowCount {
            let filter = root.handle(partition, part: 2)
            if filter.bytes > 0 {
                let block = try block(filter, .prefixFilter)
                if BloomFilter.mayContain(block, hash) { return true }
            }
            guard root.startsWith(start, row: partition) else { return false }
            partition += 1
        }
        return false
    }
}

extension TableBlock {
    /// Whether a row's user key starts with these bytes.
    func startsWith(_ prefix: UnsafeRawBufferPointer, row number: Int) -> Bool {
        copyKey(number).dropLast(InternalKey.trailerBytes).starts(with: prefix)
    }
}
