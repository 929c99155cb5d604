import Bytes

/// One replica of one Raft group as a value: input in, effects out. No I/O, no clock, no chance of
/// its own; a copy is a checkpoint.
///
/// **How to drive it.** Feed it inputs (``tick()``, ``receive(_:)``, ``propose(_:kind:)``,
/// ``stored(_:)``, ``applied(through:)``, …). Then take what it wants done:
/// ``takeEffects(into:)`` — messages to send now, committed entries — at any time, and
/// ``takeWrite()`` — what the log must hold — when the log can take a write. Writes are performed
/// in order and answered with ``stored(_:)``; several may be under way.
///
/// **What waits for the disk.** The replica holds back every message that reveals a term, a vote or
/// an entry until the write it rests on is stored (`Replica+Storage.swift`). A leader's entries
/// travel to the followers while its own disk works: latency is the larger of the two, not the sum.
///
/// Pre-vote and check-quorum are always on: the first keeps a replica that was cut off from
/// deposing a good leader, the second makes a leader that is cut off step down.
///
/// Source: Ongaro, "Consensus: bridging theory and practice" (2014), and what etcd's raft learned.
package struct Replica: Sendable {
    /// This replica.
    package let id: ReplicaID
    /// Limits and times.
    package let options: RaftOptions
    /// Who votes.
    package internal(set) var configuration: Configuration
    /// Term and vote, as they are in memory.
    package internal(set) var hardState: HardState
    /// What it is.
    package internal(set) var role: Role = .follower
    /// The leader of the term, when known.
    package internal(set) var leader: ReplicaID?
    /// Its log.
    package internal(set) var log: LogView
    /// Entries up to here are decided.
    package internal(set) var commitIndex: LogIndex
    /// Entries up to here were handed out for applying.
    package internal(set) var handedOut: LogIndex
    /// Entries up to here are applied.
    package internal(set) var appliedIndex: LogIndex

    var generator: SplitMix64
    var electionElapsed = 0
    var electionTimeout = 0
    var heartbeatElapsed = 0
    /// A candidate's count, in the order of the voters.
    var votes: [Bool?] = []
    /// A leader's view of the voters, in their order, itself included.
    var progress: [Progress] = []
    /// Bytes of own entries above the applied index.
    var unappliedBytes = 0
    var storage: StorageState
    /// Messages that may leave now.
    var outbox: [Message] = []
    var logReads: [LogRead] = []
    var roleChanges: [RoleChange] = []

    /// A replica as its disk tells: hard state and log (a fresh one: the defaults). Entries up to
    /// `applied` are in the state machine.
    ///
    /// - Parameter seed: of the generator that draws election timeouts; different for each replica.
    /// - Precondition: base ≤ applied ≤ last; payloads above `applied` are in the log view.
    package init(
        id: ReplicaID, configuration: Configuration, options: RaftOptions = RaftOptions(),
        hardState: HardState = HardState(), log: LogView = LogView(), applied: LogIndex = 0,
        seed: UInt64
    ) {
        options.check()
        precondition(
            applied >= log.baseIndex && applied <= log.lastIndex, "applied lies in the log")
        precondition(log.cachedFirst <= applied + 1, "what is to be applied is in memory")
        precondition(hardState.term >= log.lastTerm, "an entry's term was seen")
        self.id = id
        self.options = options
        self.configuration = configuration
        self.hardState = hardState
        self.log = log
        commitIndex = applied
        handedOut = applied
        appliedIndex = applied
        generator = SplitMix64(seed: seed)
        storage = StorageState(hardState: hardState, lastIndex: log.lastIndex)
        resetElectionTimer()
    }

    /// The newest term it has seen.
    package var term: Term { hardState.term }

    /// True when it alone decides.
    package var isAlone: Bool {
        configuration.voters.count == 1 && configuration.voters[0] == id
    }

    /// Takes one tick: elections, heartbeats, check-quorum.
    package mutating func tick() {
        electionElapsed += 1
        guard role == .leader else {
            if electionElapsed >= electionTimeout { campaign() }
            return
        }
        if electionElapsed >= options.electionTicks {
            electionElapsed = 0
            guard hearsQuorum() else {
                becomeFollower(term: term, leader: nil)
                return
            }
        }
        heartbeatElapsed += 1
        if heartbeatElapsed >= options.heartbeatTicks {
            heartbeatElapsed = 0
            sendHeartbeats()
        }
    }

    /// Takes a message. Those for another replica and those that contradict themselves are dropped.
    package mutating func receive(_ message: Message) {
        guard message.to == id, message.from != id, message.isCoherent else { return }
        guard settleTerm(with: message) else { return }
        switch message.body {
        case .preVote(let lastIndex, let lastTerm):
            answerPreVote(message, lastIndex: lastIndex, lastTerm: lastTerm)
        case .vote(let lastIndex, let lastTerm):
            answerVote(message, lastIndex: lastIndex, lastTerm: lastTerm)
        case .preVoteReply(let isGranted):
            if role == .preCandidate { count(isGranted, from: message.from) }
        case .voteReply(let isGranted):
            if role == .candidate { count(isGranted, from: message.from) }
        case .append(let previousIndex, let previousTerm, let entries, let commit):
            follow(message.from)
            takeEntries(
                entries, after: previousIndex, previousTerm, commit: commit, from: message.from)
        case .heartbeat(let commit):
            follow(message.from)
            learnCommit(min(commit, log.lastIndex))
            sendNow(.heartbeatReply, to: message.from)
        case .appendReply(let match):
            if role == .leader { takeAcceptance(match, from: message.from) }
        case .appendRejected(let previousIndex, let hintIndex, let hintTerm):
            guard role == .leader else { return }
            takeRejection(of: previousIndex, hintIndex, hintTerm, from: message.from)
        case .heartbeatReply:
            if role == .leader { takeHeartbeatReply(from: message.from) }
        }
    }

    /// Notes that the state machine has applied everything up to `index`: payloads may go.
    ///
    /// - Precondition: those entries were handed out.
    package mutating func applied(through index: LogIndex) {
        guard index > appliedIndex else { return }
        precondition(index <= handedOut, "only what was handed out can be applied")
        if role == .leader {
            unappliedBytes -= cost(from: appliedIndex + 1, through: index)
        }
        appliedIndex = index
        releasePayloads()
    }

    /// Forgets entries up to `index`: they are gone from the disk. Bounded by what is applied and
    /// durable; peers that still need them can then no longer be caught up entry by entry.
    package mutating func compact(through index: LogIndex) {
        log.compact(through: min(index, appliedIndex, storage.durableIndex))
    }

    /// Adds to `effects` what is to be done now.
    package mutating func takeEffects(into effects: inout Effects) {
        if role == .leader { sendAppends() }
        effects.messages.append(contentsOf: outbox)
        outbox.removeAll(keepingCapacity: true)
        effects.logReads.append(contentsOf: logReads)
        logReads.removeAll(keepingCapacity: true)
        effects.roleChanges.append(contentsOf: roleChanges)
        roleChanges.removeAll(keepingCapacity: true)
        if handedOut < commitIndex {
            let entries = log.entries(
                from: handedOut + 1, through: commitIndex, bytesMax: options.committedBytesMax)
            handedOut += LogIndex(entries.count)
            effects.committed.append(contentsOf: entries)
        }
    }

    /// True when ``takeEffects(into:)`` would leave committed entries behind for the next call.
    package var hasMoreCommitted: Bool { handedOut < commitIndex }

    /// Bytes by ``Entry/cost`` of cached entries in a range.
    func cost(from first: LogIndex, through last: LogIndex) -> Int {
        var total = 0
        var index = max(first, log.cachedFirst)
        while index <= last {
            total += log.entry(at: index).cost
            index += 1
        }
        return total
    }

    /// Drops payloads that are applied and durable; with peers a tail stays for those that lag.
    mutating func releasePayloads() {
        let droppable = min(appliedIndex, storage.durableIndex)
        if isAlone {
            log.releasePayloads(through: droppable)
            return
        }
        while log.cachedBytes > options.cacheBytesMax, log.cachedFirst <= droppable {
            log.releasePayloads(through: log.cachedFirst)
        }
    }

    mutating func sendNow(_ body: Message.Body, to peer: ReplicaID) {
        outbox.append(Message(from: id, to: peer, term: term, body: body))
    }
}

extension Message {
    /// False for bytes no replica would send: absurd terms, entries out of order or from a later
    /// term.
    var isCoherent: Bool {
        guard term < Term.max / 2 else { return false }
        guard case .append(let previousIndex, let previousTerm, let entries, _) = body else {
            return true
        }
        guard previousTerm <= term, previousIndex < LogIndex.max / 2 else { return false }
        var lastTerm = previousTerm
        for (offset, entry) in entries.enumerated() {
            guard entry.index == previousIndex + 1 + LogIndex(offset) else { return false }
            guard entry.term >= lastTerm, entry.term <= term else { return false }
            lastTerm = entry.term
        }
        return true
    }
}
