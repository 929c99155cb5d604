import Bytes
import ChatEngine
import LSMTree
import Platform
import ShardStore
import SortedTable

/// `db verify`: the logical content of a directory's tables, keyspace by keyspace, as a digest; and
/// against another directory, row by row.
///
/// Two replicas have other tables on other levels, but the same rows at the same positions. Rows
/// that are in a node's log only are not looked at.
struct TreeComparison {
    /// Ranges that a keyspace is divided into, by slot: where a digest differs, one sees where.
    static let rangeSlots = 1024

    let places: Places
    let report: Report
    var keys = KeyText()
    /// Wall milliseconds: rows that expired before are as good as gone.
    var now: UInt64 = 0

    private struct Content {
        let directory: String
        var tables: [TableSummary] = []
        var positions: [ShardPosition] = []
    }

    /// Prints rows and digest of every keyspace.
    func digest(_ path: String) throws {
        try report.guarding(path) {
            let content = try read(path)
            add(content)
            for options in KeySchema.all {
                var rows = try visible(content, options)
                var digests: [UInt64] = []
                var count: UInt64 = 0
                while let key = rows.key {
                    count += 1
                    let range = Self.range(of: key)
                    while digests.count <= range { digests.append(0) }
                    digests[range] = Self.digest(key, rows.value, after: digests[range])
                    try rows.advance()
                }
                add(options, count, digests)
            }
        }
    }

    /// Compares two directories. A difference is corruption when both are at the same positions.
    func compare(_ path: String, with other: String, shown: Int = 10) throws {
        try report.guarding(path) {
            let (left, right) = (try read(path), try read(other))
            add(left)
            add(right)
            let isComparable = left.positions == right.positions
            if !isComparable {
                report.add(
                    "positions",
                    "The positions differ: rows of the entries between them differ too, and prove "
                        + "nothing.",
                    [("areEqual", .flag(false))])
            }
            for options in KeySchema.all {
                let count = try compare(left, right, options, shown: shown)
                if count > 0, isComparable {
                    report.addCorrupt(
                        file: right.directory, offset: 0,
                        expected: "the rows of \(options.name) that \(left.directory) has",
                        found: "\(count) differences")
                }
            }
        }
    }

    // MARK: Reading

    private func read(_ path: String) throws -> Content {
        let manifests = try places.manifests(path)
        guard let manifest = manifests.first, manifests.count == 1 else {
            throw UsageMistake("under \(path) there are \(manifests.count) trees, not one")
        }
        var shape = TreeShape()
        try ManifestReader.read(
            fileSystem: places.fileSystem, directory: manifest.directory, id: manifest.id
        ) { offset, edit in _ = shape.apply(edit, at: offset) }
        var content = Content(directory: manifest.directory)
        content.tables = shape.tables.map(\.summary)
        content.positions = try CutStateFormat.decode(shape.state ?? CutStateFormat.encode([]))
        return content
    }

    private func visible(_ content: Content, _ options: KeyspaceOptions) throws -> VisibleRows {
        let keyspace = options.keyspace.rawValue
        let inspector = TableInspector(places: places, report: report, keys: keys)
        return try VisibleRows(
            content.tables.filter { $0.keyspace == keyspace }, keyspace: keyspace, now: now
        ) { summary in
            try inspector.open(content.directory + "/" + TableName.make(summary.fileID))
        }
    }

    /// How many keys differ.
    private func compare(
        _ left: Content, _ right: Content, _ options: KeyspaceOptions, shown: Int
    ) throws -> Int {
        var (a, b) = (try visible(left, options), try visible(right, options))
        var (rows, differences) = (0, 0)
        while let key = Self.lesser(a.key, b.key) {
            let isLeft = a.key == key
            let isRight = b.key == key
            rows += 1
            if !isLeft || !isRight || a.value != b.value {
                differences += 1
                if differences <= shown {
                    let what = isLeft ? (isRight ? "other values" : "missing there") : "only there"
                    add(key, options, what)
                }
            }
            if isLeft { try a.advance() }
            if isRight { try b.advance() }
        }
        report.add(
            "compared", "  \(options.name): \(rows) keys, \(differences) differ",
            [
                ("keyspace", .text(options.name)), ("keys", .number(rows)),
                ("differences", .number(differences)),
            ])
        return differences
    }

    private static func lesser(_ left: [UInt8]?, _ right: [UInt8]?) -> [UInt8]? {
        guard let left else { return right }
        guard let right else { return left }
        return right.lexicographicallyPrecedes(left) ? right : left
    }

    private static func range(of key: [UInt8]) -> Int {
        let slot = key.prefix(2).reduce(0) { $0 << 8 | Int($1) }
        return slot / rangeSlots
    }

    private static func digest(_ key: [UInt8], _ value: [UInt8], after seed: UInt64) -> UInt64 {
        Checksum.xxh3(value, seed: Checksum.xxh3(key, seed: seed))
    }

    // MARK: Lines

    private func add(_ content: Content) {
        report.add(
            "tree", "\(content.directory): \(content.tables.count) tables",
            [
                ("directory", .text(content.directory)), ("tables", .number(content.tables.count)),
            ])
        ManifestInspector(places: places, report: report, keys: keys)
            .addState(CutStateFormat.encode(content.positions))
    }

    private func add(_ options: KeyspaceOptions, _ rows: UInt64, _ digests: [UInt64]) {
        let whole = digests.reduce(UInt64(0)) { seed, digest in
            Checksum.xxh3(withUnsafeBytes(of: digest.littleEndian) { [UInt8]($0) }, seed: seed)
        }
        report.add(
            "digest", "  \(options.name): \(rows) rows, digest \(TableInspector.hex(whole))",
            [
                ("keyspace", .text(options.name)), ("rows", .number(rows)),
                ("digest", .text(TableInspector.hex(whole))),
            ])
        for (range, digest) in digests.enumerated() where digest != 0 {
            let first = range * Self.rangeSlots
            report.add(
                "range",
                "    slots \(first)…\(first + Self.rangeSlots - 1): \(TableInspector.hex(digest))",
                [
                    ("keyspace", .text(options.name)), ("firstSlot", .number(first)),
                    ("digest", .text(TableInspector.hex(digest))),
                ])
        }
    }

    private func add(_ key: [UInt8], _ options: KeyspaceOptions, _ what: String) {
        let words = keys.describe(key, keyspace: options.keyspace.rawValue)
        report.add(
            "difference", "    \(words): \(what)",
            [
                ("keyspace", .text(options.name)), ("key", .text(Hex.encode(key))),
                ("words", .text(words)), ("what", .text(what)),
            ])
    }
}
