import Bytes
import LSMTree
import RaftCore
import Replication
import ShardStore

/// How far the shards of a repaired tree are: what the owner must know before the node starts.
struct RepairPositions {
    /// What is known of a shard's position.
    enum Standing: String {
        /// The tables hold the log up to it, exactly.
        case exact
        /// The tables should hold the log up to it, and lack the rows named as lost.
        case lacking
        /// The tables hold the log up to it and perhaps rows of later entries, which are applied
        /// once more.
        case atLeast
        /// Made of what the log says of the tables.
        case fromLog
        /// Not known.
        case lost
    }

    /// One shard.
    struct Line {
        let shard: GroupID
        let standing: Standing
        /// Nil when it is lost.
        let position: ShardPosition?
        let coverage: LogCoverage?
    }

    private(set) var lines: [Line] = []
    /// The owner's bytes for the new manifest.
    private(set) var state: [UInt8]?
    private let hasLog: Bool
    private let stateProblem: String?

    init(
        repair: TreeRepair, plan: RepairPlan, coverage: [GroupID: LogCoverage]?,
        takesFromLog: Bool
    ) {
        hasLog = coverage != nil
        var known: [GroupID: ShardPosition] = [:]
        var problem: String?
        if let bytes = repair.history.state, !bytes.isEmpty {
            do {
                for position in try CutStateFormat.decode(bytes) {
                    known[position.shard] = position
                }
            } catch {
                problem = "\(error)"
            }
        }
        stateProblem = problem
        let standing: Standing =
            plan.isFromTables ? .atLeast : (plan.isExact ? .exact : .lacking)
        // A state names every shard of the node; what else is in the log is none of it.
        let shards = known.isEmpty ? Set((coverage ?? [:]).keys) : Set(known.keys)
        for shard in shards.sorted() {
            let log = coverage?[shard]
            let isJoined = known[shard].map { log?.missing(above: $0.index) == nil } ?? false
            if takesFromLog, !isJoined, let log, let made = Self.position(shard, log) {
                lines.append(
                    Line(shard: shard, standing: .fromLog, position: made, coverage: log))
            } else if let position = known[shard] {
                lines.append(
                    Line(shard: shard, standing: standing, position: position, coverage: log))
            } else {
                lines.append(Line(shard: shard, standing: .lost, position: nil, coverage: log))
            }
        }
        let positions = lines.compactMap(\.position)
        // Bytes that are no cut state are kept as they are: they were never ours to understand.
        state = positions.isEmpty ? repair.history.state : CutStateFormat.encode(positions)
    }

    /// The position that a log implies: a header says what the tables have, and what it no longer
    /// holds was released because they have it. The chain of hashes is lost.
    private static func position(_ shard: GroupID, _ log: LogCoverage) -> ShardPosition? {
        guard log.replica != 0, !log.voters.isEmpty else { return nil }
        let first = log.entries?.lowerBound ?? 0
        let index = max(log.base.index, first == 0 ? 0 : first - 1)
        if index == 0 { return nil }
        return ShardPosition(
            shard: shard, replica: log.replica, index: index,
            term: max(1, min(log.base.term, log.runs.first?.term ?? log.base.term)), hash: 0,
            configuration: Configuration(voters: log.voters))
    }

    // MARK: Report

    /// One line a shard, then what it means.
    func add(to report: Report, file: String) {
        if let stateProblem {
            report.addCorrupt(
                file: file, offset: 0, expected: "a cut's state in the manifest",
                found: stateProblem)
        }
        for line in lines { add(line, to: report, file: file) }
        let standings = Set(lines.map(\.standing))
        let isCluster = lines.contains { line in
            (line.position?.configuration.members.count ?? line.coverage?.voters.count ?? 0) > 1
        }
        if lines.isEmpty {
            advise(
                report,
                "No position of any shard is known. A node finds its shards at 0 and starts only "
                    + "when its log holds everything from the first entry on.")
        }
        if isCluster, standings != [.exact] {
            advise(
                report,
                "This node had peers, which have everything: rather than start it on these tables, "
                    + "move the data directory away and start it with an empty one and the same "
                    + "configuration; it comes back as a new replica. A replica whose rows differ "
                    + "from the others' must not vote.")
        }
        for standing in [Standing.lacking, .atLeast, .fromLog, .lost]
        where standings.contains(standing) { advise(report, Self.meaning(standing)) }
    }

    private func advise(_ report: Report, _ text: String) {
        report.add("advice", text, [("text", .text(text))])
    }

    private static func meaning(_ standing: Standing) -> String {
        switch standing {
        case .exact: ""
        case .lacking:
            "lacking: the log is applied from the position on, as if no row were missing. Rows of "
                + "the lost tables are gone, and older versions of them, or deleted ones, may show."
        case .atLeast:
            "atLeast: rows of entries after the position may be in the tables already; the log "
                + "applies these entries again. Messages are recognised by their client ids, other "
                + "changes come out as their last one says; the state hash does not fit that of "
                + "other replicas."
        case .fromLog:
            "fromLog: entries between the position and the last cut are applied once more, and the "
                + "state hash starts anew: for a node that is alone only."
        case .lost:
            "lost: no readable record says how far the shard is. A node refuses to start "
                + "unless its "
                + "log goes back to the first entry. If it is alone, --positions-from-log makes a "
                + "position of what the log says of the tables; in any case the rows can be read "
                + "with magpie-dump sst scan."
        }
    }

    private func add(_ line: Line, to report: Report, file: String) {
        let index = line.position?.index ?? 0
        let missing = line.coverage?.missing(above: index)
        let words = logWords(line, missing)
        report.add(
            "position",
            "  shard \(line.shard): "
                + (line.position.map { "applied \($0.index)/\($0.term), \(line.standing)" }
                    ?? "position lost") + "; " + words,
            [
                ("shard", .number(UInt64(line.shard))), ("standing", .text(line.standing.rawValue)),
                ("index", .number(index)), ("term", .number(line.position?.term ?? 0)),
                ("logFirst", .number(line.coverage?.entries?.lowerBound ?? 0)),
                ("logLast", .number(line.coverage?.entries?.upperBound ?? 0)),
                ("isCovered", .flag(line.coverage != nil && missing == nil)),
            ])
        if let missing {
            let isInTables = (line.coverage?.base.index ?? 0) >= missing.upperBound
            report.addCorrupt(
                file: file, offset: 0,
                expected: "entries \(missing.lowerBound)…\(missing.upperBound) of shard "
                    + "\(line.shard) in the log",
                found: isInTables
                    ? "none, but the log says that the tables had them: --positions-from-log goes "
                        + "on behind them" : "none")
        } else if line.standing == .lost {
            report.addCorrupt(
                file: file, offset: 0, expected: "a position of shard \(line.shard)",
                found: "no readable record")
        }
    }

    private func logWords(_ line: Line, _ missing: ClosedRange<LogIndex>?) -> String {
        guard let log = line.coverage else {
            return hasLog ? "the log knows nothing of it" : "there is no log"
        }
        guard let entries = log.entries else { return "the log holds no entries of it" }
        let range = "\(entries.lowerBound)…\(entries.upperBound)"
        if let missing {
            return "the log holds \(range): \(missing.lowerBound)…\(missing.upperBound) are not "
                + "there, and the node refuses to start"
        }
        let index = line.position?.index ?? 0
        return entries.upperBound <= index
            ? "the log holds \(range), nothing later" : "the log holds \(range) and covers the rest"
    }
}
