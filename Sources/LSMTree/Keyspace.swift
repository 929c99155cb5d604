/// One of a tree's fixed name spaces: a key belongs to exactly one, and a batch may write to
/// several at once.
package struct Keyspace: Hashable, Sendable, Comparable {
    /// The number that stands on disk.
    package let rawValue: UInt8

    /// The keyspace with this number.
    package init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    /// Keyspaces sort by number.
    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// What a tree must know about one keyspace.
package struct KeyspaceOptions: Sendable {
    /// Which keyspace this is about.
    package var keyspace: Keyspace
    /// For people: statistics and dumps.
    package var name: String
    /// Bytes at the head of each key that a table's second filter covers, so that a scan inside
    /// one such prefix skips tables without it; nil: no second filter.
    package var filterPrefixLength: Int?
    /// Keys are `filterPrefixLength` bytes and a big-endian number of eight bytes, mostly: tables
    /// keep such rows as columns.
    package var isNumbered: Bool
    /// Values start with an expiry in milliseconds since 1970 (little endian u64, 0: never), and
    /// compaction may drop rows at or below the tree's horizon.
    package var isExpiring: Bool

    /// Rows are mostly looked up one by one: tables spend a byte or two a row on finding them.
    package var isPointRead: Bool

    /// Options of `keyspace`.
    package init(
        _ keyspace: Keyspace, name: String, filterPrefixLength: Int? = nil,
        isNumbered: Bool = false, isExpiring: Bool = false, isPointRead: Bool = false
    ) {
        precondition(!isNumbered || filterPrefixLength != nil, "numbers stand behind a prefix")
        self.keyspace = keyspace
        self.name = name
        self.filterPrefixLength = filterPrefixLength
        self.isNumbered = isNumbered
        self.isExpiring = isExpiring
        self.isPointRead = isPointRead
    }
}
