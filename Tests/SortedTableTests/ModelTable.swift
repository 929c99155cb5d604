import Bytes
import Platform
import SortedTable

/// A row of the model.
struct ModelRow: Equatable {
    var key: [UInt8]
    var value: [UInt8]

    var userKey: [UInt8] { [UInt8](key.dropLast(8)) }
    var sequence: SequenceNumber { key.withUnsafeBytes { InternalKey.sequence($0) } }
    var kind: RowKind { key.withUnsafeBytes { InternalKey.kind($0) } }
}

/// What a table should be: a sorted array, searched one by one.
struct ModelTable {
    var rows: [ModelRow] = []
    var tombstones: [RangeTombstone] = []
    var options: TableOptions

    /// The number of the first row at or above a key.
    func lowerBound(_ key: [UInt8]) -> Int {
        rows.firstIndex { InternalKey.compare($0.key, key) >= 0 } ?? rows.count
    }

    func get(_ userKey: [UInt8], at sequence: SequenceNumber) -> ModelRow? {
        rows.first { $0.userKey == userKey && $0.sequence <= sequence }
    }

    /// Writes the table into a new file.
    func write(fileID: UInt64 = 7, to file: MemoryFile) throws(TableError) -> TableSummary {
        var writer = TableWriter(file: file, fileID: fileID, options: options)
        for row in rows {
            let result = row.key.withUnsafeBytes { key in
                row.value.withUnsafeBytes { value in
                    Result { () throws(TableError) in
                        try writer.add(internalKey: key, value: value)
                    }
                }
            }
            try result.get()
        }
        for tombstone in tombstones { writer.add(tombstone) }
        return try writer.finish()
    }
}

/// Makes random tables of all shapes.
struct TableMaker {
    var random: SplitMix64

    init(seed: UInt64) {
        random = SplitMix64(seed: seed)
    }

    mutating func below(_ limit: Int) -> Int { Int(random.next() % UInt64(limit)) }

    mutating func pick<T>(_ choices: [T]) -> T { choices[below(choices.count)] }

    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    mutating func options() -> TableOptions {
        TableOptions(
            keyspace: UInt8(below(256)), blockBytes: pick([1, 60, 300, 1000, 4096, 16384]),
            indexBlockBytes: pick([1, 100, 700, 4096]), isCompressed: below(2) == 0,
            filterBitsPerKey: pick([0, 4, 10]), filterPrefixLength: pick([nil, 1, 3, 18]),
            isNumbered: below(2) == 0, isExpiring: below(3) == 0,
            isPointRead: below(2) == 0)
    }

    /// A user key of a style: 0 short keys of few letters, 1 chat keys, 2 random, 3 long.
    mutating func userKey(_ style: Int) -> [UInt8] {
        switch style {
        case 0:
            let letters: [UInt8] = [0, 1, 0x61, 0xFE, 0xFF]
            return (0..<below(7)).map { _ in pick(letters) }
        case 1:
            var key = OrderedKey()
            key.append(UInt16(below(3)))
            key.append(SplitMix64.mix(UInt64(below(6))))
            key.append(UInt64(9))
            key.append(UInt64(below(400)))
            return key.bytes
        case 2:
            return bytes(16)
        default:
            let start = [UInt8](repeating: 0x6B, count: pick([10, 200, 700]))
            return start + bytes(below(4))
        }
    }

    mutating func table(rows count: Int, style: Int? = nil) -> ModelTable {
        var table = ModelTable(options: options())
        let style = style ?? below(4)
        let isText = below(2) == 0
        for _ in 0..<count {
            let userKey = userKey(style)
            for _ in 0...(below(4) == 0 ? below(5) : 0) {
                let kind: RowKind = below(5) == 0 ? .delete : .put
                let sequence = SequenceNumber(below(1000))
                var value = kind == .delete ? [] : bytes(below(pick([1, 20, 120])))
                if isText { value = value.map { $0 & 3 } }
                if below(200) == 0 { value = [UInt8](repeating: 5, count: 70_000) }
                table.rows.append(
                    ModelRow(
                        key: InternalKey.make(userKey: userKey, sequence: sequence, kind: kind),
                        value: value))
            }
        }
        table.rows.sort { InternalKey.compare($0.key, $1.key) < 0 }
        var last: [UInt8]?
        table.rows = table.rows.filter { row in
            defer { last = row.key }
            return row.key != last
        }
        for _ in 0..<pick([0, 0, 1, 5]) {
            let ends = [userKey(style), userKey(style)].sorted { $0.lexicographicallyPrecedes($1) }
            guard ends[0] != ends[1] else { continue }
            table.tombstones.append(
                RangeTombstone(
                    lower: ends[0], upper: ends[1], sequence: SequenceNumber(below(1000))))
        }
        return table
    }
}

extension TableReader {
    /// `find` on arrays.
    func row(_ userKey: [UInt8], at sequence: SequenceNumber) throws -> ModelRow? {
        try userKey.withUnsafeBytes { raw in
            try get(userKey: raw, at: sequence) { kind, found, value in
                ModelRow(
                    key: InternalKey.make(userKey: userKey, sequence: found, kind: kind),
                    value: [UInt8](value))
            }
        }
    }

    func mayContain(prefix: [UInt8]) throws -> Bool {
        try prefix.withUnsafeBytes { try mayContain(prefix: $0) }
    }

    /// All rows, forward.
    func allRows() throws -> [ModelRow] {
        let iterator = makeIterator()
        var rows: [ModelRow] = []
        try iterator.seekToFirst()
        while let row = iterator.row {
            rows.append(row)
            try iterator.next()
        }
        return rows
    }
}

extension TableIterator {
    /// A copy of the row it stands on.
    var row: ModelRow? {
        isValid ? ModelRow(key: [UInt8](key), value: [UInt8](value)) : nil
    }

    func seek(_ key: [UInt8]) throws {
        try key.withUnsafeBytes { try seek(internalKey: $0) }
    }

    func seekForPrevious(_ key: [UInt8]) throws {
        try key.withUnsafeBytes { try seekForPrevious(internalKey: $0) }
    }
}
