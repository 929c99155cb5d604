/// A leader's era. Terms never go back.
package typealias Term = UInt64

/// A position in a group's log; the first entry has 1, 0 stands for "before everything".
package typealias LogIndex = UInt64

/// One placement of a group on a node. Never reused: a wiped disk comes back under a new id, so it
/// can never vote as its old self. Members of a configuration, senders of messages and holders of
/// votes are replica ids.
package typealias ReplicaID = UInt64

/// What a replica must never forget: it stands on disk before any message that reveals it leaves.
package struct HardState: Equatable, Sendable {
    /// The newest term seen.
    package var term: Term
    /// Who got this replica's vote in ``term``.
    package var vote: ReplicaID?

    /// A state; the default is that of a replica that has seen nothing.
    package init(term: Term = 0, vote: ReplicaID? = nil) {
        self.term = term
        self.vote = vote
    }
}

/// What an entry means to Raft. The core only knows these; other bytes pass through untouched, so
/// later kinds (configuration changes) need no new log format.
package struct EntryKind: Equatable, Sendable {
    /// The byte on disk and on the wire; 0 is never valid.
    package let rawValue: UInt8

    /// A kind by its byte.
    package init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    /// The empty entry with which a leader opens its term.
    package static let noop = EntryKind(rawValue: 1)
    /// A command for the state machine, opaque here.
    package static let command = EntryKind(rawValue: 2)
}

/// One entry of a group's log.
package struct Entry: Equatable, Sendable {
    /// Its position.
    package let index: LogIndex
    /// The term of the leader that made it.
    package let term: Term
    /// What it means.
    package let kind: EntryKind
    /// Opaque bytes; shared by reference, never copied by the core.
    package let payload: [UInt8]

    /// An entry from its parts.
    package init(index: LogIndex, term: Term, kind: EntryKind, payload: [UInt8]) {
        self.index = index
        self.term = term
        self.kind = kind
        self.payload = payload
    }

    /// What the entry counts for in windows and limits: payload and a flat charge, so that empty
    /// entries are not free.
    package var cost: Int { payload.count + Self.overhead }

    /// The flat charge of an entry in bytes.
    package static let overhead = 32
}

/// Who votes in a group. A value: later changes of membership replace it.
package struct Configuration: Equatable, Sendable {
    /// The voters, ascending, each once.
    package let voters: [ReplicaID]

    /// A configuration of `voters` in any order.
    ///
    /// - Precondition: at least one voter, none twice.
    package init(voters: [ReplicaID]) {
        let sorted = voters.sorted()
        precondition(!sorted.isEmpty, "a group needs a voter")
        for index in sorted.indices.dropFirst() {
            precondition(sorted[index - 1] != sorted[index], "a voter stands twice")
        }
        self.voters = sorted
    }

    /// Votes that decide: more than half.
    package var quorum: Int { voters.count / 2 + 1 }

    /// The place of a voter in ``voters``; nil for a stranger.
    package func position(of replica: ReplicaID) -> Int? {
        voters.firstIndex(of: replica)
    }

    /// The highest index that a quorum has reached, given each voter's own in the order of
    /// ``voters``: the quorum-th largest.
    package func quorumIndex(_ reached: [LogIndex]) -> LogIndex {
        precondition(reached.count == voters.count, "one index for each voter")
        if reached.count == 1 { return reached[0] }
        return reached.sorted(by: >)[quorum - 1]
    }
}

/// Times in ticks and limits in bytes. The driver decides how long a tick is.
package struct RaftOptions: Sendable {
    /// Ticks without a leader before an election; drawn anew each time from this to twice this.
    package var electionTicks = 10
    /// Ticks between heartbeats of a leader.
    package var heartbeatTicks = 1
    /// Bytes of one entry's payload.
    package var entryBytesMax = 1 << 20
    /// Bytes of entries a leader may hold that are not applied yet, thus also of uncommitted ones.
    package var unappliedBytesMax = 64 << 20
    /// Bytes of entries in one append message (one entry always fits).
    package var messageBytesMax = 1 << 20
    /// Bytes of entries under way to one peer.
    package var inflightBytesMax = 8 << 20
    /// Bytes of applied entries kept in memory for peers that lag; a group of one keeps none.
    package var cacheBytesMax = 4 << 20
    /// Bytes of committed entries handed out at once.
    package var committedBytesMax = 8 << 20

    /// The defaults.
    package init() {}

    func check() {
        precondition(electionTicks > heartbeatTicks, "elections must be slower than heartbeats")
        precondition(heartbeatTicks > 0, "a heartbeat takes at least a tick")
        precondition(
            unappliedBytesMax >= entryBytesMax + Entry.overhead, "the largest entry must fit")
        precondition(
            inflightBytesMax > 0 && messageBytesMax > 0 && committedBytesMax > 0,
            "windows need room")
    }
}
