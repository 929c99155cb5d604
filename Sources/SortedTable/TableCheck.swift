internal import Bytes

/// A check of a whole table, past the cache, that can be left and taken up again: checksums, that
/// blocks follow each other without gaps up to the footer, the order of keys, separators, that
/// filters know every key, and that the properties are those of the rows. It keeps the table's
/// reader, not its file.
package struct TableWalk: Sendable {
    private let reader: TableReader
    private var check: TableCheck
    private var partition = 0
    private var isOver = false

    /// A walk that stands at the first byte.
    package init(_ reader: TableReader) {
        self.reader = reader
        check = TableCheck(reader)
    }

    /// Reads and checks the next piece, about a megabyte: how many bytes of the file it was, or nil
    /// when there is none left. `visit` sees every row (internal key, value).
    package mutating func step(
        _ visit: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Void = { _, _ in }
    ) throws(TableError) -> UInt64? {
        if isOver { return nil }
        let start = check.position
        if partition < reader.root.rowCount {
            try check.checkPartition(partition, visit)
            partition += 1
            return check.position - start
        }
        let footer = reader.footer
        try check.take(footer.root, .root)
        if footer.tombstones.bytes > 0 { try check.take(footer.tombstones, .tombstones) }
        try check.take(footer.properties, .properties)
        try check.finish()
        isOver = true
        return reader.bytes - start
    }
}

/// Counts again what the properties of a table say.
struct TableCheck: Sendable {
    private let reader: TableReader
    private var counted = TableProperties()
    /// Where the next block must start.
    private(set) var position: UInt64 = 0
    private var lastKey: [UInt8] = []
    private var lastSeparator: [UInt8] = []

    init(_ reader: TableReader) {
        self.reader = reader
    }

    private var loader: BlockLoader { reader.loader }

    /// Reads the next block in file order.
    @discardableResult
    mutating func take(
        _ handle: BlockHandle, _ role: TableFormat.Role
    ) throws(TableError) -> LoadedBlock {
        guard handle.offset == position else {
            throw loader.corrupt(position, "the next block, a \(role)", "one at \(handle.offset)")
        }
        let block = try loader.load(handle, role)
        position += handle.totalBytes
        switch role {
        case .data, .columns: counted.dataBytes += handle.totalBytes
        case .index, .root: counted.indexBytes += handle.totalBytes
        case .filter, .prefixFilter: counted.filterBytes += handle.totalBytes
        case .tombstones, .properties: break
        }
        return block
    }

    mutating func checkPartition(
        _ partition: Int, _ visit: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Void
    ) throws(TableError) {
        let handle = reader.root.handle(partition)
        // The index stands behind its data blocks: read it twice, once out of turn.
        let loaded = try loader.load(handle, .index)
        let index = loaded.block
        var keys: [UInt64] = []
        var prefixes: [UInt64] = []
        for entry in 0..<index.rowCount {
            let dataHandle = index.handle(entry)
            let block = try take(dataHandle, .data)
            let separator = index.copyKey(entry)
            let properties = try checkRows(
                block.block, dataHandle, separator, &keys, &prefixes, visit)
            try checkProperties(index, entry, handle, properties)
            guard lastSeparator.isEmpty || InternalKey.compare(lastSeparator, separator) < 0 else {
                throw loader.corrupt(handle.offset, "ascending separators", Hex.encode(separator))
            }
            lastSeparator = separator
        }
        guard reader.root.copyKey(partition) == lastSeparator else {
            throw loader.corrupt(
                handle.offset, "a last separator equal to the root's", Hex.encode(lastSeparator))
        }
        try checkFilter(reader.root.handle(partition, part: 1), .filter, keys)
        try checkFilter(reader.root.handle(partition, part: 2), .prefixFilter, prefixes)
        try take(handle, .index)
    }

    private mutating func checkFilter(
        _ handle: BlockHandle, _ role: TableFormat.Role, _ hashes: [UInt64]
    ) throws(TableError) {
        if handle == .none {
            if role == .prefixFilter, !hashes.isEmpty {
                throw loader.corrupt(position, "a prefix filter", "none")
            }
            return
        }
        let block = try take(handle, role)
        for hash in hashes where !BloomFilter.mayContain(block.block, hash) {
            throw loader.corrupt(handle.offset, "a \(role) of all keys", "one without a key")
        }
    }

    private mutating func checkRows(
        _ block: TableBlock, _ handle: BlockHandle, _ separator: [UInt8], _ keys: inout [UInt64],
        _ prefixes: inout [UInt64],
        _ visit: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Void
    ) throws(TableError) -> CountedBlock {
        var counted = CountedBlock()
        var firsts: [(hash: UInt64, row: Int)] = []
        for number in 0..<block.rowCount {
            let key = block.copyKey(number)
            guard lastKey.isEmpty || InternalKey.compare(lastKey, key) < 0,
                lastSeparator.isEmpty || InternalKey.compare(lastSeparator, key) < 0,
                InternalKey.compare(key, separator) <= 0
            else {
                throw loader.corrupt(
                    handle.offset, "row \(number) above the last one, inside its separators",
                    Hex.encode(key))
            }
            let value = block.parts(number).value
            key.withUnsafeBytes { raw in
                let userKey = InternalKey.userKey(raw)
                let hash = BloomFilter.hash(userKey)
                keys.append(hash)
                if number == 0 || lastKey.dropLast(8) != key.dropLast(8) {
                    firsts.append((hash, number))
                }
                counted.count(InternalKey.trailer(raw), value)
                if let length = reader.properties.filterPrefixLength, userKey.count >= length {
                    prefixes.append(
                        BloomFilter.hash(UnsafeRawBufferPointer(rebasing: userKey[..<length])))
                }
                visit(raw, value)
            }
            count(key, value.count)
            lastKey = key
        }
        if block.hasBuckets {
            let buckets = RowBuckets.make(firsts, rows: block.rowCount)
            guard block.buckets.elementsEqual(buckets) else {
                throw loader.corrupt(handle.offset, "buckets of the block's keys", "others")
            }
        }
        return counted
    }

    /// Compares what an index says of a data block with its rows, and takes it in.
    private mutating func checkProperties(
        _ index: TableBlock, _ entry: Int, _ handle: BlockHandle, _ found: CountedBlock
    ) throws(TableError) {
        let stated = index.blockProperties(entry) ?? BlockProperties()
        guard stated == found.plain || stated == found.expiring else {
            throw loader.corrupt(
                handle.offset, "properties \(found.plain) or \(found.expiring) of block \(entry)",
                "\(stated)")
        }
        counted.add(stated)
    }

    private mutating func count(_ key: [UInt8], _ valueBytes: Int) {
        if counted.rows == 0 { counted.smallest = key }
        counted.rows += 1
        counted.rawKeyBytes += UInt64(key.count)
        counted.rawValueBytes += UInt64(valueBytes)
        counted.largest = key
    }

    /// Compares what was counted with the properties, and the end with the footer and its place.
    mutating func finish() throws(TableError) {
        guard position == loader.endOffset else {
            throw loader.corrupt(
                position, "the footer", "\(loader.endOffset - position) more bytes")
        }
        let tail = try FileTail.read(loader.file)
        let (_, footer) = try TableFooter.read(tail, loader.file, fileID: loader.fileID)
        guard footer == reader.footer else {
            throw loader.corrupt(position, "the footer that was opened", "another")
        }
        for tombstone in reader.rangeTombstones { counted.widen(by: tombstone) }
        counted.rangeDeletes = UInt64(reader.rangeTombstones.count)
        // What cannot be counted from rows alone is taken as it is.
        let stated = reader.properties
        counted.fileID = stated.fileID
        counted.keyspace = stated.keyspace
        counted.filterPrefixLength = stated.filterPrefixLength
        counted.compressedBlocks = stated.compressedBlocks
        counted.refusedBlocks = stated.refusedBlocks
        guard counted == stated else {
            throw loader.corrupt(
                reader.footer.properties.offset, "properties \(counted)", "\(stated)")
        }
    }
}

/// A data block's properties, counted both ways: a table does not say whether its values start with
/// expiries.
private struct CountedBlock {
    var plain = BlockProperties()
    var expiring = BlockProperties()

    mutating func count(_ trailer: UInt64, _ value: UnsafeRawBufferPointer) {
        plain.count(trailer, value, isExpiring: false)
        expiring.count(trailer, value, isExpiring: true)
    }
}
