internal import Bytes
package import Platform

/// A row found in a table. The value is there until the stay in the cache's gate ends.
package struct TableHit {
    /// Put or delete.
    package let kind: RowKind
    /// The row's sequence number.
    package let sequence: SequenceNumber
    /// The value, in the cache.
    package let value: UnsafeRawBufferPointer
}

extension TableReader {
    /// The hash under which the filters know a user key: callers that ask several tables compute it
    /// once.
    @inline(__always)
    package static func filterHash(_ userKey: UnsafeRawBufferPointer) -> UInt64 {
        BloomFilter.hash(userKey)
    }

    /// The newest row of a user key at or below `sequence`, or nil. Range tombstones are not
    /// applied. Costs: root search, filter, index and data block; no lock, no allocation and no
    /// reference count when they are cached. The caller stands in the cache's gate.
    package func find(
        userKey: UnsafeRawBufferPointer, hash: UInt64, at sequence: SequenceNumber,
        _ stay: EpochGate.Stay
    ) throws(TableError) -> TableHit? {
        let trailer = InternalKey.seekTrailer(sequence)
        let root = root
        let partition = root.lowerBound(userKey, trailer)
        guard partition < root.rowCount else { return nil }
        let filter = root.handle(partition, part: 1)
        if filter.bytes > 0 {
            let block = try block(filter, .filter, stay)
            if !BloomFilter.mayContain(block, hash) { return nil }
        }
        let index = try block(root.handle(partition), .index, stay)
        let entry = index.lowerBound(userKey, trailer)
        guard entry < index.rowCount else { throw wrongSeparator(partition) }
        let data = try block(index.handle(entry), .data, stay)
        // A row at or above the search key with this user key can only be in this block: see the
        // rule of separators in `TableFormat`.
        guard let found = data.find(userKey, trailer, hash: hash) else { return nil }
        return TableHit(
            kind: RowKind(rawValue: UInt8(truncatingIfNeeded: found.trailer)) ?? .delete,
            sequence: found.trailer &>> 8, value: found.value)
    }

    /// The error of an index whose last separator is below the root's.
    func wrongSeparator(_ partition: Int) -> TableError {
        told(
            loader.corrupt(
                root.handle(partition).offset, "a last separator equal to the root's",
                "one below it"))
    }

    /// Hands the newest row of a user key at or below `sequence` to `body`, and answers what that
    /// answers; nil without a row. The value is valid during `body` only. Throws ``TableError`` and
    /// what `body` throws.
    package func get<R>(
        userKey: UnsafeRawBufferPointer, at sequence: SequenceNumber,
        _ body: (RowKind, SequenceNumber, UnsafeRawBufferPointer) throws -> R
    ) throws -> R? {
        let stay = cache.gate.enter()
        defer { cache.gate.leave(stay) }
        let hash = Self.filterHash(userKey)
        guard let hit = try find(userKey: userKey, hash: hash, at: sequence, stay) else {
            return nil
        }
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
        let stay = cache.gate.enter()
        defer { cache.gate.leave(stay) }
        var partition = root.lowerBound(start, .max)
        // The separator of a partition may itself start with the prefix though only the next
        // partition has such rows; one step behind such separators is enough.
        while partition < root.rowCount {
            let filter = root.handle(partition, part: 2)
            if filter.bytes > 0 {
                let block = try block(filter, .prefixFilter, stay)
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
