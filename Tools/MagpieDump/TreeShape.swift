import Bytes
import LSMTree
import SortedTable

/// The tables that a manifest's records add up to; checks each record against them.
struct TreeShape {
    /// One listed table.
    struct Listed {
        var level: Int
        var summary: TableSummary
        /// Where the record that added it stands.
        var offset: UInt64
    }

    private var byID: [UInt64: Listed] = [:]
    private var isOpened = false
    /// Ids from here on are free.
    private(set) var nextFileID: UInt64 = 0
    /// The last sequence in tables.
    private(set) var lastSequence: SequenceNumber = 0
    /// The owner's bytes.
    private(set) var state: [UInt8]?
    /// Records taken.
    private(set) var records = 0

    /// The listed tables by keyspace, level, then first key.
    var tables: [Listed] {
        byID.values.sorted { left, right in
            let a = (left.summary.keyspace, left.level)
            let b = (right.summary.keyspace, right.level)
            if a != b { return a < b }
            let order = InternalKey.compare(left.summary.smallest, right.summary.smallest)
            return order == 0 ? left.summary.fileID < right.summary.fileID : order < 0
        }
    }

    /// Takes the record at `offset`; what is wrong with it, or nil.
    mutating func apply(_ edit: ManifestEdit, at offset: UInt64) -> String? {
        records += 1
        if edit.isOpening == isOpened {
            return isOpened ? "an opening record behind the opening" : "an edit before the opening"
        }
        if edit.nextFileID < nextFileID { return "a next file id that goes back" }
        if edit.lastSequence < lastSequence { return "a last sequence that goes back" }
        for removal in edit.removals {
            guard let listed = byID.removeValue(forKey: removal.fileID),
                listed.level == Int(removal.level), listed.summary.keyspace == removal.keyspace
            else {
                return "a removal of \(TableName.make(removal.fileID)), which is not on level "
                    + "\(removal.level)"
            }
        }
        for addition in edit.additions {
            let id = addition.summary.fileID
            if byID[id] != nil { return "a second addition of \(TableName.make(id))" }
            if id >= edit.nextFileID {
                return "\(TableName.make(id)), whose id is not given out yet"
            }
            byID[id] = Listed(level: Int(addition.level), summary: addition.summary, offset: offset)
        }
        nextFileID = edit.nextFileID
        lastSequence = edit.lastSequence
        state = edit.state ?? state
        isOpened = isOpened || edit.endsOpening
        return nil
    }

    /// Pairs of tables on one level below 0 that overlap, which must not be.
    var overlaps: [(Listed, Listed)] {
        let tables = tables
        return zip(tables, tables.dropFirst()).filter { left, right in
            left.level > 0 && left.level == right.level
                && left.summary.keyspace == right.summary.keyspace
                && InternalKey.compare(left.summary.largest, right.summary.smallest) >= 0
        }
    }
}
