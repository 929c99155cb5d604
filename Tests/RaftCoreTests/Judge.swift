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
    /// Decided configurations, and those of them that were joint.
    private(set) var changes = 0
    private(set) var jointChanges = 0
    private(set) var readsGranted = 0
    private(set) var readsLost = 0
    private(set) var handovers = 0
    /// What a waiting read must see, by replica and position.
    private var reads: [ReplicaID: [UInt64: LogIndex]] = [:]
    private var votes: [String: ReplicaID] = [:]
    private var lastTerms: [ReplicaID: Term] = [:]
    private var leaderLast: [String: LogIndex] = [:]
    private var reachedLast: [ReplicaID: LogIndex] = [:]

    init(_ cluster: Cluster) {
        self.cluster = cluster
        cluster.onSend = { [unowned self] in sees($0) }
        cluster.onRole = { [unowned self] in sees($0, $1) }
        cluster.onCommit = { [unowned self] in sees($0, $1) }
        cluster.onReads = { [unowned self] in sees($0, $1) }
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
            let last = max(disk.diskLast, disk.saved.index)
            if disk.hardState.term == message.term, match > last {
                blame("\(message.from) acknowledged \(match), its disk ends at \(last)")
            }
        case .timeoutNow: handovers += 1
        default: break
        }
    }

    /// Everything decided anywhere by now.
    private var knownDecided: LogIndex {
        cluster.machines.reduce(0) { max($0, $1.replica?.commitIndex ?? 0) }
    }

    /// A read was asked for: it must see everything that is decided by now.
    func asks(_ id: ReplicaID, _ position: UInt64) {
        if readsGrantedUpTo[id] ?? 0 >= position { blame("\(id) reuses position \(position)") }
        reads[id, default: [:]][position] = knownDecided
    }

    private var readsGrantedUpTo: [ReplicaID: UInt64] = [:]

    private func sees(_ id: ReplicaID, _ effects: Effects) {
        for grant in effects.reads {
            guard let needed = reads[id]?.removeValue(forKey: grant.position) else {
                blame("\(id) grants reads nobody waits for")
                continue
            }
            readsGranted += 1
            readsGrantedUpTo[id] = grant.position
            if grant.index < needed {
                blame("\(id) grants a stale read: at \(grant.index), \(needed) was decided")
            }
        }
        if effects.readsLost > 0 {
            readsLost += 1
            reads[id] = reads[id]?.filter { $0.key > effects.readsLost }
        }
    }

    /// A machine is gone with the reads that waited for it, and with its positions.
    func forgets(_ id: ReplicaID) {
        reads[id] = nil
        readsGrantedUpTo[id] = nil
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
        if entry.kind == .configuration {
            changes += 1
            if Configuration.decode(entry.payload)?.isJoint == true { jointChanges += 1 }
        }
        checkCopies(of: entry, seenBy: id)
    }

    /// A decided entry is on a quorum of disks, by the configuration of its place in the log or one
    /// that came after it.
    private func checkCopies(of entry: Entry, seenBy id: ReplicaID) {
        guard let replica = cluster.machines[Int(id) - 1].replica else { return }
        let later = replica.log.changes.filter { $0.index > entry.index }.map(\.configuration)
        let isHeld = ([replica.configuration(at: entry.index)] + later).contains { configuration in
            configuration.isQuorum { place in
                cluster.machines[Int(configuration.members[place]) - 1].holds(entry)
            }
        }
        if !isHeld { blame("\(describe(entry)) is decided without a quorum of disks") }
    }

    /// Checks every replica, and pairs of logs when asked for.
    func look(thoroughly: Bool) {
        for id in cluster.ids {
            guard let replica = cluster.machines[Int(id) - 1].replica else { continue }
            if let rule = replica.brokenInvariant() { blame("\(id): \(rule)") }
            if replica.term < lastTerms[id] ?? 0 { blame("\(id) forgot a term") }
            lastTerms[id] = cluster.machines[Int(id) - 1].hardState.term
            watchOwnLog(of: replica)
            watchFloor(of: replica)
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

    /// What the newest leader says everyone has is on everyone's disk.
    private func watchFloor(of replica: Replica) {
        let newest = cluster.machines.reduce(0) { max($0, $1.replica?.term ?? $1.hardState.term) }
        guard replica.role == .leader, replica.term == newest else { return }
        for member in replica.configuration.members {
            let machine = cluster.machines[Int(member) - 1]
            if max(machine.diskLast, machine.saved.index) < replica.retentionFloor {
                blame("\(member) lacks entries below the floor \(replica.retentionFloor)")
            }
        }
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
