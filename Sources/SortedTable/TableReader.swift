internal import Bytes
package import Platform

/// An open table: its root, properties and range tombstones are in memory, the other blocks come
/// through the cache. Safe to use from any number of threads.
package final class TableReader: Sendable {
    /// What is true of all rows.
    package let properties: TableProperties
    /// The range tombstones, sorted by (lower, sequence descending, upper).
    package let rangeTombstones: [RangeTombstone]
    /// Bytes of the file.
    package let bytes: UInt64
    /// The file's id.
    package let fileID: UInt64
    let loader: BlockLoader
    let footer: TableFooter
    let cache: BlockCache
    /// The same and its gate, for reads that must not count references.
    private let lentCache: Unmanaged<BlockCache>
    private let lentGate: Unmanaged<EpochGate>
    private let loadedRoot: LoadedBlock
    private let fixedBytes: Int
    private let onDamage: @Sendable (TableError) -> Void

    /// Valid as long as the reader is.
    @inline(__always)
    var root: TableBlock { loadedRoot.block }

    private init(
        loader: BlockLoader, footer: TableFooter, properties: TableProperties,
        tombstones: [RangeTombstone], root: consuming LoadedBlock, cache: BlockCache,
        onDamage: @escaping @Sendable (TableError) -> Void
    ) {
        self.loader = loader
        self.footer = footer
        self.properties = properties
        self.rangeTombstones = tombstones
        self.cache = cache
        self.onDamage = onDamage
        lentCache = .passUnretained(cache)
        lentGate = .passUnretained(cache.gate)
        let rootBytes = root.block.totalBytes
        loadedRoot = root
        fileID = loader.fileID
        bytes = loader.endOffset + UInt64(TableFormat.footerBytes)
        let tombstoneBytes = tombstones.reduce(0) { $0 + $1.lower.count + $1.upper.count + 88 }
        fixedBytes = rootBytes + tombstoneBytes + 512
        cache.chargeFixed(fixedBytes)
    }

    deinit { cache.chargeFixed(-fixedBytes) }

    /// Opens a table: reads footer, properties, root and range tombstones. The reader keeps the
    /// file; who opened it closes it after the last use.
    ///
    /// - Parameter onDamage: told what a later read finds damaged, on the read's thread and before
    ///   the read throws it.
    package static func open(
        file: any File, fileID: UInt64, cache: BlockCache,
        onDamage: @escaping @Sendable (TableError) -> Void = { _ in }
    ) throws(TableError) -> TableReader {
        let tail = try FileTail.read(file)
        let (loader, footer) = try TableFooter.read(tail, file, fileID: fileID)
        let propertiesBlock = try loader.load(footer.properties, .properties, tail)
        let properties: TableProperties
        do {
            var reader = ByteReader(propertiesBlock.block.content)
            properties = try TableProperties(from: &reader)
            try reader.expectEnd()
        } catch {
            throw loader.corrupt(footer.properties.offset, "table properties", "\(error)")
        }
        guard properties.fileID == fileID else {
            throw loader.corrupt(
                footer.properties.offset, "file id \(fileID)", "\(properties.fileID)")
        }
        let root = try loader.load(footer.root, .root, tail)
        let tombstones = try readTombstones(loader, footer.tombstones, tail)
        guard UInt64(tombstones.count) == properties.rangeDeletes else {
            throw loader.corrupt(
                footer.tombstones.offset, "\(properties.rangeDeletes) range tombstones",
                "\(tombstones.count)")
        }
        return TableReader(
            loader: loader, footer: footer, properties: properties, tombstones: tombstones,
            root: root, cache: cache, onDamage: onDamage)
    }

    private static func readTombstones(
        _ loader: BlockLoader, _ handle: BlockHandle, _ tail: borrowing FileTail
    ) throws(TableError) -> [RangeTombstone] {
        if handle == .none { return [] }
        let loaded = try loader.load(handle, .tombstones, tail)
        do {
            return try RangeTombstone.decode(loaded.block.content)
        } catch {
            throw loader.corrupt(handle.offset, "range tombstones", "\(error)")
        }
    }

    /// The block at `handle`, from the cache or the disk; it is there until the stay in the cache's
    /// gate ends. No lock is held during the read; two threads that miss at once both read, and one
    /// result is kept.
    @inline(__always)
    func block(
        _ handle: BlockHandle, _ role: TableFormat.Role, _ stay: EpochGate.Stay
    ) throws(TableError) -> TableBlock {
        let found = lentCache._withUnsafeGuaranteedRef {
            $0.find(fileID: fileID, offset: handle.offset, stay)
        }
        if let found { return found }
        return try load(handle, role, stay)
    }

    @inline(never)
    private func load(
        _ handle: BlockHandle, _ role: TableFormat.Role, _ stay: EpochGate.Stay
    ) throws(TableError) -> TableBlock {
        do throws(TableError) {
            let loaded = try loader.load(handle, role)
            return cache.insert(loaded, fileID: fileID, offset: handle.offset, stay)
        } catch {
            throw told(error)
        }
    }

    /// The error of a read, after it was told.
    func told(_ error: TableError) -> TableError {
        if case .corrupt = error { onDamage(error) }
        return error
    }

    /// The block at `handle`, which stays until ``TableBlock/unpin()``.
    func pinnedBlock(
        _ handle: BlockHandle, _ role: TableFormat.Role
    ) throws(TableError) -> TableBlock {
        let stay = lentGate._withUnsafeGuaranteedRef { $0.enter() }
        defer { lentGate._withUnsafeGuaranteedRef { $0.leave(stay) } }
        let block = try block(handle, role, stay)
        block.pin()
        return block
    }

    /// A new iterator over all rows, which stands nowhere until it is moved. For one thread at a
    /// time.
    package func makeIterator() -> TableIterator {
        TableIterator(self)
    }
}

extension TableFooter {
    /// Finds and checks the footer at the end of a file.
    static func read(
        _ tail: borrowing FileTail, _ file: any File, fileID: UInt64
    ) throws(TableError) -> (BlockLoader, TableFooter) {
        let footerBytes = UInt64(TableFormat.footerBytes)
        guard tail.fileBytes >= footerBytes else {
            throw .corrupt(
                file: file.path, offset: 0, expected: "at least \(footerBytes) bytes",
                found: "\(tail.fileBytes)")
        }
        let offset = tail.fileBytes - footerBytes
        let loader = BlockLoader(file: file, fileID: fileID, endOffset: offset)
        var bytes = [UInt8](repeating: 0, count: TableFormat.footerBytes)
        let isThere = bytes.withUnsafeMutableBytes { tail.copy(into: $0, from: offset) }
        precondition(isThere, "the tail of a file has its footer")
        return (loader, try decode(bytes, at: offset, loader))
    }

    private static func decode(
        _ bytes: [UInt8], at offset: UInt64, _ loader: BlockLoader
    ) throws(TableError) -> TableFooter {
        func word(_ at: Int) -> UInt64 {
            (0..<8).reduce(0) { $0 | UInt64(bytes[at + $1]) &<< UInt64(8 * $1) }
        }
        func check(
            _ at: Int, _ name: String, _ expected: UInt64, from start: Int? = nil
        ) throws(TableError) {
            if word(at) == expected { return }
            throw loader.corrupt(
                offset + UInt64(start ?? at), "\(name) \(hexadecimal(expected))",
                hexadecimal(word(at)))
        }
        func handle(_ at: Int) -> BlockHandle {
            BlockHandle(offset: word(at), bytes: UInt32(truncatingIfNeeded: word(at + 8)))
        }
        try check(60, "magic", TableFormat.magic)
        let version = word(36) >> 32
        guard version == UInt64(TableFormat.version) else {
            throw loader.corrupt(
                offset + 40, "a table of version \(TableFormat.version)", "version \(version)")
        }
        try check(36, "zero and version", UInt64(TableFormat.version) << 32)
        try check(fileIDOffset, "file id", loader.fileID)
        let seed = Checksum.seed(file: loader.fileID, offset: offset)
        try check(52, "footer checksum", Checksum.xxh3([UInt8](bytes[..<52]), seed: seed), from: 0)
        return TableFooter(properties: handle(0), root: handle(12), tombstones: handle(24))
    }
}

extension TableReader {
    /// The file id that the end of a file states, unchecked; for tools that meet a renamed table.
    package static func storedFileID(_ file: any File) throws(DiskError) -> UInt64? {
        let size = try file.size()
        let place = UInt64(TableFormat.footerBytes - TableFooter.fileIDOffset)
        guard size >= place else { return nil }
        var word: UInt64 = 0
        let result = withUnsafeMutableBytes(of: &word) { target in
            Result { () throws(DiskError) in try file.read(into: target, at: size - place) }
        }
        return try result.get() == 8 ? UInt64(littleEndian: word) : nil
    }
}
