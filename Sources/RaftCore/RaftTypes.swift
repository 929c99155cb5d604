/// A leader's era. Terms never go back.
package typealias Term = UInt64

/// A position in a group's log; the first entry has 1, 0 stands for "before everything".
package typealias LogIndex = UInt64

/// One placement of a group on a node. Never reused: a wiped disk comes back under a new id, so it
/// can never vote as its old self. Members of a configuration, senders of messages and holders of
/// votes are replica ids.
package typealias ReplicaID = UInt64

/// Where a log begins: the last entry that is no longer there.
package struct LogBase: Equatable, Sendable {
    /// Its position.
    package let index: LogIndex
    /// Its term.
    package let term: Term

    /// A base from its parts.
    package init(index: LogIndex, term: Term) {
        self.index = index
        self.term = term
    }
}

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

/// What an entry means to Raft. The core only knows these; other bytes pass through untouched.
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
    /// An encoded ``Configuration``, which counts from when it is appended.
    package static let configuration = EntryKind(rawValue: 3)
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
    /// Reads that wait for the confirmation of their leader.
    package var readsMax = 16_384

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
