import SortedTable

/// Merges sources into one run of user keys, both ways: the valid sources stand in the order of
/// their keys, the youngest first among equals, and the first of them shows the current row.
///
/// Mostly the source that moved stays the first, since older levels hold most of the rows: then one
/// comparison with the second is all that a step costs, and none when there is no second. Else it
/// goes back behind those that are before it now, one after the other: there are few sources, and a
/// heap would compare twice on each of its levels.
///
/// Rows hidden by range tombstones are left out. A tombstone is newer than everything in sources
/// older than its own, so such a source is not walked through the range but sent past it.
struct MergeCursor: ~Copyable {
    /// Youngest first.
    private let sources: UnsafeMutablePointer<MergeSource>
    private var sourceCount = 0
    private let capacity: Int
    /// A valid source and whether the one behind it stands on the same key.
    private struct Entry {
        /// Sources are younger the lower their address.
        let source: UnsafeMutablePointer<MergeSource>
        var isTied = false

        @inline(__always)
        var row: ShownRow { source.pointee.shown.pointee }
    }

    /// By key.
    private let order: UnsafeMutablePointer<Entry>
    private var count = 0
    private(set) var isForward = true
    private var hasTombstones = false
    /// True when no range tombstone of any source lies between the current row and `clearEnd`, in
    /// the direction of the walk: such rows are compared with one key, not with all tombstones.
    private var isClear = false
    /// The nearest tombstone's edge; nil: there is none.
    private var clearEnd: KeyBound?
    private let sequence: SequenceNumber

    /// A cursor without sources.
    ///
    /// - Parameters:
    ///   - capacity: how many sources will be added at most.
    ///   - sequence: range tombstones up to this one hide rows.
    init(capacity: Int, at sequence: SequenceNumber) {
        self.capacity = capacity
        self.sequence = sequence
        sources = .allocate(capacity: capacity)
        order = .allocate(capacity: capacity)
    }

    deinit {
        for place in 0..<sourceCount { sources[place].deallocate() }
        sources.deinitialize(count: sourceCount)
        sources.deallocate()
        order.deallocate()
    }

    /// Adds a source that is older than those added before; takes it over.
    mutating func add(_ source: MergeSource) {
        precondition(sourceCount < capacity, "a cursor has room for its sources")
        (sources + sourceCount).initialize(to: source)
        sourceCount += 1
        if !source.tombstones.isEmpty { hasTombstones = true }
    }

    /// True when it stands on a row.
    @inline(__always)
    var isValid: Bool { count > 0 }

    /// The current row, valid until the next move.
    ///
    /// - Precondition: valid.
    @inline(__always)
    var row: UnsafeMutablePointer<ShownRow> { order[0].source.pointee.shown }

    /// Moves to the first row at or after a user key.
    mutating func seek(_ key: UnsafeRawBufferPointer) throws(TableError) {
        isForward = true
        count = 0
        for place in 0..<sourceCount { try sources[place].seek(key) }
        try collect()
    }

    /// Moves to the last row before a user key; nil: the last of all.
    mutating func seekBefore(_ key: UnsafeRawBufferPointer?) throws(TableError) {
        isForward = false
        count = 0
        for place in 0..<sourceCount { try sources[place].seekBefore(key) }
        try collect()
    }

    /// Moves on in the direction of the last seek.
    ///
    /// - Precondition: valid.
    @inline(__always)
    mutating func advance() throws(TableError) {
        if order[0].isTied { try passTies() }
        try step(order[0].source)
        settleFirst()
        if hasTombstones, !isInClear { try skipHidden() }
    }

    @inline(__always)
    private func step(_ source: UnsafeMutablePointer<MergeSource>) throws(TableError) {
        if isForward { try source.pointee.next() } else { try source.pointee.previous() }
    }

    /// Moves the sources behind the first that stand on its key past it.
    @inline(never)
    private mutating func passTies() throws(TableError) {
        while order[0].isTied {
            let second = order[1].source
            let isThirdTied = order[1].isTied
            try step(second)
            if !order[1].row.isValid {
                remove(1)
            } else if count > 2 {
                settle(1, order[1].row.compare(order[2].row))
            }
            order[0].isTied = isThirdTied
        }
    }

    // MARK: Order

    /// True when a row comes before another one with which it compares so.
    @inline(__always)
    private func comesBefore(_ difference: Int) -> Bool {
        isForward ? difference < 0 : difference > 0
    }

    private mutating func collect() throws(TableError) {
        for place in 0..<sourceCount where sources[place].shown.pointee.isValid {
            let entry = Entry(source: sources + place)
            var index = count
            while index > 0, comesBefore(entry.row.compare(order[index - 1].row)) {
                order[index] = order[index - 1]
                index -= 1
            }
            order[index] = entry
            count += 1
        }
        for index in 1..<max(1, count) {
            order[index - 1].isTied = order[index - 1].row.compare(order[index].row) == 0
        }
        if hasTombstones { try skipHidden() }
    }

    /// Puts the first source where it belongs after it moved on.
    @inline(__always)
    private mutating func settleFirst() {
        let row = order[0].row
        if !row.isValid {
            remove(0)
        } else if count > 1 {
            let difference = row.compare(order[1].row)
            order[0].isTied = false
            if !comesBefore(difference) { settle(0, difference) }
        } else {
            order[0].isTied = false
        }
    }

    /// Puts the source at `place`, which moved on, behind those that come before it now.
    ///
    /// - Parameter difference: how it compares with the one behind it; there is one.
    @inline(never)
    private mutating func settle(_ place: Int, _ difference: Int) {
        var entry = order[place]
        entry.isTied = false
        let row = entry.row
        var index = place
        var difference = difference
        var isLastEqual = false
        while index + 1 < count {
            let next = order[index + 1]
            if difference == 0 ? entry.source < next.source : comesBefore(difference) {
                entry.isTied = difference == 0
                break
            }
            isLastEqual = difference == 0
            order[index] = next
            index += 1
            if index + 1 < count { difference = row.compare(order[index + 1].row) }
        }
        if index > place { order[index - 1].isTied = isLastEqual }
        order[index] = entry
    }

    private mutating func remove(_ place: Int) {
        count -= 1
        for index in place..<count { order[index] = order[index + 1] }
    }

    // MARK: Range tombstones

    @inline(never)
    private mutating func skipHidden() throws(TableError) {
        while count > 0, try skipOne() {}
        if count > 0 { noteClear() }
    }

    /// True for a current row that lies before `clearEnd`.
    @inline(__always)
    private var isInClear: Bool {
        guard isClear, count > 0 else { return false }
        guard let clearEnd else { return true }
        // Upper ends are exclusive.
        return clearEnd.isAbove(order[0].row.userKey) == isForward
    }

    /// Finds out how far the walk has no tombstones to come, from the current row.
    private mutating func noteClear() {
        isClear = false
        clearEnd = nil
        let key = order[0].row.userKey
        for place in 0..<sourceCount where !sources[place].tombstones.isEmpty {
            if sources[place].tombstone(covering: key) != nil { return }
            let next = sources[place].tombstoneHint
            let fragments = sources[place].tombstones.fragments
            if isForward, next < fragments.count {
                let lower = fragments[next].lower
                clearEnd = clearEnd.map { min($0, lower) } ?? lower
            } else if !isForward, next > 0 {
                let upper = fragments[next - 1].upper
                clearEnd = clearEnd.map { max($0, upper) } ?? upper
            }
        }
        isClear = true
    }

    /// If a range tombstone hides the current row, moves past it; false when the row stands.
    private mutating func skipOne() throws(TableError) -> Bool {
        let first = order[0].source
        let row = order[0].row
        for place in 0..<sourceCount {
            let source = sources + place
            if source > first { break }
            guard let found = source.pointee.tombstone(covering: row.userKey) else { continue }
            let newest = source.pointee.tombstones.newest(of: found, at: sequence)
            guard newest > row.sequence else { continue }
            if source == first {
                try passOlder(than: newest, first, found)
            } else {
                // Older than the tombstone through and through: past the whole range at once.
                try jump(past: source.pointee.tombstones.fragments[found])
            }
            return true
        }
        return false
    }

    /// Moves past rows that a tombstone of their own source hides: others there may be younger.
    private mutating func passOlder(
        than newest: SequenceNumber, _ first: UnsafeMutablePointer<MergeSource>, _ fragment: Int
    ) throws(TableError) {
        repeat {
            try step(first)
            settleFirst()
            guard count > 0, order[0].source == first, order[0].row.sequence < newest
            else { return }
        } while first.pointee.tombstones.reaches(
            order[0].row.userKey, fragment, isForward: isForward)
    }

    private mutating func jump(past fragment: RangeTombstoneSet.Fragment) throws(TableError) {
        let first = order[0].source
        if isForward {
            try fragment.upper.key.withRaw { raw throws(TableError) in try first.pointee.seek(raw) }
        } else {
            try fragment.lower.key.withRaw { raw throws(TableError) in
                try first.pointee.seekBefore(raw)
            }
        }
        settleFirst()
    }
}
