/// What replicas of a group say to each other. Messages may be lost, doubled, delayed and
/// reordered; none is trusted to be the newest.
package struct Message: Equatable, Sendable {
    /// Who says it.
    package let from: ReplicaID
    /// To whom.
    package let to: ReplicaID
    /// The sender's term; in ``Body/preVote(lastIndex:lastTerm:)`` and a granted answer to it, the
    /// term the candidate would enter.
    package let term: Term
    /// What it says.
    package let body: Body

    /// A message from its parts.
    package init(from: ReplicaID, to: ReplicaID, term: Term, body: Body) {
        self.from = from
        self.to = to
        self.term = term
        self.body = body
    }

    /// The kinds of messages.
    package enum Body: Equatable, Sendable {
        /// "Would you vote for me?" Binds nobody; keeps a replica that was cut off from raising
        /// its term (Ongaro's thesis, 9.6).
        case preVote(lastIndex: LogIndex, lastTerm: Term)
        /// The answer to a pre-vote.
        case preVoteReply(isGranted: Bool)
        /// "Vote for me in this term." `isTransfer`: the leader wants it so, hence whoever hears
        /// that leader may still grant.
        case vote(lastIndex: LogIndex, lastTerm: Term, isTransfer: Bool)
        /// The answer to a vote; a grant is on the voter's disk.
        case voteReply(isGranted: Bool)
        /// Entries that follow `previousIndex`, which must have `previousTerm`; and how far the
        /// leader has committed. Without entries it probes, or tells of commits.
        case append(
            previousIndex: LogIndex, previousTerm: Term, entries: [Entry], commit: LogIndex)
        /// Everything up to `match` agrees with the leader and is on the follower's disk.
        case appendReply(match: LogIndex)
        /// The follower's log does not hold `previousIndex` with its term; it may agree up to
        /// (`hintIndex`, `hintTerm`).
        case appendRejected(previousIndex: LogIndex, hintIndex: LogIndex, hintTerm: Term)
        /// "I lead." `commit` is never past what this follower is known to hold; `read` is the
        /// newest closed position of reads; every member holds the log up to `floor`.
        case heartbeat(commit: LogIndex, read: UInt64, floor: LogIndex)
        /// "I follow", with the position the heartbeat carried. Never waits for the disk.
        case heartbeatReply(read: UInt64)
        /// "What you need is gone from my log: fetch the state as of this entry or a later one."
        case snapshotOffer(index: LogIndex, term: Term)
        /// "Campaign at once: you are to lead."
        case timeoutNow
    }
}

extension Message {
    /// False for bytes no replica would send: no sender, absurd terms and indexes, entries out of
    /// order, from a later term or of no kind, configurations that are none.
    var isCoherent: Bool {
        guard from != 0, term < Term.max / 2 else { return false }
        switch body {
        case .append(let previousIndex, let previousTerm, let entries, _):
            guard previousTerm <= term, previousIndex < LogIndex.max / 2 else { return false }
            return Self.areCoherent(entries, after: previousIndex, previousTerm, in: term)
        case .snapshotOffer(let index, let offeredTerm):
            return index > 0 && index < LogIndex.max / 2 && offeredTerm <= term
        default: return true
        }
    }

    private static func areCoherent(
        _ entries: [Entry], after previousIndex: LogIndex, _ previousTerm: Term, in term: Term
    ) -> Bool {
        var lastIndex = previousIndex
        var lastTerm = previousTerm
        for entry in entries {
            guard entry.index == lastIndex + 1, entry.kind.rawValue != 0 else { return false }
            guard entry.term >= lastTerm, entry.term <= term else { return false }
            if entry.kind == .configuration, Configuration.decode(entry.payload) == nil {
                return false
            }
            lastIndex = entry.index
            lastTerm = entry.term
        }
        return true
    }

    /// True for what only the leader of the term says.
    var isFromLeader: Bool {
        switch body {
        case .append, .heartbeat, .snapshotOffer, .timeoutNow: true
        default: false
        }
    }
}
