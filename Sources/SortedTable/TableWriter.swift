internal import Bytes
package import Platform

/// Writes one table, rows in order, then is finished or dropped.
///
/// Memory: a block, an index block, 256 KiB of output, and 8 bytes for each user key of the
/// partition under way. Nothing is durable before ``finish()``. After an error the file is rubbish
/// that the caller removes.
package struct TableWriter: ~Copyable {
    let fileID: UInt64
    let options: TableOptions
    var properties = TableProperties()
    var tombstones: [RangeTombstone] = []
    private var output: BlockOutput
    private var data: BlockBuilder
    private var columns: ColumnBuilder
    private var index: BlockBuilder
    private var root: BlockBuilder
    private var scratch: RawBuilder
    private var separator: RawBuilder
    private var lastKey: RawBuilder
    private var keyHashes: [UInt64] = []
    private var prefixHashes: [UInt64] = []
    private var block = BlockProperties()
    /// When a column block may still grow beyond its size: where it would be cut, what the
    /// separator would be there, and what is true of the rows behind.
    private var markedRows = 0
    private var markedSeparator: RawBuilder
    private var behind = BlockProperties()

    /// A writer of a new, empty file. `fileID` is never used for another file.
    package init(file: any File, fileID: UInt64, options: TableOptions) {
        self.fileID = fileID
        self.options = options
        properties.fileID = fileID
        properties.keyspace = options.keyspace
        properties.filterPrefixLength =
            options.filterBitsPerKey > 0 ? options.filterPrefixLength : nil
        output = BlockOutput(file: file, fileID: fileID)
        data = BlockBuilder(
            capacity: options.blockBytes + 4096, hasBuckets: options.isPointRead)
        columns = ColumnBuilder(
            prefixBytes: options.filterPrefixLength ?? 0,
            capacity: options.isNumbered ? options.blockBytes * 2 + 4096 : 64)
        index = BlockBuilder(capacity: options.indexBlockBytes + 1024)
        root = BlockBuilder(capacity: 4096)
        scratch = RawBuilder(capacity: 4096)
        separator = RawBuilder(capacity: 256)
        markedSeparator = RawBuilder(capacity: 256)
        lastKey = RawBuilder(capacity: 256)
    }

    /// What the file would have if it were finished now, before the block under way is compressed.
    package var estimatedBytes: Int {
        let pending = blockBytes + index.contentBytes + root.contentBytes
        let filters = (keyHashes.count + prefixHashes.count) * options.filterBitsPerKey / 8
        return Int(clamping: output.offset) + pending + filters
    }

    /// Rows added so far.
    package var rows: UInt64 { properties.rows }

    /// Adds a row.
    ///
    /// - Precondition: the internal key is above all keys added before and its kind is put or
    ///   delete; user key and value keep to ``InternalKey/userKeyBytesMax`` and
    ///   ``TableFormat/valueBytesMax``.
    package mutating func add(
        internalKey: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer
    ) throws(TableError) {
        let userKey = InternalKey.userKey(internalKey)
        let trailer = InternalKey.trailer(internalKey)
        precondition(userKey.count <= InternalKey.userKeyBytesMax, "the user key is too long")
        precondition(value.count <= TableFormat.valueBytesMax, "the value is too long")
        let kind = UInt8(truncatingIfNeeded: trailer)
        precondition(
            kind == RowKind.put.rawValue || kind == RowKind.delete.rawValue,
            "a row is a put or a delete")
        let shared = checkOrder(userKey, trailer)
        let isSame =
            properties.rows > 0 && shared == userKey.count
            && lastKey.count == userKey.count + InternalKey.trailerBytes
        let isColumn = options.isNumbered && columns.takes(userKey) && !isSame
        if blockRows > 0 {
            let rowBytes = userKey.count + value.count + 16
            if isColumn ? columns.isEmpty : data.isEmpty {
                try cutDataBlock(before: userKey, shared: shared)
            } else if isColumn {
                try makeRoom(rowBytes, before: userKey, shared: shared)
            } else if blockBytes + rowBytes > options.blockBytes {
                try cutDataBlock(before: userKey, shared: shared)
            }
        }
        let mustHash = options.filterBitsPerKey > 0 || options.isPointRead
        let hash = mustHash ? BloomFilter.hash(userKey) : 0
        addToFilters(userKey, hash, shared: shared, isSame: isSame)
        if isColumn {
            columns.add(userKey, trailer, value)
        } else if options.isPointRead {
            data.add(userKey, trailer, value, hash: hash, isSame: isSame)
        } else {
            data.add(userKey, trailer, value)
        }
        if markedRows > 0 {
            behind.count(trailer, value, isExpiring: options.isExpiring)
        } else {
            block.count(trailer, value, isExpiring: options.isExpiring)
        }
        count(internalKey, value)
        lastKey.removeAll()
        lastKey.append(internalKey)
    }

    /// Adds a range tombstone; at any time, in any order.
    ///
    /// - Precondition: `lower` is below `upper`.
    package mutating func add(_ tombstone: RangeTombstone) {
        let isRange = tombstone.lower.lexicographicallyPrecedes(tombstone.upper)
        precondition(isRange, "a range tombstone covers something")
        tombstones.append(tombstone)
    }

    /// Writes what is left, syncs the file, and says what is in it. Syncing the directory is the
    /// caller's.
    package consuming func finish() throws(TableError) -> TableSummary {
        if properties.rows > 0 { properties.largest = [UInt8](lastKey.bytes) }
        if blockRows > 0 { try cutDataBlock(before: nil, shared: 0) }
        if !index.isEmpty { try cutPartition() }
        let rootHandle = try root.finish { content throws(TableError) in
            try output.store(content, .root, isCompressed: options.isCompressed).handle
        }
        properties.indexBytes += rootHandle.totalBytes
        let tombstoneHandle = try storeTombstones()
        var writer = ByteWriter(capacity: 512)
        properties.encode(into: &writer)
        let propertiesHandle = try storeBytes(writer.bytes, .properties)
        let footer = TableFooter(
            properties: propertiesHandle, root: rootHandle, tombstones: tombstoneHandle)
        return try output.finish(footer, properties)
    }

    // MARK: Order and counts

    /// Bytes of the user key that the last one shares; traps when the key does not ascend.
    private borrowing func checkOrder(_ userKey: UnsafeRawBufferPointer, _ trailer: UInt64) -> Int {
        if properties.rows == 0 { return 0 }
        let last = InternalKey.userKey(lastKey.bytes)
        let shared = sharedPrefix(last, userKey)
        let isAbove: Bool
        if shared == last.count {
            isAbove = userKey.count > shared || InternalKey.trailer(lastKey.bytes) > trailer
        } else {
            isAbove = userKey.count > shared && userKey[shared] > last[shared]
        }
        precondition(isAbove, "internal keys ascend")
        return shared
    }

    private mutating func count(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        if properties.rows == 0 { properties.smallest = [UInt8](key) }
        properties.rows += 1
        properties.rawKeyBytes += UInt64(key.count)
        properties.rawValueBytes += UInt64(value.count)
    }

    /// A key stands once in the filter of each partition that has rows of it.
    private mutating func addToFilters(
        _ userKey: UnsafeRawBufferPointer, _ hash: UInt64, shared: Int, isSame: Bool
    ) {
        guard options.filterBitsPerKey > 0 else { return }
        if !isSame || keyHashes.isEmpty { keyHashes.append(hash) }
        guard let length = options.filterPrefixLength, userKey.count >= length else { return }
        if prefixHashes.isEmpty || shared < length {
            let prefix = UnsafeRawBufferPointer(rebasing: userKey[..<length])
            prefixHashes.append(BloomFilter.hash(prefix))
        }
    }

    // MARK: Blocks

    /// Rows of the data block under way, which is of one kind or the other.
    private var blockRows: Int { data.rowCount + columns.rowCount }
    private var blockBytes: Int { columns.isEmpty ? data.contentBytes : columns.contentBytes }

    /// Cuts column blocks so that they end with a prefix where they can, and the last of a prefix
    /// has the size of a block at least: who reads its newest rows reads them from one block. What
    /// is in memory may grow to two blocks for that.
    private mutating func makeRoom(
        _ rowBytes: Int, before next: UnsafeRawBufferPointer, shared: Int
    ) throws(TableError) {
        let isOtherPrefix = shared < (options.filterPrefixLength ?? 0)
        if isOtherPrefix, columns.contentBytes * 2 >= options.blockBytes {
            return try cutDataBlock(before: next, shared: shared)
        }
        while !columns.isEmpty, columns.contentBytes + rowBytes > options.blockBytes * 2 {
            if markedRows == 0 { return try cutDataBlock(before: next, shared: shared) }
            try cutAtMark()
        }
        if markedRows == 0, columns.contentBytes + rowBytes > options.blockBytes {
            markedRows = columns.rowCount
            setSeparator(before: next, shared: shared)
            markedSeparator.removeAll()
            markedSeparator.append(separator.bytes)
        }
    }

    private mutating func cutDataBlock(
        before next: UnsafeRawBufferPointer?, shared: Int
    ) throws(TableError) {
        let stored =
            if columns.isEmpty {
                try data.finish { content throws(TableError) in
                    try output.store(content, .data, isCompressed: options.isCompressed)
                }
            } else {
                try columns.finish(rows: columns.rowCount) { content throws(TableError) in
                    try output.store(content, .columns, isCompressed: options.isCompressed)
                }
            }
        if markedRows > 0 { block.add(behind) }
        setSeparator(before: next, shared: shared)
        addToIndex(stored)
        block = BlockProperties()
        if index.contentBytes >= options.indexBlockBytes, next != nil { try cutPartition() }
    }

    /// Writes the rows up to the mark; those behind are the block under way.
    private mutating func cutAtMark() throws(TableError) {
        let stored = try columns.finish(rows: markedRows) { content throws(TableError) in
            try output.store(content, .columns, isCompressed: options.isCompressed)
        }
        separator.removeAll()
        separator.append(markedSeparator.bytes)
        let rest = behind
        addToIndex(stored)
        block = rest
        if index.contentBytes >= options.indexBlockBytes { try cutPartition() }
    }

    private mutating func addToIndex(_ stored: (handle: BlockHandle, isCompressed: Bool)) {
        properties.dataBytes += stored.handle.totalBytes
        if stored.isCompressed {
            properties.compressedBlocks += 1
        } else if options.isCompressed {
            properties.refusedBlocks += 1
        }
        properties.add(block)
        let key = separator.bytes
        var writer = ByteWriter(capacity: 40)
        stored.handle.encode(into: &writer)
        block.encode(into: &writer)
        markedRows = 0
        behind = BlockProperties()
        writer.bytes.withUnsafeBytes { value in
            index.add(InternalKey.userKey(key), InternalKey.trailer(key), value)
        }
    }

    /// Makes `separator` the shortest internal key at or above the last one and below every key
    /// from `next` on; the last key itself when nothing follows.
    private mutating func setSeparator(before next: UnsafeRawBufferPointer?, shared: Int) {
        separator.removeAll()
        let last = InternalKey.userKey(lastKey.bytes)
        guard let next, shared < last.count || shared < next.count else {
            separator.append(lastKey.bytes)
            return
        }
        if shared < last.count, shared < next.count, last[shared] &+ 1 < next[shared] {
            // Cut behind the first byte that differs and raise it.
            separator.append(UnsafeRawBufferPointer(rebasing: last[..<shared]))
            separator.append(byte: last[shared] &+ 1)
        } else if shared < last.count, shared + 1 < next.count {
            // One byte more of `next` is above the last key and below `next`.
            separator.append(UnsafeRawBufferPointer(rebasing: next[...shared]))
        } else {
            separator.append(last)
        }
        separator.append(zeros: InternalKey.trailerBytes)
    }

    /// Rows behind the mark, each of them a key of its own, go to the next partition.
    private mutating func cutPartition() throws(TableError) {
        var handles = [BlockHandle.none, .none, .none]
        if options.filterBitsPerKey > 0 {
            handles[1] = try storeFilter(keyHashes.dropLast(columns.rowCount), .filter)
            if !prefixHashes.isEmpty {
                handles[2] = try storeFilter(prefixHashes[...], .prefixFilter)
            }
        }
        keyHashes.removeFirst(max(0, keyHashes.count - columns.rowCount))
        prefixHashes.removeFirst(max(0, prefixHashes.count - columns.runCount))
        handles[0] = try index.finish { content throws(TableError) in
            try output.store(content, .index, isCompressed: options.isCompressed).handle
        }
        properties.indexBytes += handles[0].totalBytes
        let key = separator.bytes
        Self.bytes(handles).withUnsafeBytes { value in
            root.add(InternalKey.userKey(key), InternalKey.trailer(key), value)
        }
    }

    private mutating func storeFilter(
        _ hashes: ArraySlice<UInt64>, _ role: TableFormat.Role
    ) throws(TableError) -> BlockHandle {
        scratch.removeAll()
        BloomFilter.build(hashes, bitsPerKey: options.filterBitsPerKey, into: &scratch)
        let handle = try output.store(scratch.bytes, role, isCompressed: false).handle
        properties.filterBytes += handle.totalBytes
        return handle
    }

    private mutating func storeTombstones() throws(TableError) -> BlockHandle {
        guard !tombstones.isEmpty else { return .none }
        tombstones.sort { RangeTombstone.precedes($0, $1) }
        for tombstone in tombstones { properties.widen(by: tombstone) }
        properties.rangeDeletes = UInt64(tombstones.count)
        return try storeBytes(RangeTombstone.encode(tombstones), .tombstones)
    }

    private mutating func storeBytes(
        _ bytes: [UInt8], _ role: TableFormat.Role
    ) throws(TableError) -> BlockHandle {
        scratch.removeAll()
        bytes.withUnsafeBytes { scratch.append($0) }
        return try output.store(scratch.bytes, role, isCompressed: false).handle
    }

    private static func bytes(_ handles: [BlockHandle]) -> [UInt8] {
        var writer = ByteWriter(capacity: handles.count * BlockHandle.storedBytes)
        for handle in handles { handle.encode(into: &writer) }
        return writer.bytes
    }
}
