internal import Bytes

/// Walks the rows of one table both ways at equal cost. For one thread at a time.
///
/// It pins the index and the data block it stands in, so they stay in memory; moving inside a block
/// touches no lock, no reference count and no allocator. A row's key is put together in the
/// iterator's own buffer, of which only the part that changed is written.
package final class TableIterator {
    private var reader: TableReader
    /// Blocks without a put that expires behind this are passed by; nil: none are.
    private let expiryHorizon: UInt64?
    /// Whether any block of the table may be passed by.
    private var mayPassBlocks = false
    private var partition = 0
    private var index: TableBlock?
    private var entry = 0
    private var block: TableBlock?

    /// The row that it stands on; pointers go into `block` and `buffer`. There as long as the
    /// iterator is.
    package let shown: UnsafeMutablePointer<ShownRow>
    private var number = 0
    private var rowCount = 0

    /// `shown` and, behind it, the buffer for keys of usual length.
    private let memory: UnsafeMutableRawPointer
    private static let bufferStart = 64
    /// Where the key is put together: in `memory`, or one of its own for longer keys.
    private var buffer: UnsafeMutableRawPointer
    private var capacity = 256
    /// Bytes at the start of `buffer` that are the base key of bundle `bundle`.
    private var intact = 0
    private var bundle = -1
    /// In a column block, the run whose prefix stands in `buffer`, and its number.
    private var run = ColumnRun()
    private var runNumber = 0

    /// An iterator that stands nowhere.
    ///
    /// - Parameter expiryHorizon: the reader needs neither deletes nor puts that expire up to this:
    ///   blocks that have nothing else are passed by unread. Nil: all rows are shown.
    package init(_ reader: TableReader, expiryHorizon: UInt64? = nil) {
        self.reader = reader
        self.expiryHorizon = expiryHorizon
        precondition(MemoryLayout<ShownRow>.size <= Self.bufferStart, "the row fits")
        memory = .allocate(
            byteCount: Self.bufferStart + capacity + TableBlock.slackBytes, alignment: 16)
        shown = memory.initializeMemory(as: ShownRow.self, to: ShownRow())
        buffer = memory + Self.bufferStart
        notePassing()
    }

    deinit {
        leavePartition()
        dropBuffer()
        memory.deallocate()
    }

    private func dropBuffer() {
        if buffer != memory + Self.bufferStart { buffer.deallocate() }
    }

    /// Leaves the table for another one, in which it stands nowhere.
    package func move(to reader: TableReader) {
        shown.pointee.isValid = false
        leavePartition()
        self.reader = reader
        notePassing()
    }

    private func notePassing() {
        let properties = reader.properties
        mayPassBlocks =
            expiryHorizon.map { properties.deletes > 0 || properties.minExpiry <= $0 } ?? false
    }

    /// Whether it stands on a row; otherwise ``key`` and ``value`` are meaningless.
    package var isValid: Bool { shown.pointee.isValid }
    /// The internal key of the row; valid until the next move.
    package var key: UnsafeRawBufferPointer { shown.pointee.internalKey }
    /// The value of the row; valid until the next move.
    package var value: UnsafeRawBufferPointer { shown.pointee.value }

    // MARK: Seeks

    /// Moves to the first row.
    package func seekToFirst() throws(TableError) {
        shown.pointee.isValid = false
        guard reader.root.rowCount > 0 else { return }
        try enterPartition(0)
        leaveBlock()
        entry = -1
        try showFirstOfNextBlock()
    }

    /// Moves to the last row.
    package func seekToLast() throws(TableError) {
        shown.pointee.isValid = false
        guard reader.root.rowCount > 0 else { return }
        try enterPartition(reader.root.rowCount - 1)
        leaveBlock()
        entry = indexRows
        try showLastOfPreviousBlock()
    }

    /// Moves to the first row at or above an internal key; see
    /// ``InternalKey/makeSeek(userKey:sequence:)``.
    package func seek(internalKey: UnsafeRawBufferPointer) throws(TableError) {
        try seek(
            userKey: InternalKey.userKey(internalKey), trailer: InternalKey.trailer(internalKey))
    }

    /// Moves to the first row at or above (user key, trailer).
    package func seek(
        userKey: UnsafeRawBufferPointer, trailer: UInt64
    ) throws(TableError) {
        shown.pointee.isValid = false
        guard try findEntry(userKey, trailer) else { return }
        guard try enterBlock() else { return try showFirstOfNextBlock() }
        let row = lowerBound(userKey, trailer)
        if row < rowCount {
            showRow(row)
        } else {
            // The key lies between the block's last row and its separator.
            try showFirstOfNextBlock()
        }
    }

    /// Moves to the last row at or below an internal key.
    package func seekForPrevious(internalKey: UnsafeRawBufferPointer) throws(TableError) {
        try seekForPrevious(
            userKey: InternalKey.userKey(internalKey), trailer: InternalKey.trailer(internalKey))
    }

    /// Moves to the last row at or below (user key, trailer).
    package func seekForPrevious(
        userKey: UnsafeRawBufferPointer, trailer: UInt64
    ) throws(TableError) {
        shown.pointee.isValid = false
        guard try findEntry(userKey, trailer) else { return try seekToLast() }
        guard try enterBlock() else { return try showLastOfPreviousBlock() }
        let row = lowerBound(userKey, trailer)
        if row < rowCount, isRow(row, userKey, trailer) {
            showRow(row)
        } else if row > 0 {
            showRow(row - 1)
        } else {
            try showLastOfPreviousBlock()
        }
    }

    // MARK: Steps

    /// Moves to the following row.
    ///
    /// - Precondition: it stands on a row.
    package func next() throws(TableError) {
        precondition(shown.pointee.isValid, "next is for an iterator on a row")
        if nextInBlock() { return }
        shown.pointee.isValid = false
        try showFirstOfNextBlock()
    }

    /// Moves to the row before.
    ///
    /// - Precondition: it stands on a row.
    package func previous() throws(TableError) {
        precondition(shown.pointee.isValid, "previous is for an iterator on a row")
        if previousInBlock() { return }
        shown.pointee.isValid = false
        try showLastOfPreviousBlock()
    }

    /// Moves to the following row if that stands in the same block; otherwise changes nothing.
    ///
    /// - Precondition: it stands on a row.
    package func nextInBlock() -> Bool {
        let following = number &+ 1
        guard following < rowCount else { return false }
        showRow(following)
        return true
    }

    /// Moves to the row before if that stands in the same block; otherwise changes nothing.
    ///
    /// - Precondition: it stands on a row.
    package func previousInBlock() -> Bool {
        guard number > 0 else { return false }
        showRow(number &- 1)
        return true
    }

    private func showFirstOfNextBlock() throws(TableError) {
        while true {
            while entry + 1 < indexRows {
                setEntry(entry + 1)
                if try enterBlock() { return showRow(0) }
            }
            guard partition + 1 < reader.root.rowCount else { return }
            try enterPartition(partition + 1)
            entry = -1
        }
    }

    private func showLastOfPreviousBlock() throws(TableError) {
        while true {
            while entry > 0 {
                setEntry(entry - 1)
                if try enterBlock() { return showRow(rowCount - 1) }
            }
            guard partition > 0 else { return }
            try enterPartition(partition - 1)
            entry = indexRows
        }
    }

    // MARK: Blocks

    private var indexRows: Int { index?.rowCount ?? 0 }

    /// Goes to the one block that can hold the first row at or above the key, if its last separator
    /// is not below it; false when all rows are below.
    private func findEntry(
        _ userKey: UnsafeRawBufferPointer, _ trailer: UInt64
    ) throws(TableError) -> Bool {
        let partition = reader.root.lowerBound(userKey, trailer)
        guard partition < reader.root.rowCount else { return false }
        try enterPartition(partition)
        guard let index else { return false }
        let entry = index.lowerBound(userKey, trailer)
        guard entry < index.rowCount else { throw reader.wrongSeparator(partition) }
        setEntry(entry)
        return true
    }

    private func enterPartition(_ number: Int) throws(TableError) {
        if index != nil, partition == number { return }
        leavePartition()
        index = try reader.pinnedBlock(reader.root.handle(number), .index)
        partition = number
    }

    private func setEntry(_ number: Int) {
        if entry != number { leaveBlock() }
        entry = number
    }

    /// Enters the block of `entry`; false when it is passed by.
    private func enterBlock() throws(TableError) -> Bool {
        guard let index else { return false }
        if block != nil { return true }
        if mayPassBlocks, let expiryHorizon, let properties = index.blockProperties(entry),
            properties.maxExpiry <= expiryHorizon
        {
            return false
        }
        let entered = try reader.pinnedBlock(index.handle(entry), .data)
        block = entered
        rowCount = entered.rowCount
        bundle = -1
        run = ColumnRun()
        if entered.keyBytesMax > capacity {
            dropBuffer()
            capacity = entered.keyBytesMax
            buffer = .allocate(byteCount: capacity + TableBlock.slackBytes, alignment: 16)
        }
        shown.pointee.keyStart = UnsafeRawPointer(buffer)
        return true
    }

    private func leaveBlock() {
        block?.unpin()
        block = nil
    }

    private func leavePartition() {
        leaveBlock()
        index?.unpin()
        index = nil
    }

    private func lowerBound(_ userKey: UnsafeRawBufferPointer, _ trailer: UInt64) -> Int {
        guard let block else { return 0 }
        return block.isColumnar
            ? block.columnLowerBound(userKey, trailer).row : block.lowerBound(userKey, trailer)
    }

    private func isRow(
        _ number: Int, _ userKey: UnsafeRawBufferPointer, _ trailer: UInt64
    ) -> Bool {
        guard let block else { return false }
        if block.isColumnar {
            // The row is the first at or above: it has the key or lies above it.
            let (row, hasKey) = block.columnLowerBound(userKey, trailer)
            return hasKey && row == number && block.columnTrailer(row) == trailer
        }
        let row = block.row(number)
        return row.trailer == trailer && block.hasUserKey(userKey, row: number, row)
    }

    // MARK: Rows

    /// Stands on a row of `block`: puts its key together and notes its value.
    @inline(__always)
    private func showRow(_ number: Int) {
        guard let block else { return }
        if block.isColumnar { return showColumns(number, block) }
        let row = block.row(number)
        let ownBundle = number / TableFormat.bundleRows
        if ownBundle != bundle {
            bundle = ownBundle
            intact = 0
        }
        if row.shared > intact, let base = block.baseKey(ofRow: number).baseAddress {
            copyShort(from: base + intact, to: buffer + intact, row.shared &- intact)
        }
        intact = row.shared
        let tail = row.restBytes &+ InternalKey.trailerBytes
        copyShort(from: row.rest, to: buffer + row.shared, tail)
        self.number = number
        shown.pointee.userKeyBytes = row.shared &+ row.restBytes
        shown.pointee.trailer = row.trailer
        shown.pointee.valueStart = row.value
        shown.pointee.valueBytes = row.valueBytes
        shown.pointee.isValid = true
    }

    /// The same in a column block: of the key only number and trailer are written anew.
    @inline(__always)
    private func showColumns(_ number: Int, _ block: TableBlock) {
        let prefixBytes = block.keyBytesMax &- 16
        if number < run.firstRow || number >= run.endRow {
            enterRun(ofRow: number, block, prefixBytes)
        }
        let (target, trailer) = (buffer + prefixBytes, block.columnTrailer(number))
        target.storeBytes(of: block.columnNumber(number, in: run).bigEndian, as: UInt64.self)
        target.storeBytes(of: trailer.littleEndian, toByteOffset: 8, as: UInt64.self)
        let value = block.columnValue(number)
        self.number = number
        shown.pointee.userKeyBytes = prefixBytes &+ 8
        shown.pointee.trailer = trailer
        shown.pointee.valueStart = value.baseAddress.unsafelyUnwrapped
        shown.pointee.valueBytes = value.count
        shown.pointee.isValid = true
    }

    private func enterRun(ofRow row: Int, _ block: TableBlock, _ prefixBytes: Int) {
        if run.endRow > 0, row == run.endRow {
            runNumber += 1
        } else if run.endRow > 0, row == run.firstRow - 1 {
            runNumber -= 1
        } else {
            runNumber = block.columnRun(ofRow: row)
        }
        run = block.columnRun(runNumber)
        buffer.copyMemory(from: run.prefix, byteCount: prefixBytes)
    }
}

/// Copies bytes, mostly few: up to 32 go as two or four words, which may write and read up to 31
/// bytes too many. Blocks and key buffers have ``TableBlock/slackBytes`` behind them for that.
@inline(__always)
private func copyShort(
    from source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, _ count: Int
) {
    if count <= 16 {
        let words = source.loadUnaligned(as: SIMD2<UInt64>.self)
        target.storeBytes(of: words, as: SIMD2<UInt64>.self)
    } else if count <= 32 {
        let words = source.loadUnaligned(as: SIMD4<UInt64>.self)
        target.storeBytes(of: words, as: SIMD4<UInt64>.self)
    } else {
        target.copyMemory(from: source, byteCount: count)
    }
}
