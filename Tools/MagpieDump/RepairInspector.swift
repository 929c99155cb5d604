import LSMTree
import Platform
import RaftCore
import Replication
import ShardStore
import SortedTable

/// `db repair`: what a repair of the tree would do, says so, and does it when it is told to.
struct RepairInspector {
    /// Where the list of tables comes from.
    enum Source: String, CaseIterable {
        case automatic = "auto"
        case manifest, tables
    }

    /// What the caller wants.
    struct Wishes {
        var source = Source.automatic
        /// False: only say what would be done.
        var writes = false
        /// File ids of tables to leave out.
        var leftOut: Set<UInt64> = []
        /// Make positions of what the log says when the manifest's are lost or do not join on.
        var takesPositionsFromLog = false
    }

    let places: Places
    let report: Report
    var keys = KeyText()

    /// The whole of it, for one data directory.
    func repair(_ path: String, _ wishes: Wishes) throws {
        let (tree, data) = try directories(path)
        let lock = try takeLock(data, mustMake: wishes.writes)
        defer { lock?.release() }
        let repair = try TreeRepair(fileSystem: places.fileSystem, directory: tree)
        if repair.history.manifest == nil, repair.sound.isEmpty, repair.unreadable.isEmpty {
            throw UsageMistake("\(tree) has neither a manifest nor tables: there is nothing")
        }
        addDamage(repair, tree)
        guard repair.isDamaged || wishes.source == .tables || !wishes.leftOut.isEmpty else {
            report.add(
                "sound", "\(tree) needs no repair: its manifest and all tables are whole",
                [("directory", .text(tree))])
            return
        }
        let coverage = try logCoverage(data)
        let plan = try choose(repair, wishes, coverage)
        addPlan(plan, repair, tree)
        if !plan.conflicts.isEmpty { return addConflicts(plan, tree) }
        let positions = RepairPositions(
            repair: repair, plan: plan, coverage: coverage,
            takesFromLog: wishes.takesPositionsFromLog)
        positions.add(to: report, file: tree)
        guard wishes.writes else {
            report.addCorrupt(
                file: tree, offset: 0, expected: "a tree that opens",
                found: "one that needs this repair; nothing was changed, --write does it")
            return
        }
        let outcome = try repair.write(plan, state: positions.state)
        report.add(
            "written",
            "written: \(outcome.manifest), and CURRENT names it. What was there before has second "
                + "names in \(outcome.aside); remove that when all is well",
            [("manifest", .text(outcome.manifest)), ("aside", .text(outcome.aside))])
    }

    // MARK: Places

    /// The tree's directory and the data directory that a path stands for.
    private func directories(_ path: String) throws -> (tree: String, data: String) {
        guard places.names(path) != nil else { throw UsageMistake("\(path) is no directory") }
        let inner = path.hasSuffix("/") ? path + "tree" : path + "/tree"
        if places.names(inner) != nil { return (inner, path) }
        return (path, Places.name(path) == "tree" ? Places.directory(path) : path)
    }

    /// Takes the lock that a node holds while it runs. A look alone makes no lock file.
    private func takeLock(_ data: String, mustMake: Bool) throws -> (any DirectoryLock)? {
        let path = data + "/LOCK"
        guard try mustMake || places.fileSystem.exists(path) else { return nil }
        do {
            return try places.fileSystem.lock(path, note: "magpie-dump db repair")
        } catch {
            if case .locked(let holder) = error.reason {
                throw UsageMistake("\(data) is in use by \(holder): stop it first")
            }
            throw error
        }
    }

    private func logCoverage(_ data: String) throws -> [GroupID: LogCoverage]? {
        let path = data + "/log"
        guard places.names(path) != nil, try !places.segments(path).isEmpty else { return nil }
        return try LogInspector(places: places, report: report).coverage(path)
    }

    // MARK: The plan

    /// The manifest is followed while it leads to a tree that the log joins on to, and the tables
    /// are asked otherwise.
    private func choose(
        _ repair: TreeRepair, _ wishes: Wishes, _ coverage: [GroupID: LogCoverage]?
    ) throws -> RepairPlan {
        let followed = repair.planFromManifest()
        switch wishes.source {
        case .tables: return try repair.planFromTables(leavingOut: wishes.leftOut)
        case .manifest:
            guard let followed else {
                throw UsageMistake("no manifest can be read as far as the end of its opening")
            }
            if !wishes.leftOut.isEmpty {
                throw UsageMistake("tables are left out of a list from tables, not of a manifest's")
            }
            return followed
        case .automatic: break
        }
        guard let followed, wishes.leftOut.isEmpty else {
            return try repair.planFromTables(leavingOut: wishes.leftOut)
        }
        let hasUnlisted = followed.unused.contains { $0.why == .unlisted }
        let isReplaced = followed.losses.contains(where: \.isMissing)
        let joins = Self.joins(repair.history.state, coverage)
        if hasUnlisted, isReplaced || (repair.history.damage != nil && !joins) {
            return try repair.planFromTables()
        }
        return followed
    }

    /// Whether the log holds everything above the positions of `state`.
    private static func joins(_ state: [UInt8]?, _ coverage: [GroupID: LogCoverage]?) -> Bool {
        guard let coverage, let positions = try? CutStateFormat.decode(state ?? []) else {
            return false
        }
        return positions.allSatisfy { coverage[$0.shard]?.missing(above: $0.index) == nil }
    }

    // MARK: Lines

    private func addDamage(_ repair: TreeRepair, _ tree: String) {
        let history = repair.history
        if let damage = history.currentDamage {
            addDamage(tree + "/CURRENT", damage)
        }
        for (name, why) in history.unreadable { addDamage(tree + "/" + name, "\(why)") }
        if let damage = history.damage {
            addDamage(
                tree + "/" + TableInspector.hex(history.manifest ?? 0) + ".manifest",
                "\(damage); the \(history.records) records before are taken")
        }
    }

    private func addDamage(_ file: String, _ what: String) {
        report.add(
            "damage", "damaged: \(file): \(what)", [("file", .text(file)), ("what", .text(what))])
    }

    private func addPlan(_ plan: RepairPlan, _ repair: TreeRepair, _ tree: String) {
        let how =
            plan.isExact
            ? "exactly as after the last readable record"
            : "as far as their rows can be read"
        report.add(
            "plan",
            "\(tree): a manifest with \(plan.tables.count) tables, \(how), last sequence "
                + "\(plan.lastSequence):",
            [
                ("directory", .text(tree)), ("tables", .number(plan.tables.count)),
                ("isExact", .flag(plan.isExact)), ("lastSequence", .number(plan.lastSequence)),
            ])
        let lines = ManifestInspector(places: places, report: report, keys: keys)
        for table in plan.tables {
            lines.add(TreeShape.Listed(level: table.level, summary: table.summary, offset: 0))
            if table.repeatedRows > 0 { addRepeated(table) }
        }
        addUnused(plan, tree)
        for loss in plan.losses { addLoss(loss, repair, tree) }
        let listed = Set(repair.history.listed.map(\.summary.fileID))
        for (id, why) in repair.unreadable where !listed.contains(id) {
            report.addCorrupt(
                file: tree + "/" + TableName.make(id), offset: 0,
                expected: "a table that can be read", found: "\(why)")
        }
        if plan.isFromTables {
            report.add(
                "note",
                "  The levels are found from the rows. If a table of these was waiting to "
                    + "be removed, "
                    + "rows of it that were deleted are back.", [])
        }
    }

    private func addRepeated(_ table: RepairPlan.Table) {
        let name = TableName.make(table.summary.fileID)
        report.add(
            "repeated",
            "      \(table.repeatedRows) of its rows stand in a later table too: it was "
                + "about to be "
                + "replaced, and what was deleted since may be back. --leave-out \(name) does "
                + "without it",
            [("table", .text(name)), ("rows", .number(table.repeatedRows))])
    }

    private func addUnused(_ plan: RepairPlan, _ tree: String) {
        for (summary, why) in plan.unused {
            let name = TableName.make(summary.fileID)
            let words =
                switch why {
                case .unlisted: "the manifest does not list it"
                case .removed: "a record of the manifest removed it"
                case .redundant: "all its rows are in other tables, or hidden by them"
                case .leftOut: "as you wish"
                }
            report.add(
                "unused",
                "  left out: \(tree)/\(name), \(summary.properties.rows) rows, sequences "
                    + "\(summary.properties.minSequence)…\(summary.properties.maxSequence): "
                    + words,
                [
                    ("file", .text("\(tree)/\(name)")), ("why", .text("\(why)")),
                    ("rows", .number(summary.properties.rows)),
                    ("minSequence", .number(summary.properties.minSequence)),
                    ("maxSequence", .number(summary.properties.maxSequence)),
                ])
        }
    }

    private func addLoss(_ loss: RepairPlan.Loss, _ repair: TreeRepair, _ tree: String) {
        let summary = loss.summary
        let first = keys.describe([UInt8](summary.smallestUserKey), keyspace: summary.keyspace)
        let last = keys.describe([UInt8](summary.largestUserKey), keyspace: summary.keyspace)
        let isReplaced = loss.isMissing && repair.history.damage != nil
        report.addCorrupt(
            file: tree + "/" + TableName.make(summary.fileID), offset: 0,
            expected: "\(KeyText.keyspaceName(summary.keyspace)) level \(loss.level): "
                + "\(summary.properties.rows) rows from \(first) to \(last), sequences "
                + "\(summary.properties.minSequence)…\(summary.properties.maxSequence)",
            found: loss.why
                + (isReplaced ? "; a merge whose record is lost may have replaced it" : ""))
    }

    private func addConflicts(_ plan: RepairPlan, _ tree: String) {
        for summary in plan.conflicts {
            report.addCorrupt(
                file: tree + "/" + TableName.make(summary.fileID), offset: 0,
                expected: "a place among the levels where its rows come before older ones only",
                found: "none while the others of this list are there too: they are of different "
                    + "times; --leave-out one that was to be removed (mostly the lowest number)")
        }
    }
}
