import SortedTable

/// What a compaction is to do. Inputs are named by file id; the runner finds the open tables.
struct CompactionPlan: Sendable, Equatable {
    enum Work: Sendable, Equatable {
        /// Merge the inputs into new tables of the output level.
        case merge
        /// Put the single input into the output level as it is.
        case move
        /// Drop the inputs unread: nothing in them can be seen any more.
        case drop
    }

    /// Why it was picked; for statistics and tests.
    enum Reason: Sendable, Equatable {
        case expired, covered, levelZero, size, requested, tombstones, elision
    }

    var keyspace: Int
    var work: Work
    var reason: Reason
    var inputLevel: Int
    var outputLevel: Int
    /// Tables of the input level; in level 0 newest first.
    var inputs: [TableMetadata]
    /// Tables of the output level that take part.
    var outputs: [TableMetadata]
}

/// A wish that a range reach the last level.
struct CompactionRequest: Sendable, Equatable {
    var keyspace: Int
    var lower: [UInt8]
    var upper: [UInt8]?
    /// Tables that only hold later rows are left alone.
    var sequence: SequenceNumber
}

/// Chooses the next compaction. A pure function of the tables: no clock, no chance, no state, so
/// a test can ask it anything.
///
/// In this order: tables that can go unread (wholly expired, or covered by a newer range delete);
/// level 0 of the keyspace that has the most of it; the level that is furthest over its target;
/// requested ranges; tables rich in tombstones; tombstones that lie at the bottom already.
struct CompactionPicker {
    let options: TreeOptions
    /// Rows of expiring keyspaces with an expiry at or below this are absent.
    let horizon: UInt64

    func pick(_ shapes: [LevelShape], requests: [CompactionRequest]) -> CompactionPlan? {
        for (keyspace, shape) in shapes.enumerated() {
            if let plan = expired(keyspace, shape) ?? covered(keyspace, shape) { return plan }
        }
        let targets = shapes.map { LevelTargets($0, options) }
        if let plan = levelZero(shapes, targets) { return plan }
        if let plan = oversized(shapes, targets) { return plan }
        for request in requests {
            let keyspace = request.keyspace
            if let plan = requested(request, shapes[keyspace], targets[keyspace]) { return plan }
        }
        for (keyspace, shape) in shapes.enumerated() {
            if let plan = tombstones(keyspace, shape, targets[keyspace]) { return plan }
        }
        for (keyspace, shape) in shapes.enumerated() {
            if let plan = elision(keyspace, shape) { return plan }
        }
        return nil
    }

    /// True when nothing of the request lies above the last level any more.
    func isDone(_ request: CompactionRequest, _ shape: LevelShape) -> Bool {
        !shape.levels[..<LevelShape.last].contains { level in
            level.contains { concerns($0, request) }
        }
    }

    /// Bytes that compaction must still move until every level is at its target.
    func debt(_ shapes: [LevelShape]) -> UInt64 {
        var debt: UInt64 = 0
        for shape in shapes {
            let targets = LevelTargets(shape, options)
            if shape.levels[0].count >= options.levelZeroTables {
                debt += shape.bytes(0) + shape.bytes(targets.base)
            }
            for level in targets.base..<LevelShape.last {
                let bytes = shape.bytes(level)
                // Each byte moved down meets about a fan-out of bytes there.
                if bytes > targets.bytes[level] {
                    debt += (bytes - targets.bytes[level]) * (options.levelFanOut + 1)
                }
            }
        }
        return debt
    }

    // MARK: Without reading

    private func expired(_ keyspace: Int, _ shape: LevelShape) -> CompactionPlan? {
        guard options.keyspaces[keyspace].isExpiring, horizon > 0 else { return nil }
        for (level, tables) in shape.levels.enumerated() {
            for (index, table) in tables.enumerated() where table.isExpired(at: horizon) {
                // A row that this table hides must not come back: what is older and overlaps must
                // be expired as well.
                let older = Self.older(shape, level, index).filter { $0.table.overlaps(table) }
                guard older.allSatisfy({ $0.table.isExpired(at: horizon) }) else { continue }
                return drop(keyspace, .expired, level, table)
            }
        }
        return nil
    }

    private func covered(_ keyspace: Int, _ shape: LevelShape) -> CompactionPlan? {
        for (level, tables) in shape.levels.enumerated() {
            for (index, table) in tables.enumerated() where !table.tombstones.isEmpty {
                for (deeper, candidate) in Self.older(shape, level, index) {
                    let isCovered = table.tombstones.contains { tombstone in
                        candidate.properties.maxSequence < tombstone.sequence
                            && !KeyOrder.less(candidate.smallest, tombstone.lower)
                            && candidate.endsBefore(tombstone.upper)
                    }
                    if isCovered { return drop(keyspace, .covered, deeper, candidate) }
                }
            }
        }
        return nil
    }

    /// Tables that are older than the one at `index` of `level` wherever they overlap it.
    private static func older(
        _ shape: LevelShape, _ level: Int, _ index: Int
    ) -> [(level: Int, table: TableMetadata)] {
        var result: [(Int, TableMetadata)] = []
        if level == 0 { result += shape.levels[0][(index + 1)...].map { (0, $0) } }
        for deeper in (level + 1)..<max(level + 1, shape.levels.count) {
            result += shape.levels[deeper].map { (deeper, $0) }
        }
        return result
    }

    private func drop(
        _ keyspace: Int, _ reason: CompactionPlan.Reason, _ level: Int, _ table: TableMetadata
    ) -> CompactionPlan {
        CompactionPlan(
            keyspace: keyspace, work: .drop, reason: reason, inputLevel: level, outputLevel: level,
            inputs: [table], outputs: [])
    }

    // MARK: By size

    private func levelZero(_ shapes: [LevelShape], _ targets: [LevelTargets]) -> CompactionPlan? {
        var best: (score: Double, keyspace: Int)?
        for (keyspace, shape) in shapes.enumerated() {
            let tables = Double(shape.levels[0].count) / Double(options.levelZeroTables)
            let bytes = Double(shape.bytes(0)) / Double(max(1, options.levelBaseBytes))
            let score = shape.levels[0].count > 1 ? max(tables, bytes) : tables
            if score >= 1, score > best?.score ?? 0 { best = (score, keyspace) }
        }
        guard let best else { return nil }
        let shape = shapes[best.keyspace]
        return down(best.keyspace, .levelZero, shape, 0, shape.levels[0], targets[best.keyspace])
    }

    private func oversized(_ shapes: [LevelShape], _ targets: [LevelTargets]) -> CompactionPlan? {
        var best: (score: Double, keyspace: Int, level: Int)?
        for (keyspace, shape) in shapes.enumerated() {
            for level in targets[keyspace].base..<LevelShape.last {
                let target = Double(max(1, targets[keyspace].bytes[level]))
                let score = Double(shape.bytes(level)) / target
                if score > 1, score > best?.score ?? 0 { best = (score, keyspace, level) }
            }
        }
        guard let best else { return nil }
        let shape = shapes[best.keyspace]
        guard let table = cheapest(shape, best.level) else { return nil }
        return down(best.keyspace, .size, shape, best.level, [table], targets[best.keyspace])
    }

    /// The table of a level that drags the fewest bytes of the next level along, per own byte.
    private func cheapest(_ shape: LevelShape, _ level: Int) -> TableMetadata? {
        var best: (ratio: Double, table: TableMetadata)?
        for table in shape.levels[level] {
            guard let span = KeySpan([table]) else { continue }
            let overlap = shape.tables(level + 1, overlapping: span).reduce(0) { $0 + $1.bytes }
            let ratio = Double(overlap) / Double(max(1, table.bytes))
            if ratio < best?.ratio ?? .infinity { best = (ratio, table) }
        }
        return best?.table
    }

    // MARK: By content

    private func concerns(_ table: TableMetadata, _ request: CompactionRequest) -> Bool {
        table.properties.minSequence <= request.sequence
            && table.overlaps(request.lower, request.upper)
    }

    private func requested(
        _ request: CompactionRequest, _ shape: LevelShape, _ targets: LevelTargets
    ) -> CompactionPlan? {
        for level in 0..<LevelShape.last {
            guard let table = shape.levels[level].last(where: { concerns($0, request) }) else {
                continue
            }
            let inputs = level == 0 ? shape.levels[0] : [table]
            return down(request.keyspace, .requested, shape, level, inputs, targets)
        }
        return nil
    }

    private func tombstones(
        _ keyspace: Int, _ shape: LevelShape, _ targets: LevelTargets
    ) -> CompactionPlan? {
        for level in 0..<LevelShape.last {
            let dense = shape.levels[level].first { table in
                let properties = table.properties
                let isDense = properties.rows > 0 && properties.deletes * 2 >= properties.rows
                return isDense || (level > 0 && properties.rangeDeletes > 0)
            }
            guard let dense else { continue }
            let inputs = level == 0 ? shape.levels[0] : [dense]
            return down(keyspace, .tombstones, shape, level, inputs, targets)
        }
        return nil
    }

    /// A table below level 0 with tombstones and nothing under it: rewriting drops them all.
    private func elision(_ keyspace: Int, _ shape: LevelShape) -> CompactionPlan? {
        for level in 1...LevelShape.last {
            for table in shape.levels[level]
            where table.hasTombstones && !shape.hasDeeper(than: level, overlapping: table) {
                return CompactionPlan(
                    keyspace: keyspace, work: .merge, reason: .elision, inputLevel: level,
                    outputLevel: level, inputs: [table], outputs: [])
            }
        }
        return nil
    }

    // MARK: Plans

    /// Inputs of `level` into the next filled level: the base for level 0, the next one below it.
    private func down(
        _ keyspace: Int, _ reason: CompactionPlan.Reason, _ shape: LevelShape, _ level: Int,
        _ inputs: [TableMetadata], _ targets: LevelTargets
    ) -> CompactionPlan? {
        guard let span = KeySpan(inputs) else { return nil }
        let output = level == 0 ? targets.base : level + 1
        let outputs = shape.tables(output, overlapping: span)
        var plan = CompactionPlan(
            keyspace: keyspace, work: .merge, reason: reason, inputLevel: level,
            outputLevel: output, inputs: inputs, outputs: outputs)
        if canMove(plan, shape) { plan.work = .move }
        return plan
    }

    /// A table goes down unread when nothing meets it there, it has the form of that level, it is
    /// not a burden for the level after, and rewriting it would drop nothing.
    private func canMove(_ plan: CompactionPlan, _ shape: LevelShape) -> Bool {
        guard plan.inputs.count == 1, plan.outputs.isEmpty, let table = plan.inputs.first,
            let span = KeySpan(plan.inputs)
        else { return false }
        let properties = table.properties
        let isTried = properties.compressedBlocks + properties.refusedBlocks > 0
        if options.compresses(level: plan.outputLevel) && !isTried { return false }
        if table.hasTombstones && !shape.hasDeeper(than: plan.outputLevel, overlapping: table) {
            return false
        }
        if options.keyspaces[plan.keyspace].isExpiring && properties.minExpiry <= horizon {
            return false
        }
        guard plan.outputLevel < LevelShape.last else { return true }
        let below = shape.tables(plan.outputLevel + 1, overlapping: span)
        let burden = below.reduce(0) { $0 + $1.bytes }
        return burden <= UInt64(options.grandparentTables * options.tableBytes)
    }
}

extension TreeOptions {
    /// Whether tables of this level try lz4.
    func compresses(level: Int) -> Bool { isCompressed && level > 1 }
}
