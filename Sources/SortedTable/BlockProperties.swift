internal import Bytes

/// What is true of all rows of a data block. It stands behind the block's handle in the index, so
/// that a walk can pass the block by unread.
package struct BlockProperties: Equatable, Sendable {
    /// Rows: puts and deletes.
    package var rows: UInt64 = 0
    /// Rows that are deletes.
    package var deletes: UInt64 = 0
    /// The lowest sequence number.
    package var minSequence: SequenceNumber = .max
    /// The highest sequence number.
    package var maxSequence: SequenceNumber = 0
    /// The lowest expiry of a put that has one; see ``TableProperties/minExpiry``.
    package var minExpiry: UInt64 = .max
    /// The highest expiry of the puts; see ``TableProperties/maxExpiry``.
    package var maxExpiry: UInt64 = 0

    /// True when at least half of the rows are deletes.
    var isDeleteDense: Bool { deletes * 2 >= rows }

    /// Counts a row.
    ///
    /// - Parameter isExpiring: whether values start with their expiry.
    @inline(__always)
    mutating func count(_ trailer: UInt64, _ value: UnsafeRawBufferPointer, isExpiring: Bool) {
        rows &+= 1
        let sequence = trailer &>> 8
        if sequence < minSequence { minSequence = sequence }
        if sequence > maxSequence { maxSequence = sequence }
        if UInt8(truncatingIfNeeded: trailer) == RowKind.delete.rawValue {
            deletes &+= 1
            return
        }
        var expiry: UInt64 = 0
        if isExpiring, value.count >= 8 {
            expiry = UInt64(littleEndian: value.loadUnaligned(as: UInt64.self))
        }
        if expiry == 0 {
            maxExpiry = .max
        } else {
            minExpiry = min(minExpiry, expiry)
            maxExpiry = max(maxExpiry, expiry)
        }
    }

    /// Takes in what is true of other rows of the block.
    mutating func add(_ other: BlockProperties) {
        rows += other.rows
        deletes += other.deletes
        minSequence = min(minSequence, other.minSequence)
        maxSequence = max(maxSequence, other.maxSequence)
        minExpiry = min(minExpiry, other.minExpiry)
        maxExpiry = max(maxExpiry, other.maxExpiry)
    }

    /// Appends the properties of a block that has rows: varints of rows, deletes, lowest sequence,
    /// how far the highest is above it, lowest and highest expiry, each of these plus one modulo
    /// 2^64, so that a block without expiries takes a byte for both.
    func encode(into writer: inout ByteWriter) {
        for value in [
            rows, deletes, minSequence, maxSequence &- minSequence, minExpiry &+ 1, maxExpiry &+ 1,
        ] {
            writer.write(varint: value)
        }
    }

    /// Reads what ``encode(into:)`` wrote. Throws when it cannot be that.
    init(from reader: inout ByteReader) throws(DecodeError) {
        rows = try reader.readVarint()
        deletes = try reader.readVarint()
        minSequence = try reader.readVarint()
        let (highest, isPast) = minSequence.addingReportingOverflow(try reader.readVarint())
        maxSequence = highest
        minExpiry = try reader.readVarint() &- 1
        maxExpiry = try reader.readVarint() &- 1
        guard rows > 0, deletes <= rows, !isPast, highest <= InternalKey.sequenceMax else {
            throw .invalid(offset: reader.offset, what: "block properties")
        }
    }

    init() {}
}

extension TableProperties {
    /// Takes in what is true of one more data block.
    mutating func add(_ block: BlockProperties) {
        deletes += block.deletes
        minSequence = min(minSequence, block.minSequence)
        maxSequence = max(maxSequence, block.maxSequence)
        minExpiry = min(minExpiry, block.minExpiry)
        maxExpiry = max(maxExpiry, block.maxExpiry)
        dataBlocks += 1
        if block.isDeleteDense { deleteDenseBlocks += 1 }
    }
}

extension TableBlock {
    /// The properties of the data block that a row of an index leads to, nil when they cannot be
    /// that: an index was checked when it was loaded, so it has them.
    func blockProperties(_ number: Int) -> BlockProperties? {
        let row = row(number)
        return Self.blockProperties(
            UnsafeRawBufferPointer(start: row.value, count: row.valueBytes))
    }

    /// The properties in the value of an index row.
    static func blockProperties(_ value: UnsafeRawBufferPointer) -> BlockProperties? {
        guard value.count > BlockHandle.storedBytes else { return nil }
        var reader = ByteReader(
            UnsafeRawBufferPointer(rebasing: value[BlockHandle.storedBytes...]))
        guard let properties = try? BlockProperties(from: &reader), reader.remaining == 0 else {
            return nil
        }
        return properties
    }
}
