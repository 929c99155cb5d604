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
        /// "Vote for me in this term."
        case vote(lastIndex: LogIndex, lastTerm: Term)
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
        /// "I lead." `commit` is never past what this follower is known to hold.
        case heartbeat(commit: LogIndex)
        /// "I follow." Never waits for the disk.
        case heartbeatReply
    }
}
