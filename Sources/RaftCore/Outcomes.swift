/// The answer to a proposal.
package enum ProposalOutcome: Equatable, Sendable {
    /// It stands in the leader's log here. It may still be replaced by another leader: only an
    /// entry with this index *and* term that comes out committed is this proposal.
    case accepted(index: LogIndex, term: Term)
    /// It stands nowhere and never will.
    case rejected(ProposalRejection)
}

/// Why a proposal was refused.
package enum ProposalRejection: Equatable, Sendable {
    /// Another replica leads, or nobody known.
    case notLeader(leader: ReplicaID?)
    /// The payload is larger than the limit.
    case tooLarge(limit: Int)
    /// Too many bytes wait to be committed or applied; try again later.
    case overloaded
    /// Leadership is on its way to another replica; try again soon.
    case transferring
    /// A change of membership is not through yet.
    case changeUnderWay
    /// The leader has not committed an entry of its term yet; try again soon.
    case notReady
}

/// The answer to ``Replica/requestRead()``.
package enum ReadRequestOutcome: Equatable, Sendable {
    /// A ``ReadGrant`` with this position lets it be answered, unless ``Effects/readsLost`` tells
    /// that it was lost.
    case waiting(position: UInt64)
    /// It waits for nothing.
    case rejected(ReadRejection)
}

/// Why a read was refused.
package enum ReadRejection: Equatable, Sendable {
    /// Another replica leads, or nobody known.
    case notLeader(leader: ReplicaID?)
    /// Too many reads wait.
    case overloaded
}

/// Reads that are confirmed: this replica led after they were asked for.
package struct ReadGrant: Equatable, Sendable {
    /// Which reads.
    package let position: UInt64
    /// They may be answered from a state that has applied this entry.
    package let index: LogIndex
}

/// The answer to ``Replica/transferLeadership(to:)``.
package enum TransferOutcome: Equatable, Sendable {
    /// The target is being brought up to date and then told to campaign. A role change tells that
    /// it worked; ``Replica/transferTarget`` going back to nil without one that it did not.
    case started
    /// Nothing happens.
    case rejected(TransferRejection)
}

/// Why leadership is not handed over.
package enum TransferRejection: Equatable, Sendable {
    /// Another replica leads, or nobody known.
    case notLeader(leader: ReplicaID?)
    /// The target is this replica, or cannot lead: it is no voter, or on its way out.
    case unsuitable
    /// It is being handed to another replica.
    case transferring(to: ReplicaID)
}

/// A state that this replica must fetch because the entries it lacks are gone.
package struct SnapshotNeed: Equatable, Sendable {
    /// The leader that offers it.
    package let from: ReplicaID
    /// The state must have applied at least this entry.
    package let index: LogIndex
}

/// How a leader sends entries to a member.
package enum PeerState: Equatable, Sendable {
    /// One message, then silence until an answer or a heartbeat's answer.
    case probe
    /// As many as the window holds.
    case replicate
    /// None: the entries it needs are gone, it is to fetch a snapshot.
    case snapshot
}

/// What a leader knows about a member.
package struct PeerStatus: Equatable, Sendable {
    /// Entries up to here agree with the leader and are on the member's disk.
    package let match: LogIndex
    /// True when it has answered in this or the last span of an election timeout.
    package let isActive: Bool
    /// How it is sent entries.
    package let state: PeerState
}
