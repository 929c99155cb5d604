import SortedTable

/// How a tree lays out its memory and its files. The defaults need no tuning; tests shrink them.
package struct TreeOptions: Sendable {
    /// The keyspaces, ascending by number. A keyspace that has tables on disk must be listed.
    package var keyspaces: [KeyspaceOptions]
    /// ``Tree/shouldCut`` turns true when the memtable holds this many bytes.
    package var memtableBytes = 32 << 20
    /// Frozen memtables that may wait for their flush; ``Tree/canCut`` is false at the limit.
    package var frozenMemtablesMax = 3
    /// Budget of the block cache when the tree makes its own.
    package var blockCacheBytes = 64 << 20
    /// Uncompressed bytes of a table block.
    package var blockBytes = 8 << 10
    /// Bits of filter per key.
    package var filterBitsPerKey = 10
    /// Compaction cuts its outputs near this size; larger when there would be too many of them.
    package var tableBytes = 16 << 20
    /// Tables that may be open: table sizes grow with the data so that there are fewer.
    package var tablesMax = 2_000
    /// Tables in level 0 of a keyspace that make a compaction due.
    package var levelZeroTables = 4
    /// Bytes that the first sorted level may hold before the tree grows a level. At least as many
    /// as `levelZeroTables` memtables.
    package var levelBaseBytes: UInt64 = 64 << 20
    /// How many times larger each level is than the one above it.
    package var levelFanOut: UInt64 = 10
    /// An output is cut when it overlaps this many `tableBytes` of the level below its own.
    package var grandparentTables = 10
    /// Compaction looks after so many bytes whether something else is more urgent.
    package var sliceBytes = 1 << 20
    /// Bytes per second that compaction reads, and writes, while nothing is urgent; the more work
    /// is due the faster it goes, up to the disk's speed. 0: always at the disk's speed.
    package var compactionBytesPerSecond = 0
    /// Bytes of tables that the scrub reads per second when ``Tree/scrub(nowMs:)`` is called. 0: it
    /// does nothing.
    package var scrubBytesPerSecond = 0
    /// The least time from the start of one round of the scrub to the start of the next.
    package var scrubIntervalMs: UInt64 = 24 * 3_600_000
    /// A manifest is rewritten when its edits pass this size.
    package var manifestBytes: UInt64 = 4 << 20
    /// Blocks are lz4 where that saves something, on every level.
    package var isCompressed = true

    /// Default options over these keyspaces.
    ///
    /// - Precondition: `keyspaces` ascend strictly by number.
    package init(keyspaces: [KeyspaceOptions]) {
        for (left, right) in zip(keyspaces, keyspaces.dropFirst()) {
            precondition(left.keyspace < right.keyspace, "keyspaces must ascend strictly")
        }
        self.keyspaces = keyspaces
    }

    /// Sizes the tree as a node does: levels follow the memtable, compaction that is not urgent
    /// takes 16 MiB/s, and the scrub 4 MiB/s.
    package mutating func sizeForNode(memtableBytes bytes: Int) {
        memtableBytes = bytes
        levelBaseBytes = UInt64(levelZeroTables * bytes)
        compactionBytesPerSecond = 16 << 20
        scrubBytesPerSecond = 4 << 20
    }

    /// Levels of each keyspace, level 0 included.
    package static let levelCount = 7
    /// The longest key that a batch takes.
    package static let keyBytesMax = InternalKey.userKeyBytesMax
    /// The longest value that a batch takes.
    package static let valueBytesMax = 16 << 20

    /// The place of a keyspace in `keyspaces`, or nil.
    func index(of keyspace: Keyspace) -> Int? {
        keyspaces.firstIndex { $0.keyspace == keyspace }
    }
}
