import Bytes
import ChatEngine
import LSMTree
import Platform
import SortedTable

/// The rows of one keyspace as a reader of the tree sees them, from the tables of its manifest:
/// of each key the newest, unless it is a delete, a range delete hides it, or it has expired. By
/// sequences, not by levels, so it is a second opinion on the tree's own merge.
struct VisibleRows {
    private var merge: TableMerge
    private let isExpiring: Bool
    private let now: UInt64
    /// The user key of the current row; nil at the end.
    private(set) var key: [UInt8]?
    /// Its value.
    private(set) var value: [UInt8] = []

    /// Stands on the first row.
    ///
    /// - Parameter now: rows that expired by then, in wall milliseconds, are left out: compaction
    ///   may have dropped them or not.
    init(
        _ tables: [TableSummary], keyspace: UInt8, now: UInt64,
        open: @escaping (TableSummary) throws -> TableReader
    ) throws {
        merge = try TableMerge(tables, open: open)
        let options = KeySchema.all.first { $0.keyspace.rawValue == keyspace }
        isExpiring = options?.isExpiring ?? false
        self.now = now
        try advance()
    }

    /// Moves to the next row.
    mutating func advance() throws {
        while merge.isValid {
            let userKey = [UInt8](InternalKey.userKey(merge.key))
            let sequence = InternalKey.sequence(merge.key)
            let isHidden =
                InternalKey.kind(merge.key) == .delete || isExpired(merge.value)
                || merge.covering.contains { $0.tombstone.sequence > sequence }
            if !isHidden { value = [UInt8](merge.value) }
            // The older rows of the key follow.
            repeat {
                try merge.next()
            } while merge.isValid && InternalKey.userKey(merge.key).elementsEqual(userKey)
            if !isHidden {
                key = userKey
                return
            }
        }
        key = nil
    }

    private func isExpired(_ value: UnsafeRawBufferPointer) -> Bool {
        guard isExpiring, value.count >= 8 else { return false }
        let expiry = UInt64(littleEndian: value.loadUnaligned(as: UInt64.self))
        return expiry > 0 && expiry <= now
    }
}
