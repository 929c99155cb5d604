import SortedTable

/// The rows of a memtable's part at a sequence, for a merge: its list, and in numbered keyspaces
/// its runs and its list as one.
///
/// One source, not two: a range tombstone of the memtable covers older rows of both and is older
/// than others of both, while a merge takes whole sources for older than a tombstone of another.
/// Valid as long as the part is.
final class MemtableRows {
    /// The row that it stands on. There as long as the object is.
    let shown: UnsafeMutablePointer<ShownRow>
    // Unchecked: neither cursor knows anything of its owner.
    @exclusivity(unchecked) private var list: ListCursor
    @exclusivity(unchecked) private var runs: NumberedRunsCursor?
    /// The key of the runs' cursor.
    private let key: UnsafeMutableRawPointer?
    /// Nothing stands in the list.
    private let isListEmpty: Bool
    private var isForward = true
    /// Which of the two stand on the current key. The list's row is newer and the one to show.
    private var isOnList = false
    private var isOnRuns = false

    init(_ part: Memtable.Part, at sequence: SequenceNumber) {
        shown = .allocate(capacity: 1)
        shown.initialize(to: ShownRow())
        let index = part.index
        list = ListCursor(index.list, at: sequence)
        isListEmpty = index.list.isEmpty
        key = index.runs.map {
            .allocate(byteCount: NumberedRunsCursor.keyBytes($0), alignment: 8)
        }
        if let numbered = index.runs, let key {
            runs = NumberedRunsCursor(numbered, at: sequence, key: key)
        }
    }

    deinit {
        key?.deallocate()
        shown.deallocate()
    }

    /// Moves to the first row at or after a user key.
    func seek(_ target: UnsafeRawBufferPointer) {
        isForward = true
        if !isListEmpty { list.seek(target) }
        runs?.seek(target)
        settle()
    }

    /// Moves to the last row before a user key; nil: the last of all.
    func seekBefore(_ target: UnsafeRawBufferPointer?) {
        isForward = false
        if !isListEmpty { list.seekBefore(target) }
        runs?.seekBefore(target)
        settle()
    }

    /// Moves one row on, after ``seek(_:)``. Only when valid.
    func next() {
        if isOnList { list.next() }
        if isOnRuns { runs?.next() }
        settle()
    }

    /// Moves one row back, after ``seekBefore(_:)``. Only when valid.
    func previous() {
        if isOnList { list.previous() }
        if isOnRuns { runs?.previous() }
        settle()
    }

    /// Shows the row that comes first in the direction of the last seek.
    @inline(__always)
    private func settle() {
        isOnRuns = runs?.isValid ?? false
        isOnList = list.isValid
        if isOnRuns, isOnList, let runs {
            let order = KeyOrder.compare(list.userKey, runs.userKey)
            if order != 0 {
                isOnList = (order < 0) == isForward
                isOnRuns = !isOnList
            }
        }
        if isOnList {
            show(list.userKey, list.trailer, list.value)
        } else if isOnRuns, let runs {
            show(runs.userKey, runs.trailer, runs.value)
        } else {
            shown.pointee.isValid = false
        }
    }

    @inline(__always)
    private func show(
        _ key: UnsafeRawBufferPointer, _ trailer: UInt64, _ value: UnsafeRawBufferPointer
    ) {
        // Rows are never empty, so their parts have addresses.
        shown.pointee.keyStart = key.baseAddress.unsafelyUnwrapped
        shown.pointee.userKeyBytes = key.count
        shown.pointee.trailer = trailer
        shown.pointee.valueStart = value.baseAddress.unsafelyUnwrapped
        shown.pointee.valueBytes = value.count
        shown.pointee.isValid = true
    }
}

/// Stands on the newest row of a key among those of a ``SkipList`` at or below a sequence, and
/// moves both ways.
struct ListCursor {
    private let list: SkipList
    private let limit: SequenceNumber
    private var node: UInt32 = 0

    init(_ list: SkipList, at sequence: SequenceNumber) {
        self.list = list
        limit = sequence
    }

    /// True on a row. What follows is meant only then.
    @inline(__always)
    var isValid: Bool { node != 0 }
    @inline(__always)
    var userKey: UnsafeRawBufferPointer { list.userKey(node) }
    @inline(__always)
    var trailer: UInt64 { list.trailer(node) }
    @inline(__always)
    var value: UnsafeRawBufferPointer { list.value(node) }

    /// Moves to the first key at or after a user key.
    mutating func seek(_ key: UnsafeRawBufferPointer) {
        settleForward(list.next(list.lastBefore(key)))
    }

    /// Moves to the last key before a user key; nil: the last of all.
    mutating func seekBefore(_ key: UnsafeRawBufferPointer?) {
        settleBackward(key.map { list.lastBefore($0) } ?? list.last())
    }

    /// Moves one key on. Only when valid.
    mutating func next() {
        let key = userKey
        var after = list.next(node)
        while after != 0, KeyOrder.compare(list.userKey(after), key) == 0 {
            after = list.next(after)
        }
        settleForward(after)
    }

    /// Moves one key back. Only when valid.
    mutating func previous() {
        // The node is the newest visible of its key; newer ones of the same key may stand before.
        let key = userKey
        var before = list.previous(node)
        while before != list.head, KeyOrder.compare(list.userKey(before), key) == 0 {
            before = list.previous(before)
        }
        settleBackward(before)
    }

    /// `candidate` is the newest version of its key; takes the first visible row from there on.
    private mutating func settleForward(_ candidate: UInt32) {
        node = candidate
        while node != 0, list.trailer(node) &>> 8 > limit { node = list.next(node) }
    }

    /// `candidate` is the oldest version of its key; takes the newest visible one, or goes on.
    private mutating func settleBackward(_ candidate: UInt32) {
        node = candidate
        while node != list.head, node != 0, list.trailer(node) &>> 8 > limit {
            node = list.previous(node)
        }
        if node == list.head { node = 0 }
        if node == 0 { return }
        let key = userKey
        while true {
            let before = list.previous(node)
            if before == list.head { return }
            let isHidden = list.trailer(before) &>> 8 > limit
            if isHidden || KeyOrder.compare(list.userKey(before), key) != 0 { return }
            node = before
        }
    }
}
