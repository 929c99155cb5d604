package import Bytes

/// All keys at or above `lower` and below `upper`, in every keyspace.
package struct KeyRange: Equatable, Hashable, Sendable {
    /// The first key of the range.
    package var lower: [UInt8]
    /// The first key behind the range.
    package var upper: [UInt8]

    /// The range `lower ..< upper`; empty unless `lower` is below `upper`.
    package init(lower: [UInt8], upper: [UInt8]) {
        self.lower = lower
        self.upper = upper
    }
}

/// Consecutive rows of a keyspace on their way from one tree to another.
package struct RowChunk: Equatable, Sendable {
    /// The rows, one after another: varint length of the key, the key, varint length of the value,
    /// the value. Keys ascend strictly. ``PackedRowReader`` reads them.
    package var packed: [UInt8] = []
    /// Rows in `packed`.
    package var count = 0
    /// The key of the last row; nil without rows.
    package var lastKey: [UInt8]?
    /// True when the range has no row after these.
    package var isFinished = false

    /// Where the rows after these start: the `lower` of the next call; nil when there are none.
    package var next: [UInt8]? { isFinished ? nil : lastKey.map { KeyOrder.successor($0) } }
}

/// One packed row; lives as long as the buffer it was read from.
package struct PackedRow {
    /// Where the row starts in the buffer.
    package let offset: Int
    /// The key.
    package let key: UnsafeRawBufferPointer
    /// The value.
    package let value: UnsafeRawBufferPointer
}

/// Reads packed rows that are not trusted. Their order is for the caller to check.
package struct PackedRowReader {
    private var reader: ByteReader

    /// A reader at the first row of `packed`, which must outlive it.
    package init(_ packed: UnsafeRawBufferPointer) {
        reader = ByteReader(packed)
    }

    /// The next row; nil at the end. Throws at the first byte that is no row's, or when key or
    /// value is longer than a tree takes.
    package mutating func next() throws(DecodeError) -> PackedRow? {
        if reader.remaining == 0 { return nil }
        let start = reader.offset
        let key = try reader.readRaw(reader.readCount(max: TreeOptions.keyBytesMax))
        let value = try reader.readRaw(reader.readCount(max: TreeOptions.valueBytesMax))
        return PackedRow(offset: start, key: key, value: value)
    }
}
