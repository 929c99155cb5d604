import SortedTable

/// One sorted run of rows as a merge sees it: at most one row per user key, the newest that the
/// reader may see, deletes included.
///
/// That each source shows a key once is what makes both directions cost the same: a merge compares
/// user keys, the younger source wins a tie, and nothing has to be copied aside while walking
/// backward over versions. Tables hold one row per key by construction; a memtable's source skips
/// versions itself.
///
/// A class with overridden moves, not an existential or a closure: the fields that the merge
/// compares are read directly, and only a move is a virtual call.
class MergeSource {
    /// False before the first seek and past either end.
    final var isValid = false
    /// Valid until the next move of this source.
    final var userKey = UnsafeRawBufferPointer(start: nil, count: 0)
    /// Sequence and kind of the row: sequence << 8 | kind.
    final var trailer: UInt64 = 0
    /// Range deletes of this source, or nil; they also hide rows of all older sources.
    final let tombstones: RangeTombstoneSet?
    /// The fragment that the last look-up hit or stood before.
    final var tombstoneHint = 0

    init(tombstones: RangeTombstoneSet?) {
        self.tombstones = tombstones.flatMap { $0.isEmpty ? nil : $0 }
    }

    final var sequence: SequenceNumber { trailer &>> 8 }
    final var isDelete: Bool { UInt8(truncatingIfNeeded: trailer) == RowKind.delete.rawValue }

    /// Key and trailer as a table stores them. Valid until the next move.
    var internalKey: UnsafeRawBufferPointer { preconditionFailure("a source overrides this") }
    /// The value. Valid until the next move.
    var value: UnsafeRawBufferPointer { preconditionFailure("a source overrides this") }

    /// Moves to the first key at or after `key`, an internal key made by `InternalKey.makeSeek`.
    func seek(_ key: UnsafeRawBufferPointer) throws(TableError) {}
    /// Moves to the last key before `key`, made as above; the last of all for nil.
    func seekBefore(_ key: UnsafeRawBufferPointer?) throws(TableError) {}
    /// Moves one key on. Only when valid.
    func next() throws(TableError) {}
    /// Moves one key back. Only when valid.
    func previous() throws(TableError) {}
}

/// The rows of a memtable's list at a sequence.
final class MemtableSource: MergeSource {
    private let list: SkipList
    /// Keeps the list's memory.
    private let part: Memtable.Part
    private let limit: SequenceNumber
    private var node: UInt32 = 0

    /// - Parameter hasTombstones: false for one whose owner looks after the range tombstones.
    init(_ part: Memtable.Part, at sequence: SequenceNumber, hasTombstones: Bool = true) {
        list = part.index.list
        self.part = part
        limit = sequence
        super.init(tombstones: hasTombstones ? part.rangeTombstones() : nil)
    }

    override var internalKey: UnsafeRawBufferPointer { list.internalKey(node) }
    override var value: UnsafeRawBufferPointer { list.value(node) }

    override func seek(_ key: UnsafeRawBufferPointer) {
        settleForward(list.next(list.lastBefore(InternalKey.userKey(key))))
    }

    override func seekBefore(_ key: UnsafeRawBufferPointer?) {
        guard let key else { return settleBackward(list.last()) }
        settleBackward(list.lastBefore(InternalKey.userKey(key)))
    }

    override func next() {
        var after = list.next(node)
        while after != 0, KeyOrder.compare(list.userKey(after), userKey) == 0 {
            after = list.next(after)
        }
        settleForward(after)
    }

    override func previous() {
        // The node is the newest visible of its key; newer ones of the same key may stand before.
        var before = list.previous(node)
        while before != list.head, KeyOrder.compare(list.userKey(before), userKey) == 0 {
            before = list.previous(before)
        }
        settleBackward(before)
    }

    /// `candidate` is the newest version of its key; takes the first visible row from there on.
    private func settleForward(_ candidate: UInt32) {
        var candidate = candidate
        while candidate != 0 {
            let trailer = list.trailer(candidate)
            if trailer &>> 8 <= limit { return show(candidate, trailer) }
            candidate = list.next(candidate)
        }
        isValid = false
    }

    /// `candidate` is the oldest version of its key; takes the newest visible one, or goes on.
    private func settleBackward(_ candidate: UInt32) {
        var candidate = candidate
        while candidate != list.head, candidate != 0 {
            var trailer = list.trailer(candidate)
            if trailer &>> 8 > limit {
                candidate = list.previous(candidate)
                continue
            }
            let key = list.userKey(candidate)
            while true {
                let before = list.previous(candidate)
                if before == list.head { break }
                let newer = list.trailer(before)
                if newer &>> 8 > limit || KeyOrder.compare(list.userKey(before), key) != 0 { break }
                candidate = before
                trailer = newer
            }
            return show(candidate, trailer)
        }
        isValid = false
    }

    @inline(__always)
    private func show(_ candidate: UInt32, _ trailer: UInt64) {
        node = candidate
        userKey = list.userKey(candidate)
        self.trailer = trailer
        isValid = true
    }
}

/// One table's rows.
final class TableSource: MergeSource {
    private let iterator: TableIterator
    /// Keeps the open file.
    private let table: TableHandle

    init(_ table: TableHandle) {
        self.table = table
        iterator = table.reader.makeIterator()
        super.init(tombstones: table.tombstones)
    }

    override var internalKey: UnsafeRawBufferPointer { iterator.key }
    override var value: UnsafeRawBufferPointer { iterator.value }

    override func seek(_ key: UnsafeRawBufferPointer) throws(TableError) {
        try table.requireSound()
        try iterator.seek(internalKey: key)
        show()
    }

    override func seekBefore(_ key: UnsafeRawBufferPointer?) throws(TableError) {
        try table.requireSound()
        if let key {
            try iterator.seekForPrevious(internalKey: key)
        } else {
            try iterator.seekToLast()
        }
        show()
    }

    override func next() throws(TableError) {
        try iterator.next()
        show()
    }

    override func previous() throws(TableError) {
        try iterator.previous()
        show()
    }

    @inline(__always)
    private func show() {
        isValid = iterator.isValid
        if isValid { setKey(iterator.key) }
    }
}

/// The rows of one level below 0: disjoint tables, one after another.
final class LevelSource: MergeSource {
    private let tables: [TableHandle]
    private var current = 0
    // Unchecked: a table's iterator knows nothing of its source.
    @exclusivity(unchecked) private var iterator: TableIterator?

    /// - Parameter tables: disjoint and ascending; only those that the reader needs.
    init(_ tables: [TableHandle], tombstones: RangeTombstoneSet?) {
        self.tables = tables
        super.init(tombstones: tombstones)
    }

    override var internalKey: UnsafeRawBufferPointer {
        iterator?.key ?? UnsafeRawBufferPointer(start: nil, count: 0)
    }
    override var value: UnsafeRawBufferPointer {
        iterator?.value ?? UnsafeRawBufferPointer(start: nil, count: 0)
    }

    override func seek(_ key: UnsafeRawBufferPointer) throws(TableError) {
        let index = tables.firstIndex(endingAtOrAfter: InternalKey.userKey(key))
        guard index < tables.count else { return end() }
        try open(index).seek(internalKey: key)
        try settleForward()
    }

    override func seekBefore(_ key: UnsafeRawBufferPointer?) throws(TableError) {
        guard let key else {
            guard !tables.isEmpty else { return end() }
            try open(tables.count - 1).seekToLast()
            return try settleBackward()
        }
        // Tables that start before the key; the last of them may hold its predecessor.
        let userKey = InternalKey.userKey(key)
        var index = tables.firstIndex(endingAtOrAfter: userKey)
        if index == tables.count
            || KeyOrder.compare(tables[index].metadata.smallest, userKey) >= 0
        {
            index -= 1
        }
        guard index >= 0 else { return end() }
        try open(index).seekForPrevious(internalKey: key)
        try settleBackward()
    }

    override func next() throws(TableError) {
        try iterator?.next()
        try settleForward()
    }

    override func previous() throws(TableError) {
        try iterator?.previous()
        try settleBackward()
    }

    private func open(_ index: Int) throws(TableError) -> TableIterator {
        try tables[index].requireSound()
        if index == current, let iterator { return iterator }
        current = index
        let made = tables[index].reader.makeIterator()
        iterator = made
        return made
    }

    private func settleForward() throws(TableError) {
        while let iterator, !iterator.isValid {
            guard current + 1 < tables.count else { return end() }
            try open(current + 1).seekToFirst()
        }
        show()
    }

    private func settleBackward() throws(TableError) {
        while let iterator, !iterator.isValid {
            guard current > 0 else { return end() }
            try open(current - 1).seekToLast()
        }
        show()
    }

    private func end() {
        isValid = false
    }

    @inline(__always)
    private func show() {
        guard let iterator, iterator.isValid else { return end() }
        isValid = true
        setKey(iterator.key)
    }
}

extension MergeSource {
    @inline(__always)
    fileprivate final func setKey(_ internalKey: UnsafeRawBufferPointer) {
        let count = internalKey.count &- 8
        userKey = UnsafeRawBufferPointer(start: internalKey.baseAddress, count: count)
        trailer = UInt64(
            littleEndian: internalKey.loadUnaligned(fromByteOffset: count, as: UInt64.self))
    }
}
