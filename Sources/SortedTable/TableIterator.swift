internal import Bytes

/// Walks the rows of one table both ways at equal cost. For one thread at a time.
///
/// It pins the index and the data block it stands in, so they stay in memory; moving inside a block
/// touches no lock, no reference count and no allocator. A row's key is put together in the
/// iterator's own buffer, of which only the part that changed is written.
package final class TableIterator {
    private let reader: TableReader
    private var partition = 0
    private var index: TableBlock?
    private var entry = 0
    private var block: TableBlock?

    // The row it stands on. Pointers go into `block` and `buffer`.
    private var number = 0
    private var rowCount = 0
    private var keyBytes = 0
    private var valueStart: UnsafeRawPointer
    private var valueBytes = 0

    private var buffer: UnsafeMutableRawPointer
    private var capacity = 256
    /// Bytes at the start of `buffer` that are the base key of bundle `bundle`.
    private var intact = 0
    private var bundle = -1
    /// In a column block, the run whose prefix stands in `buffer`, and its number.
    private var run = ColumnRun()
    private var runNumber = 0

    /// Whether it stands on a row; otherwise ``key`` and ``value`` are meaningless.
    // Unchecked: set by this class alone, never lent out.
    @exclusivity(unchecked) package private(set) var isValid = false

    init(_ reader: TableReader) {
        self.reader = reader
        buffer = .allocate(byteCount: capacity + TableBlock.slackBytes, alignment: 16)
        valueStart = UnsafeRawPointer(buffer)
    }

    deinit {
        block?.unpin()
        index?.unpin()
        buffer.deallocate()
    }

    /// The internal key of the row; valid until the next move.
    @inline(__always)
    package var key: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: buffer, count: keyBytes)
    }

    /// The value of the row; valid until the next move.
    @inline(__always)
    package var value: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: valueStart, count: valueBytes)
    }

    // MARK: Seeks

    /// Moves to the first row.
    package func seekToFirst() throws(TableError) {
        isValid = false
        guard reader.root.rowCount > 0 else { return }
        try enterPartition(0)
        try enterBlock(entry: 0)
        showRow(0)
    }

    /// Moves to the last row.
    package func seekToLast() throws(TableError) {
        isValid = false
        guard reader.root.rowCount > 0 else { return }
        try enterPartition(reader.root.rowCount - 1)
        try enterBlock(entry: indexRows - 1)
        showRow(rowCount - 1)
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
        isValid = false
        guard try findBlock(userKey, trailer) else { return }
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
        isValid = false
        guard try findBlock(userKey, trailer) else { return try seekToLast() }
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
        precondition(isValid, "next is for an iterator on a row")
        let following = number &+ 1
        if following < rowCount {
            showRow(following)
        } else {
            isValid = false
            try showFirstOfNextBlock()
        }
    }

    /// Moves to the row before.
    ///
    /// - Precondition: it stands on a row.
    package func previous() throws(TableError) {
        precondition(isValid, "previous is for an iterator on a row")
        if number > 0 {
            showRow(number &- 1)
        } else {
            isValid = false
            try showLastOfPreviousBlock()
        }
    }

    private func showFirstOfNextBlock() throws(TableError) {
        if entry + 1 < indexRows {
            try enterBlock(entry: entry + 1)
        } else {
            guard partition + 1 < reader.root.rowCount else { return }
            try enterPartition(partition + 1)
            try enterBlock(entry: 0)
        }
        showRow(0)
    }

    private func showLastOfPreviousBlock() throws(TableError) {
        if entry > 0 {
            try enterBlock(entry: entry - 1)
        } else {
            guard partition > 0 else { return }
            try enterPartition(partition - 1)
            try enterBlock(entry: indexRows - 1)
        }
        showRow(rowCount - 1)
    }

    // MARK: Blocks

    private var indexRows: Int { index?.rowCount ?? 0 }

    /// Enters the one block that can hold the first row at or above the key, if its last separator
    /// is not below it; false when all rows are below.
    private func findBlock(
        _ userKey: UnsafeRawBufferPointer, _ trailer: UInt64
    ) throws(TableError) -> Bool {
        let partition = reader.root.lowerBound(userKey, trailer)
        guard partition < reader.root.rowCount else { return false }
        try enterPartition(partition)
        guard let index else { return false }
        let entry = index.lowerBound(userKey, trailer)
        guard entry < index.rowCount else { throw reader.wrongSeparator(partition) }
        try enterBlock(entry: entry)
        return true
    }

    private func enterPartition(_ number: Int) throws(TableError) {
        if index != nil, partition == number { return }
        leaveBlock()
        index?.unpin()
        index = nil
        index = try reader.pinnedBlock(reader.root.handle(number), .index)
        partition = number
    }

    private func enterBlock(entry number: Int) throws(TableError) {
        guard let index else { return }
        if block != nil, entry == number { return }
        leaveBlock()
        let entered = try reader.pinnedBlock(index.handle(number), .data)
        block = entered
        entry = number
        rowCount = entered.rowCount
        bundle = -1
        run = ColumnRun()
        if entered.keyBytesMax > capacity {
            buffer.deallocate()
            capacity = entered.keyBytesMax
            buffer = .allocate(byteCount: capacity + TableBlock.slackBytes, alignment: 16)
        }
    }

    private func leaveBlock() {
        block?.unpin()
        block = nil
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
        keyBytes = row.shared &+ tail
        valueStart = row.value
        valueBytes = row.valueBytes
        self.number = number
        isValid = true
    }

    /// The same in a column block: of the key only number and trailer are written anew.
    @inline(__always)
    private func showColumns(_ number: Int, _ block: TableBlock) {
        let prefixBytes = keyBytes(of: block) &- 16
        if number < run.firstRow || number >= run.endRow {
            enterRun(ofRow: number, block, prefixBytes)
        }
        let (target, trailer) = (buffer + prefixBytes, block.columnTrailer(number))
        target.storeBytes(of: block.columnNumber(number, in: run).bigEndian, as: UInt64.self)
        target.storeBytes(of: trailer.littleEndian, toByteOffset: 8, as: UInt64.self)
        keyBytes = prefixBytes &+ 16
        let value = block.columnValue(number)
        valueStart = value.baseAddress.unsafelyUnwrapped
        valueBytes = value.count
        self.number = number
        isValid = true
    }

    @inline(__always)
    private func keyBytes(of block: TableBlock) -> Int { block.keyBytesMax }

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
