import LSMTree
import ShardStore

/// How the storage of a node stands, for `/status` and `/metrics`.
package struct StorageReport: Sendable {
    /// One level of all keyspaces.
    package struct Level: Sendable {
        /// Table files.
        package var tables = 0
        /// Their bytes.
        package var bytes: UInt64 = 0
    }

    /// Bytes in the memtable that takes writes.
    package var memtableBytes: Int
    /// Level 0 first.
    package var levels: [Level]
}

extension ChatNode {
    /// How the storage stands now. Any thread.
    package func storageReport() -> StorageReport {
        let statistics = store.tree.statistics
        var levels: [StorageReport.Level] = []
        for keyspace in statistics.keyspaces {
            for (number, level) in keyspace.levels.enumerated() {
                if levels.count <= number { levels.append(StorageReport.Level()) }
                levels[number].tables += level.tables
                levels[number].bytes += level.bytes
            }
        }
        return StorageReport(memtableBytes: statistics.memtableBytes, levels: levels)
    }
}
