import Bytes
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
    /// Those who wait for consecutive commands of the entry.
    struct Waiters: Sendable {
        /// The number of their first command in the entry.
        let offset: Int
        let answers: [Answer<CommandResult>]
    }

    let shard: GroupID
    let entry: RaftCore.Entry
    let waiters: [Waiters]
}

/// The consensus lane: proposals in, one log entry per shard and drain, decided entries out; and
/// everything that nodes say to each other about it.
///
/// Batching is by waiting for the disk, not by a timer: while a turn of the log is being synced,
/// proposals gather; the next turn takes them all. An entry is bounded by
/// ``NodeLimits/entryBytesMax``, so a burst becomes several.
///
/// A command for a shard that another node leads goes there in one hop; its answer comes from the
/// own apply lane, when the entry that holds it is applied *here*: so whoever was answered finds
/// what they wrote on the node that answered, and `sent` stands in the right place among events.
// Confined to the consensus lane.
final class ConsensusLoop: @unchecked Sendable {
    enum Input: Sendable {
        case proposal(Proposal)
        case read(ReadBarrier)
        case peer(PeerEvent)
        case logTurn(LogCompletion)
        case installed(InstalledCut)
        case applied([(shard: GroupID, index: LogIndex)])
        /// A shard's state came as a snapshot and is in the tree for good.
        case snapshotInstalled(ShardPosition)
        /// An empty batch, so that an idle shard's stamp moves on.
        case beat(GroupID)
        /// Leaderships go to other nodes, then `done` is called: a graceful stop begins.
        case handOver(done: @Sendable () -> Void)
        /// An operator wants a shard, led here, on another node.
        case transfer(GroupID, NodeNumber, Answer<Void>)
        case tick
        /// The node stops: what is not decided by now is answered with that.
        case stop
    }

    /// What the lane calls; all of it returns at once.
    struct Outlets: Sendable {
        let release: @Sendable (InstalledCut) -> Void
        let took: @Sendable (Int) -> Void
        let tookFrame: @Sendable (Int) -> Void
        let decided: @Sendable ([DecidedEntry]) -> Void
        let failed: @Sendable (NodeFailure) -> Void
        /// Leadership of shards came or went.
        let led: @Sendable (GroupID, Bool) -> Void
        /// A shard's state must be fetched from a node.
        let fetch: @Sendable (GroupID, NodeNumber, LogIndex) -> Void
        /// A frame that other lanes take care of.
        let frame: @Sendable (NodeNumber, PeerFrame) -> Void
        /// A node came or went, or was refused.
        let peers: @Sendable (PeerEvent) -> Void
        let notice: @Sendable (String) -> Void
        /// Microseconds that a turn of the log took.
        let turned: @Sendable (UInt64) -> Void
        /// No group has a replica on this node, which leaves, any more.
        let left: @Sendable (NodeNumber) -> Void
        /// Leaders of all shards, of which this node knows, are within reach; or are not any more.
        let inTouch: @Sendable (Bool) -> Void
        /// How all shards stand, now and then.
        let reports: @Sendable ([ShardReport]) -> Void
    }

    /// Commands of one shard that stay together in one entry.
    struct Unit {
        /// Who is told what became of it.
        enum Source {
            case here(Forwarding.Batch)
            case node(Origin)
        }

        /// A batch of another node.
        struct Origin {
            let node: NodeNumber
            let request: UInt64
            let flight: UInt64
        }

        let commands: [[UInt8]]
        let source: Source
        let bytes: Int
    }

    /// Those who wait for one entry, until it is decided.
    struct Pending {
        let term: Term
        let waiters: DecidedEntry.Waiters
        let deadline: UInt64
    }

    let replicator: Replicator
    let clock: any Clock
    let outlets: Outlets
    let cluster: ClusterLinks
    let shards: ShardMap
    var pending: [GroupID: [LogIndex: [Pending]]] = [:]
    /// Entries whose waiters give up at a tick, in that order.
    var deadlines: [(tick: UInt64, shard: GroupID, index: LogIndex)] = []
    /// The term of the newest decided entry of each shard.
    private var decidedTerms: [GroupID: Term] = [:]
    var isStopped = false
    var tickCount: UInt64 = 0
    /// When the log's turn under way began.
    private var turnStart: UInt64?
    var forwarding = Forwarding()
    var reads = ReadDesk()
    var keeper = MembershipKeeper()
    var contact = Contact()
    var handOver: HandOver?
    var encoder = RaftMessageEncoder()
    /// Messages of this drain, by the node they go to.
    var outgoing: [NodeNumber: ByteWriter] = [:]

    init(
        replicator: Replicator, clock: any Clock, shards: ShardMap, cluster: ClusterLinks,
        outlets: Outlets
    ) {
        self.replicator = replicator
        self.clock = clock
        self.shards = shards
        self.cluster = cluster
        self.outlets = outlets
    }

    /// Takes a batch of inputs, in order.
    func take(_ inputs: [Input]) {
        var units: [GroupID: [Unit]] = [:]
        var order: [GroupID] = []
        var bytes = 0
        func add(_ unit: Unit, _ shard: GroupID) {
            if units[shard] == nil { order.append(shard) }
            units[shard, default: []].append(unit)
        }
        for input in inputs {
            switch input {
            case .proposal(let proposal):
                bytes += proposal.command.count
                let deadline = tickCount + ClusterLimits.proposalTicks
                add(Self.unit(forwarding.batch([proposal], deadline: deadline)), proposal.shard)
            case .read(let barrier): open(barrier)
            case .peer(let event):
                if let (shard, unit) = take(event) { add(unit, shard) }
            case .logTurn(let completion):
                replicator.completed(completion)
                endTurn()
            case .installed(let cut): outlets.release(cut)
            case .applied(let points): noteApplied(points)
            case .snapshotInstalled(let position): install(position)
            case .beat(let shard): beat(shard)
            case .handOver(let done): handOver = HandOver(done: done)
            case .transfer(let shard, let node, let answer): answer(handOver(shard, to: node))
            case .tick: tick()
            case .stop: isStopped = true
            }
        }
        if bytes > 0 { outlets.took(bytes) }
        for shard in order { propose(units[shard] ?? [], to: shard) }
        drain()
        if replicator.isWriting, turnStart == nil { turnStart = clock.monotonicNanoseconds() }
        if isStopped { abandon() }
    }

    /// Notes how long the log's turn took, once it is over.
    private func endTurn() {
        guard !replicator.isWriting, let start = turnStart else { return }
        turnStart = nil
        outlets.turned((clock.monotonicNanoseconds() &- start) / 1_000)
    }

    static func unit(_ batch: Forwarding.Batch) -> Unit {
        Unit(
            commands: batch.proposals.map(\.command), source: .here(batch),
            bytes: Forwarding.bytes(batch.proposals))
    }

    private func beat(_ shard: GroupID) {
        guard replicator.isLeading(shard) else { return }
        propose([Self.unit(forwarding.batch([], deadline: tickCount))], to: shard)
    }

    private func tick() {
        tickCount += 1
        replicator.tick()
        expirePending()
        expireForwarded()
        tickReads()
        tickMembership()
        tickContact()
        if tickCount % ClusterLimits.reportTicks == 0 { outlets.reports(shardReports) }
    }

    private func noteApplied(_ points: [(shard: GroupID, index: LogIndex)]) {
        for point in points {
            replicator.applied(group: point.shard, through: point.index)
            finishReads(of: point.shard, appliedThrough: point.index)
        }
    }

    private func install(_ position: ShardPosition) {
        _ = replicator.install(
            position.shard, index: position.index, term: position.term,
            configuration: position.configuration)
        finishReads(of: position.shard, appliedThrough: position.index)
    }

    // MARK: Proposing

    /// Cuts a shard's units into entries, or sends them where the shard is led.
    func propose(_ units: [Unit], to shard: GroupID) {
        // A leader whose clock is off stamps nothing: what comes waits until another leads.
        guard replicator.isLeading(shard), !keeper.isClockOff else {
            return forward(units, of: shard)
        }
        var units = units
        if forwarding.mustQueue(shard, for: cluster.node) {
            // Own commands wait behind earlier ones; those of other nodes need not.
            for unit in units { if case .here(let batch) = unit.source { park(batch, of: shard) } }
            units.removeAll { if case .here = $0.source { true } else { false } }
        }
        let stampMs = clock.wallMilliseconds()
        var first = 0
        while first < units.count {
            var bytes = 0
            var next = first
            while next < units.count,
                next == first || bytes + units[next].bytes <= NodeLimits.entryBytesMax
            {
                bytes += units[next].bytes
                next += 1
            }
            append(units[first..<next], to: shard, stampMs: stampMs)
            first = next
        }
    }

    private func append(_ units: ArraySlice<Unit>, to shard: GroupID, stampMs: Milliseconds) {
        let batch = CommandBatch(stampMs: stampMs, commands: units.flatMap(\.commands))
        switch replicator.propose(group: shard, payload: batch.encoded()) {
        case .accepted(let index, let term):
            var offset = 0
            for unit in units {
                switch unit.source {
                case .here(let batch):
                    let answers = batch.proposals.map(\.answer)
                    wait(answers, for: (shard, index, term), offset: offset)
                case .node(let origin):
                    reply(
                        origin.request, .accepted(index: index, term: term, offset: offset),
                        to: origin.node)
                }
                offset += unit.commands.count
            }
        case .rejected(let reason): for unit in units { refuse(unit, of: shard, reason) }
        }
    }

    /// Has answers wait for an entry.
    func wait(
        _ answers: [Answer<CommandResult>],
        for entry: (shard: GroupID, index: LogIndex, term: Term), offset: Int
    ) {
        if answers.isEmpty { return }
        let deadline = tickCount + ClusterLimits.proposalTicks
        pending[entry.shard, default: [:]][entry.index, default: []].append(
            Pending(
                term: entry.term, waiters: .init(offset: offset, answers: answers),
                deadline: deadline))
        deadlines.append((deadline, entry.shard, entry.index))
    }

    private func refuse(_ unit: Unit, of shard: GroupID, _ reason: ProposeRejection) {
        let outcome: PeerFrame.ForwardOutcome
        switch reason {
        case .unknownGroup, .notLeader, .transferring:
            if case .here(let batch) = unit.source { return park(batch, of: shard) }
            outcome = .notLeader
        case .tooLarge: outcome = .tooLarge
        case .overloaded: outcome = .overloaded
        case .stopped: outcome = .notLeader
        }
        switch unit.source {
        case .node(let origin): refuse(origin, of: shard, outcome)
        case .here(let batch):
            let error = reason == .stopped ? Self.stopping : Self.error(outcome)
            for proposal in batch.proposals { proposal.answer(.failure(error)) }
        }
    }

    static let stopping = ServiceError(
        .unavailable, "the node is stopping", retryAfterMs: NodeLimits.retryMs)
    static let unknownOutcome = ServiceError(
        .noQuorum,
        "no majority of the shard's nodes answered in time: the outcome is unknown; "
            + "send again with the same cid", retryAfterMs: NodeLimits.retryMs)

    static func error(_ outcome: PeerFrame.ForwardOutcome) -> ServiceError {
        switch outcome {
        case .accepted: unknownOutcome
        case .notLeader:
            ServiceError(
                .unavailable, "the shard has no leader yet", retryAfterMs: NodeLimits.retryMs)
        case .tooLarge: ServiceError(.tooLarge, "the request is too large for the log")
        case .overloaded: ChatNode.overloaded
        }
    }

    // MARK: Deciding

    private func drain() {
        while true {
            let didAsk = askReads()
            let output = replicator.drain()
            if let failure = output.failure {
                isStopped = true
                abandon()
                outlets.failed(.log(failure))
                return
            }
            for change in output.roleChanges { note(change) }
            let entries = output.committed.map(decide)
            if !entries.isEmpty { outlets.decided(entries) }
            for need in output.snapshotsNeeded {
                outlets.fetch(need.group, ReplicaName.node(of: need.need.from), need.need.index)
            }
            takeReads(output)
            for item in output.messages { say(item) }
            if !output.hasMore, !didAsk { break }
        }
        sendOutgoing()
    }

    private func note(_ change: GroupRoleChange) {
        outlets.led(change.group, change.change.role == .leader)
    }

    private func decide(_ committed: CommittedEntry) -> DecidedEntry {
        let entry = committed.entry
        if entry.term > decidedTerms[committed.group, default: 0] {
            decidedTerms[committed.group] = entry.term
            refuseOvertaken(committed.group, by: entry)
        }
        var waiters: [DecidedEntry.Waiters] = []
        for mine in pending[committed.group]?.removeValue(forKey: entry.index) ?? [] {
            #if PlantedBugs
                let isMine = mine.term == entry.term || PlantedBug.answerByIndex.isOn
            #else
                let isMine = mine.term == entry.term
            #endif
            if isMine {
                waiters.append(mine.waiters)
            } else {
                // Another leader's entry took its place: it never will be.
                for answer in mine.waiters.answers { answer(.failure(Self.error(.notLeader))) }
            }
        }
        return DecidedEntry(shard: committed.group, entry: entry, waiters: waiters)
    }

    /// An entry of a new term is decided: what an older term had behind it never will be.
    private func refuseOvertaken(_ shard: GroupID, by entry: RaftCore.Entry) {
        for index in (pending[shard] ?? [:]).keys.sorted() where index > entry.index {
            let waiting = pending[shard]?[index] ?? []
            let left = waiting.filter { $0.term >= entry.term }
            pending[shard]?[index] = left.isEmpty ? nil : left
            for mine in waiting where mine.term < entry.term {
                for answer in mine.waiters.answers { answer(.failure(Self.error(.notLeader))) }
            }
        }
    }

    /// Those who waited too long are told that nobody knows.
    private func expirePending() {
        let due = deadlines.prefix { $0.tick <= tickCount }
        if due.isEmpty { return }
        for item in due {
            let waiting = pending[item.shard]?[item.index] ?? []
            if waiting.isEmpty { continue }
            let left = waiting.filter { $0.deadline > tickCount }
            pending[item.shard]?[item.index] = left.isEmpty ? nil : left
            for late in waiting where late.deadline <= tickCount {
                for answer in late.waiters.answers { answer(.failure(Self.unknownOutcome)) }
            }
        }
        deadlines.removeFirst(due.count)
    }

    /// The log is dead or the node stops: what was proposed may or may not be on disk.
    private func abandon() {
        for shard in pending.keys.sorted() {
            let entries = pending[shard] ?? [:]
            for index in entries.keys.sorted() {
                for waiting in entries[index] ?? [] {
                    for answer in waiting.waiters.answers {
                        answer(.failure(Self.unknownOutcome))
                    }
                }
            }
        }
        pending = [:]
        deadlines = []
        abandonForwarded()
        abandonReads()
        handOver?.finish()
        handOver = nil
    }
}
