import Bytes
import ChatEngine
import ChatModel
import LSMTree
import SortedTable

/// What a space report has a line for.
enum SpaceGrouping: String, CaseIterable {
    case keyspace, level, conversation, user, prefix
}

/// Where the bytes of tables are.
///
/// The bytes of keys and values are counted row by row. What a row takes on the disk can't be told
/// (it shares blocks, and their compression, with its neighbours); so each group of rows is charged
/// its table's file in the proportion of its raw bytes. The charges of all groups add up to the
/// files.
struct SpaceTally {
    /// One line.
    struct Share: Equatable {
        var rows: UInt64 = 0
        var deletes: UInt64 = 0
        var rangeDeletes: UInt64 = 0
        /// Bytes of internal keys: user key and trailer.
        var keyBytes: UInt64 = 0
        var valueBytes: UInt64 = 0
        /// The share of the files.
        var tableBytes: Double = 0
        /// What of that is no data block: index, filters, properties, footer.
        var overheadBytes: Double = 0

        static func += (left: inout Share, right: Share) {
            left.rows += right.rows
            left.deletes += right.deletes
            left.rangeDeletes += right.rangeDeletes
            left.keyBytes += right.keyBytes
            left.valueBytes += right.valueBytes
            left.tableBytes += right.tableBytes
            left.overheadBytes += right.overheadBytes
        }
    }

    let grouping: SpaceGrouping
    private(set) var shares: [String: Share] = [:]
    private(set) var total = Share()

    init(_ grouping: SpaceGrouping) { self.grouping = grouping }

    /// Takes all rows of a table. `level` is nil when nobody says where it stands.
    mutating func add(_ reader: TableReader, level: Int?, keys: KeyText) throws {
        let properties = reader.properties
        let keyspace = properties.keyspace
        switch grouping {
        case .keyspace: add(whole: reader, to: KeyText.keyspaceName(keyspace))
        case .level:
            let name = KeyText.keyspaceName(keyspace)
            add(whole: reader, to: level.map { "\(name) level \($0)" } ?? name)
        case .conversation, .user, .prefix: try add(rowsOf: reader, keys)
        }
    }

    private mutating func add(whole reader: TableReader, to name: String) {
        let properties = reader.properties
        let share = Share(
            rows: properties.rows, deletes: properties.deletes,
            rangeDeletes: properties.rangeDeletes, keyBytes: properties.rawKeyBytes,
            valueBytes: properties.rawValueBytes, tableBytes: Double(reader.bytes),
            overheadBytes: Double(reader.bytes) - Double(properties.dataBytes))
        shares[name, default: Share()] += share
        total += share
    }

    private mutating func add(rowsOf reader: TableReader, _ keys: KeyText) throws {
        let keyspace = reader.properties.keyspace
        var byName: [String: Share] = [:]
        for tombstone in reader.rangeTombstones {
            byName[name(tombstone.lower, keyspace, keys), default: Share()].rangeDeletes += 1
        }
        // Rows of a partition stand together: its name is made once.
        var partition: [UInt8] = []
        var current = Share()
        let rows = reader.makeIterator()
        try rows.seekToFirst()
        while rows.isValid {
            let userKey = InternalKey.userKey(rows.key)
            let head = userKey.prefix(KeySchema.partitionBytes + 1)
            if !head.elementsEqual(partition) {
                if current.rows > 0 {
                    byName[name(partition, keyspace, keys), default: Share()] += current
                }
                partition = [UInt8](head)
                current = Share()
            }
            current.rows += 1
            current.deletes += InternalKey.kind(rows.key) == .delete ? 1 : 0
            current.keyBytes += UInt64(rows.key.count)
            current.valueBytes += UInt64(rows.value.count)
            try rows.next()
        }
        if current.rows > 0 { byName[name(partition, keyspace, keys), default: Share()] += current }
        charge(reader, &byName)
        for (name, share) in byName {
            shares[name, default: Share()] += share
            total += share
        }
    }

    /// Charges the file to the groups by their raw bytes; when there are no rows, by tombstones.
    private func charge(_ reader: TableReader, _ byName: inout [String: Share]) {
        let bytes = Double(reader.bytes)
        let overhead = bytes - Double(reader.properties.dataBytes)
        let rows = reader.properties.rows
        func weight(_ share: Share) -> Double {
            rows > 0
                ? Double(share.keyBytes + share.valueBytes) : Double(share.rangeDeletes)
        }
        let sum = byName.values.reduce(0) { $0 + weight($1) }
        guard sum > 0 else { return }
        for (name, share) in byName {
            byName[name]?.tableBytes = bytes * weight(share) / sum
            byName[name]?.overheadBytes = overhead * weight(share) / sum
        }
    }

    /// The line that a key belongs to; its partition and one byte more are enough.
    private func name(_ key: [UInt8], _ keyspace: UInt8, _ keys: KeyText) -> String {
        guard key.count >= KeySchema.partitionBytes,
            let owner = Identifier<UserKind>(bytes: key[2..<KeySchema.partitionBytes])
        else { return grouping == .prefix ? "0x" + Hex.encode(key) : "other" }
        let partition = key[..<KeySchema.partitionBytes]
        let text = keys.isHex ? "0x" + Hex.encode(partition) : "\(owner)"
        if grouping == .prefix { return "\(KeyText.keyspaceName(keyspace)) \(text)" }
        return owns(key, Keyspace(rawValue: keyspace)) ? text : "other"
    }

    /// Whether the partition is of the kind that the report is about; see `KeySchema`.
    private func owns(_ key: [UInt8], _ keyspace: Keyspace) -> Bool {
        switch keyspace {
        case .entries, .conversations, .dedup, .work: grouping == .conversation
        case .media: grouping == .conversation && key.count > 18 && key[18] == 1
        case .accounts, .feeds, .presence: grouping == .user
        default: false
        }
    }

    /// The lines, largest first, and what is left when only `top` are wanted.
    func lines(top: Int) -> (shown: [(name: String, share: Share)], rest: Share, restCount: Int) {
        let sorted = shares.sorted { left, right in
            let (a, b) = (left.value.tableBytes, right.value.tableBytes)
            return a == b ? left.key < right.key : a > b
        }
        var rest = Share()
        for (_, share) in sorted.dropFirst(top) { rest += share }
        return (
            sorted.prefix(top).map { ($0.key, $0.value) }, rest, max(0, sorted.count - top)
        )
    }
}

extension Report {
    /// A space report.
    func add(_ tally: SpaceTally, top: Int) {
        let (shown, rest, restCount) = tally.lines(top: top)
        for (name, share) in shown { add("space", name, share) }
        if restCount > 0 { add("rest", "\(restCount) others", rest) }
        add("total", "total", tally.total)
    }

    private func add(_ kind: String, _ name: String, _ share: SpaceTally.Share) {
        let table = UInt64(share.tableBytes.rounded())
        let overhead = UInt64(share.overheadBytes.rounded())
        add(
            kind,
            "  \(name): \(table) bytes on disk (\(overhead) overhead), keys \(share.keyBytes), "
                + "values \(share.valueBytes), \(share.rows) rows, \(share.deletes) deletes, "
                + "\(share.rangeDeletes) range deletes",
            [
                ("name", .text(name)), ("tableBytes", .number(table)),
                ("overheadBytes", .number(overhead)), ("keyBytes", .number(share.keyBytes)),
                ("valueBytes", .number(share.valueBytes)), ("rows", .number(share.rows)),
                ("deletes", .number(share.deletes)), ("rangeDeletes", .number(share.rangeDeletes)),
            ])
    }
}

extension TableInspector {
    /// `sst space`: the bytes of all tables under a path.
    func space(_ path: String, by grouping: SpaceGrouping, top: Int) throws {
        if grouping == .level { throw UsageMistake("levels are the manifest's: use db space") }
        var tally = SpaceTally(grouping)
        try each(path) { _, reader in try tally.add(reader, level: nil, keys: keys) }
        report.add(tally, top: top)
    }
}

extension ManifestInspector {
    /// `db space`: the bytes of the tables that the manifest lists.
    func space(_ path: String, by grouping: SpaceGrouping, top: Int) throws {
        try each(path) { directory, id, manifest in
            guard let shape = try shape(directory, id, manifest) else { return }
            report.add("tree", "\(directory):", [("directory", .text(directory))])
            var tally = SpaceTally(grouping)
            for listed in shape.tables {
                let table = directory + "/" + TableName.make(listed.summary.fileID)
                try report.guarding(table) {
                    try tally.add(tables.open(table), level: listed.level, keys: keys)
                }
            }
            report.add(tally, top: top)
        }
    }
}
