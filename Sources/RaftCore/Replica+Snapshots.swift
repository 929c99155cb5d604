/// Catching up a member whose entries are gone, and how long entries are kept for it. The state
/// itself travels by other means: here is said that it must, and that it has.
extension Replica {
    /// Entries above this are still needed by a member, as far as is known here: the least that all
    /// members hold. On a follower what its leader last told in this term; 0 when unknown.
    package var retentionFloor: LogIndex {
        guard role == .leader else { return toldFloor }
        var floor = log.lastIndex
        for known in progress { floor = min(floor, known.match) }
        return floor
    }

    mutating func offerSnapshot(to place: Int) {
        progress[place].awaitSnapshot()
        progress[place].offeredAt = ticksLed
        sendNow(
            .snapshotOffer(index: log.baseIndex, term: log.baseTerm),
            to: configuration.members[place])
    }

    /// Takes an offer: what it stands for is decided.
    mutating func takeOffer(of index: LogIndex, _ offeredTerm: Term, from peer: ReplicaID) {
        if index > commitIndex, log.term(at: index) == offeredTerm { learnCommit(index) }
        if index <= commitIndex {
            sendWhenDurable(.appendReply(match: commitIndex), to: peer)
        } else {
            snapshotsNeeded = [SnapshotNeed(from: peer, index: index)]
        }
    }

    /// Notes that the state machine was replaced by a state that has applied everything up to
    /// (`index`, `term`) with `configuration` as the one that counts there. The state is durable;
    /// entries that were handed out before are not to be applied any more.
    ///
    /// The log begins after `index` now. It keeps the entries above when it held that very entry;
    /// otherwise they contradict what is decided, and are gone.
    ///
    /// - Returns: false when nothing was done: the state is not newer than what was handed out, or
    ///   this replica leads.
    package mutating func install(
        index: LogIndex, term snapshotTerm: Term, configuration newConfiguration: Configuration
    ) -> Bool {
        guard index > handedOut, role != .leader else { return false }
        let keepsTail = log.term(at: index) == snapshotTerm
        guard keepsTail || index > commitIndex else { return false }
        if role != .follower || snapshotTerm > term {
            becomeFollower(term: max(term, snapshotTerm), leader: nil)
        }
        let base = LogBase(index: index, term: snapshotTerm)
        if keepsTail { log.compact(through: index) } else { log.reset(to: base) }
        baseConfiguration = newConfiguration
        adoptConfiguration()
        storage.install(base, keepsTail: keepsTail)
        commitIndex = max(commitIndex, index)
        handedOut = index
        appliedIndex = index
        if let leader { sendWhenDurable(.appendReply(match: index), to: leader) }
        return true
    }
}
