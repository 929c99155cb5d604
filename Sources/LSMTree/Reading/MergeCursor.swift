import SortedTable

/// Merges sources into one run of user keys, both ways: a binary heap of the sources that are
/// valid, the one with the next key on top, the youngest first among equals.
///
/// Rows hidden by range tombstones are left out. A tombstone is newer than everything in sources
/// older than its own, so such a source is not walked through the range but sent past it.
struct MergeCursor {
    /// Youngest first.
    private let sources: [MergeSource]
    /// Indices into `sources`; the first `heapCount` are a heap.
    private var heap: [Int]
    private var heapCount = 0
    private(set) var isForward = true
    /// Sources with range tombstones that the reader may see.
    private let tombstoneSources: [Int]
    private let sequence: SequenceNumber

    /// - Parameter sources: youngest first.
    init(_ sources: [MergeSource], at sequence: SequenceNumber) {
        self.sources = sources
        self.sequence = sequence
        heap = Array(sources.indices)
        tombstoneSources = sources.indices.filter { sources[$0].tombstones != nil }
    }

    var isValid: Bool { heapCount > 0 }

    /// The source that shows the current row.
    @inline(__always)
    var top: MergeSource { sources[heap[0]] }

    /// Moves to the first row at or after `key` (made by `InternalKey.makeSeek`).
    mutating func seek(_ key: UnsafeRawBufferPointer) throws(TableError) {
        isForward = true
        for source in sources { try source.seek(key) }
        rebuild()
        try skipHidden()
    }

    /// Moves to the last row before `key` (made by `InternalKey.makeSeek`); nil: the last of all.
    mutating func seekBefore(_ key: UnsafeRawBufferPointer?) throws(TableError) {
        isForward = false
        for source in sources { try source.seekBefore(key) }
        rebuild()
        try skipHidden()
    }

    /// Moves on in the direction of the last seek.
    ///
    /// - Precondition: valid.
    mutating func advance() throws(TableError) {
        try passTop()
        try skipHidden()
    }

    /// Moves every source that stands on the current key past it.
    private mutating func passTop() throws(TableError) {
        let key = top.userKey
        // Equals lie below the top; each is moved while the top's key is still there to compare.
        while heapCount > 1, let other = equalBelowTop(key) {
            try step(sources[heap[other]])
            settle(other)
        }
        try step(top)
        settle(0)
    }

    @inline(__always)
    private func step(_ source: MergeSource) throws(TableError) {
        if isForward { try source.next() } else { try source.previous() }
    }

    @inline(__always)
    private func equalBelowTop(_ key: UnsafeRawBufferPointer) -> Int? {
        if KeyOrder.compare(sources[heap[1]].userKey, key) == 0 { return 1 }
        if heapCount > 2, KeyOrder.compare(sources[heap[2]].userKey, key) == 0 { return 2 }
        return nil
    }

    // MARK: Range tombstones

    private mutating func skipHidden() throws(TableError) {
        if tombstoneSources.isEmpty { return }
        while heapCount > 0, try skipOne() {}
    }

    /// If a range tombstone hides the top row, moves past it; false when the row stands.
    private mutating func skipOne() throws(TableError) -> Bool {
        let index = heap[0]
        let row = sources[index]
        for place in tombstoneSources {
            if place > index { break }
            let source = sources[place]
            guard let set = source.tombstones,
                let found = Self.find(row.userKey, in: set, hint: &source.tombstoneHint)
            else { continue }
            let fragment = set.fragments[found]
            guard fragment.newest(at: sequence) > row.sequence else { continue }
            if place == index {
                try passHidden(row)
            } else {
                // Older than the tombstone through and through: past the whole range at once.
                let target = InternalKey.makeSeek(
                    userKey: isForward ? fragment.upper : fragment.lower)
                try jump(row, target)
            }
            return true
        }
        return false
    }

    private mutating func passHidden(_ row: MergeSource) throws(TableError) {
        try step(row)
        settle(0)
    }

    private mutating func jump(_ row: MergeSource, _ target: [UInt8]) throws(TableError) {
        try target.withRaw { raw throws(TableError) in
            if isForward { try row.seek(raw) } else { try row.seekBefore(raw) }
        }
        settle(0)
    }

    /// The fragment that covers `key`. Scans move in one direction, so the last answer is tried
    /// first.
    private static func find(
        _ key: UnsafeRawBufferPointer, in set: RangeTombstoneSet, hint: inout Int
    ) -> Int? {
        let fragments = set.fragments
        if hint < fragments.count, KeyOrder.compare(fragments[hint].upper, key) > 0,
            hint == 0 || KeyOrder.compare(fragments[hint - 1].upper, key) <= 0
        {
            return KeyOrder.compare(fragments[hint].lower, key) <= 0 ? hint : nil
        }
        hint = set.firstIndex(endingAfter: key)
        guard hint < fragments.count, KeyOrder.compare(fragments[hint].lower, key) <= 0 else {
            return nil
        }
        return hint
    }

    // MARK: Heap

    /// True when the source at `left` comes before the one at `right`.
    @inline(__always)
    private func comesFirst(_ left: Int, _ right: Int) -> Bool {
        let order = KeyOrder.compare(sources[left].userKey, sources[right].userKey)
        if order == 0 { return left < right }
        return isForward ? order < 0 : order > 0
    }

    private mutating func rebuild() {
        heapCount = 0
        for index in sources.indices where sources[index].isValid {
            heap[heapCount] = index
            heapCount += 1
        }
        var place = heapCount / 2
        while place > 0 {
            place -= 1
            siftDown(place)
        }
    }

    /// Restores the heap after the source at `place` moved on: it can only sink, or leave.
    private mutating func settle(_ place: Int) {
        if !sources[heap[place]].isValid {
            heapCount -= 1
            heap[place] = heap[heapCount]
            if place == heapCount { return }
        }
        siftDown(place)
    }

    private mutating func siftDown(_ start: Int) {
        var place = start
        let item = heap[place]
        while true {
            var child = 2 * place + 1
            if child >= heapCount { break }
            if child + 1 < heapCount, comesFirst(heap[child + 1], heap[child]) { child += 1 }
            if !comesFirst(heap[child], item) { break }
            heap[place] = heap[child]
            place = child
        }
        heap[place] = item
    }
}
