import SortedTable

/// Chooses the next compaction. A pure function of the tables: no clock, no chance, no state, so
/// a test can ask it anything.
///
/// In this order: tables that can go unread (wholly expired, or covered by a newer range delete);
/// level 0 of the keyspace that has the most of it, unless the level it would go into is further
/// over its own target; the level that is furthest over its target; requested ranges; tables rich
/// in tombstones; tombstones that lie at the bottom already; small neighbours when there are too
/// many tables.
///
/// A table in quarantine is in no plan that would read it, nor in one that would put newer rows
/// below it. Level 0 is compacted into a level above such tables; where it has one itself, what is
/// older than it or beside it goes down, and then it sinks unread, so that what is newer can.
///
/// A pick costs time linear in the tables, with small factors: some hundred microseconds for 2,000.
struct CompactionPicker {
    let options: TreeOptions
    /// Rows of expiring keyspaces with an expiry at or below this are absent.
    let horizon: UInt64
    /// File ids of tables that must not be read.
    var quarantined: Set<UInt64> = []

    func pick(_ shapes: [LevelShape], requests: [CompactionRequest]) -> CompactionPlan? {
        for (keyspace, shape) in shapes.enumerated() {
            if let plan = expired(keyspace, shape) ?? covered(keyspace, shape) { return plan }
        }
        let levels = CompactionLevels(shapes, options, quarantined)
        if let plan = levelZero(levels) { return plan }
        if let plan = oversized(levels) { return plan }
        for request in requests {
            if let plan = requested(request, levels) { return plan }
        }
        for keyspace in shapes.indices {
            if let plan = tombstones(keyspace, levels) { return plan }
        }
        for keyspace in shapes.indices {
            if let plan = elision(keyspace, levels) { return plan }
        }
        return crowded(levels)
    }

    /// A compaction of level 0 that is due and can go before `running`, which is deeper.
    func urgent(_ shapes: [LevelShape], before running: CompactionPlan) -> CompactionPlan? {
        levelZero(CompactionLevels(shapes, options, quarantined), before: running)
    }

    /// True when nothing of the request lies above the last level any more.
    func isDone(_ request: CompactionRequest, _ shape: LevelShape) -> Bool {
        !shape.levels[..<LevelShape.last].contains { level in
            level.contains { concerns($0, request) }
        }
    }

    /// Bytes that compaction must still read and write until every level is at its target: what is
    /// too much on a level, with what it meets on the next one, and so on down.
    func debt(_ shapes: [LevelShape]) -> UInt64 {
        let levels = CompactionLevels(shapes, options, quarantined)
        var debt: UInt64 = 0
        for (shape, targets) in zip(shapes, levels.targets) {
            var coming: UInt64 = 0
            if zeroScore(shape) >= 1 {
                coming = shape.bytes(0)
                debt += coming + shape.bytes(targets.base)
            }
            for level in targets.base..<LevelShape.last {
                let size = shape.bytes(level) + coming
                guard size > targets.bytes[level] else { break }
                coming = size - targets.bytes[level]
                let share = Double(coming) / Double(size)
                debt += coming + UInt64(Double(shape.bytes(level + 1)) * share)
            }
        }
        return debt
    }

    // MARK: Without reading

    private func expired(_ keyspace: Int, _ shape: LevelShape) -> CompactionPlan? {
        guard options.keyspaces[keyspace].isExpiring, horizon > 0 else { return nil }
        for level in shape.levels.indices {
            let dead = shape.levels[level].indices.filter { index in
                shape.levels[level][index].isExpired(at: horizon)
                    && hidesOnlyExpired(shape, level, index)
            }
            if !dead.isEmpty {
                return drop(keyspace, .expired, level, dead.map { shape.levels[level][$0] })
            }
        }
        return nil
    }

    /// A row that an expired table hides must not come back: what is older and overlaps must be
    /// expired as well.
    private func hidesOnlyExpired(_ shape: LevelShape, _ level: Int, _ index: Int) -> Bool {
        let table = shape.levels[level][index]
        if level == 0 {
            let older = shape.levels[0][(index + 1)...]
            let isLive = older.contains { $0.overlaps(table) && !$0.isExpired(at: horizon) }
            if isLive { return false }
        }
        let span = KeySpan(table)
        return shape.levels.indices.dropFirst(level + 1).allSatisfy { deeper in
            shape.tables(deeper, overlapping: span).allSatisfy { $0.isExpired(at: horizon) }
        }
    }

    /// Tables of one level that lie wholly under range deletes of one younger table.
    private func covered(_ keyspace: Int, _ shape: LevelShape) -> CompactionPlan? {
        for level in shape.levels.indices {
            for index in shape.levels[level].indices
            where !shape.levels[level][index].tombstones.isEmpty {
                let tombstones = shape.levels[level][index].tombstones
                if level == 0 {
                    let dead = shape.levels[0][(index + 1)...].filter { $0.isCovered(tombstones) }
                    if !dead.isEmpty { return drop(keyspace, .covered, 0, Array(dead)) }
                }
                for deeper in shape.levels.indices.dropFirst(level + 1) {
                    let dead = covered(shape, deeper, tombstones)
                    if !dead.isEmpty { return drop(keyspace, .covered, deeper, dead) }
                }
            }
        }
        return nil
    }

    private func covered(
        _ shape: LevelShape, _ level: Int, _ tombstones: [RangeTombstone]
    ) -> [TableMetadata] {
        let count = shape.levels[level].count
        if count == 0 { return [] }
        var dead: [TableMetadata] = []
        for tombstone in tombstones {
            var place = shape.firstIndex(level, startingAtOrAfter: tombstone.lower)
            while place < count, shape.levels[level][place].endsBefore(tombstone.upper) {
                let table = shape.levels[level][place]
                if table.properties.maxSequence < tombstone.sequence { dead.append(table) }
                place += 1
            }
        }
        return dead
    }

    private func drop(
        _ keyspace: Int, _ reason: CompactionPlan.Reason, _ level: Int, _ tables: [TableMetadata]
    ) -> CompactionPlan {
        CompactionPlan(
            keyspace: keyspace, work: .drop, reason: reason, inputLevel: level, outputLevel: level,
            inputs: tables, outputs: [], tableBytes: options.tableBytes)
    }

    // MARK: By size

    /// How due level 0 is; from 1 on it is.
    private func zeroScore(_ shape: LevelShape) -> Double {
        let count = shape.levels[0].count
        let tables = Double(count) / Double(options.levelZeroTables)
        let bytes = Double(shape.bytes(0)) / Double(max(1, options.levelBaseBytes))
        return count > 1 ? max(tables, bytes) : tables
    }

    private func levelZero(
        _ levels: CompactionLevels, before running: CompactionPlan? = nil
    ) -> CompactionPlan? {
        let due = levels.shapes.enumerated().map { (score: zeroScore($1), keyspace: $0) }
            .filter { $0.score >= 1 }
            .sorted { ($1.score, $0.keyspace) < ($0.score, $1.keyspace) }
        for (score, keyspace) in due {
            // What goes down meets all of a base level that is never emptied: then that comes
            // first. Twice its target is no reason yet.
            let base = levels.score(keyspace, levels.targets[keyspace].base)
            if running == nil, base > max(2, score),
                let plan = smallest(keyspace, levels.targets[keyspace].base, levels)
            {
                return plan
            }
            let zero = movable(levels.shapes[keyspace])
            guard
                let plan = sinking(keyspace, levels.shapes[keyspace])
                    ?? down(keyspace, .levelZero, 0, zero, levels)
            else { continue }
            if running?.stands(beside: plan) ?? true { return plan }
        }
        return nil
    }

    private func oversized(_ levels: CompactionLevels) -> CompactionPlan? {
        var due: [(score: Double, keyspace: Int, level: Int)] = []
        for keyspace in levels.shapes.indices {
            for level in levels.targets[keyspace].base..<LevelShape.last {
                let score = levels.score(keyspace, level)
                if score > 1 { due.append((score, keyspace, level)) }
            }
        }
        due.sort { ($1.score, $0.keyspace, $0.level) < ($0.score, $1.keyspace, $1.level) }
        for item in due {
            if let plan = smallest(item.keyspace, item.level, levels) { return plan }
        }
        return nil
    }

    /// Moves the table of a level down that drags the fewest bytes of the next level along, per
    /// own byte.
    private func smallest(
        _ keyspace: Int, _ level: Int, _ levels: CompactionLevels
    ) -> CompactionPlan? {
        let shape = levels.shapes[keyspace]
        if level == LevelShape.last { return nil }
        var best: (ratio: Double, plan: CompactionPlan)?
        for table in shape.levels[level] {
            let overlap = shape.bytes(level + 1, overlapping: KeySpan(table))
            let ratio = Double(overlap) / Double(max(1, table.bytes))
            guard ratio < best?.ratio ?? .infinity else { continue }
            if let plan = down(keyspace, .size, level, [table], levels) { best = (ratio, plan) }
        }
        return best?.plan
    }

    /// More tables than may be open: joins a run of neighbours, the most tables per byte.
    private func crowded(_ levels: CompactionLevels) -> CompactionPlan? {
        guard levels.shapes.reduce(0, { $0 + $1.tableCount }) > options.tablesMax / 4 * 3 else {
            return nil
        }
        let limit = 4 * levels.tableBytes
        var best: (gain: Double, keyspace: Int, level: Int, range: Range<Int>)?
        for (keyspace, shape) in levels.shapes.enumerated() {
            for level in 1...LevelShape.last {
                let tables = shape.levels[level]
                var first = 0
                var bytes = 0
                for last in tables.indices {
                    if isQuarantined(tables[last]) {
                        (first, bytes) = (last + 1, 0)
                        continue
                    }
                    bytes += Int(clamping: tables[last].bytes)
                    while bytes > limit {
                        bytes -= Int(clamping: tables[first].bytes)
                        first += 1
                    }
                    // At most: outputs are also cut at half their size and by what lies below.
                    var saved = last - first - 2 * bytes / levels.tableBytes
                    if saved <= 0 { continue }
                    if level < LevelShape.last, let span = KeySpan([tables[first], tables[last]]) {
                        let below = shape.bytes(level + 1, overlapping: span)
                        saved -=
                            Int(clamping: below) / (options.grandparentTables * levels.tableBytes)
                    }
                    let gain = Double(saved) / Double(max(1, bytes))
                    if saved > 0, gain > best?.gain ?? 0 {
                        best = (gain, keyspace, level, first..<last + 1)
                    }
                }
            }
        }
        guard let best else { return nil }
        return CompactionPlan(
            keyspace: best.keyspace, work: .merge, reason: .count, inputLevel: best.level,
            outputLevel: best.level,
            inputs: Array(levels.shapes[best.keyspace].levels[best.level][best.range]),
            outputs: [], tableBytes: levels.tableBytes)
    }

    // MARK: By content

    private func concerns(_ table: TableMetadata, _ request: CompactionRequest) -> Bool {
        table.properties.minSequence <= request.sequence
            && table.overlaps(request.lower, request.upper)
    }

    private func requested(
        _ request: CompactionRequest, _ levels: CompactionLevels
    ) -> CompactionPlan? {
        let shape = levels.shapes[request.keyspace]
        let zero = movable(shape)
        if zero.contains(where: { concerns($0, request) }),
            let plan = down(request.keyspace, .requested, 0, zero, levels)
        {
            return plan
        }
        for level in 1..<LevelShape.last {
            for table in shape.levels[level].reversed() where concerns(table, request) {
                if let plan = down(request.keyspace, .requested, level, [table], levels) {
                    return plan
                }
            }
        }
        return nil
    }

    private func tombstones(_ keyspace: Int, _ levels: CompactionLevels) -> CompactionPlan? {
        let shape = levels.shapes[keyspace]
        let zero = movable(shape)
        if zero.contains(where: \.isRichInDeletes),
            let plan = down(keyspace, .tombstones, 0, zero, levels)
        {
            return plan
        }
        for level in 1..<LevelShape.last {
            for table in shape.levels[level]
            where table.isRichInDeletes || table.properties.rangeDeletes > 0 {
                if let plan = down(keyspace, .tombstones, level, [table], levels) { return plan }
            }
        }
        return nil
    }

    /// A table below level 0 with tombstones and nothing under it: rewriting drops them all.
    private func elision(_ keyspace: Int, _ levels: CompactionLevels) -> CompactionPlan? {
        let shape = levels.shapes[keyspace]
        for level in 1...LevelShape.last {
            for table in shape.levels[level]
            where table.hasTombstones && !isQuarantined(table)
                && !shape.hasDeeper(than: level, overlapping: table)
            {
                return CompactionPlan(
                    keyspace: keyspace, work: .merge, reason: .elision, inputLevel: level,
                    outputLevel: level, inputs: [table], outputs: [],
                    tableBytes: levels.tableBytes)
            }
        }
        return nil
    }

    // MARK: Plans

    /// Inputs of `level` into the next filled level: the base for level 0, the next one below it.
    /// Nil when there are none.
    private func down(
        _ keyspace: Int, _ reason: CompactionPlan.Reason, _ level: Int, _ inputs: [TableMetadata],
        _ levels: CompactionLevels
    ) -> CompactionPlan? {
        guard let span = KeySpan(inputs) else { return nil }
        let shape = levels.shapes[keyspace]
        let output = level == 0 ? levels.targets[keyspace].base : level + 1
        let outputs = shape.tables(output, overlapping: span)
        if !quarantined.isEmpty, (inputs + outputs).contains(where: isQuarantined) { return nil }
        var plan = CompactionPlan(
            keyspace: keyspace, work: .merge, reason: reason, inputLevel: level,
            outputLevel: output, inputs: inputs, outputs: outputs, tableBytes: levels.tableBytes)
        if canMove(plan, shape) { plan.work = .move }
        return plan
    }

    /// A table goes down unread when nothing meets it there, lz4 was tried on it, it is not much
    /// larger than tables are made, nor a burden for the level after, and rewriting it would drop
    /// nothing.
    private func canMove(_ plan: CompactionPlan, _ shape: LevelShape) -> Bool {
        guard plan.inputs.count == 1, plan.outputs.isEmpty, let table = plan.inputs.first else {
            return false
        }
        let properties = table.properties
        let isTried = properties.compressedBlocks + properties.refusedBlocks > 0
        if options.isCompressed && !isTried { return false }
        if table.bytes > UInt64(4 * plan.tableBytes) { return false }
        if table.hasTombstones && !shape.hasDeeper(than: plan.outputLevel, overlapping: table) {
            return false
        }
        if options.keyspaces[plan.keyspace].isExpiring && properties.minExpiry <= horizon {
            return false
        }
        guard plan.outputLevel < LevelShape.last else { return true }
        let burden = shape.bytes(plan.outputLevel + 1, overlapping: KeySpan(table))
        return burden <= UInt64(options.grandparentTables * plan.tableBytes)
    }
}

/// All keyspaces' tables with what follows from their sizes.
struct CompactionLevels {
    let shapes: [LevelShape]
    let targets: [LevelTargets]
    /// Where outputs are cut: it grows with the data, so that their number does not.
    let tableBytes: Int

    init(_ shapes: [LevelShape], _ options: TreeOptions, _ quarantined: Set<UInt64> = []) {
        self.shapes = shapes
        targets = shapes.map { shape in
            LevelTargets(shape, options, ceiling: shape.firstLevel(with: quarantined) ?? .max)
        }
        tableBytes = options.tableBytes(holding: shapes.reduce(0) { $0 + $1.bytes })
    }

    /// How many times its target a level below 0 holds; 0 for the last.
    func score(_ keyspace: Int, _ level: Int) -> Double {
        if level == LevelShape.last { return 0 }
        let target = max(1, targets[keyspace].bytes[level])
        return Double(shapes[keyspace].bytes(level)) / Double(target)
    }
}

extension TreeOptions {
    /// Where compaction cuts its outputs in a tree of `total` bytes: a quarter of the tables that
    /// may be open would hold them. The rest is for tables that are not full, for those written
    /// when the tree was smaller, and for level 0.
    func tableBytes(holding total: UInt64) -> Int {
        max(tableBytes, Int(clamping: total) / max(1, tablesMax / 4))
    }
}

extension TableMetadata {
    /// True when deletes are half of the rows, or half of the rows in a tenth of the blocks: scans
    /// are slow there.
    var isRichInDeletes: Bool {
        if properties.rows > 0 && properties.deletes * 2 >= properties.rows { return true }
        return properties.deleteDenseBlocks * 10 >= max(10, properties.dataBlocks)
    }

    /// True when one of `tombstones` (disjoint, ascending) hides every row of the table.
    func isCovered(_ tombstones: [RangeTombstone]) -> Bool {
        var low = 0
        var high = tombstones.count
        while low < high {
            let middle = (low + high) / 2
            if KeyOrder.less(smallest, tombstones[middle].lower) {
                high = middle
            } else {
                low = middle + 1
            }
        }
        guard low > 0 else { return false }
        let tombstone = tombstones[low - 1]
        return properties.maxSequence < tombstone.sequence && endsBefore(tombstone.upper)
    }
}
