import SortedTable

/// Levels for tables whose levels nobody knows, found from their rows.
///
/// **What an order must do.** A reader looks through level 0 by falling highest sequence, then down
/// the levels, and stops at the first table that has a row of the key, or a range tombstone over
/// it. So an arrangement is right when, for every key, the table with the newer row or tombstone
/// comes before each table with an older one. Nothing else about levels matters to readers.
///
/// **Why not everything into level 0.** That is right for tables as they were flushed, whose
/// sequences follow each other. It is wrong once tables were merged: a table deep down may have one
/// row of yesterday and, of another key, one of last year, of which a table above it has a newer
/// one; by highest sequence the deep table would come first and the old row would be read.
/// Neither can file ids tell, since a merge of old rows has a new id.
///
/// **So the rows are asked.** One merge over all tables of the keyspace gives every pair of tables
/// of which one must come before the other (``RowOrder``). The tables are then placed from the
/// oldest up, each as deep as those pairs and the rule that a level's tables are disjoint allow,
/// and what fits nowhere goes to level 0. At the end every pair is checked against the order that
/// readers use. An arrangement that is given is therefore right whatever the history was; that
/// none is found happens when tables of different times are mixed: one of them says so by not
/// fitting, is named, and must be left out.
struct TableArrangement {
    /// Tables with their levels.
    private(set) var placed: [(level: Int, table: TableMetadata)] = []
    /// Tables for which no place is right; empty when the arrangement is.
    private(set) var conflicts: [TableMetadata] = []

    /// Arranges `tables`, of one keyspace.
    init(_ tables: [TableMetadata], _ order: RowOrder) {
        var levels = [Int?](repeating: nil, count: tables.count)
        for place in order.oldestFirst(tables) {
            levels[place] = Self.level(of: place, tables, order, levels)
        }
        var bad = Set(tables.indices.filter { levels[$0] == nil })
        for pair in order.pairs {
            guard let newer = levels[pair.newer], let older = levels[pair.older] else { continue }
            let isRight =
                newer == 0 && older == 0
                ? tables[pair.newer].properties.maxSequence
                    > tables[pair.older].properties.maxSequence
                : newer < older
            if !isRight { bad.formUnion([pair.newer, pair.older]) }
        }
        conflicts = bad.sorted().map { tables[$0] }
        for (place, level) in levels.enumerated() {
            if let level { placed.append((level, tables[place])) }
        }
    }

    /// The deepest level for a table whose older tables have theirs.
    private static func level(
        of place: Int, _ tables: [TableMetadata], _ order: RowOrder, _ levels: [Int?]
    ) -> Int {
        let above = order.older[place, default: []].compactMap { levels[$0] }.min()
        let deepest = above.map { $0 - 1 } ?? LevelShape.last
        for level in stride(from: deepest, to: 0, by: -1) {
            let isFree = !tables.indices.contains { other in
                levels[other] == level && tables[other].overlaps(tables[place])
            }
            if isFree { return level }
        }
        return 0
    }
}

/// Which of several tables must come before which, and whose rows are needed.
struct RowOrder {
    struct Pair: Hashable {
        let newer: Int
        let older: Int
    }

    /// Every pair of tables with a newer and an older row, or range tombstone, for one key.
    private(set) var pairs: Set<Pair> = []
    /// For each table, the older ones of its pairs.
    private(set) var older: [Int: Set<Int>] = [:]
    /// Rows that no newer row or range tombstone hides and that no table with a higher file id has
    /// as well, by table.
    private(set) var needed: [UInt64]
    /// Rows that a table with a higher file id has as well: one of the two tables was made from the
    /// other, and they never were in the tree together.
    private(set) var repeated: [UInt64]

    /// Reads all rows of `summaries`, of one keyspace.
    init(
        _ summaries: [TableSummary], open: @escaping (TableSummary) throws -> TableReader
    ) throws {
        needed = Array(repeating: 0, count: summaries.count)
        repeated = needed
        var merge = try TableMerge(summaries, open: open)
        var key: [UInt8] = []
        var rows: [(table: Int, sequence: SequenceNumber)] = []
        var covers: [TableMerge.Cover] = []
        while merge.isValid {
            let userKey = InternalKey.userKey(merge.key)
            if rows.isEmpty || KeyOrder.compare(key, userKey) != 0 {
                take(rows, covers)
                rows.removeAll(keepingCapacity: true)
                key = [UInt8](userKey)
                covers = merge.covering
            }
            rows.append((merge.table, InternalKey.sequence(merge.key)))
            try merge.next()
        }
        take(rows, covers)
    }

    /// Takes all rows of one key, the newest first, and the tombstones over it.
    private mutating func take(
        _ rows: [(table: Int, sequence: SequenceNumber)], _ covers: [TableMerge.Cover]
    ) {
        let cover = covers.map(\.tombstone.sequence).max() ?? 0
        for (index, row) in rows.enumerated() {
            if index > 0, rows[index - 1].sequence == row.sequence {
                repeated[row.table] += 1
            } else if index == 0, row.sequence > cover {
                needed[row.table] += 1
            }
            for newer in rows[..<index] where newer.sequence > row.sequence {
                add(newer.table, before: row.table)
            }
            for cover in covers {
                if cover.tombstone.sequence > row.sequence {
                    add(cover.table, before: row.table)
                } else {
                    add(row.table, before: cover.table)
                }
            }
        }
    }

    private mutating func add(_ newer: Int, before table: Int) {
        if newer == table { return }
        if pairs.insert(Pair(newer: newer, older: table)).inserted {
            older[newer, default: []].insert(table)
        }
    }

    /// The tables in an order in which each comes after all its older ones; without those for which
    /// there is none, since they are in a circle.
    func oldestFirst(_ tables: [TableMetadata]) -> [Int] {
        var newer: [Int: [Int]] = [:]
        var waitsFor = [Int](repeating: 0, count: tables.count)
        for pair in pairs {
            newer[pair.older, default: []].append(pair.newer)
            waitsFor[pair.newer] += 1
        }
        // The order among those that may come next is fixed, so that one directory gives one plan.
        func isAfter(_ left: Int, _ right: Int) -> Bool {
            let a = (tables[left].properties.maxSequence, tables[left].fileID)
            let b = (tables[right].properties.maxSequence, tables[right].fileID)
            return a > b
        }
        var ready = tables.indices.filter { waitsFor[$0] == 0 }.sorted(by: isAfter)
        var result: [Int] = []
        while let next = ready.popLast() {
            result.append(next)
            for other in newer[next, default: []] {
                waitsFor[other] -= 1
                guard waitsFor[other] == 0 else { continue }
                let place = ready.firstIndex { isAfter(other, $0) } ?? ready.count
                ready.insert(other, at: place)
            }
        }
        return result
    }
}
