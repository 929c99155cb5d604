import Synchronization

/// The checked, expanded content of one block in raw memory: a pointer and nothing else, read by
/// any number of threads without reference counts.
///
/// Who keeps the memory: a ``LoadedBlock`` its own; the cache its segments, for those who stand in
/// its gate or hold a pin (``BlockCache``). The content of row blocks is described in
/// `TableFormat`; it was walked once when the block was loaded (``TableBlock/checkRows(role:)``),
/// so readers use it unchecked. In memory a block is
///
///     header (64 bytes)   content   slack   heads of the rows, or places of the columns
package struct TableBlock {
    /// Bytes behind the content that may be read (not used), so that short copies need no loop.
    static let slackBytes = 32
    static let headerBytes = 64
    /// What the alignment of filters asks for.
    static let alignment = 64

    /// What is known about the content, at the start of a block's memory.
    struct Header {
        /// The place of the block: both are set when the cache takes it in.
        var fileID: UInt64 = 0
        var offset: UInt64 = 0
        /// Bytes of content.
        var count: UInt32
        /// Bytes of everything, header included.
        var totalBytes: UInt32
        /// Rows; 0 in blocks that are not row blocks.
        var rowCount: UInt32 = 0
        /// Where the rows end and the offsets start.
        var rowsEnd: UInt32 = 0
        /// The longest internal key.
        var keyBytesMax: UInt32 = 0
        /// Where the heads stand, from the content's start.
        var headsStart: UInt32 = 0
        /// Bytes that all user keys of the block share.
        var prefixBytes: UInt32 = 0
        /// Bytes of a row offset: 2 or 4.
        var offsetBytes: UInt8 = 2
        /// False once the cache has dropped it.
        var isKept = false
        /// True for a column block, whose rows stand as `ColumnPlaces` says.
        var isColumnar = false
        /// True for a row block with ``RowBuckets``.
        var hasBuckets = false
        /// The segment that holds it; 0 in a ``LoadedBlock``.
        var segment: UInt = 0
    }

    let memory: UnsafeMutableRawPointer

    @inline(__always)
    var header: UnsafeMutablePointer<Header> { memory.assumingMemoryBound(to: Header.self) }
    /// The content's first byte.
    @inline(__always)
    var base: UnsafeMutableRawPointer { memory + Self.headerBytes }
    /// Bytes of content.
    @inline(__always)
    var count: Int { Int(truncatingIfNeeded: header.pointee.count) }
    @inline(__always)
    var rowCount: Int { Int(truncatingIfNeeded: header.pointee.rowCount) }
    @inline(__always)
    var rowsEnd: Int { Int(truncatingIfNeeded: header.pointee.rowsEnd) }
    @inline(__always)
    var offsetBytes: Int { Int(header.pointee.offsetBytes) }
    @inline(__always)
    var isColumnar: Bool { header.pointee.isColumnar }
    @inline(__always)
    var hasBuckets: Bool { header.pointee.hasBuckets }
    var keyBytesMax: Int { Int(header.pointee.keyBytesMax) }
    /// Bytes of memory.
    var totalBytes: Int { Int(header.pointee.totalBytes) }

    /// The content.
    @inline(__always)
    var content: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    /// Look-ups since the block came in or last moved, for the cache's policy: one byte of the
    /// header's last eight.
    @inline(__always)
    var lookups: UnsafeMutablePointer<Atomic<UInt8>> {
        (memory + (Self.headerBytes &- 8)).assumingMemoryBound(to: Atomic<UInt8>.self)
    }
}

/// A block that owns its memory: fresh from the disk, or a table's root.
struct LoadedBlock: ~Copyable, @unchecked Sendable {
    let block: TableBlock

    /// A block with room for `count` bytes of content, `extra` more behind it, and the heads of up
    /// to `rowsMax` rows.
    init(count: Int, extra: Int = 0, rowsMax: Int = 0) {
        let start = (count + extra + TableBlock.slackBytes + 15) & ~15
        let capacity = TableBlock.headerBytes + start + rowsMax * 4
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: capacity, alignment: TableBlock.alignment)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: TableBlock.headerBytes)
        (memory + TableBlock.headerBytes + count + extra).initializeMemory(
            as: UInt8.self, repeating: 0, count: TableBlock.slackBytes)
        block = TableBlock(memory: memory)
        block.header.initialize(
            to: TableBlock.Header(
                count: UInt32(truncatingIfNeeded: count),
                totalBytes: UInt32(truncatingIfNeeded: TableBlock.headerBytes + start),
                headsStart: UInt32(truncatingIfNeeded: start)))
    }

    deinit { block.memory.deallocate() }
}
