/// What a replica wants done, apart from storage. A reused buffer: ``Replica/takeEffects(into:)``
/// adds to it, the driver performs and clears it.
package struct Effects: Sendable {
    /// To be sent now, in any order.
    package var messages: [Message] = []
    /// Committed entries for the state machine, in order, each once.
    package var committed: [Entry] = []
    /// Entries that a lagging peer needs and that are no longer in memory.
    package var logReads: [LogRead] = []
    /// Changes of role since the last time.
    package var roleChanges: [RoleChange] = []
    /// Reads that may be answered, by ascending position.
    package var reads: [ReadGrant] = []
    /// Leadership was lost: the reads at positions up to this one that have not been granted, here
    /// or before, never will be. 0: none was lost.
    package var readsLost: UInt64 = 0
    /// States to be fetched and given to ``Replica/install(index:term:configuration:)``. The leader
    /// repeats its offer until it is taken up, and each offer is told: needs that come while a
    /// state is being fetched are of no interest.
    package var snapshotsNeeded: [SnapshotNeed] = []
    /// Committed entries are left for the next call.
    package var hasMoreCommitted = false
    /// The log must hold something that it was not given yet.
    package var hasWrite = false

    /// An empty buffer.
    package init() {}

    /// Empties the buffer, keeps its room.
    package mutating func removeAll() {
        if !messages.isEmpty { messages.removeAll(keepingCapacity: true) }
        if !committed.isEmpty { committed.removeAll(keepingCapacity: true) }
        if !logReads.isEmpty { logReads.removeAll(keepingCapacity: true) }
        if !roleChanges.isEmpty { roleChanges.removeAll(keepingCapacity: true) }
        if !reads.isEmpty { reads.removeAll(keepingCapacity: true) }
        readsLost = 0
        if !snapshotsNeeded.isEmpty { snapshotsNeeded.removeAll(keepingCapacity: true) }
        hasMoreCommitted = false
        hasWrite = false
    }
}

/// What a replica is in its group.
package enum Role: Equatable, Sendable {
    case follower
    /// Asks whether an election would succeed.
    case preCandidate
    case candidate
    case leader
}

/// A replica's role, term or known leader is another one now.
package struct RoleChange: Equatable, Sendable {
    /// What it is now.
    package let role: Role
    /// Its term.
    package let term: Term
    /// The leader it knows, possibly itself.
    package let leader: ReplicaID?
}

/// Names one write to the log of one replica. Tickets of a replica ascend; completing one completes
/// all before it, since the log is written in order.
///
/// The term is that of the replica when it asked for the write. See `Replica+Storage.swift` for
/// why a completion must not be matched by index alone.
package struct StoreTicket: Equatable, Sendable {
    /// Whose write.
    package let replica: ReplicaID
    /// The term when it was asked for.
    package let term: Term
    /// Ascending from 1 within a run of the process.
    package let number: UInt64
}

/// One write to the log: it is durable as a whole, and in order with the others of its replica.
package struct StoreWrite: Equatable, Sendable {
    /// What to answer with.
    package let ticket: StoreTicket
    /// The new hard state, when it changed.
    package let hardState: HardState?
    /// When set, the log forgets every entry it holds and goes on after this base, before it takes
    /// the entries of this write: a snapshot was installed.
    package let reset: LogBase?
    /// Consecutive entries; they replace whatever the log holds from the first one's index on.
    package let entries: [Entry]
}

/// Entries to be read from the log for a peer; answered by ``Replica/provide(_:for:)``.
package struct LogRead: Equatable, Sendable {
    /// Who lags.
    package let peer: ReplicaID
    /// The leader's term; the answer counts only in it.
    package let term: Term
    /// The first entry needed.
    package let first: LogIndex
    /// The last one that is not in memory; fewer may be provided.
    package let last: LogIndex
    /// About how many bytes are of use.
    package let bytesMax: Int
}
