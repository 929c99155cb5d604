package import RaftCore

/// What the nodes' replicas are, seen from outside: I1 and I12.
///
/// - One leader per shard and term.
/// - What was durable when a process ended is there when the next one has recovered: entries, term,
///   vote. A disk that is honest forgets nothing of it, and others count on it.
/// - A shard at the same index has the same term and the same state hash on every node, also after
///   a restart or the install of a snapshot. The hash is a chain over all applied batches: whoever
///   once applied something else stays different.
// Confined to the thread that steps the scheduler.
package final class ReplicaChecker: @unchecked Sendable {
    private struct Point: Hashable {
        let shard: UInt32
        let number: UInt64
    }

    private struct State: Equatable {
        let term: UInt64
        let hash: UInt64
    }

    private let verdict: Verdict
    private let trace: SimulationTrace
    private let marks: ReachMarks
    private var leaders: [Point: UInt16] = [:]
    /// Shard and node.
    private var leading: Set<Point> = []
    private var states: [Point: State] = [:]
    private var promises: [UInt16: [ReplicaPromise]] = [:]
    /// How far was decided when a leader was first seen, by shard and term.
    private var firstDecided: [Point: UInt64] = [:]
    /// Leaders seen, each term of a shard once.
    package private(set) var electionCount = 0

    /// A checker that has seen nothing.
    package init(verdict: Verdict, trace: SimulationTrace, marks: ReachMarks) {
        self.verdict = verdict
        self.trace = trace
        self.marks = marks
    }

    /// A node's replica of a shard is this now.
    package func saw(
        _ node: UInt16, shard: UInt32, term: UInt64, isLeader: Bool
    ) {
        let role = Point(shard: shard, number: UInt64(node))
        if !isLeader {
            if leading.remove(role) != nil { marks.reach(.leaderLost) }
            return
        }
        leading.insert(role)
        let point = Point(shard: shard, number: term)
        if let other = leaders[point] {
            if other != node {
                verdict.fail(
                    .consensus,
                    "nodes \(other) and \(node) both lead shard \(shard) in term \(term)")
            }
            return
        }
        leaders[point] = node
        electionCount += 1
        marks.reach(.election)
        trace.note(.role, UInt64(node), UInt64(shard), 1, term)
    }

    /// A leader has decided so far. It counts copies of entries of its own term alone: whatever it
    /// decides itself ends with one of these (Raft paper, figure 8).
    package func decided(
        _ node: UInt16, shard: UInt32, term: UInt64, index: UInt64, of entryTerm: UInt64?
    ) {
        let point = Point(shard: shard, number: term)
        let first = firstDecided[point] ?? index
        firstDecided[point] = first
        if index > first, let entryTerm, entryTerm != term {
            verdict.fail(
                .consensus,
                "node \(node) leads shard \(shard) in term \(term) and decided index "
                    + "\(index) of term \(entryTerm) by counting copies")
        }
    }

    /// A process ended: what of its replicas was durable by its own account.
    package func ended(_ node: UInt16, _ promises: [ReplicaPromise]) {
        self.promises[node] = promises
    }

    /// The next process of a node has recovered.
    package func recovered(_ node: UInt16, _ replicas: [UInt32: Replica]) {
        for promise in promises.removeValue(forKey: node) ?? [] {
            guard let replica = replicas[promise.shard] else { continue }
            if let broken = promise.broken(by: replica) {
                verdict.fail(.recovery, "node \(node), shard \(promise.shard): \(broken)")
            }
        }
    }

    /// A disk is a new one: nothing is promised any more.
    package func wiped(_ node: UInt16) {
        promises[node] = nil
    }

    /// A node's shard is applied so far, with this state.
    package func stands(
        _ node: UInt16, shard: UInt32, index: UInt64, term: UInt64, hash: UInt64
    ) {
        if index == 0 { return }
        let point = Point(shard: shard, number: index)
        let state = State(term: term, hash: hash)
        guard let known = states[point] else {
            states[point] = state
            return
        }
        if known.term != term {
            verdict.fail(
                .consensus,
                "node \(node) applied an entry of term \(term) at index \(index) of "
                    + "shard \(shard), elsewhere it is of term \(known.term)")
        }
        if known.hash != hash {
            verdict.fail(
                .recovery,
                "node \(node) has another state than its peers at index \(index) of "
                    + "shard \(shard)")
        }
    }
}
