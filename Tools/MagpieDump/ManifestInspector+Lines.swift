import Bytes
import LSMTree
import ShardStore
import SortedTable

extension ManifestInspector {
    func add(_ edit: ManifestEdit, at offset: UInt64) {
        let kind = edit.isOpening ? (edit.endsOpening ? "last opening" : "opening") : "edit"
        report.add(
            "edit",
            "  \(offset)  \(kind)  next file \(TableInspector.hex(edit.nextFileID))  "
                + "last sequence \(edit.lastSequence)",
            [
                ("offset", .number(offset)), ("type", .text(kind)),
                ("nextFileID", .number(edit.nextFileID)),
                ("lastSequence", .number(edit.lastSequence)),
            ])
        addState(edit.state)
        for removal in edit.removals {
            let name = TableName.make(removal.fileID)
            let keyspace = KeyText.keyspaceName(removal.keyspace)
            report.add(
                "remove", "    remove \(name)  \(keyspace) level \(removal.level)",
                [
                    ("table", .text(name)), ("keyspace", .text(keyspace)),
                    ("level", .number(UInt64(removal.level))),
                ])
        }
        for addition in edit.additions {
            add(
                TreeShape.Listed(
                    level: Int(addition.level), summary: addition.summary, offset: offset),
                verb: "add ")
        }
    }

    /// The owner's bytes of a cut: positions of shards.
    func addState(_ state: [UInt8]?) {
        guard let state else { return }
        guard let positions = try? CutStateFormat.decode(state) else {
            report.add(
                "state", "    state of \(state.count) bytes: \(Hex.encode(state.prefix(64)))",
                [("bytes", .number(state.count)), ("state", .text(Hex.encode(state)))])
            return
        }
        for position in positions {
            let hash = TableInspector.hex(position.hash)
            report.add(
                "shard",
                "    shard \(position.shard)  replica \(position.replica)  applied "
                    + "\(position.index)/\(position.term)  hash \(hash)",
                [
                    ("shard", .number(UInt64(position.shard))),
                    ("replica", .number(position.replica)), ("index", .number(position.index)),
                    ("term", .number(position.term)),
                    ("hash", .text(hash)),
                ])
        }
    }

    /// One listed table.
    func add(_ listed: TreeShape.Listed, verb: String = "") {
        let summary = listed.summary
        let properties = summary.properties
        let name = TableName.make(summary.fileID)
        let keyspace = KeyText.keyspaceName(summary.keyspace)
        let first = keys.describe([UInt8](summary.smallestUserKey), keyspace: summary.keyspace)
        let last = keys.describe([UInt8](summary.largestUserKey), keyspace: summary.keyspace)
        report.add(
            "listed",
            "    \(verb)\(name)  \(keyspace) level \(listed.level)  \(summary.bytes) bytes  "
                + "\(properties.rows) rows, \(properties.deletes) deletes, "
                + "\(properties.rangeDeletes) range deletes  sequences "
                + "\(properties.minSequence)…\(properties.maxSequence)\n"
                + "      \(first) … \(last)",
            [
                ("table", .text(name)), ("keyspace", .text(keyspace)),
                ("level", .number(listed.level)), ("bytes", .number(summary.bytes)),
                ("rows", .number(properties.rows)), ("deletes", .number(properties.deletes)),
                ("rangeDeletes", .number(properties.rangeDeletes)),
                ("minSequence", .number(properties.minSequence)),
                ("maxSequence", .number(properties.maxSequence)),
                ("smallest", .text(Hex.encode(summary.smallest))),
                ("largest", .text(Hex.encode(summary.largest))),
                ("digest", .text(TableInspector.hex(summary.digest))),
            ])
    }

    /// Totals of each keyspace and level; `tables` are sorted that way.
    func addTotals(_ tables: [TreeShape.Listed]) {
        var start = 0
        while start < tables.count {
            let keyspace = tables[start].summary.keyspace
            let level = tables[start].level
            let group = tables[start...].prefix {
                $0.summary.keyspace == keyspace && $0.level == level
            }
            start += group.count
            func sum(_ field: (TableSummary) -> UInt64) -> UInt64 {
                group.reduce(0) { $0 + field($1.summary) }
            }
            let name = KeyText.keyspaceName(keyspace)
            let bytes = sum(\.bytes)
            let raw = sum { $0.properties.rawKeyBytes + $0.properties.rawValueBytes }
            let filters = sum(\.properties.filterBytes)
            report.add(
                "total",
                "  \(name) level \(level): \(group.count) tables, \(bytes) bytes (\(raw) raw, "
                    + "\(filters) filters), \(sum(\.properties.rows)) rows, "
                    + "\(sum(\.properties.deletes)) deletes, "
                    + "\(sum(\.properties.rangeDeletes)) range deletes",
                [
                    ("keyspace", .text(name)), ("level", .number(level)),
                    ("tables", .number(group.count)), ("bytes", .number(bytes)),
                    ("rawBytes", .number(raw)), ("filterBytes", .number(filters)),
                    ("rows", .number(sum(\.properties.rows))),
                    ("deletes", .number(sum(\.properties.deletes))),
                    ("rangeDeletes", .number(sum(\.properties.rangeDeletes))),
                ])
        }
    }
}
