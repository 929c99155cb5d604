import ChatModel
import Platform
import RaftCore
import Replication
import Session
import ShardStore

/// A command on its way to its shard's log.
struct Proposal: Sendable {
    let shard: GroupID
    /// What `CommandCodec` made of it.
    let command: [UInt8]
    /// Answered once: with the result after apply, or with why it was not proposed.
    let answer: Answer<CommandResult>
}

/// A decided entry on its way to the apply lane, with the answers of those who proposed it here.
struct DecidedEntry: Sendable {
    let shard: GroupID
    let index: LogIndex
    let term: Term
    /// Nil for entries that carry no commands.
    let payload: [UInt8]?
    let answers: [Answer<CommandResult>]
}

/// The consensus lane: proposals in, one log entry per shard and drain, decided entries out.
///
/// Batching is by waiting for the disk, not by a timer: while a turn of the log is being synced,
/// proposals gather; the next turn takes them all. An entry is bounded by
/// ``NodeLimits/entryBytesMax``, so a burst becomes several.
// Confined to the consensus lane.
final class ConsensusLoop: @unchecked Sendable {
    enum Input: Sendable {
        case proposal(Proposal)
        case logTurn(LogCompletion)
        case installed([ShardPosition])
        case applied([(shard: GroupID, index: LogIndex)])
        /// An empty batch, so that an idle shard's stamp moves on.
        case beat(GroupID)
        case tick
        /// The node stops: what is not decided by now is answered with that.
        case stop
    }

    /// The answers of one entry, until it is decided.
    private struct Pending {
        let term: Term
        let answers: [Answer<CommandResult>]
    }

    private let replicator: Replicator
    private let clock: any Clock
    private let release: @Sendable ([ShardPosition]) -> Void
    private let took: @Sendable (Int) -> Void
    private let decided: @Sendable ([DecidedEntry]) -> Void
    private let failed: @Sendable (NodeFailure) -> Void
    private var pending: [GroupID: [LogIndex: Pending]] = [:]
    private var isStopped = false

    init(
        replicator: Replicator, clock: any Clock,
        release: @escaping @Sendable ([ShardPosition]) -> Void,
        took: @escaping @Sendable (Int) -> Void,
        decided: @escaping @Sendable ([DecidedEntry]) -> Void,
        failed: @escaping @Sendable (NodeFailure) -> Void
    ) {
        self.replicator = replicator
        self.clock = clock
        self.release = release
        self.took = took
        self.decided = decided
        self.failed = failed
    }

    /// Takes a batch of inputs, in order.
    func take(_ inputs: [Input]) {
        var batches: [GroupID: [Proposal]] = [:]
        var order: [GroupID] = []
        var bytes = 0
        for input in inputs {
            switch input {
            case .proposal(let proposal):
                bytes += proposal.command.count
                if batches[proposal.shard] == nil { order.append(proposal.shard) }
                batches[proposal.shard, default: []].append(proposal)
            case .logTurn(let completion): replicator.completed(completion)
            case .installed(let positions): release(positions)
            case .applied(let points):
                for point in points { replicator.applied(group: point.shard, through: point.index) }
            case .beat(let shard): propose([], to: shard, stampMs: clock.wallMilliseconds())
            case .tick: replicator.tick()
            case .stop: isStopped = true
            }
        }
        if bytes > 0 { took(bytes) }
        for shard in order { propose(batches[shard] ?? [], to: shard) }
        drain()
        if isStopped { abandon() }
    }

    /// Cuts a shard's proposals into entries.
    private func propose(_ proposals: [Proposal], to shard: GroupID) {
        let stampMs = clock.wallMilliseconds()
        var first = 0
        while first < proposals.count {
            var bytes = 0
            var next = first
            while next < proposals.count,
                next == first || bytes + proposals[next].command.count <= NodeLimits.entryBytesMax
            {
                bytes += proposals[next].command.count
                next += 1
            }
            propose(proposals[first..<next], to: shard, stampMs: stampMs)
            first = next
        }
    }

    private func propose(
        _ proposals: ArraySlice<Proposal>, to shard: GroupID, stampMs: Milliseconds
    ) {
        let batch = CommandBatch(stampMs: stampMs, commands: proposals.map(\.command))
        switch replicator.propose(group: shard, payload: batch.encoded()) {
        case .accepted(let index, let term):
            pending[shard, default: [:]][index] = Pending(
                term: term, answers: proposals.map(\.answer))
        case .rejected(let reason):
            let error = Self.error(reason)
            for proposal in proposals { proposal.answer(.failure(error)) }
        }
    }

    private static func error(_ reason: ProposeRejection) -> ServiceError {
        switch reason {
        case .unknownGroup, .notLeader:
            ServiceError(
                .unavailable, "the shard has no leader here yet", retryAfterMs: NodeLimits.retryMs)
        case .tooLarge: ServiceError(.tooLarge, "the request is too large for the log")
        case .overloaded: ChatNode.overloaded
        case .stopped:
            ServiceError(.unavailable, "the node is stopping", retryAfterMs: NodeLimits.retryMs)
        }
    }

    private func drain() {
        while true {
            let output = replicator.drain()
            if let failure = output.failure {
                isStopped = true
                abandon()
                failed(.log(failure))
                return
            }
            let entries = output.committed.map(decide)
            if !entries.isEmpty { decided(entries) }
            if !output.hasMore { return }
        }
    }

    private func decide(_ committed: CommittedEntry) -> DecidedEntry {
        let entry = committed.entry
        var answers: [Answer<CommandResult>] = []
        if let mine = pending[committed.group]?.removeValue(forKey: entry.index) {
            if mine.term == entry.term {
                answers = mine.answers
            } else {
                for answer in mine.answers { answer(.failure(Self.error(.notLeader(leader: nil)))) }
            }
        }
        return DecidedEntry(
            shard: committed.group, index: entry.index, term: entry.term,
            payload: entry.kind == .command ? entry.payload : nil, answers: answers)
    }

    /// The log is dead or the node stops: what was proposed may or may not be on disk.
    private func abandon() {
        let unknown = ServiceError(
            .noQuorum, "the outcome is unknown; send again with the same cid",
            retryAfterMs: NodeLimits.retryMs)
        for shard in pending.keys.sorted() {
            let entries = pending[shard] ?? [:]
            for index in entries.keys.sorted() {
                for answer in entries[index]?.answers ?? [] { answer(.failure(unknown)) }
            }
        }
        pending = [:]
    }
}
