import Bytes

/// One replica of one Raft group as a value: input in, effects out. No I/O, no clock, no chance of
/// its own; a copy is a checkpoint.
///
/// **How to drive it.** Feed it inputs (``tick()``, ``receive(_:)``, ``propose(_:kind:)``,
/// ``stored(_:)``, ``applied(through:)``, ``requestRead()``, …). Then take what it wants done:
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
    /// Who belongs to the group: the newest configuration in the log, decided or not.
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
    /// To whom this leader is handing leadership.
    package internal(set) var transferTarget: ReplicaID?
    /// Ticks since a leader was heard from; 0 on a leader.
    package internal(set) var ticksSinceLeaderHeard = 0

    /// The configuration as of the log's base.
    var baseConfiguration: Configuration
    var generator: SplitMix64
    var electionElapsed = 0
    var electionTimeout = 0
    var heartbeatElapsed = 0
    /// A candidate's count, in the order of the members.
    var votes: [Bool?] = []
    /// A leader's view of the members, in their order, itself included when it is one.
    var progress: [Progress] = []
    /// A leader's ticks since it was elected.
    var ticksLed = 0
    var transferElapsed = 0
    /// What the leader of the term last told of the members' logs; 0 when it has not.
    var toldFloor: LogIndex = 0
    var reads = ReadQueue()
    /// Bytes of own entries above the applied index.
    var unappliedBytes = 0
    var storage: StorageState
    /// Messages that may leave now.
    var outbox: [Message] = []
    var logReads: [LogRead] = []
    var roleChanges: [RoleChange] = []
    var readGrants: [ReadGrant] = []
    var readsLost: UInt64 = 0
    var snapshotsNeeded: [SnapshotNeed] = []

    /// A replica as its disk tells: hard state and log (a fresh one: the defaults). Entries up to
    /// `applied` are in the state machine.
    ///
    /// - Parameter configuration: as of the log's base; those that the log brings above it count.
    ///   One without voters for a replica that waits to be let into a group.
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
        precondition(
            hardState.term >= log.lastTerm || log.lastIndex == log.baseIndex,
            "an entry's term was seen")
        self.id = id
        self.options = options
        baseConfiguration = configuration
        self.configuration = log.changes.last?.configuration ?? configuration
        // A snapshot may have become durable before the term it speaks of. No vote of this replica
        // in that term has left: votes wait for the disk.
        self.hardState = log.baseTerm > hardState.term ? HardState(term: log.baseTerm) : hardState
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

    /// True when it is the only member.
    package var isAlone: Bool {
        configuration.members.count == 1 && configuration.members[0] == id
    }

    /// Takes one tick: elections, heartbeats, check-quorum.
    package mutating func tick() {
        electionElapsed += 1
        guard role == .leader else {
            ticksSinceLeaderHeard += 1
            if electionElapsed >= electionTimeout { campaign() }
            return
        }
        ticksLed += 1
        if electionElapsed >= options.electionTicks {
            electionElapsed = 0
            guard hearsQuorum() else {
                becomeFollower(term: term, leader: nil)
                return
            }
        }
        tickTransfer()
        heartbeatElapsed += 1
        if heartbeatElapsed >= options.heartbeatTicks {
            heartbeatElapsed = 0
            sendHeartbeats(toVotersOnly: false)
        }
    }

    /// No run of elections that a replica slept through comes near it: a message from further ahead
    /// is damaged, and would use up the terms there are.
    private static let termStepMax: Term = 1 << 32

    /// Takes a message. Those for another replica and those that contradict themselves, or a leader
    /// in its own term, are dropped.
    package mutating func receive(_ message: Message) {
        guard message.to == id, message.from != id, message.isCoherent,
            message.term <= term + Self.termStepMax
        else { return }
        guard settleTerm(with: message) else { return }
        if message.isFromLeader {
            if role != .leader { hear(message) }
            return
        }
        switch message.body {
        case .preVote(let lastIndex, let lastTerm):
            answerPreVote(message, lastIndex: lastIndex, lastTerm: lastTerm)
        case .vote(let lastIndex, let lastTerm, _):
            answerVote(message, lastIndex: lastIndex, lastTerm: lastTerm)
        case .preVoteReply(let isGranted):
            if role == .preCandidate { count(isGranted, from: message.from) }
        case .voteReply(let isGranted):
            if role == .candidate { count(isGranted, from: message.from) }
        default:
            guard role == .leader, let place = configuration.place(of: message.from) else { return }
            progress[place].isActive = true
            takeAnswer(message.body, from: place)
        }
    }

    /// Takes what the leader of the term says.
    private mutating func hear(_ message: Message) {
        follow(message.from)
        switch message.body {
        case .append(let previousIndex, let previousTerm, let entries, let commit):
            takeEntries(
                entries, after: previousIndex, previousTerm, commit: commit, from: message.from)
        case .heartbeat(let commit, let read, let floor):
            learnCommit(min(commit, log.lastIndex))
            toldFloor = floor
            sendNow(.heartbeatReply(read: read), to: message.from)
        case .snapshotOffer(let index, let offeredTerm):
            takeOffer(of: index, offeredTerm, from: message.from)
        case .timeoutNow: campaignForTransfer()
        default: break
        }
    }

    /// Takes what a member answers to this leader.
    private mutating func takeAnswer(_ body: Message.Body, from place: Int) {
        switch body {
        case .appendReply(let match): takeAcceptance(match, from: place)
        case .appendRejected(let previousIndex, let hintIndex, let hintTerm):
            takeRejection(of: previousIndex, hintIndex, hintTerm, from: place)
        case .heartbeatReply(let read): takeHeartbeatReply(read, from: place)
        default: break
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
    /// durable; members that still need them are offered a snapshot (see ``retentionFloor``).
    package mutating func compact(through index: LogIndex) {
        let base = min(index, appliedIndex, storage.durableIndex)
        baseConfiguration = configuration(at: base)
        log.compact(through: base)
    }

    /// Adds to `effects` what is to be done now.
    package mutating func takeEffects(into effects: inout Effects) {
        if role == .leader {
            startReads()
            sendAppends()
        }
        Self.move(&outbox, to: &effects.messages)
        Self.move(&logReads, to: &effects.logReads)
        Self.move(&roleChanges, to: &effects.roleChanges)
        takeReads(into: &effects)
        Self.move(&snapshotsNeeded, to: &effects.snapshotsNeeded)
        if handedOut < commitIndex {
            let entries = log.entries(
                from: handedOut + 1, through: commitIndex, bytesMax: options.committedBytesMax)
            handedOut += LogIndex(entries.count)
            effects.committed.append(contentsOf: entries)
        }
        effects.hasMoreCommitted = handedOut < commitIndex
        effects.hasWrite = hasWrite
    }

    private static func move<Item>(_ items: inout [Item], to target: inout [Item]) {
        if items.isEmpty { return }
        target.append(contentsOf: items)
        items.removeAll(keepingCapacity: true)
    }

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
