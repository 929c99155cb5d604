package import LSMTree

/// A tree's snapshot is what the engine reads when no batch is being applied.
extension Snapshot: RowView {
    /// The value of `key`, or nil. Throws ``TreeError``.
    package func get(_ keyspace: Keyspace, _ key: [UInt8]) throws -> [UInt8]? {
        try get(keyspace, key: key)
    }

    /// Visits the rows of a range. Throws ``TreeError`` or what `body` throws.
    package func scan(
        _ keyspace: Keyspace, from lower: [UInt8], to upper: [UInt8], isReversed: Bool,
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws -> Bool
    ) throws {
        let iterator = try makeIterator(keyspace, lower: lower, upper: upper)
        if isReversed { try iterator.seekToLast() } else { try iterator.seekToFirst() }
        while iterator.isValid, try body(iterator.key, iterator.value) {
            if isReversed { try iterator.previous() } else { try iterator.next() }
        }
    }
}
