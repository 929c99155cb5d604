internal import Bytes

/// How a table is laid out. Only ``keyspace`` and the filter prefix are kept in the file; readers
/// need no options.
package struct TableOptions: Equatable, Sendable {
    /// The keyspace all rows belong to; kept in the properties.
    package var keyspace: UInt8
    /// Bytes of rows at which a data block is cut (before compression). A column block may have up
    /// to twice as many, so that the newest rows of a prefix stand in one.
    package var blockBytes: Int
    /// Bytes of separators at which an index block is cut; with it goes one filter block.
    package var indexBlockBytes: Int
    /// Whether blocks are lz4 where that saves at least an eighth.
    package var isCompressed: Bool
    /// Bits a user key gets in the filter; 0 writes no filter.
    package var filterBitsPerKey: Int
    /// When set, a second filter holds the first n bytes of the user keys (the conversation).
    package var filterPrefixLength: Int?
    /// Whether user keys of the filter prefix and eight bytes more are kept as columns, the eight
    /// bytes as numbers. Other keys may stand between them.
    package var isNumbered: Bool
    /// Whether values start with a little-endian u64: the expiry in wall milliseconds, 0 for never.
    package var isExpiring: Bool

    /// Whether rows are mostly looked up one by one: row blocks get buckets then.
    package var isPointRead: Bool

    /// Options with the defaults of DESIGN §6.
    package init(
        keyspace: UInt8, blockBytes: Int = 8 << 10, indexBlockBytes: Int = 4 << 10,
        isCompressed: Bool = false, filterBitsPerKey: Int = 10, filterPrefixLength: Int? = nil,
        isNumbered: Bool = false, isExpiring: Bool = false, isPointRead: Bool = false
    ) {
        precondition(blockBytes > 0 && blockBytes <= 1 << 24, "blocks of 1 byte to 16 MiB")
        precondition(
            indexBlockBytes > 0 && indexBlockBytes <= 1 << 24, "blocks of 1 byte to 16 MiB")
        precondition(filterBitsPerKey >= 0 && filterBitsPerKey <= 64, "0 to 64 filter bits a key")
        precondition((filterPrefixLength ?? 1) > 0, "a filter prefix has bytes")
        precondition((filterPrefixLength ?? 1) <= 255, "a filter prefix has at most 255 bytes")
        self.keyspace = keyspace
        self.blockBytes = blockBytes
        self.indexBlockBytes = indexBlockBytes
        self.isCompressed = isCompressed
        self.filterBitsPerKey = filterBitsPerKey
        self.filterPrefixLength = filterPrefixLength
        self.isNumbered = isNumbered && filterPrefixLength != nil
        self.isExpiring = isExpiring
        self.isPointRead = isPointRead
    }
}

/// Names of table files.
package enum TableName {
    /// The ending of every table's file name.
    package static let ending = ".sst"

    /// `NNNNNNNNNNNNNNNN.sst`: the file id as 16 hexadecimal digits.
    package static func make(_ fileID: UInt64) -> String {
        Hex.encode(withUnsafeBytes(of: fileID.bigEndian) { [UInt8]($0) }) + ending
    }

    /// The file id of a name made by ``make(_:)``, or nil.
    package static func fileID(_ name: some StringProtocol) -> UInt64? {
        guard name.utf8.count == 20, name.hasSuffix(ending),
            let bytes = Hex.decode(name.dropLast(4))
        else { return nil }
        return bytes.reduce(0) { $0 &<< 8 | UInt64($1) }
    }
}
