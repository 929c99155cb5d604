/// The checked, expanded content of one block in raw memory, read by any number of threads.
///
/// Whoever holds a reference pins the memory: the cache may forget a block, the memory goes with
/// the last holder. The content of row blocks is described in `TableFormat`; it was walked once
/// when the block was loaded (``TableBlock/checkRows(role:)``), so readers use it unchecked.
// Sendable: the content is written before the first reference is shared, and only read afterwards.
package final class TableBlock: @unchecked Sendable {
    /// Bytes behind the content that may be read (not used), so that short copies need no loop.
    static let slackBytes = 32
    /// What a block costs beside its memory: the object and its cache slot.
    static let overheadBytes = 160

    let base: UnsafeMutableRawPointer
    /// Bytes of content.
    let count: Int
    private let capacity: Int

    /// Rows; 0 in blocks that are not row blocks.
    private(set) var rowCount = 0
    /// Bytes of a row offset: 2 or 4.
    private(set) var offsetBytes = 2
    /// Where the rows end and the offsets start.
    private(set) var rowsEnd = 0
    /// The longest internal key.
    private(set) var keyBytesMax = 0
    /// What makes searches touch little memory; see `RowHeads`.
    private(set) var heads = RowHeads()

    /// A block with room for `count` bytes of content and `extra` more behind it.
    init(count: Int, extra: Int = 0, alignment: Int = 16) {
        self.count = count
        capacity = count + extra + Self.slackBytes
        base = .allocate(byteCount: capacity, alignment: alignment)
        let tail = count + extra
        (base + tail).initializeMemory(as: UInt8.self, repeating: 0, count: Self.slackBytes)
    }

    deinit {
        heads.deallocate()
        base.deallocate()
    }

    /// What the block counts for in a budget.
    package var chargedBytes: Int { capacity + heads.allocatedBytes + Self.overheadBytes }

    /// The content.
    var content: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    func setRows(count: Int, offsetBytes: Int, rowsEnd: Int, keyBytesMax: Int) {
        rowCount = count
        self.offsetBytes = offsetBytes
        self.rowsEnd = rowsEnd
        self.keyBytesMax = keyBytesMax
    }

    /// Fills ``heads``; the rows were checked.
    func buildHeads() {
        heads.deallocate()
        heads = RowHeads()
        if rowCount > 0 { heads = RowHeads(self) }
    }
}
