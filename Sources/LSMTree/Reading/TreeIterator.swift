import SortedTable

/// Walks the live rows of a snapshot inside `lower ..< upper`, both ways at the same cost.
///
/// A new iterator is nowhere: seek first. ``key`` and ``value`` are valid until the next move. Used
/// by one thread at a time.
package final class TreeIterator {
    private let snapshot: Snapshot
    // Unchecked here and below: a check at run time for every look at a row costs a fifth of a
    // scan, and nothing that moves the cursor comes back to this object.
    @exclusivity(unchecked) private var cursor: MergeCursor
    private let lower: [UInt8]
    private let upper: [UInt8]?
    /// True when the iterator stands on a row.
    @exclusivity(unchecked) package private(set) var isValid = false

    init(
        snapshot: Snapshot, cursor: consuming MergeCursor, lower: [UInt8], upper: [UInt8]?
    ) {
        self.snapshot = snapshot
        self.cursor = cursor
        self.lower = lower
        self.upper = upper
    }

    /// The key of the row. Only when valid.
    package var key: UnsafeRawBufferPointer {
        precondition(isValid, "the iterator stands on no row")
        return cursor.row.pointee.userKey
    }

    /// The value of the row. Only when valid.
    package var value: UnsafeRawBufferPointer {
        precondition(isValid, "the iterator stands on no row")
        return cursor.row.pointee.value
    }

    /// Moves to the first row of the range.
    package func seekToFirst() throws(TreeError) {
        try seekForward(lower)
    }

    /// Moves to the last row of the range.
    package func seekToLast() throws(TreeError) {
        if let upper { return try seekBackward(before: upper) }
        isValid = false
        do throws(TableError) {
            try cursor.seekBefore(nil)
            try settle()
        } catch {
            throw TreeError(error)
        }
    }

    /// Moves to the first row of the range at or after `key`.
    package func seek(_ key: [UInt8]) throws(TreeError) {
        try seekForward(KeyOrder.less(key, lower) ? lower : key)
    }

    /// Moves to the last row of the range at or before `key`.
    package func seekForPrevious(_ key: [UInt8]) throws(TreeError) {
        if let upper, !KeyOrder.less(key, upper) { return try seekBackward(before: upper) }
        try seekBackward(before: KeyOrder.successor(key))
    }

    /// Moves one row on. Only when valid.
    package func next() throws(TreeError) {
        precondition(isValid, "the iterator stands on no row")
        guard cursor.isForward else {
            return try seekForward(KeyOrder.successor([UInt8](cursor.row.pointee.userKey)))
        }
        try advance()
    }

    /// Moves one row back. Only when valid.
    package func previous() throws(TreeError) {
        precondition(isValid, "the iterator stands on no row")
        guard !cursor.isForward else {
            return try seekBackward(before: [UInt8](cursor.row.pointee.userKey))
        }
        try advance()
    }

    // After an error the iterator stands nowhere.

    @inline(__always)
    private func advance() throws(TreeError) {
        isValid = false
        do throws(TableError) {
            try cursor.advance()
            try settle()
        } catch {
            throw TreeError(error)
        }
    }

    private func seekForward(_ key: [UInt8]) throws(TreeError) {
        isValid = false
        do throws(TableError) {
            try key.withRaw { raw throws(TableError) in try cursor.seek(raw) }
            try settle()
        } catch {
            throw TreeError(error)
        }
    }

    private func seekBackward(before key: [UInt8]) throws(TreeError) {
        isValid = false
        do throws(TableError) {
            try key.withRaw { raw throws(TableError) in try cursor.seekBefore(raw) }
            try settle()
        } catch {
            throw TreeError(error)
        }
    }

    /// Goes on from the cursor's row to the first that is live, as long as the range lasts.
    @inline(__always)
    private func settle() throws(TableError) {
        while cursor.isValid {
            let row = cursor.row
            if cursor.isForward {
                if let upper, KeyOrder.compare(upper, row.pointee.userKey) <= 0 { return }
            } else if KeyOrder.compare(lower, row.pointee.userKey) > 0 {
                return
            }
            if !row.pointee.isDelete {
                isValid = true
                return
            }
            try cursor.advance()
        }
    }
}
