import Bytes
import Platform
import SortedTable

/// The `sst` commands: one table after another.
struct TableInspector {
    let places: Places
    let report: Report
    var keys = KeyText()

    /// Opens each table that `path` stands for; corruption is reported, and the next one follows.
    func each(_ path: String, _ body: (String, TableReader) throws -> Void) throws {
        let paths = try places.tables(path)
        if paths.isEmpty { throw UsageMistake("there is no table under \(path)") }
        for path in paths {
            try report.guarding(path) { try body(path, open(path)) }
        }
    }

    /// Opens a table under the id of its name, or, when its name is not a table's, under the id
    /// that it states itself.
    func open(_ path: String) throws -> TableReader {
        let file = try places.fileSystem.open(path, .read)
        let name = Places.name(path)
        let id = try TableName.fileID(name) ?? TableReader.storedFileID(file) ?? 0
        return try TableReader.open(
            file: file, fileID: id, cache: BlockCache(budgetBytes: 8 << 20, shardsMax: 1))
    }

    /// `sst check`: everything that can be checked, for every table.
    func check(_ path: String) throws {
        try each(path) { path, reader in
            let digest = try reader.verify()
            let rows = reader.properties.rows
            report.add(
                "table",
                "ok: \(path): \(rows) rows, \(reader.bytes) bytes, digest \(Self.hex(digest))",
                [
                    ("file", .text(path)), ("rows", .number(rows)),
                    ("bytes", .number(reader.bytes)),
                    ("digest", .text(Self.hex(digest))),
                ])
        }
    }

    /// `sst scan`: rows in order.
    ///
    /// - Parameters:
    ///   - from: the first user key.
    ///   - to: the user key to stop before.
    ///   - limit: rows at most, over all tables.
    func scan(
        _ path: String, from: [UInt8]? = nil, to: [UInt8]? = nil, limit: Int = .max,
        showsValues: Bool = true
    ) throws {
        var left = limit
        try each(path) { path, reader in
            if left == 0 { return }
            report.add("file", "\(path):", [("file", .text(path))])
            addTombstones(reader)
            let iterator = reader.makeIterator()
            if let from {
                let key = InternalKey.makeSeek(userKey: from)
                let moved = key.withUnsafeBytes { raw in
                    Result { () throws(TableError) in try iterator.seek(internalKey: raw) }
                }
                try moved.get()
            } else {
                try iterator.seekToFirst()
            }
            while iterator.isValid, left > 0 {
                let userKey = [UInt8](InternalKey.userKey(iterator.key))
                if let to, !userKey.lexicographicallyPrecedes(to) { break }
                addRow(iterator, userKey, reader, showsValues: showsValues)
                left -= 1
                try iterator.next()
            }
        }
    }

    /// `sst raw`: every block and row with its place.
    func raw(_ path: String) throws {
        try each(path) { path, reader in
            report.add("file", "\(path):", [("file", .text(path))])
            let keyspace = reader.properties.keyspace
            try TableDump.write(
                reader, keyText: { keys.describe($0, keyspace: keyspace) },
                { line in report.add("line", line, [("text", .text(line))]) })
        }
    }

    /// `sst props`: what the table says of its rows.
    func properties(_ path: String) throws {
        try each(path) { path, reader in
            let fields = TableDump.fields(reader.properties)
            let keyspace = KeyText.keyspaceName(reader.properties.keyspace)
            let width = fields.map(\.name.count).max() ?? 0
            let lines = fields.map { name, value in
                "  " + name + String(repeating: " ", count: width - name.count + 2) + value
            }
            report.add(
                "properties",
                "\(path) (\(keyspace), \(reader.bytes) bytes):\n" + lines.joined(separator: "\n"),
                [("file", .text(path)), ("keyspaceName", .text(keyspace))]
                    + fields.map { ($0.name, UInt64($0.value).map(JSON.number) ?? .text($0.value)) }
            )
        }
    }

    /// `sst layout`: the map of blocks.
    func layout(_ path: String) throws {
        try each(path) { path, reader in
            report.add("file", "\(path):", [("file", .text(path))])
            let keyspace = reader.properties.keyspace
            let layout = try reader.layout()
            for block in layout.blocks {
                addBlock(block, keyspace: keyspace)
            }
            report.add(
                "footer", "  \(layout.footerOffset)  footer, ends at \(layout.bytes)",
                [("offset", .number(layout.footerOffset)), ("end", .number(layout.bytes))])
        }
    }

    /// `sst find`: all versions of all keys that start with `prefix`, and the range tombstones
    /// over them. Answers how many rows there are.
    @discardableResult
    func find(_ prefix: [UInt8], _ path: String, label: String? = nil) throws -> Int {
        var found = 0
        try each(path) { path, reader in
            found += try find(prefix, in: reader, label: label ?? path)
        }
        return found
    }

    /// The same in one open table.
    func find(_ prefix: [UInt8], in reader: TableReader, label: String) throws -> Int {
        var found = 0
        let isKnown = try prefix.withUnsafeBytes { raw in
            Result { () throws(TableError) in try reader.mayContain(prefix: raw) }
        }.get()
        for tombstone in reader.rangeTombstones
        where tombstone.touches(prefix) {
            if found == 0 { report.add("file", "\(label):", [("file", .text(label))]) }
            found += 1
            add(tombstone, keyspace: reader.properties.keyspace)
        }
        guard isKnown else { return found }
        let iterator = reader.makeIterator()
        let key = InternalKey.makeSeek(userKey: prefix)
        try key.withUnsafeBytes { raw in
            Result { () throws(TableError) in try iterator.seek(internalKey: raw) }
        }.get()
        while iterator.isValid {
            let userKey = [UInt8](InternalKey.userKey(iterator.key))
            guard userKey.starts(with: prefix) else { break }
            if found == 0 { report.add("file", "\(label):", [("file", .text(label))]) }
            found += 1
            addRow(iterator, userKey, reader, showsValues: true)
            try iterator.next()
        }
        return found
    }

    // MARK: Lines

    private func addRow(
        _ iterator: TableIterator, _ userKey: [UInt8], _ reader: TableReader, showsValues: Bool
    ) {
        let keyspace = reader.properties.keyspace
        let sequence = InternalKey.sequence(iterator.key)
        let kind = "\(InternalKey.kind(iterator.key))"
        let words = keys.describe(userKey, keyspace: keyspace)
        let value = showsValues ? Hex.encode(iterator.value) : ""
        report.add(
            "row",
            "  \(words)  seq \(sequence) \(kind)  \(iterator.value.count) bytes"
                + (value.isEmpty ? "" : "  \(value)"),
            [
                ("key", .text(Hex.encode(userKey))), ("words", .text(words)),
                ("sequence", .number(sequence)), ("type", .text(kind)),
                ("bytes", .number(iterator.value.count)),
            ] + (showsValues ? [("value", .text(value))] : []))
    }

    private func addTombstones(_ reader: TableReader) {
        for tombstone in reader.rangeTombstones {
            add(tombstone, keyspace: reader.properties.keyspace)
        }
    }

    private func add(_ tombstone: RangeTombstone, keyspace: UInt8) {
        let lower = keys.describe(tombstone.lower, keyspace: keyspace)
        let upper = keys.describe(tombstone.upper, keyspace: keyspace)
        report.add(
            "rangeDelete",
            "  range delete from \(lower) to before \(upper)  seq \(tombstone.sequence)",
            [
                ("lower", .text(Hex.encode(tombstone.lower))),
                ("upper", .text(Hex.encode(tombstone.upper))),
                ("sequence", .number(tombstone.sequence)),
            ])
    }

    private func addBlock(_ block: BlockReport, keyspace: UInt8) {
        var range = ""
        if block.rows > 0, block.role == .data {
            let first = keys.describe([UInt8](block.firstKey.dropLast(8)), keyspace: keyspace)
            let last = keys.describe([UInt8](block.lastKey.dropLast(8)), keyspace: keyspace)
            range = "  \(first) … \(last)"
        }
        report.add(
            "block",
            "  \(block.handle.offset)  \(block.role)  \(block.handle.bytes) bytes "
                + "\(block.encoding), \(block.contentBytes) expanded, \(block.rows) rows\(range)",
            [
                ("offset", .number(block.handle.offset)), ("role", .text("\(block.role)")),
                ("bytes", .number(UInt64(block.handle.bytes))),
                ("encoding", .text("\(block.encoding)")),
                ("contentBytes", .number(block.contentBytes)), ("rows", .number(block.rows)),
                ("firstKey", .text(Hex.encode(block.firstKey))),
                ("lastKey", .text(Hex.encode(block.lastKey))),
                ("checksum", .text(Self.hex(block.checksum))),
            ])
    }

    /// 16 hexadecimal digits.
    static func hex(_ value: UInt64) -> String {
        Hex.encode(withUnsafeBytes(of: value.bigEndian) { [UInt8]($0) })
    }
}

extension RangeTombstone {
    /// Whether it covers a key that starts with `prefix`.
    func touches(_ prefix: [UInt8]) -> Bool {
        let isBelowUpper = prefix.lexicographicallyPrecedes(upper)
        let isAboveLower = !prefix.lexicographicallyPrecedes(lower) || lower.starts(with: prefix)
        return isBelowUpper && isAboveLower
    }
}
