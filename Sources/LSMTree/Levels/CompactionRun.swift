import SortedTable

/// Carries out a plan up to the point where the manifest must say so.
struct CompactionRun {
    let plan: CompactionPlan
    /// The keyspace's tables when the plan was made. Until it is installed only level 0 can change,
    /// by tables that are newer wherever they overlap.
    let levels: KeyspaceLevels
    let store: TableStore
    let horizon: UInt64
    let mustStop: @Sendable () -> Bool

    /// What installs the result.
    struct Result: Sendable {
        var remove: [(level: Int, table: TableHandle)]
        var add: [(level: Int, table: TableHandle)]
    }

    /// Tables of the result are synced, their directory as well. Nil when told to stop.
    func run() throws(TableError) -> Result? {
        let inputs = handles(plan.inputLevel, plan.inputs)
        let outputs = handles(plan.outputLevel, plan.outputs)
        let removed =
            inputs.map { (level: plan.inputLevel, table: $0) }
            + outputs.map { (level: plan.outputLevel, table: $0) }
        switch plan.work {
        case .drop:
            return Result(remove: removed, add: [])
        case .move:
            return Result(remove: removed, add: inputs.map { (plan.outputLevel, $0) })
        case .merge:
            guard let tables = try merge(inputs, outputs) else { return nil }
            return Result(remove: removed, add: tables.map { (plan.outputLevel, $0) })
        }
    }

    private func handles(_ level: Int, _ tables: [TableMetadata]) -> [TableHandle] {
        let wanted = Set(tables.map(\.fileID))
        let found = levels.levels[level].filter { wanted.contains($0.metadata.fileID) }
        precondition(found.count == wanted.count, "a plan's inputs stay until it is installed")
        return found
    }

    private func merge(
        _ inputs: [TableHandle], _ outputs: [TableHandle]
    ) throws(TableError) -> [TableHandle]? {
        var sources: [MergeSource] = []
        if plan.inputLevel == 0 {
            sources += inputs.map { TableSource($0) }
        } else {
            sources.append(LevelSource(inputs, tombstones: Self.tombstones(of: inputs)))
        }
        if !outputs.isEmpty {
            sources.append(LevelSource(outputs, tombstones: Self.tombstones(of: outputs)))
        }
        let keyspace = store.options.keyspaces[plan.keyspace]
        let older = OlderTables(levels.shape, below: plan.outputLevel)
        let kept = Self.tombstones(of: inputs + outputs)?.newestTombstones.filter {
            older.mayHold($0)
        }
        let next = plan.outputLevel + 1
        let below = next < TreeOptions.levelCount ? levels.levels[next].map(\.metadata) : []
        let output = TableOutput(
            store, keyspace, level: plan.outputLevel, tombstones: kept ?? [],
            cutter: OutputCutter(store.options, below: below))
        var cursor = MergeCursor(sources, at: InternalKey.sequenceMax)
        var rewriter = Rewriter(
            options: keyspace, horizon: horizon, older: older, mustStop: mustStop)
        do throws(TableError) {
            guard try rewriter.run(&cursor, output) else {
                output.discard()
                return nil
            }
            if !output.tables.isEmpty { try store.syncDirectory() }
            return output.tables
        } catch {
            output.discard()
            throw error
        }
    }

    private static func tombstones(of tables: [TableHandle]) -> RangeTombstoneSet? {
        var set = RangeTombstoneSet(keepsHistory: false)
        for table in tables {
            if let own = table.tombstones { set.insert(own) }
        }
        return set.isEmpty ? nil : set
    }
}
