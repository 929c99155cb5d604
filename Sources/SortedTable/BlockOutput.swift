internal import Bytes
internal import Platform

/// The file under a table writer: compresses, seals and appends blocks, and keeps the digest.
struct BlockOutput: ~Copyable {
    private let file: any File
    private let fileID: UInt64
    private var pending = RawBuilder(capacity: TableFormat.digestPieceBytes * 2)
    private var packed = RawBuilder(capacity: 32 << 10)
    private var writtenBytes: UInt64 = 0
    private var digest: UInt64

    init(file: any File, fileID: UInt64) {
        self.file = file
        self.fileID = fileID
        digest = fileID
    }

    /// Where the next block will stand.
    var offset: UInt64 { writtenBytes + UInt64(pending.count) }

    /// Appends a block. lz4 is used when asked for and when it saves at least an eighth.
    mutating func store(
        _ content: UnsafeRawBufferPointer, _ role: TableFormat.Role, isCompressed: Bool
    ) throws(TableError) -> (handle: BlockHandle, isCompressed: Bool) {
        precondition(content.count <= TableFormat.contentBytesMax, "a block is too large")
        let start = offset
        let first = pending.count
        var encoding = TableFormat.Encoding.raw
        if isCompressed, let bytes = compress(content) {
            encoding = .lz4
            pending.append(fixed: UInt32(truncatingIfNeeded: content.count))
            pending.append(UnsafeRawBufferPointer(start: packed.base, count: bytes))
        } else {
            pending.append(content)
        }
        let handle = BlockHandle(
            offset: start, bytes: UInt32(truncatingIfNeeded: pending.count - first))
        pending.append(byte: TableFormat.type(role, encoding))
        let sealed = UnsafeRawBufferPointer(
            start: pending.base + first, count: pending.count - first)
        pending.append(
            fixed: Checksum.xxh3(sealed, seed: Checksum.seed(file: fileID, offset: start)))
        try flush(isLast: false)
        return (handle, encoding == .lz4)
    }

    /// Appends the footer, writes everything, syncs.
    mutating func finish(
        _ footer: TableFooter, _ properties: TableProperties
    ) throws(TableError) -> TableSummary {
        let bytes = footer.encode(fileID: fileID, at: offset)
        bytes.withUnsafeBytes { pending.append($0) }
        try flush(isLast: true)
        do { try file.sync() } catch { throw .disk(error) }
        return TableSummary(bytes: writtenBytes, digest: digest, properties: properties)
    }

    /// Bytes of the compressed content in `packed`, or nil when it saves less than an eighth.
    private mutating func compress(_ content: UnsafeRawBufferPointer) -> Int? {
        let limit = content.count - content.count / 8 - 4
        guard limit > 0 else { return nil }
        packed.removeAll()
        packed.reserve(limit)
        return LZ4.compress(
            content, into: UnsafeMutableRawBufferPointer(start: packed.base, count: limit))
    }

    /// Writes the whole pieces that are pending; at the end also the rest.
    private mutating func flush(isLast: Bool) throws(TableError) {
        let piece = TableFormat.digestPieceBytes
        var done = 0
        while pending.count - done >= piece || (isLast && pending.count > done) {
            let bytes = UnsafeRawBufferPointer(
                start: pending.base + done, count: min(piece, pending.count - done))
            do { try file.write(bytes, at: writtenBytes) } catch { throw .disk(error) }
            digest = TableFormat.digest(bytes, after: digest)
            writtenBytes += UInt64(bytes.count)
            done += bytes.count
        }
        if done > 0 { pending.removeFirst(done) }
    }
}
