internal import Bytes
internal import Platform

/// Reads, checks and expands the blocks of one file; knows nothing of caches.
struct BlockLoader: Sendable {
    let file: any File
    let fileID: UInt64
    /// Where blocks end and the footer starts.
    let endOffset: UInt64

    /// The block whose payload is at `handle`. It is ready for readers: sealed as its place and
    /// role demand, and its content walked.
    func load(_ handle: BlockHandle, _ role: TableFormat.Role) throws(TableError) -> TableBlock {
        let sealed = try readSealed(handle, role)
        let type = sealed.base.load(fromByteOffset: sealed.count, as: UInt8.self)
        let block: TableBlock
        if type == TableFormat.type(role, .raw) {
            block = sealed
        } else if type == TableFormat.type(role, .lz4) {
            block = try expand(sealed, handle, role)
        } else {
            throw corrupt(
                handle.offset + UInt64(handle.bytes), "block type \(role)", "\(type)")
        }
        switch role {
        case .data, .index, .root:
            if let problem = block.checkRows(role: role) {
                throw corrupt(
                    handle.offset, "\(problem.expected) at \(problem.offset) of the \(role) block",
                    problem.found)
            }
        case .filter, .prefixFilter:
            if let problem = BloomFilter.problem(block.content) {
                throw corrupt(handle.offset, "whole lines and 1 to 16 probes", problem)
            }
        case .tombstones, .properties:
            break
        }
        return block
    }

    /// An error about this file.
    func corrupt(_ offset: UInt64, _ expected: String, _ found: String) -> TableError {
        .corrupt(file: file.path, offset: offset, expected: expected, found: found)
    }

    /// Payload and trailer of a block with the right checksum; the content is the payload.
    private func readSealed(
        _ handle: BlockHandle, _ role: TableFormat.Role
    ) throws(TableError) -> TableBlock {
        guard handle.bytes > 0, handle.bytes <= TableFormat.contentBytesMax,
            handle.offset <= endOffset, handle.totalBytes <= endOffset - handle.offset
        else {
            throw corrupt(
                handle.offset, "a block of 1 byte or more that ends before \(endOffset)",
                "\(handle.bytes) bytes")
        }
        let bytes = Int(handle.bytes)
        let isFilter = role == .filter || role == .prefixFilter
        let block = TableBlock(
            count: bytes, extra: TableFormat.trailerBytes, alignment: isFilter ? 64 : 16)
        let target = UnsafeMutableRawBufferPointer(
            start: block.base, count: bytes + TableFormat.trailerBytes)
        let got: Int
        do { got = try file.read(into: target, at: handle.offset) } catch { throw .disk(error) }
        guard got == target.count else {
            throw corrupt(
                handle.offset, "\(target.count) bytes", "the end of the file after \(got)")
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
        return block
    }

    private func expand(
        _ sealed: TableBlock, _ handle: BlockHandle, _ role: TableFormat.Role
    ) throws(TableError) -> TableBlock {
        let payload = sealed.content
        guard payload.count > 4 else {
            throw corrupt(handle.offset, "a compressed block", "\(payload.count) bytes")
        }
        let count = Int(UInt32(littleEndian: payload.loadUnaligned(as: UInt32.self)))
        // lz4 cannot expand more than 255 times, so a rotten size cannot reserve much.
        guard count > 0, count <= TableFormat.contentBytesMax, count / 255 <= payload.count else {
            throw corrupt(handle.offset, "a content size that lz4 can reach", "\(count)")
        }
        let block = TableBlock(count: count)
        let target = UnsafeMutableRawBufferPointer(start: block.base, count: count)
        let source = UnsafeRawBufferPointer(rebasing: payload[4...])
        guard LZ4.decompress(source, into: target) else {
            throw corrupt(handle.offset, "an lz4 block of \(count) bytes", "something else")
        }
        return block
    }
}

/// 16 hexadecimal digits.
func hexadecimal(_ value: UInt64) -> String {
    Hex.encode(withUnsafeBytes(of: value.bigEndian) { [UInt8]($0) })
}
