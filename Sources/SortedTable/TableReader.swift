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
        let (loader, footer) = try TableFooter.read(file: file, fileID: fileID)
        let propertiesBlock = try loader.load(footer.properties, .properties)
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
        let root = try loader.load(footer.root, .root)
        let tombstones = try readTombstones(loader, footer.tombstones)
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
        _ loader: BlockLoader, _ handle: BlockHandle
    ) throws(TableError) -> [RangeTombstone] {
        if handle == .none { return [] }
        let loaded = try loader.load(handle, .tombstones)
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
        if let block = cache.find(fileID: fileID, offset: handle.offset, stay) { return block }
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
        let stay = cache.gate.enter()
        defer { cache.gate.leave(stay) }
        let block = try block(handle, role, stay)
        block.pin()
        return block
    }

    /// A new iterator, which stands nowhere until it is moved. For one thread at a time.
    package func makeIterator() -> TableIterator {
        TableIterator(self)
    }
}

extension TableFooter {
    /// Finds and checks the footer at the end of a file.
    static func read(
        file: any File, fileID: UInt64
    ) throws(TableError) -> (BlockLoader, TableFooter) {
        let size: UInt64
        do { size = try file.size() } catch { throw .disk(error) }
        let footerBytes = UInt64(TableFormat.footerBytes)
        guard size >= footerBytes else {
            throw .corrupt(
                file: file.path, offset: 0, expected: "at least \(footerBytes) bytes",
                found: "\(size)")
        }
        let offset = size - footerBytes
        let loader = BlockLoader(file: file, fileID: fileID, endOffset: offset)
        var bytes = [UInt8](repeating: 0, count: TableFormat.footerBytes)
        let result = bytes.withUnsafeMutableBytes { target in
            Result { () throws(DiskError) in try file.read(into: target, at: offset) }
        }
        let got: Int
        do { got = try result.get() } catch { throw .disk(error) }
        guard got == bytes.count else {
            throw loader.corrupt(offset, "a footer", "the end of the file after \(got) bytes")
        }
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
