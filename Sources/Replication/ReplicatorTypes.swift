package import RaftCore
package import RecordLog

/// One group as its owner starts it: who it is, and how far its state machine has come for good.
package struct GroupStart: Sendable {
    /// The group.
    package let group: GroupID
    /// Its placement on this node; never 0, never reused.
    package let replica: ReplicaID
    /// What the tree's manifest says is applied; replay starts strictly above it.
    package let appliedIndex: LogIndex
    /// The term of that entry; 0 for index 0.
    package let appliedTerm: Term
    /// Who is in the group as of that entry.
    package let configuration: Configuration

    /// A group whose state machine holds everything up to an applied entry.
    ///
    /// - Parameter configuration: nil: the replica is alone.
    package init(
        group: GroupID, replica: ReplicaID, appliedIndex: LogIndex = 0, appliedTerm: Term = 0,
        configuration: Configuration? = nil
    ) {
        precondition(replica != 0, "replica ids start at 1")
        self.group = group
        self.replica = replica
        self.appliedIndex = appliedIndex
        self.appliedTerm = appliedTerm
        self.configuration = configuration ?? Configuration(voters: [replica])
    }
}

/// Limits of the replicator; times in ticks of its owner.
package struct ReplicatorOptions: Sendable {
    /// Limits and times of each group.
    package var raft = RaftOptions()
    /// The shared log.
    package var log = SegmentLogOptions()
    /// Entry bytes in one turn of the log; what is above waits for the next.
    package var turnBytesMax = 8 << 20
    /// Quiet ticks after which the log says how far it is durable (50 ms in production).
    package var quietTicks = 1
    /// How many segments a group may hold back: for a peer that lags (then it gets a snapshot), or
    /// because it is idle (then its live entries are copied forward).
    package var pinnedSegmentsMax: UInt64 = 8
    /// How long what was erased may stay in the log for a peer that lags or fetches a snapshot,
    /// counted from the cut that holds the erasure. 30 minutes in production, of the day that an
    /// erasure has: many times what a snapshot takes.
    package var erasureTicksMax: UInt64 = 36_000
    /// Ticks after which a log turn that does not end makes the node hand its leaderships over.
    package var slowTurnTicks = 20
    /// Ticks between looks at what peers that have caught up no longer need.
    package var releaseTicks = 20
    /// Entries may be asked for again by peers; false for a node that stays alone.
    package var hasPeers = false
    /// The most live entry bytes of a group that are copied forward.
    package var copyBytesMax = 64 << 20
    /// Seed of the generators that draw election timeouts.
    package var seed: UInt64 = 0

    /// The defaults.
    package init() {}
}

/// The answer to ``Replicator/propose(group:payload:)``.
package enum ProposeResult: Equatable, Sendable {
    /// It is in the group's log here. When an entry with this index and *this term* comes out
    /// committed, it is decided; when one with another term does, it never will be.
    case accepted(index: LogIndex, term: Term)
    /// It is nowhere and never will be.
    case rejected(ProposeRejection)
}

/// Why a proposal was refused.
package enum ProposeRejection: Equatable, Sendable {
    /// No such group on this node.
    case unknownGroup
    /// Another replica leads, or nobody known; a group of one leads as soon as its first writes
    /// are stored.
    case notLeader(leader: ReplicaID?)
    /// The payload is larger than this many bytes.
    case tooLarge(limit: Int)
    /// Too many bytes wait to be committed or applied; try again later.
    case overloaded
    /// The leadership is being handed over.
    case transferring
    /// The log is dead; the node must stop.
    case stopped
}

/// A decided entry, to be applied in the order of its group.
package struct CommittedEntry: Equatable, Sendable {
    /// Its group.
    package let group: GroupID
    /// Index, term, kind and payload. Entries that are no commands only move the applied index.
    package let entry: Entry
}

/// A group's role on this node changed.
package struct GroupRoleChange: Equatable, Sendable {
    /// The group.
    package let group: GroupID
    /// Role, term and known leader now.
    package let change: RoleChange
}

/// What a turn of the replicator brings its owner.
package struct ReplicatorOutput: Sendable {
    /// Decided entries; those of one group ascend without a gap.
    package var committed: [CommittedEntry] = []
    /// Changes of role, in order.
    package var roleChanges: [GroupRoleChange] = []
    /// What the replicas say to their peers, in order.
    package var messages: [GroupMessage] = []
    /// Reads that are confirmed: rows applied up to the index show everything acknowledged before
    /// the read was asked for.
    package var reads: [GroupRead] = []
    /// Groups whose reads up to a position are lost, since this replica leads no more.
    package var readsLost: [(group: GroupID, through: UInt64)] = []
    /// Groups whose log here is so far behind that the state itself must be fetched.
    package var snapshotsNeeded: [GroupSnapshotNeed] = []
    /// True when more is to be had at once: drain again after handling this.
    package var hasMore = false
    /// Given once, when the log died: the node must stop.
    package var failure: LogError?

    /// True when nothing happened.
    package var isEmpty: Bool {
        committed.isEmpty && roleChanges.isEmpty && messages.isEmpty && reads.isEmpty
            && readsLost.isEmpty && snapshotsNeeded.isEmpty && !hasMore && failure == nil
    }
}

/// A message of one group.
package struct GroupMessage: Equatable, Sendable {
    /// The group.
    package let group: GroupID
    /// What is said, by whom and to whom.
    package let message: Message

    /// A message of a group.
    package init(group: GroupID, message: Message) {
        self.group = group
        self.message = message
    }
}

/// A read of one group that its leader confirmed.
package struct GroupRead: Equatable, Sendable {
    /// The group.
    package let group: GroupID
    /// The position that was asked for, and the index to wait for.
    package let grant: ReadGrant
}

/// A group that needs a snapshot.
package struct GroupSnapshotNeed: Equatable, Sendable {
    /// The group.
    package let group: GroupID
    /// Who offers one, and how far its log is gone.
    package let need: SnapshotNeed
}

/// One group at a glance.
package struct GroupStatus: Equatable, Sendable {
    /// Its placement here.
    package let replica: ReplicaID
    /// What it is.
    package let role: Role
    /// Its term.
    package let term: Term
    /// Its known leader.
    package let leader: ReplicaID?
    /// Decided up to here.
    package let commitIndex: LogIndex
    /// Applied up to here.
    package let appliedIndex: LogIndex
    /// On disk up to here.
    package let durableIndex: LogIndex
    /// The last entry.
    package let lastIndex: LogIndex
    /// The log starts above here.
    package let baseIndex: LogIndex
    /// Who is in the group.
    package let configuration: Configuration
}
