import SortedTable

/// The rows of a numbered keyspace's memtable at a sequence: its runs and its list as one run.
///
/// One source, not two: a range tombstone of the memtable covers older rows of both and is older
/// than others of both, while a merge takes whole sources for older than a tombstone of another.
final class NumberedMemtableSource: MergeSource {
    /// Keeps the memory of both.
    private let part: Memtable.Part
    /// Nil when nothing stood there.
    private let list: MemtableSource?
    // Unchecked: the cursor knows nothing of its source.
    @exclusivity(unchecked) private var runs: NumberedRunsCursor
    /// The cursor's key.
    private let key: UnsafeMutableRawPointer
    private var isForward = true
    /// Which of the two stand on the current key. The list's row is newer and the one to show.
    private var isOnList = false
    private var isOnRuns = false

    init(_ part: Memtable.Part, _ runs: NumberedRuns, at sequence: SequenceNumber) {
        self.part = part
        let isEmpty = part.index.list.isEmpty
        list = isEmpty ? nil : MemtableSource(part, at: sequence, hasTombstones: false)
        key = .allocate(byteCount: NumberedRunsCursor.keyBytes(runs), alignment: 8)
        self.runs = NumberedRunsCursor(runs, at: sequence, key: key)
        super.init(tombstones: part.rangeTombstones())
    }

    deinit { key.deallocate() }

    override var internalKey: UnsafeRawBufferPointer {
        if isOnList, let list { return list.internalKey }
        return runs.internalKey
    }

    override var value: UnsafeRawBufferPointer {
        if isOnList, let list { return list.value }
        return runs.value
    }

    override func seek(_ key: UnsafeRawBufferPointer) {
        isForward = true
        list?.seek(key)
        runs.seek(InternalKey.userKey(key))
        settle()
    }

    override func seekBefore(_ key: UnsafeRawBufferPointer?) {
        isForward = false
        list?.seekBefore(key)
        runs.seekBefore(key.map { InternalKey.userKey($0) })
        settle()
    }

    override func next() {
        if isOnList { list?.next() }
        if isOnRuns { runs.next() }
        settle()
    }

    override func previous() {
        if isOnList { list?.previous() }
        if isOnRuns { runs.previous() }
        settle()
    }

    /// Shows the row that comes first in the direction of the last seek.
    @inline(__always)
    private func settle() {
        guard let list, list.isValid else { return showRuns() }
        guard runs.isValid else { return showList(list, alone: true) }
        let order = KeyOrder.compare(list.userKey, runs.userKey)
        if order == 0 || (order < 0) == isForward {
            showList(list, alone: order != 0)
        } else {
            showRuns()
        }
    }

    @inline(__always)
    private func showRuns() {
        isOnList = false
        isOnRuns = runs.isValid
        isValid = isOnRuns
        guard isValid else { return }
        userKey = runs.userKey
        trailer = runs.trailer
    }

    private func showList(_ list: MemtableSource, alone: Bool) {
        isOnList = true
        isOnRuns = !alone
        isValid = true
        userKey = list.userKey
        trailer = list.trailer
    }
}
