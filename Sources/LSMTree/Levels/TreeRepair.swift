package import Platform
import RecordLog
package import SortedTable

/// What a repair would list, and what it could not.
package struct RepairPlan {
    /// A table that the new manifest lists.
    package struct Table {
        /// Its level.
        package let level: Int
        /// What the manifest will say of it.
        package let summary: TableSummary
        /// Rows that it shares with a table made later: one of the two was about to be removed, and
        /// rows that were deleted since may be back.
        package let repeatedRows: UInt64
    }

    /// A table that the old manifest lists and the new one can't.
    package struct Loss {
        /// Its level.
        package let level: Int
        /// What the old manifest says of it.
        package let summary: TableSummary
        /// What became of it.
        package let why: String
        /// True when there is no such file at all: most likely a merge, of which the manifest's
        /// lost end spoke, has replaced it.
        package let isMissing: Bool
    }

    /// Why a sound table is not listed.
    package enum Disuse: Equatable, Sendable {
        /// The manifest is followed, and does not list it.
        case unlisted
        /// A record of the old manifest removed it.
        case removed
        /// Every row of it stands in another table, or is hidden by one.
        case redundant
        /// The caller wants it left out.
        case leftOut
    }

    /// By keyspace, level and first key.
    package internal(set) var tables: [Table] = []
    /// What the old manifest lists in vain.
    package internal(set) var losses: [Loss] = []
    /// Sound tables that are not listed.
    package internal(set) var unused: [(summary: TableSummary, why: Disuse)] = []
    /// Tables for which no place is right while all of them are listed; the plan can't be carried
    /// out unless this is empty.
    package internal(set) var conflicts: [TableSummary] = []
    /// The last sequence in tables.
    package internal(set) var lastSequence: SequenceNumber = 0
    /// True when the tables are exactly those of the old manifest's last readable record: then the
    /// rows are exactly those of its state.
    package internal(set) var isExact = false
    /// True when every sound table is listed, on levels found from the rows.
    package internal(set) var isFromTables = false
}

/// Rebuilds the manifest of a tree that cannot be opened, from the tables that are there.
///
/// **Two ways.**
///
/// 1. *From the manifest* (``planFromManifest()``): the tables of the last record that can be read,
///    on the levels it gives them, with its state. When all of them are there, the tree is exactly
///    what it was after that record: rows and positions belong together, and the owner's log
///    applies the rest. Sound tables that the record does not list stay out, though they have
///    newer rows: with them the tables would be ahead of the positions, and rows deleted before
///    the merge that the record knows of might come back.
/// 2. *From the tables* (``planFromTables(leavingOut:)``): every sound table, on levels found from
///    the rows, see ``TableArrangement``. For a tree without a readable manifest, or one whose
///    readable records list tables that later merges replaced. The levels of such records are
///    those of another time than the tables that replaced theirs, so they are not used: an order
///    that the rows prove needs none. Tables that a readable record removed stay out, and so do
///    those whose rows are all in later ones. What can't be known: whether a table was waiting to
///    be removed. Its deleted rows are back then; it is named as sharing rows with another.
///
/// What no way brings back: rows of tables that are gone or rotten, and older versions of those
/// rows may show instead. Positions of shards when no record is readable.
///
/// **What it touches.** Tables are never changed. ``write(_:state:)`` makes a second name (hard
/// link), in a directory beside them, for the old `CURRENT`, every old manifest, and every table
/// that is not listed, since the next open of the tree removes those. Then it writes a new manifest
/// and points `CURRENT` at it, in the order in which the tree does. A crash before the rename
/// leaves the tree as it was.
///
/// For one caller at a time, and never while a node has the tree open.
package struct TreeRepair {
    private let fileSystem: any FileSystem
    private let directory: String
    private let cache = BlockCache(budgetBytes: 8 << 20, shardsMax: 1)
    /// What the old manifests say.
    package let history: RepairHistory
    /// Tables that were read to the end and found right, by file id.
    package private(set) var sound: [TableSummary] = []
    /// The other tables, and what is wrong with each.
    package private(set) var unreadable: [(fileID: UInt64, why: TreeError)] = []
    private let names: [String]

    /// Looks at everything in a tree's directory: reads every manifest and every table to the end.
    package init(fileSystem: any FileSystem, directory: String) throws {
        self.fileSystem = fileSystem
        self.directory = directory
        history = try RepairHistory(fileSystem: fileSystem, directory: directory)
        names = try fileSystem.list(directory)
        for id in names.compactMap({ TableName.fileID($0) }).sorted() {
            do throws(TableError) {
                sound.append(try survey(id))
            } catch {
                guard TreeError(error).isUnreadable else { throw TreeError(error) }
                unreadable.append((id, TreeError(error)))
            }
        }
    }

    /// Whether there is anything to repair.
    package var isDamaged: Bool {
        history.currentDamage != nil || history.damage != nil || !history.unreadable.isEmpty
            || !losses().isEmpty
    }

    private func survey(_ id: UInt64) throws(TableError) -> TableSummary {
        let file: any File
        do { file = try fileSystem.open(path(id), .read) } catch { throw .disk(error) }
        defer { file.close() }
        let reader = try TableReader.open(file: file, fileID: id, cache: cache)
        let digest = try reader.verify()
        return TableSummary(bytes: reader.bytes, digest: digest, properties: reader.properties)
    }

    // MARK: Plans

    /// The tables of the last readable record; nil when no manifest can be read.
    package func planFromManifest() -> RepairPlan? {
        guard history.manifest != nil else { return nil }
        var plan = RepairPlan()
        plan.losses = losses()
        let lost = Set(plan.losses.map(\.summary.fileID))
        plan.tables = history.listed.filter { !lost.contains($0.summary.fileID) }.map {
            RepairPlan.Table(level: $0.level, summary: $0.summary, repeatedRows: 0)
        }
        let listed = Set(history.listed.map(\.summary.fileID))
        plan.unused = sound.filter { !listed.contains($0.fileID) }.map { summary in
            (summary, history.removed.contains(summary.fileID) ? .removed : .unlisted)
        }
        plan.lastSequence = history.lastSequence
        plan.isExact = plan.losses.isEmpty
        plan.sort()
        return plan
    }

    /// Every sound table, on levels found from the rows. Reads all of them once more.
    ///
    /// - Parameter leftOut: file ids of tables that are not to be listed.
    package func planFromTables(leavingOut leftOut: Set<UInt64> = []) throws -> RepairPlan {
        var plan = RepairPlan()
        plan.isFromTables = true
        plan.losses = losses()
        plan.lastSequence = history.lastSequence
        var candidates: [TableSummary] = []
        for summary in sound where !summary.isEmpty {
            if leftOut.contains(summary.fileID) {
                plan.unused.append((summary, .leftOut))
            } else if history.removed.contains(summary.fileID) {
                plan.unused.append((summary, .removed))
            } else {
                candidates.append(summary)
            }
        }
        for keyspace in Set(candidates.map(\.keyspace)).sorted() {
            try arrange(candidates.filter { $0.keyspace == keyspace }, &plan)
        }
        for table in plan.tables {
            plan.lastSequence = max(plan.lastSequence, table.summary.properties.maxSequence)
        }
        plan.sort()
        return plan
    }

    /// Finds places for the tables of one keyspace.
    private func arrange(_ all: [TableSummary], _ plan: inout RepairPlan) throws {
        let first = try RowOrder(all, open: open)
        var kept: [TableSummary] = []
        var repeated: [UInt64: UInt64] = [:]
        for (place, summary) in all.enumerated() {
            if first.needed[place] == 0, summary.properties.rangeDeletes == 0 {
                plan.unused.append((summary, .redundant))
            } else {
                kept.append(summary)
                repeated[summary.fileID] = first.repeated[place]
            }
        }
        let order = kept.count == all.count ? first : try RowOrder(kept, open: open)
        let tables = try kept.map { summary in
            TableMetadata(summary: summary, tombstones: try open(summary).rangeTombstones)
        }
        let arrangement = TableArrangement(tables, order)
        plan.conflicts += arrangement.conflicts.map(\.summary)
        plan.tables += arrangement.placed.map { level, table in
            RepairPlan.Table(
                level: level, summary: table.summary, repeatedRows: repeated[table.fileID] ?? 0)
        }
    }

    private func open(_ summary: TableSummary) throws -> TableReader {
        let file = try fileSystem.open(path(summary.fileID), .read)
        return try TableReader.open(file: file, fileID: summary.fileID, cache: cache)
    }

    /// The tables that the last readable record lists and that are not there as it says.
    private func losses() -> [RepairPlan.Loss] {
        let sound = Dictionary(sound.map { ($0.fileID, $0) }, uniquingKeysWith: { $1 })
        let broken = Dictionary(
            unreadable.map { ($0.fileID, $0.why) }, uniquingKeysWith: { $1 })
        return history.listed.compactMap { listed in
            let id = listed.summary.fileID
            if sound[id] == listed.summary { return nil }
            let why =
                if sound[id] != nil {
                    "it is another table than the manifest says"
                } else if let error = broken[id] {
                    "\(error)"
                } else {
                    "there is no such file"
                }
            return RepairPlan.Loss(
                level: listed.level, summary: listed.summary, why: why,
                isMissing: sound[id] == nil && broken[id] == nil)
        }
    }

    private func path(_ id: UInt64) -> String { directory + "/" + TableName.make(id) }
}

extension RepairPlan {
    fileprivate mutating func sort() {
        tables.sort { left, right in
            let a = (left.summary.keyspace, left.level)
            let b = (right.summary.keyspace, right.level)
            if a != b { return a < b }
            let order = InternalKey.compare(left.summary.smallest, right.summary.smallest)
            return order == 0 ? left.summary.fileID < right.summary.fileID : order < 0
        }
    }
}

extension TreeError {
    /// True when a file's bytes are wrong or the disk can't give them: what a repair does without.
    var isUnreadable: Bool {
        switch self {
        case .corrupt: true
        case .disk(let error): error.reason == .inputOutput
        case .unknownKeyspace: false
        }
    }
}

// MARK: Writing

extension TreeRepair {
    /// What a repair left behind.
    package struct Outcome: Equatable, Sendable {
        /// The new manifest.
        package let manifest: String
        /// Where the old `CURRENT`, the old manifests and unlisted tables have second names.
        package let aside: String
    }

    /// Carries out a plan; `state` becomes the owner's bytes. Everything is durable on return.
    ///
    /// - Precondition: the plan is this repair's and has no conflicts; nobody has the tree open.
    package func write(_ plan: RepairPlan, state: [UInt8]?) throws -> Outcome {
        precondition(plan.conflicts.isEmpty, "tables of a plan have places")
        let aside = try setAside(plan)
        let highest = names.compactMap { TableName.fileID($0) ?? ManifestFormat.id($0) }.max() ?? 0
        let id = max(highest + 1, history.nextFileID)
        let manifest = directory + "/" + ManifestFormat.name(id)
        let file = try fileSystem.open(manifest, .create)
        defer { file.close() }
        let writer = RecordFileWriter(file, id: id)
        for opening in openings(plan, nextFileID: id + 1, state: state) {
            try writer.append(type: ManifestFormat.openingType, payload: opening.encode())
        }
        try writer.sync()
        try fileSystem.syncDirectory(directory)
        try pointCurrent(to: id)
        return Outcome(manifest: manifest, aside: aside)
    }

    /// Gives second names to everything that the next open would remove or this replaces.
    private func setAside(_ plan: RepairPlan) throws -> String {
        var number = 1
        // Walks of tools pass over names that begin so.
        while try fileSystem.exists("\(directory)/damaged-repair-\(number)") { number += 1 }
        let aside = "\(directory)/damaged-repair-\(number)"
        try fileSystem.makeDirectory(aside)
        let listed = Set(plan.tables.map(\.summary.fileID))
        for name in names {
            let isReplaced = name == ManifestFormat.currentName || ManifestFormat.id(name) != nil
            let isUnlisted = TableName.fileID(name).map { !listed.contains($0) } ?? false
            if isReplaced || isUnlisted {
                try fileSystem.link("\(directory)/\(name)", as: "\(aside)/\(name)")
            }
        }
        try fileSystem.syncDirectory(aside)
        return aside
    }

    private func openings(
        _ plan: RepairPlan, nextFileID: UInt64, state: [UInt8]?
    ) -> [ManifestEdit] {
        var rest = plan.tables[...]
        var edits: [ManifestEdit] = []
        repeat {
            let part = rest.prefix(ManifestFormat.tablesPerRecordMax)
            rest = rest.dropFirst(part.count)
            var edit = ManifestEdit(
                isOpening: true, endsOpening: rest.isEmpty, nextFileID: nextFileID,
                lastSequence: plan.lastSequence, state: edits.isEmpty ? state : nil)
            edit.additions = part.map { .init(level: UInt8($0.level), summary: $0.summary) }
            edits.append(edit)
        } while !rest.isEmpty
        return edits
    }

    private func pointCurrent(to id: UInt64) throws {
        let fresh = directory + "/" + ManifestFormat.newCurrentName
        if try fileSystem.exists(fresh) { try fileSystem.unlink(fresh) }
        let file = try fileSystem.open(fresh, .create)
        defer { file.close() }
        try file.write(ManifestFormat.current(id), at: 0)
        try file.sync()
        try fileSystem.rename(fresh, to: directory + "/" + ManifestFormat.currentName)
        try fileSystem.syncDirectory(directory)
    }
}
