internal import Bytes
internal import Platform

/// The end of a file, read at once: what opening a table needs mostly stands there.
struct FileTail: ~Copyable {
    /// Three blocks and the footer of a table of usual size fit.
    static let bytesMax: UInt64 = 4096

    private let memory: UnsafeMutableRawBufferPointer
    private let start: UInt64
    /// The size of the whole file.
    let fileBytes: UInt64

    private init(_ memory: UnsafeMutableRawBufferPointer, start: UInt64, fileBytes: UInt64) {
        self.memory = memory
        self.start = start
        self.fileBytes = fileBytes
    }

    /// Reads the last bytes of a file; throws when they are not there.
    static func read(_ file: any File) throws(TableError) -> FileTail {
        let size: UInt64
        do { size = try file.size() } catch { throw .disk(error) }
        let start = size - min(size, bytesMax)
        let tail = FileTail(
            .allocate(byteCount: Int(size - start), alignment: 16), start: start, fileBytes: size)
        let got: Int
        do { got = try file.read(into: tail.memory, at: start) } catch { throw .disk(error) }
        guard got == tail.memory.count else {
            throw .corrupt(
                file: file.path, offset: start, expected: "\(size - start) bytes",
                found: "the end of the file after \(got)")
        }
        return tail
    }

    deinit { memory.deallocate() }

    /// Copies what stands at `offset`, if all that is wanted is here.
    func copy(into target: UnsafeMutableRawBufferPointer, from offset: UInt64) -> Bool {
        let end = start + UInt64(memory.count)
        guard offset >= start, offset <= end, UInt64(target.count) <= end - offset else {
            return false
        }
        let first = Int(offset - start)
        target.copyMemory(
            from: UnsafeRawBufferPointer(rebasing: memory[first...].prefix(target.count)))
        return true
    }
}

/// Reads, checks and expands the blocks of one file; knows nothing of caches.
struct BlockLoader: Sendable {
    let file: any File
    let fileID: UInt64
    /// Where blocks end and the footer starts.
    let endOffset: UInt64

    /// The block whose payload is at `handle`. It is ready for readers: sealed as its place and
    /// role demand, and its content walked.
    func load(
        _ handle: BlockHandle, _ role: TableFormat.Role
    ) throws(TableError) -> LoadedBlock {
        try finish(try readSealed(handle, role) { _ in false }, handle, role)
    }

    /// The same, without the disk where the block stands in the file's tail.
    func load(
        _ handle: BlockHandle, _ role: TableFormat.Role, _ tail: borrowing FileTail
    ) throws(TableError) -> LoadedBlock {
        try finish(
            try readSealed(handle, role) { tail.copy(into: $0, from: handle.offset) }, handle, role)
    }

    /// Expands and checks the content of a sealed block.
    private func finish(
        _ sealed: consuming LoadedBlock, _ handle: BlockHandle, _ role: TableFormat.Role
    ) throws(TableError) -> LoadedBlock {
        let type = sealed.block.base.load(fromByteOffset: sealed.block.count, as: UInt8.self)
        let isColumnar = role == .data && type & 0x0F == TableFormat.Role.columns.rawValue
        let stored = isColumnar ? .columns : role
        if type == TableFormat.type(stored, .raw) {
            try check(sealed.block, handle, stored)
            return sealed
        }
        guard type == TableFormat.type(stored, .lz4) else {
            throw corrupt(handle.offset + UInt64(handle.bytes), "block type \(role)", "\(type)")
        }
        let expanded = try expand(sealed.block.content, handle, role)
        try check(expanded.block, handle, stored)
        return expanded
    }

    private func check(
        _ block: TableBlock, _ handle: BlockHandle, _ role: TableFormat.Role
    ) throws(TableError) {
        switch role {
        case .data, .index, .root:
            if let problem = block.checkRows(role: role) {
                throw corrupt(
                    handle.offset, "\(problem.expected) at \(problem.offset) of the \(role) block",
                    problem.found)
            }
        case .columns:
            if let problem = block.checkColumns() {
                throw corrupt(
                    handle.offset, "\(problem.expected) at \(problem.offset) of the column block",
                    problem.found)
            }
        case .filter, .prefixFilter:
            if let problem = BloomFilter.problem(block.content) {
                throw corrupt(handle.offset, "whole lines and 1 to 16 probes", problem)
            }
        case .tombstones, .properties:
            break
        }
    }

    /// An error about this file.
    func corrupt(_ offset: UInt64, _ expected: String, _ found: String) -> TableError {
        .corrupt(file: file.path, offset: offset, expected: expected, found: found)
    }

    /// Payload and trailer of a block with the right checksum; the content is the payload.
    ///
    /// - Parameter copy: fills the target without the disk, if it can.
    private func readSealed(
        _ handle: BlockHandle, _ role: TableFormat.Role,
        _ copy: (UnsafeMutableRawBufferPointer) -> Bool
    ) throws(TableError) -> LoadedBlock {
        guard handle.bytes > 0, handle.bytes <= TableFormat.contentBytesMax,
            handle.offset <= endOffset, handle.totalBytes <= endOffset - handle.offset
        else {
            throw corrupt(
                handle.offset, "a block of 1 byte or more that ends before \(endOffset)",
                "\(handle.bytes) bytes")
        }
        let bytes = Int(handle.bytes)
        let loaded = LoadedBlock(
            count: bytes, extra: TableFormat.trailerBytes, rowsMax: rowsMax(bytes, role))
        let block = loaded.block
        let target = UnsafeMutableRawBufferPointer(
            start: block.base, count: bytes + TableFormat.trailerBytes)
        if !copy(target) {
            let got: Int
            do { got = try file.read(into: target, at: handle.offset) } catch { throw .disk(error) }
            guard got == target.count else {
                throw corrupt(
                    handle.offset, "\(target.count) bytes", "the end of the file after \(got)")
            }
        }
        let found = UInt64(
            littleEndian: block.base.loadUnaligned(fromByteOffset: bytes + 1, as: UInt64.self))
        let expected = Checksum.xxh3(
            UnsafeRawBufferPointer(start: block.base, count: bytes + 1),
            seed: Checksum.seed(file: fileID, offset: handle.offset))
        guard found == expected else {
            throw corrupt(
                handle.offset, "checksum \(hexadecimal(expected)) of the \(role) block",
                hexadecimal(found))
        }
        return loaded
    }

    private func rowsMax(_ contentBytes: Int, _ role: TableFormat.Role) -> Int {
        switch role {
        // As many as the places of columns need, at least.
        case .data, .columns, .index, .root: max(16, TableBlock.rowsMax(contentBytes: contentBytes))
        default: 0
        }
    }

    private func expand(
        _ payload: UnsafeRawBufferPointer, _ handle: BlockHandle, _ role: TableFormat.Role
    ) throws(TableError) -> LoadedBlock {
        guard payload.count > 4 else {
            throw corrupt(handle.offset, "a compressed block", "\(payload.count) bytes")
        }
        let count = Int(UInt32(littleEndian: payload.loadUnaligned(as: UInt32.self)))
        // lz4 cannot expand more than 255 times, so a rotten size cannot reserve much.
        guard count > 0, count <= TableFormat.contentBytesMax, count / 255 <= payload.count else {
            throw corrupt(handle.offset, "a content size that lz4 can reach", "\(count)")
        }
        let loaded = LoadedBlock(count: count, rowsMax: rowsMax(count, role))
        let target = UnsafeMutableRawBufferPointer(start: loaded.block.base, count: count)
        let source = UnsafeRawBufferPointer(rebasing: payload[4...])
        guard LZ4.decompress(source, into: target) else {
            throw corrupt(handle.offset, "an lz4 block of \(count) bytes", "something else")
        }
        return loaded
    }
}

/// 16 hexadecimal digits.
func hexadecimal(_ value: UInt64) -> String {
    Hex.encode(withUnsafeBytes(of: value.bigEndian) { [UInt8]($0) })
}
