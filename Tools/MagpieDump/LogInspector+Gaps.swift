import Bytes
import LSMTree
import RaftCore
import RecordLog
import Replication
import ShardStore

extension LogInspector {
    /// `log gaps`: for each group, which entries the log holds, by term, and which it does not;
    /// for each segment, what is proved durable.
    ///
    /// A hole is corruption when the manifest beside the log says that the tables do not have the
    /// entries. Without a manifest the tables are taken to have what lies before the first entry.
    func gaps(_ path: String) throws {
        let coverage = try coverage(path, announces: true)
        let applied = try appliedPositions(beside: path)
        for group in coverage.keys.sorted() {
            guard let found = coverage[group] else { continue }
            add(group, found)
            if let position = applied[group], position.replica == found.replica,
                let missing = found.missing(above: position.index)
            {
                report.addCorrupt(
                    file: path, offset: 0,
                    expected: "entries \(missing.lowerBound)…\(missing.upperBound) of group "
                        + "\(group), as the tables end at \(position.index)",
                    found: "none")
            }
        }
    }

    /// What the log under `path` holds of each group. Damage is reported.
    func coverage(_ path: String, announces: Bool = false) throws -> [GroupID: LogCoverage] {
        let all = try paths(path)
        let reusable = try Set(segmentsForReuse(all))
        var coverage: [GroupID: LogCoverage] = [:]
        for path in all where !reusable.contains(path) {
            let segment = try read(path, announces: false) { offset, type, payload in
                guard type < RecordFormat.releaseType || type == RecordFormat.segmentHeaderType
                else { return }
                try Self.take(type, payload, segment: path, offset: offset, &coverage)
            }
            if announces { addMarks(segment) }
        }
        return coverage
    }

    private static func take(
        _ type: UInt8, _ payload: UnsafeRawBufferPointer, segment: String, offset: UInt64,
        _ coverage: inout [GroupID: LogCoverage]
    ) throws {
        let record: RaftLogFormat.Record
        if type == RecordFormat.segmentHeaderType {
            let owner = try Header(payload).owner
            guard !owner.isEmpty else { return }
            record = try owner.withUnsafeBytes { try RaftLogFormat.decode(type: type, $0) }
        } else {
            record = try RaftLogFormat.decode(type: type, payload)
        }
        switch record {
        case .entries(let group, let replica, let entries):
            coverage[group, default: LogCoverage()].take(
                replica, entries, replaces: true, segment: segment, offset: offset)
        case .copies(let group, let replica, let entries):
            coverage[group, default: LogCoverage()].take(
                replica, entries, replaces: false, segment: segment, offset: offset)
        case .hardState(let group, let replica, let state):
            coverage[group, default: LogCoverage()].take(replica, state)
        case .reset(let group, let replica, let base):
            coverage[group, default: LogCoverage()].reset(replica, base)
        case .states(let states):
            for state in states { coverage[state.group, default: LogCoverage()].take(state) }
        }
    }

    /// How far the tables are, from the manifest under `path` or beside it; empty when there is
    /// none that can be read.
    private func appliedPositions(beside path: String) throws -> [GroupID: ShardPosition] {
        var directory = path
        if places.names(path) == nil { directory = Places.directory(path) }
        if Places.name(directory) == "log" { directory = Places.directory(directory) }
        var positions: [GroupID: ShardPosition] = [:]
        for manifest in (try? places.manifests(directory)) ?? [] {
            var state: [UInt8] = []
            try? ManifestReader.read(
                fileSystem: places.fileSystem, directory: manifest.directory, id: manifest.id
            ) { _, edit in state = edit.state ?? state }
            for position in (try? CutStateFormat.decode(state)) ?? [] {
                positions[position.shard] = position
            }
        }
        return positions
    }

    private func addMarks(_ segment: Segment) {
        guard segment.isReadable else { return }
        let unproved = segment.end - min(segment.end, segment.mark)
        report.add(
            "marks",
            "\(segment.path): records up to \(segment.end), proved durable up to \(segment.mark), "
                + "\(unproved) bytes unproved",
            [
                ("file", .text(segment.path)), ("end", .number(segment.end)),
                ("mark", .number(segment.mark)), ("unprovedBytes", .number(unproved)),
            ])
    }

    private func add(_ group: GroupID, _ coverage: LogCoverage) {
        let entries = coverage.entries.map { "\($0.lowerBound)…\($0.upperBound)" } ?? "none"
        let vote = coverage.hardState.vote ?? 0
        report.add(
            "group",
            "group \(group)  replica \(coverage.replica)  entries \(entries)  base "
                + "\(coverage.base.index)/\(coverage.base.term)  term \(coverage.hardState.term) "
                + "vote \(vote == 0 ? "none" : "\(vote)"), \(coverage.replaced) replaced or copied",
            [
                ("group", .number(UInt64(group))), ("replica", .number(coverage.replica)),
                ("first", .number(coverage.entries?.lowerBound ?? 0)),
                ("last", .number(coverage.entries?.upperBound ?? 0)),
                ("baseIndex", .number(coverage.base.index)),
                ("baseTerm", .number(coverage.base.term)),
                ("term", .number(coverage.hardState.term)), ("vote", .number(vote)),
                ("replaced", .number(coverage.replaced)),
            ])
        for run in coverage.runs {
            report.add(
                "term", "  term \(run.term): \(run.first)…\(run.last)",
                [
                    ("group", .number(UInt64(group))), ("term", .number(run.term)),
                    ("first", .number(run.first)), ("last", .number(run.last)),
                ])
        }
        for hole in coverage.holes {
            report.add(
                "hole",
                "  hole: \(hole.first)…\(hole.last), before \(hole.segment) at \(hole.offset)",
                [
                    ("group", .number(UInt64(group))), ("first", .number(hole.first)),
                    ("last", .number(hole.last)), ("file", .text(hole.segment)),
                    ("offset", .number(hole.offset)),
                ])
        }
    }
}
