import Bytes
import LSMTree
import Platform
import RaftCore
import RecordLog
import Replication
import ShardStore

/// `db positions`: how far each directory has every shard, in its tables and in its log; what an
/// operator looks at when a quorum is lost. Read only.
struct PositionInspector {
    let places: Places
    let report: Report

    /// What a directory has of one shard.
    private struct Shard {
        var replica: ReplicaID = 0
        var appliedIndex: LogIndex = 0
        var appliedTerm: Term = 0
        var lastIndex: LogIndex = 0
        var lastTerm: Term = 0
        var term: Term = 0
    }

    /// Lists every shard of every directory, and which directory has most of it.
    func positions(_ paths: [String]) throws {
        var best: [GroupID: (index: LogIndex, term: Term, path: String)] = [:]
        for path in paths {
            let shards = try read(path)
            report.add("directory", "\(path):", [("directory", .text(path))])
            for id in shards.keys.sorted() {
                guard let shard = shards[id] else { continue }
                add(id, shard)
                let known = best[id]
                let isLonger =
                    known.map { (shard.lastTerm, shard.lastIndex) > ($0.term, $0.index) } ?? true
                if isLonger { best[id] = (shard.lastIndex, shard.lastTerm, path) }
            }
        }
        guard paths.count > 1 else { return }
        for id in best.keys.sorted() {
            guard let winner = best[id] else { continue }
            report.add(
                "longest",
                "shard \(id): \(winner.path) has most, up to \(winner.index)/\(winner.term)",
                [
                    ("shard", .number(UInt64(id))), ("directory", .text(winner.path)),
                    ("index", .number(winner.index)), ("term", .number(winner.term)),
                ])
        }
    }

    private func add(_ id: GroupID, _ shard: Shard) {
        report.add(
            "shard",
            "    shard \(id)  tables \(shard.appliedIndex)/\(shard.appliedTerm)"
                + "  log \(shard.lastIndex)/\(shard.lastTerm)  term \(shard.term)"
                + "  replica \(shard.replica) of node \(shard.replica >> 48)",
            [
                ("shard", .number(UInt64(id))), ("applied", .number(shard.appliedIndex)),
                ("appliedTerm", .number(shard.appliedTerm)), ("last", .number(shard.lastIndex)),
                ("lastTerm", .number(shard.lastTerm)), ("term", .number(shard.term)),
                ("replica", .number(shard.replica)), ("node", .number(shard.replica >> 48)),
            ])
    }

    private func read(_ path: String) throws -> [GroupID: Shard] {
        var shards: [GroupID: Shard] = [:]
        for manifest in try places.manifests(path) {
            var state: [UInt8]?
            try report.guarding(manifest.directory) {
                try ManifestReader.read(
                    fileSystem: places.fileSystem, directory: manifest.directory, id: manifest.id
                ) { _, edit in state = edit.state ?? state }
            }
            for position in (try? CutStateFormat.decode(state ?? [])) ?? [] {
                shards[position.shard] = Shard(
                    replica: position.replica, appliedIndex: position.index,
                    appliedTerm: position.term, lastIndex: position.index,
                    lastTerm: position.term)
            }
        }
        // Segments come in the order of their numbers, which is that of writing.
        for segment in try places.segments(path) { try take(segment, &shards) }
        return shards
    }

    private func take(_ path: String, _ shards: inout [GroupID: Shard]) throws {
        guard let id = Places.id(Places.name(path), ending: ".log") else { return }
        let file = try places.fileSystem.open(path, .read)
        defer { file.close() }
        var found = shards
        try report.guarding(path) {
            _ = try RecordFileReader.readAll(file, id: id) {
                (position, type, payload) throws(LogError) in
                guard type < RecordFormat.releaseType else { return }
                do {
                    Self.take(try RaftLogFormat.decode(type: type, payload), &found)
                } catch {
                    throw .rejected(position, "\(error)")
                }
            }
        }
        shards = found
    }

    private static func take(_ record: RaftLogFormat.Record, _ shards: inout [GroupID: Shard]) {
        switch record {
        case .entries(let group, let replica, let entries),
            .copies(let group, let replica, let entries):
            guard let last = entries.last else { return }
            var shard = shards[group] ?? Shard()
            shard.replica = replica
            if last.index > shard.appliedIndex {
                shard.lastIndex = last.index
                shard.lastTerm = last.term
            }
            shards[group] = shard
        case .hardState(let group, let replica, let state):
            shards[group, default: Shard()].replica = replica
            shards[group]?.term = state.term
        case .reset(let group, let replica, let base):
            shards[group, default: Shard()].replica = replica
            shards[group]?.lastIndex = base.index
            shards[group]?.lastTerm = base.term
        case .states: break
        }
    }
}
