package import Bytes

/// What is true of all rows of a table: written into it and, inside ``TableSummary``, into the
/// manifest.
package struct TableProperties: Equatable, Sendable {
    /// The file's id, which seeds its checksums.
    package var fileID: UInt64 = 0
    /// The keyspace of all rows.
    package var keyspace: UInt8 = 0
    /// The first bytes of user keys that the prefix filter holds; nil without that filter.
    package var filterPrefixLength: Int?
    /// Rows: puts and deletes.
    package var rows: UInt64 = 0
    /// Rows that are deletes.
    package var deletes: UInt64 = 0
    /// Range tombstones.
    package var rangeDeletes: UInt64 = 0
    /// The lowest internal key, of rows and range tombstones; empty in an empty table. A
    /// tombstone counts as (lower, sequence, rangeDelete).
    package var smallest: [UInt8] = []
    /// The highest internal key, of rows and range tombstones; empty in an empty table. As the
    /// upper end is exclusive, a tombstone counts as (upper, ``InternalKey/sequenceMax``,
    /// rangeDelete), which sorts before every row of `upper`.
    package var largest: [UInt8] = []
    /// The lowest sequence number of rows and range tombstones; `UInt64.max` in an empty table.
    package var minSequence: SequenceNumber = .max
    /// The highest sequence number of rows and range tombstones; 0 in an empty table.
    package var maxSequence: SequenceNumber = 0
    /// The lowest expiry of a put that has one, in wall milliseconds; `UInt64.max` when none has.
    package var minExpiry: UInt64 = .max
    /// The highest expiry of the puts, in wall milliseconds; `UInt64.max` when some put never
    /// expires, 0 when there is no put.
    package var maxExpiry: UInt64 = 0
    /// Bytes of all internal keys.
    package var rawKeyBytes: UInt64 = 0
    /// Bytes of all values.
    package var rawValueBytes: UInt64 = 0
    /// Data blocks.
    package var dataBlocks: UInt64 = 0
    /// Data blocks that are lz4.
    package var compressedBlocks: UInt64 = 0
    /// Data blocks kept raw although compression was asked for: it saved too little.
    package var refusedBlocks: UInt64 = 0
    /// Data blocks in which at least half of the rows are deletes.
    package var deleteDenseBlocks: UInt64 = 0
    /// Bytes of data blocks in the file, trailers included.
    package var dataBytes: UInt64 = 0
    /// Bytes of index blocks in the file, the root included.
    package var indexBytes: UInt64 = 0
    /// Bytes of filter blocks in the file.
    package var filterBytes: UInt64 = 0

    /// Properties of an empty table.
    package init() {}

    /// Appends the properties; ``init(from:)`` reads them.
    package func encode(into writer: inout ByteWriter) {
        writer.write(fixed: fileID)
        writer.write(keyspace)
        writer.write(UInt8(clamping: filterPrefixLength ?? 0))
        for value in [
            rows, deletes, rangeDeletes, minSequence, maxSequence, minExpiry, maxExpiry,
            rawKeyBytes, rawValueBytes, dataBlocks, compressedBlocks, refusedBlocks,
            deleteDenseBlocks, dataBytes, indexBytes, filterBytes,
        ] {
            writer.write(varint: value)
        }
        writer.write(prefixed: smallest)
        writer.write(prefixed: largest)
    }

    /// Reads what ``encode(into:)`` wrote. Throws when it cannot be that.
    package init(from reader: inout ByteReader) throws(DecodeError) {
        fileID = try reader.readFixed()
        keyspace = try reader.readByte()
        let prefixLength = try reader.readByte()
        filterPrefixLength = prefixLength == 0 ? nil : Int(prefixLength)
        rows = try reader.readVarint()
        deletes = try reader.readVarint()
        rangeDeletes = try reader.readVarint()
        minSequence = try reader.readVarint()
        maxSequence = try reader.readVarint()
        minExpiry = try reader.readVarint()
        maxExpiry = try reader.readVarint()
        rawKeyBytes = try reader.readVarint()
        rawValueBytes = try reader.readVarint()
        dataBlocks = try reader.readVarint()
        compressedBlocks = try reader.readVarint()
        refusedBlocks = try reader.readVarint()
        deleteDenseBlocks = try reader.readVarint()
        dataBytes = try reader.readVarint()
        indexBytes = try reader.readVarint()
        filterBytes = try reader.readVarint()
        smallest = try Self.readBound(&reader)
        largest = try Self.readBound(&reader)
        let isEmpty = rows == 0 && rangeDeletes == 0
        if smallest.isEmpty != isEmpty || largest.isEmpty != isEmpty {
            throw .invalid(offset: reader.offset, what: "table bounds")
        }
    }

    private static func readBound(_ reader: inout ByteReader) throws(DecodeError) -> [UInt8] {
        let start = reader.offset
        let key = try reader.readPrefixedBytes()
        if !key.isEmpty && key.count < InternalKey.trailerBytes {
            throw .invalid(offset: start, what: "internal key")
        }
        return key
    }
}

/// A finished table as the manifest knows it.
package struct TableSummary: Equatable, Sendable {
    /// Bytes of the file.
    package var bytes: UInt64
    /// XXH3-64 of the whole file, chained over 256 KiB pieces: see `TableFormat`.
    package var digest: UInt64
    /// What is true of the rows.
    package var properties: TableProperties

    /// A summary of its parts.
    package init(bytes: UInt64, digest: UInt64, properties: TableProperties) {
        self.bytes = bytes
        self.digest = digest
        self.properties = properties
    }

    /// The file's id.
    package var fileID: UInt64 { properties.fileID }
    /// The keyspace of all rows.
    package var keyspace: UInt8 { properties.keyspace }
    /// The lowest internal key; see ``TableProperties/smallest``.
    package var smallest: [UInt8] { properties.smallest }
    /// The highest internal key; see ``TableProperties/largest``.
    package var largest: [UInt8] { properties.largest }
    /// The user key of ``smallest``.
    package var smallestUserKey: ArraySlice<UInt8> { smallest.dropLast(InternalKey.trailerBytes) }
    /// The user key of ``largest``.
    package var largestUserKey: ArraySlice<UInt8> { largest.dropLast(InternalKey.trailerBytes) }
    /// True when the table holds neither rows nor range tombstones.
    package var isEmpty: Bool { properties.rows == 0 && properties.rangeDeletes == 0 }

    /// Appends the summary; ``init(from:)`` reads it.
    package func encode(into writer: inout ByteWriter) {
        writer.write(varint: bytes)
        writer.write(fixed: digest)
        properties.encode(into: &writer)
    }

    /// Reads what ``encode(into:)`` wrote. Throws when it cannot be that.
    package init(from reader: inout ByteReader) throws(DecodeError) {
        bytes = try reader.readVarint()
        digest = try reader.readFixed()
        properties = try TableProperties(from: &reader)
    }
}
