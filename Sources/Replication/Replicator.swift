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
///     propose ─▶ Replica ─┼─▶ LogJob ─▶ log lane ┤
///     propose ─▶ Replica ─┘   (one under way)   └─▶ completed(_:)
///
/// **How to use it.** One lane owns it (the consensus lane). Feed inputs, then call ``drain()``
/// once for the whole batch of inputs; it starts the log's next turn and answers what is decided.
/// The log lane's completions come through the closure given to ``open(_:_:groups:lane:complete:)``
/// as values; the owner puts them into its queue and gives them to ``completed(_:)``.
///
/// Groups have one member for now: the seam to peers comes with the cluster.
// Confined: after `open` only the owner's lane uses it; the log lane sees only the writer.
package final class Replicator: @unchecked Sendable {
    /// A group and whether it has something to give.
    private struct Group {
        let id: GroupID
        var replica: Replica
        var isDirty = false
    }

    /// Limits.
    package let options: ReplicatorOptions
    private var groups: [Group] = []
    private let positions: [GroupID: Int]
    /// Groups that have something to give, in the order in which they got it.
    private var dirty: [Int] = []
    /// Buffers of ``drain()``, kept for their room.
    private var turn: [Int] = []
    private var effects = Effects()
    private var extents: LogExtents
    private let writer: LogWriter
    private let lane: any Lane
    private let complete: @Sendable (LogCompletion) -> Void

    private var isJobUnderWay = false
    private var isReleaseDue = false
    /// Groups whose base moved since the log lane was told.
    private var movedBases: [Int] = []
    private var releasedBefore: UInt64 = 0
    private var isErasing = false
    private var isUnmarked = false
    private var quietTicks = 0
    private var failure: LogError?
    private var isFailureTold = false

    init(
        options: ReplicatorOptions, replicas: [(id: GroupID, replica: Replica)],
        positions: [GroupID: Int], extents: LogExtents, writer: LogWriter, lane: any Lane,
        complete: @escaping @Sendable (LogCompletion) -> Void
    ) {
        self.options = options
        self.positions = positions
        self.extents = extents
        self.writer = writer
        self.lane = lane
        self.complete = complete
        groups = replicas.map { Group(id: $0.id, replica: $0.replica) }
        for position in groups.indices {
            // Alone there is nobody to wait for.
            if groups[position].replica.isAlone { groups[position].replica.campaign() }
            touch(position)
        }
    }

    /// The groups, ascending.
    package var groupIDs: [GroupID] { groups.map(\.id) }

    /// A group at a glance; nil when it is not here.
    package func status(of group: GroupID) -> GroupStatus? {
        guard let position = positions[group] else { return nil }
        let replica = groups[position].replica
        return GroupStatus(
            replica: replica.id, role: replica.role, term: replica.term, leader: replica.leader,
            commitIndex: replica.commitIndex, appliedIndex: replica.appliedIndex,
            durableIndex: replica.durableIndex, lastIndex: replica.log.lastIndex,
            baseIndex: replica.log.baseIndex)
    }

    /// Appends a command to a group's log, when this node leads the group. The payload is kept by
    /// reference; it goes to the disk with the next ``drain()`` at the earliest.
    package func propose(group: GroupID, payload: [UInt8]) -> ProposeResult {
        if failure != nil { return .rejected(.stopped) }
        guard let position = positions[group] else { return .rejected(.unknownGroup) }
        switch groups[position].replica.propose(payload) {
        case .accepted(let index, let term):
            touch(position)
            return .accepted(index: index, term: term)
        case .rejected(.notLeader(let leader)): return .rejected(.notLeader(leader: leader))
        case .rejected(.tooLarge(let limit)): return .rejected(.tooLarge(limit: limit))
        case .rejected(.overloaded): return .rejected(.overloaded)
        }
    }

    /// Takes one tick of the owner's timer: elections and heartbeats, and the durable mark of a log
    /// that has been quiet.
    package func tick() {
        guard failure == nil else { return }
        for position in groups.indices {
            // A leader without peers has no clockwork.
            if groups[position].replica.isAlone, groups[position].replica.role == .leader {
                continue
            }
            groups[position].replica.tick()
            touch(position)
        }
        if isUnmarked, !isJobUnderWay { quietTicks += 1 }
    }

    /// Notes that the state machine has applied a group's entries up to `index`; their payloads may
    /// leave memory and count no longer against the limit of what may be proposed.
    package func applied(group: GroupID, through index: LogIndex) {
        guard let position = positions[group] else { return }
        groups[position].replica.applied(through: index)
    }

    /// Notes that the tree holds entries for good (a cut is installed): the log below them goes,
    /// segment by segment, with the next turns of the log.
    ///
    /// - Parameter isErasing: something in those entries was erased: the files are wiped before
    ///   they are used again.
    package func release(
        applied points: [(group: GroupID, index: LogIndex)], isErasing: Bool = false
    ) {
        self.isErasing = self.isErasing || isErasing
        for point in points {
            guard let position = positions[point.group] else { continue }
            let before = groups[position].replica.log.baseIndex
            groups[position].replica.compact(through: point.index)
            let base = groups[position].replica.log.baseIndex
            guard base > before else { continue }
            extents.release(position, through: base)
            isReleaseDue = true
            if !movedBases.contains(position) { movedBases.append(position) }
        }
    }

    /// Takes what a turn of the log came to.
    package func completed(_ completion: LogCompletion) {
        guard failure == nil else { return }
        isJobUnderWay = false
        if let error = completion.failure {
            failure = error
            return
        }
        if let segment = completion.segment { extents.note(segment: segment) }
        for placement in completion.placements {
            // What was released meanwhile is not live.
            let base = groups[placement.group].replica.log.baseIndex
            guard placement.last > base else { continue }
            extents.note(
                placement.group, first: max(placement.first, base + 1), last: placement.last,
                segment: placement.segment, replaces: !placement.isCopy)
        }
        for (position, ticket) in completion.tickets {
            groups[position].replica.stored(ticket)
            touch(position)
        }
    }

    /// Does what the inputs since the last call ask for: answers what is decided, and gives the log
    /// its next turn when it is free.
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
            let id = groups[position].id
            for entry in effects.committed {
                output.committed.append(CommittedEntry(group: id, entry: entry))
            }
            for change in effects.roleChanges {
                output.roleChanges.append(GroupRoleChange(group: id, change: change))
            }
            effects.removeAll()
            if groups[position].replica.hasMoreCommitted { output.hasMore = true }
            if groups[position].replica.hasMoreCommitted || groups[position].replica.hasWrite {
                touch(position)
            }
        }
        if !isJobUnderWay { startJob() }
        return output
    }

    /// Closes the log after the turn under way; nothing is written any more. What was accepted and
    /// did not come out committed may or may not be in the log at the next start.
    package func stop() {
        if failure == nil { failure = .dead }
        isFailureTold = true
        let writer = writer
        lane.submit { writer.close() }
    }

    /// True while a turn of the log is under way.
    package var isWriting: Bool { isJobUnderWay }

    private func touch(_ position: Int) {
        if groups[position].isDirty { return }
        groups[position].isDirty = true
        dirty.append(position)
    }
}

extension Replicator {
    /// Gathers what is to be written and gives it to the log lane, if there is anything.
    private func startJob() {
        var job = LogJob()
        if isReleaseDue { addRelease(to: &job) }
        var bytes = 0
        var asked = 0
        for position in dirty {
            let room = options.turnBytesMax - bytes
            if room <= 0 { break }
            asked += 1
            guard let write = groups[position].replica.takeWrite(bytesMax: room) else { continue }
            bytes += write.entries.reduce(0) { $0 + $1.cost }
            job.writes.append(
                LogJob.GroupWrite(
                    group: position, hardState: write.hardState, entries: write.entries,
                    ticket: write.ticket))
        }
        // Who got nothing this time is first the next time.
        if asked < dirty.count { dirty = Array(dirty[asked...] + dirty[..<asked]) }
        if !job.writes.isEmpty || job.releaseBefore != nil {
            isUnmarked = true
            quietTicks = 0
        } else if isUnmarked, quietTicks >= options.quietTicks {
            job.isMark = true
            isUnmarked = false
            quietTicks = 0
        } else {
            return
        }
        for position in movedBases {
            let log = groups[position].replica.log
            job.bases.append((position, log.baseIndex, log.baseTerm))
        }
        movedBases.removeAll(keepingCapacity: true)
        isJobUnderWay = true
        let writer = writer
        let complete = complete
        let whole = job
        lane.submit { complete(writer.perform(whole)) }
    }

    /// Adds to a job what lets old segments go: groups that pin segments far back have their live
    /// entries copied to the log's end first.
    private func addRelease(to job: inout LogJob) {
        isReleaseDue = false
        var oldest = extents.newestSegment
        for position in groups.indices {
            guard let segment = extents.oldestSegment(position) else { continue }
            let isFarBack = segment &+ options.pinnedSegmentsMax < extents.newestSegment
            if isFarBack, let entries = liveEntries(of: position) {
                job.writes.append(
                    LogJob.GroupWrite(
                        group: position, hardState: nil, entries: entries, ticket: nil))
            } else {
                oldest = min(oldest, segment)
            }
        }
        if oldest > releasedBefore {
            job.releaseBefore = oldest
            job.isErasing = isErasing
            isErasing = false
            releasedBefore = oldest
        } else {
            job.writes.removeAll()
        }
    }

    /// All entries of a group that are on disk and not released, when they are in memory and few
    /// enough to be copied.
    ///
    /// Nothing is under way when this is asked: what is on disk is all that was written, so the
    /// copies repeat the end of the group's log and cut nothing off.
    private func liveEntries(of position: Int) -> [Entry]? {
        let replica = groups[position].replica
        let first = replica.log.baseIndex + 1
        guard replica.log.cachedFirst <= first, first <= replica.durableIndex else { return nil }
        var entries: [Entry] = []
        var bytes = 0
        for index in first...replica.durableIndex {
            let entry = replica.log.entry(at: index)
            bytes += entry.cost
            if bytes > options.copyBytesMax { return nil }
            entries.append(entry)
        }
        return entries
    }
}
