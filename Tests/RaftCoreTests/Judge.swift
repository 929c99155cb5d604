import RaftCore

/// Sees everything that happens in a cluster and knows the rules of Raft.
final class Judge {
    private let cluster: Cluster
    /// What was found wrong, first to last.
    var problems: [String] = []
    /// Every decided entry, from index 1.
    private(set) var decided: [Entry] = []
    /// Who led each term.
    private(set) var leaders: [Term: ReplicaID] = [:]
    /// Entries that were replaced in some log.
    private(set) var replaced = 0
    private var votes: [String: ReplicaID] = [:]
    private var lastTerms: [ReplicaID: Term] = [:]
    private var leaderLast: [String: LogIndex] = [:]
    private var reachedLast: [ReplicaID: LogIndex] = [:]

    init(_ cluster: Cluster) {
        self.cluster = cluster
        cluster.onSend = { [unowned self] in sees($0) }
        cluster.onRole = { [unowned self] in sees($0, $1) }
        cluster.onCommit = { [unowned self] in sees($0, $1) }
    }

    var decidedLast: LogIndex { LogIndex(decided.count) }

    private func blame(_ problem: String) { problems.append(problem) }

    /// A grant that leaves is on the voter's disk, and the only one of its term.
    private func sees(_ message: Message) {
        let disk = cluster.machines[Int(message.from) - 1]
        switch message.body {
        case .voteReply(isGranted: true):
            let key = "\(message.from) in \(message.term)"
            if let earlier = votes[key], earlier != message.to {
                blame("\(key) voted for \(earlier) and \(message.to)")
            }
            votes[key] = message.to
            let state = disk.hardState
            if state.term < message.term
                || (state.term == message.term && state.vote != message.to)
            {
                blame("\(key) promised a vote that is not on its disk")
            }
        case .vote:
            if disk.hardState.term < message.term {
                blame("\(message.from) stands in a term that is not on its disk")
            }
        case .appendReply(let match):
            // In the same term nothing that was acknowledged may be missing from the disk.
            let last = disk.baseIndex + LogIndex(disk.disk.count)
            if disk.hardState.term == message.term, match > last {
                blame("\(message.from) acknowledged \(match), its disk ends at \(last)")
            }
        default: break
        }
    }

    private func sees(_ id: ReplicaID, _ change: RoleChange) {
        guard change.role == .leader else { return }
        if let other = leaders[change.term], other != id {
            blame("term \(change.term) has leaders \(other) and \(id)")
        }
        leaders[change.term] = id
        guard let log = cluster.machines[Int(id) - 1].replica?.log else { return }
        for entry in decided where entry.index > log.baseIndex {
            if log.term(at: entry.index) != entry.term {
                blame("leader \(id) of term \(change.term) lacks \(describe(entry))")
                return
            }
        }
    }

    /// The same index gives the same entry everywhere, and it is on a quorum of disks.
    private func sees(_ id: ReplicaID, _ entry: Entry) {
        guard entry.index <= decidedLast + 1 else {
            blame("\(id) applies \(describe(entry)) after \(decidedLast)")
            return
        }
        if entry.index <= decidedLast {
            let known = decided[Int(entry.index) - 1]
            if known != entry {
                blame("\(id) applies \(describe(entry)), others \(describe(known))")
            }
            return
        }
        if entry.kind == .command, entry.payload.first == UInt8(ascii: "p"),
            decided.contains(where: { $0.payload == entry.payload })
        {
            blame("\(describe(entry)) is decided twice")
        }
        decided.append(entry)
        let copies = cluster.machines.count { machine in
            machine.baseIndex >= entry.index || machine.stored(entry.index) == entry
        }
        if copies < cluster.machines.count / 2 + 1 {
            blame("\(describe(entry)) is decided with \(copies) copies on disk")
        }
    }

    /// Checks every replica, and pairs of logs when asked for.
    func look(thoroughly: Bool) {
        for id in cluster.ids {
            guard let replica = cluster.machines[Int(id) - 1].replica else { continue }
            if let rule = replica.brokenInvariant() { blame("\(id): \(rule)") }
            if replica.term < lastTerms[id] ?? 0 { blame("\(id) forgot a term") }
            lastTerms[id] = cluster.machines[Int(id) - 1].hardState.term
            watchOwnLog(of: replica)
        }
        guard thoroughly else { return }
        for first in cluster.ids {
            for second in cluster.ids where second > first { compareLogs(first, second) }
        }
    }

    /// A leader only adds to its log; elsewhere shrinking means that entries were replaced.
    private func watchOwnLog(of replica: Replica) {
        let last = replica.log.lastIndex
        if replica.role == .leader {
            let key = "\(replica.id) in \(replica.term)"
            if last < leaderLast[key] ?? 0 { blame("leader \(key) lost entries of its own") }
            leaderLast[key] = last
        }
        if last < reachedLast[replica.id] ?? 0 { replaced += 1 }
        reachedLast[replica.id] = last
    }

    /// Log matching: equal terms at one index mean equal logs up to it.
    private func compareLogs(_ first: ReplicaID, _ second: ReplicaID) {
        guard let one = cluster.machines[Int(first) - 1].replica?.log,
            let two = cluster.machines[Int(second) - 1].replica?.log
        else { return }
        let low = max(one.baseIndex, two.baseIndex)
        let high = min(one.lastIndex, two.lastIndex)
        guard low < high else { return }
        var mustMatch = false
        for index in (low + 1...high).reversed() {
            let isEqual = one.term(at: index) == two.term(at: index)
            if mustMatch && !isEqual { blame("logs of \(first), \(second) differ at \(index)") }
            mustMatch = mustMatch || isEqual
        }
    }

    /// How often entries came from disk for a lagging peer.
    func logReads() -> Int { cluster.logReads }
}
