internal import Bytes
internal import Platform

/// One block of a table, as reports show it.
package struct BlockReport: Equatable, Sendable {
    /// What it is.
    package let role: TableFormat.Role
    /// Where it stands.
    package let handle: BlockHandle
    /// How it is stored.
    package let encoding: TableFormat.Encoding
    /// Bytes of its content, expanded.
    package let contentBytes: Int
    /// Its rows; 0 in blocks without rows.
    package let rows: Int
    /// The lowest internal key of a data block, the lowest separator of an index or root block;
    /// empty in other blocks.
    package let firstKey: [UInt8]
    /// The highest; as above.
    package let lastKey: [UInt8]
    /// The checksum behind the payload.
    package let checksum: UInt64
}

/// The map of a table.
package struct TableLayout: Equatable, Sendable {
    /// All blocks in file order.
    package let blocks: [BlockReport]
    /// Where the footer stands.
    package let footerOffset: UInt64
    /// Bytes of the file.
    package let bytes: UInt64
}

extension TableReader {
    /// Reads every block from the disk, past the cache, and describes it. Checks checksums and
    /// the inside of blocks, not more.
    package func layout() throws(TableError) -> TableLayout {
        var blocks: [BlockReport] = []
        for partition in 0..<root.rowCount {
            let indexHandle = root.handle(partition)
            let index = try loader.load(indexHandle, .index)
            for entry in 0..<index.block.rowCount {
                blocks.append(try report(index.block.handle(entry), .data))
            }
            for (part, role) in [(1, TableFormat.Role.filter), (2, .prefixFilter)] {
                let handle = root.handle(partition, part: part)
                if handle.bytes > 0 { blocks.append(try report(handle, role)) }
            }
            blocks.append(try report(indexHandle, .index))
        }
        blocks.append(try report(footer.root, .root))
        if footer.tombstones.bytes > 0 {
            blocks.append(try report(footer.tombstones, .tombstones))
        }
        blocks.append(try report(footer.properties, .properties))
        return TableLayout(blocks: blocks, footerOffset: loader.endOffset, bytes: bytes)
    }

    /// Reads every byte of the file from the disk, past the cache, and checks what can be checked:
    /// checksums, that blocks follow each other without gaps up to the footer, the order of keys,
    /// separators, that filters know every key, and that the properties are those of the rows.
    /// `visit` sees every row in order (internal key, value). The answer is the digest of the whole
    /// file, for the caller to compare with the manifest's.
    @discardableResult
    package func verify(
        _ visit: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Void = { _, _ in }
    ) throws(TableError) -> UInt64 {
        var walk = TableWalk(self)
        while try walk.step(visit) != nil {}
        return try digest()
    }

    /// The digest of the whole file as it is on the disk; see ``TableFormat/digest(_:after:)``.
    package func digest() throws(TableError) -> UInt64 {
        let piece = UnsafeMutableRawBufferPointer.allocate(
            byteCount: TableFormat.digestPieceBytes, alignment: 16)
        defer { piece.deallocate() }
        var digest = fileID
        var offset: UInt64 = 0
        while offset < bytes {
            let wanted = Int(min(UInt64(piece.count), bytes - offset))
            let target = UnsafeMutableRawBufferPointer(rebasing: piece[..<wanted])
            let got: Int
            do { got = try loader.file.read(into: target, at: offset) } catch { throw .disk(error) }
            guard got == wanted else {
                throw loader.corrupt(offset, "\(wanted) bytes", "the end of the file after \(got)")
            }
            digest = TableFormat.digest(UnsafeRawBufferPointer(target), after: digest)
            offset += UInt64(got)
        }
        return digest
    }

    private func report(
        _ handle: BlockHandle, _ role: TableFormat.Role
    ) throws(TableError) -> BlockReport {
        let loaded = try loader.load(handle, role)
        let block = loaded.block
        let (type, checksum) = try loader.trailer(handle)
        let rows = block.rowCount
        return BlockReport(
            role: block.isColumnar ? .columns : role, handle: handle,
            encoding: type >> 4 == 2 ? .lz4 : .raw,
            contentBytes: block.count, rows: rows, firstKey: rows > 0 ? block.copyKey(0) : [],
            lastKey: rows > 0 ? block.copyKey(rows - 1) : [], checksum: checksum)
    }
}

extension BlockLoader {
    /// Type and checksum behind a payload, unchecked.
    func trailer(_ handle: BlockHandle) throws(TableError) -> (type: UInt8, checksum: UInt64) {
        let target = UnsafeMutableRawBufferPointer.allocate(
            byteCount: TableFormat.trailerBytes, alignment: 16)
        defer { target.deallocate() }
        let place = handle.offset &+ UInt64(handle.bytes)
        let got: Int
        do { got = try file.read(into: target, at: place) } catch { throw .disk(error) }
        guard got == target.count else {
            throw corrupt(place, "a block trailer", "the end of the file after \(got) bytes")
        }
        return (
            target[0],
            UInt64(littleEndian: target.loadUnaligned(fromByteOffset: 1, as: UInt64.self))
        )
    }
}
