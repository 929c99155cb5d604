import Platform
package import RaftCore
import RecordLog

/// Drives the Raft groups of a node over one shared log.
///
/// **The simple version** would write and sync for every group and every proposal. A disk does a
/// few thousand syncs a second, a node has dozens of groups and tens of thousands of messages: so
/// all groups' entries go into **one append and one sync**, and while that is under way the next
/// batch gathers (group commit). Under load batches grow by themselves; at rest a proposal waits
/// for nothing but its own sync.
///
///     propose ─▶ Replica ─┐                     ┌─▶ stored ─▶ committed ─▶ drain()
///     receive ─▶ Replica ─┼─▶ LogJob ─▶ log lane ┤
///     propose ─▶ Replica ─┘   (one under way)   └─▶ completed(_:)
///
/// **How to use it.** One lane owns it (the consensus lane). Feed inputs, then call ``drain()``
/// once for the whole batch of inputs; it starts the log's next turn, answers what is decided and
/// what the replicas have to say. The log lanes' completions come through the closure given to
/// ``open(_:_:groups:options:lane:fileLane:readLane:complete:)`` as values; the owner puts them
/// into its queue and gives them to ``completed(_:)``. Messages come back through
/// ``receive(_:_:)`` on the nodes they name; none of them waits for this node's disk unless it
/// reveals what must be on it.
// Confined: after `open` only the owner's lane uses it; the log lanes see only the writer.
package final class Replicator: @unchecked Sendable {
    /// A group and whether it has something to give.
    struct Group {
        let id: GroupID
        var replica: Replica
        var isDirty = false
        /// The tree holds everything up to here for good: it may leave the log.
        var releasable: LogIndex = 0
        /// What was erased and is still in the log, oldest first. Short: there is one per cut at
        /// most, and a cut's worth of log fills segments, few of which are held back.
        var erasures: [Erasure] = []
    }

    /// Something in the entries up to an index was erased, and a cut holds the erasure.
    struct Erasure {
        let through: LogIndex
        /// The tick at which this was noted.
        let tick: UInt64
    }

    /// Limits.
    package let options: ReplicatorOptions
    var groups: [Group] = []
    let positions: [GroupID: Int]
    /// Groups that have something to give, in the order in which they got it.
    var dirty: [Int] = []
    /// Buffers of ``drain()``, kept for their room.
    private var turn: [Int] = []
    private var effects = Effects()
    var extents: LogExtents
    let writer: LogWriter
    let lane: any Lane
    let readLane: any Lane
    let complete: @Sendable (LogCompletion) -> Void

    var isJobUnderWay = false
    /// At the start: an earlier run may have ended before it released what a cut has.
    var isReleaseDue = true
    /// Groups whose base moved since the log lane was told.
    var movedBases: [Int] = []
    var releasedBefore: UInt64 = 0
    /// True until the log lane is told that what is written may hold something erased.
    var isErasing = false
    /// True when the segment being written is to end with that.
    var endsSegment = false
    /// True from when the log lane was told so until the next one begins: then it may go.
    var isSegmentEnding = false
    var isUnmarked = false
    var quietTicks = 0
    /// Ticks since the turn under way began.
    var turnTicks = 0
    private(set) var ticks: UInt64 = 0
    var failure: LogError?
    private var isFailureTold = false

    init(
        options: ReplicatorOptions, replicas: [(id: GroupID, replica: Replica)],
        positions: [GroupID: Int], extents: LogExtents, writer: LogWriter, lane: any Lane,
        readLane: any Lane, complete: @escaping @Sendable (LogCompletion) -> Void
    ) {
        self.options = options
        self.positions = positions
        self.extents = extents
        self.writer = writer
        self.lane = lane
        self.readLane = readLane
        self.complete = complete
        groups = replicas.map {
            Group(id: $0.id, replica: $0.replica, releasable: $0.replica.log.baseIndex)
        }
        for position in groups.indices {
            // Alone there is nobody to wait for.
            if groups[position].replica.isAlone { groups[position].replica.campaign() }
            touch(position)
        }
    }

    /// The groups, ascending.
    package var groupIDs: [GroupID] { groups.map(\.id) }

    /// True while a turn of the log is under way.
    package var isWriting: Bool { isJobUnderWay }

    /// True while a turn of the log takes much longer than a disk should: who leads should not.
    package var isDiskSlow: Bool { turnTicks >= options.slowTurnTicks }

    /// A group at a glance; nil when it is not here.
    package func status(of group: GroupID) -> GroupStatus? {
        guard let position = positions[group] else { return nil }
        let replica = groups[position].replica
        return GroupStatus(
            replica: replica.id, role: replica.role, term: replica.term, leader: replica.leader,
            commitIndex: replica.commitIndex, appliedIndex: replica.appliedIndex,
            durableIndex: replica.durableIndex, lastIndex: replica.log.lastIndex,
            baseIndex: replica.log.baseIndex, configuration: replica.configuration)
    }

    // What is asked with every command and read: a whole replica is costly to copy.

    /// True when this node leads a group.
    package func isLeading(_ group: GroupID) -> Bool {
        positions[group].map { groups[$0].replica.role == .leader } ?? false
    }

    /// Who leads a group, as far as this node knows.
    package func leader(of group: GroupID) -> ReplicaID? {
        positions[group].flatMap { groups[$0].replica.leader }
    }

    /// A group's entries up to here were given for applying.
    package func handedOut(_ group: GroupID) -> LogIndex {
        positions[group].map { groups[$0].replica.handedOut } ?? 0
    }

    /// A group's entries up to here are applied.
    package func appliedIndex(_ group: GroupID) -> LogIndex {
        positions[group].map { groups[$0].replica.appliedIndex } ?? 0
    }

    /// The replica of a group, to look at; nil when it is not here.
    package func replica(of group: GroupID) -> Replica? {
        positions[group].map { groups[$0].replica }
    }

    /// Appends a command to a group's log, when this node leads the group. The payload is kept by
    /// reference; it goes to the disk with the next ``drain()`` at the earliest.
    package func propose(group: GroupID, payload: [UInt8]) -> ProposeResult {
        change(group) { $0.propose(payload) }
    }

    /// Takes one tick of the owner's timer: elections and heartbeats, and the durable mark of a log
    /// that has been quiet.
    package func tick() {
        guard failure == nil else { return }
        ticks &+= 1
        for position in groups.indices {
            // A leader without peers has no clockwork.
            if groups[position].replica.isAlone, groups[position].replica.role == .leader {
                continue
            }
            groups[position].replica.tick()
            touch(position)
        }
        turnTicks = isJobUnderWay ? turnTicks + 1 : 0
        if isUnmarked, !isJobUnderWay { quietTicks += 1 }
        if options.hasPeers, ticks % UInt64(options.releaseTicks) == 0 { releaseWhatPeersHave() }
    }

    /// Notes that the state machine has applied a group's entries up to `index`; their payloads may
    /// leave memory and count no longer against the limit of what may be proposed.
    package func applied(group: GroupID, through index: LogIndex) {
        guard let position = positions[group] else { return }
        groups[position].replica.applied(through: index)
    }

    /// Takes what a turn of the log came to.
    package func completed(_ completion: LogCompletion) {
        guard failure == nil else { return }
        if let reading = completion.reading {
            if let error = completion.failure {
                failure = error
                return
            }
            groups[reading.group].replica.provide(reading.entries, for: reading.read)
            touch(reading.group)
            return
        }
        isJobUnderWay = false
        turnTicks = 0
        if let error = completion.failure {
            failure = error
            return
        }
        if let segment = completion.segment {
            if isSegmentEnding, segment > extents.newestSegment {
                isSegmentEnding = false
                isReleaseDue = true
            }
            extents.note(segment: segment)
        }
        for placement in completion.placements {
            // What was released meanwhile is not live.
            let base = groups[placement.group].replica.log.baseIndex
            guard placement.last > base else { continue }
            extents.note(
                placement.group, first: max(placement.first, base + 1), last: placement.last,
                at: placement.position, replaces: !placement.isCopy)
        }
        for (position, ticket) in completion.tickets {
            groups[position].replica.stored(ticket)
            touch(position)
        }
    }

    /// Does what the inputs since the last call ask for: answers what is decided and said, and
    /// gives the log its next turn when it is free.
    package func drain() -> ReplicatorOutput {
        var output = ReplicatorOutput()
        if let failure {
            if !isFailureTold { output.failure = failure }
            isFailureTold = true
            return output
        }
        swap(&turn, &dirty)
        dirty.removeAll(keepingCapacity: true)
        for position in turn {
            groups[position].isDirty = false
            groups[position].replica.takeEffects(into: &effects)
            hand(position, to: &output)
            if effects.hasMoreCommitted { output.hasMore = true }
            if effects.hasMoreCommitted || effects.hasWrite { touch(position) }
            effects.removeAll()
        }
        if !isJobUnderWay { startJob() }
        return output
    }

    private func hand(_ position: Int, to output: inout ReplicatorOutput) {
        let id = groups[position].id
        for entry in effects.committed {
            output.committed.append(CommittedEntry(group: id, entry: entry))
        }
        for change in effects.roleChanges {
            output.roleChanges.append(GroupRoleChange(group: id, change: change))
        }
        for message in effects.messages {
            output.messages.append(GroupMessage(group: id, message: message))
        }
        for grant in effects.reads { output.reads.append(GroupRead(group: id, grant: grant)) }
        if effects.readsLost > 0 { output.readsLost.append((id, effects.readsLost)) }
        for need in effects.snapshotsNeeded {
            output.snapshotsNeeded.append(GroupSnapshotNeed(group: id, need: need))
        }
        for read in effects.logReads { startReading(read, of: position) }
    }

    /// Closes the log after the turn under way; nothing is written any more. What was accepted and
    /// did not come out committed may or may not be in the log at the next start.
    package func stop() {
        if failure == nil { failure = .dead }
        isFailureTold = true
        let writer = writer
        lane.submit { writer.close() }
    }

    func touch(_ position: Int) {
        if groups[position].isDirty { return }
        groups[position].isDirty = true
        dirty.append(position)
    }

    /// Asks a group's replica for a place in its log.
    func change(
        _ group: GroupID, _ body: (inout Replica) -> ProposalOutcome
    ) -> ProposeResult {
        if failure != nil { return .rejected(.stopped) }
        guard let position = positions[group] else { return .rejected(.unknownGroup) }
        switch body(&groups[position].replica) {
        case .accepted(let index, let term):
            touch(position)
            return .accepted(index: index, term: term)
        case .rejected(.notLeader(let leader)): return .rejected(.notLeader(leader: leader))
        case .rejected(.tooLarge(let limit)): return .rejected(.tooLarge(limit: limit))
        case .rejected(.transferring): return .rejected(.transferring)
        case .rejected(.overloaded), .rejected(.changeUnderWay), .rejected(.notReady):
            return .rejected(.overloaded)
        }
    }
}
