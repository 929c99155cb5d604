import SortedTable

/// Carries out a plan, slice by slice, up to the point where the manifest must say so. Confined to
/// the compaction lane.
final class CompactionRun {
    /// What installs the result.
    struct Result: Sendable {
        var remove: [(level: Int, table: TableHandle)]
        var add: [(level: Int, table: TableHandle)]
    }

    let plan: CompactionPlan
    private let inputs: [TableHandle]
    private let outputs: [TableHandle]
    private let rewrite: Rewrite?

    /// - Parameter levels: the keyspace's tables when the plan was made. What changes meanwhile is
    ///   level 0, by tables that are newer wherever they overlap, and, when this gives way to a
    ///   compaction of level 0, that one's output level: see ``CompactionPlan/stands(beside:)``.
    init(
        _ plan: CompactionPlan, _ levels: KeyspaceLevels, _ store: TableStore, horizon: UInt64
    ) {
        self.plan = plan
        inputs = Self.handles(levels, plan.inputLevel, plan.inputs)
        outputs = Self.handles(levels, plan.outputLevel, plan.outputs)
        rewrite =
            plan.work == .merge
            ? Rewrite(plan, levels, inputs, outputs, store, horizon: horizon) : nil
    }

    /// Works through about `bytes` of rows. The answer comes with the last of them: its tables are
    /// synced, their directory as well.
    func step(bytes: Int) throws(TableError) -> Result? {
        let removed =
            inputs.map { (level: plan.inputLevel, table: $0) }
            + outputs.map { (level: plan.outputLevel, table: $0) }
        switch plan.work {
        case .drop:
            return Result(remove: removed, add: [])
        case .move:
            return Result(remove: removed, add: inputs.map { (plan.outputLevel, $0) })
        case .merge:
            guard let tables = try rewrite?.step(bytes: bytes) else { return nil }
            return Result(remove: removed, add: tables.map { (plan.outputLevel, $0) })
        }
    }

    /// Removes what was written.
    func discard() { rewrite?.discard() }

    private static func handles(
        _ levels: KeyspaceLevels, _ level: Int, _ tables: [TableMetadata]
    ) -> [TableHandle] {
        let wanted = Set(tables.map(\.fileID))
        let found = levels.levels[level].filter { wanted.contains($0.metadata.fileID) }
        precondition(found.count == wanted.count, "a plan's inputs stay until it is installed")
        return found
    }
}

/// A merge of tables into new ones, which can be left and taken up again.
private final class Rewrite {
    /// Keep the tables of `runs`.
    private let handles: [TableHandle]
    /// What the cursor reads; freed with this.
    private let runs: [ReadPlan.Run]
    private let store: TableStore
    private let output: TableOutput
    private var cursor: MergeCursor
    private var rewriter: Rewriter
    private var isStarted = false

    init(
        _ plan: CompactionPlan, _ levels: KeyspaceLevels, _ inputs: [TableHandle],
        _ outputs: [TableHandle], _ store: TableStore, horizon: UInt64
    ) {
        self.store = store
        handles = inputs + outputs
        let groups =
            (plan.inputLevel == 0 ? Self.runs(inputs) : [inputs])
            + (outputs.isEmpty ? [] : [outputs])
        runs = groups.map { ReadPlan.Run($0, level: plan.inputLevel) }
        let keyspace = store.options.keyspaces[plan.keyspace]
        let older = OlderTables(levels.shape, below: plan.outputLevel)
        let kept = Self.tombstones(of: inputs + outputs)?.newestTombstones.filter {
            older.mayHold($0)
        }
        let next = plan.outputLevel + 1
        let below = next < TreeOptions.levelCount ? levels.shape.levels[next] : []
        output = TableOutput(
            store, keyspace, tombstones: kept ?? [],
            cutter: OutputCutter(store.options, tableBytes: plan.tableBytes, below: below))
        cursor = MergeCursor(capacity: runs.count, at: InternalKey.sequenceMax)
        let isLast = levels.shape.levels[next...].allSatisfy(\.isEmpty)
        for (place, run) in runs.enumerated() {
            // With nothing below, nobody needs what is dead in the oldest tables.
            let mayPass = isLast && place + 1 == runs.count
            cursor.add(
                MergeSource(
                    run.all, tombstones: Self.tombstones(of: groups[place]),
                    expiryHorizon: mayPass ? (keyspace.isExpiring ? horizon : 0) : nil))
        }
        rewriter = Rewriter(options: keyspace, horizon: horizon, older: older)
    }

    deinit {
        for run in runs { run.deallocate() }
    }

    /// The new tables once all rows went through.
    func step(bytes: Int) throws(TableError) -> [TableHandle]? {
        if !isStarted { try Rewriter.start(&cursor) }
        isStarted = true
        guard try rewriter.run(&cursor, output, bytes: bytes) else { return nil }
        if !output.tables.isEmpty { try store.syncDirectory() }
        return output.tables
    }

    func discard() { output.discard() }

    /// The runs of level 0: a flushed table, or all tables of an ingest, which are disjoint and
    /// share their highest sequence. (Tables that a repair found may share it and overlap: then
    /// each is a run.)
    private static func runs(_ tables: [TableHandle]) -> [[TableHandle]] {
        var runs: [[TableHandle]] = []
        var rest = tables[...]
        while let first = rest.first {
            let sequence = first.metadata.properties.maxSequence
            let run = rest.prefix { $0.metadata.properties.maxSequence == sequence }
            rest = rest.dropFirst(run.count)
            let sorted = run.sorted { KeyOrder.less($0.metadata.smallest, $1.metadata.smallest) }
            let areDisjoint = zip(sorted, sorted.dropFirst()).allSatisfy { left, right in
                left.metadata.endsBefore(right.metadata.smallest)
            }
            runs += areDisjoint ? [sorted] : run.map { [$0] }
        }
        return runs
    }

    private static func tombstones(of tables: [TableHandle]) -> RangeTombstoneSet? {
        var set = RangeTombstoneSet(keepsHistory: false)
        for table in tables {
            if let own = table.tombstones { set.insert(own) }
        }
        return set.isEmpty ? nil : set
    }
}
