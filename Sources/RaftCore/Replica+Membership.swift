/// Changes of membership.
///
/// A configuration counts from when its entry is appended, on each replica by itself, and no longer
/// when the entry is replaced. When the voters stay the same, one entry is the whole change. When
/// they do not, the leader appends a *joint* configuration first (``Configuration``), and once it
/// is decided the one that follows it; a leader that finds a decided joint configuration in its log
/// does the same, so a change outlives the leader that began it.
extension Replica {
    /// What counts for the state machine when it has applied everything up to `index`.
    package func configuration(at index: LogIndex) -> Configuration {
        log.change(at: index)?.configuration ?? baseConfiguration
    }

    /// Gives the group these voters and learners. Limits on bytes do not hold it up: it may be what
    /// brings a group back that has come to a stop. A leader that is not among the voters leads
    /// until the change is through.
    ///
    /// - Precondition: there is a voter.
    package mutating func changeMembership(
        voters: [ReplicaID], learners: [ReplicaID]
    ) -> ProposalOutcome {
        precondition(!voters.isEmpty, "a group needs a voter")
        guard role == .leader else { return .rejected(.notLeader(leader: leader)) }
        guard transferTarget == nil else { return .rejected(.transferring) }
        // Before that, a predecessor's change may stand decided in logs this leader cannot see.
        guard hasOwnTermCommit else { return .rejected(.notReady) }
        guard !configuration.isJoint, isConfigurationDecided else {
            return .rejected(.changeUnderWay)
        }
        var next = Configuration(voters: voters, learners: learners)
        if next.voters != configuration.voters {
            next = Configuration(
                voters: voters, outgoing: configuration.voters, learners: learners)
        }
        let payload = next.encoded()
        guard payload.count <= options.entryBytesMax else {
            return .rejected(.tooLarge(limit: options.entryBytesMax))
        }
        let index = appendOwn(kind: .configuration, payload: payload)
        return .accepted(index: index, term: term)
    }

    var isConfigurationDecided: Bool { (log.changes.last?.index ?? 0) <= commitIndex }

    /// Takes the newest configuration in the log as the one that counts.
    mutating func adoptConfiguration() {
        let before = configuration.members
        configuration = log.changes.last?.configuration ?? baseConfiguration
        guard role == .leader else { return }
        progress = configuration.members.map { member in
            if let place = before.firstIndex(of: member) { return progress[place] }
            var fresh = Progress(next: log.lastIndex + 1)
            // A newcomer has until the next look but one to answer.
            fresh.isActive = true
            if member == id { fresh.match = storage.durableIndex }
            return fresh
        }
    }

    /// The commit index has moved: brings a decided change to its next step.
    mutating func carryOnChange() {
        guard isConfigurationDecided else { return }
        if configuration.isJoint {
            appendOwn(kind: .configuration, payload: configuration.settled.encoded())
        } else if !configuration.isVoter(id) {
            leave()
        }
    }

    /// Ends the leadership of a replica that is no voter any more: tells of the commit, and has the
    /// voter with the longest log stand at once instead of after a timeout.
    private mutating func leave() {
        sendAppends()
        var successor: Int?
        for place in progress.indices where configuration.isVoter(configuration.members[place]) {
            let isLonger = successor.map { progress[place].match > progress[$0].match } ?? true
            if isLonger { successor = place }
        }
        if let successor { sendNow(.timeoutNow, to: configuration.members[successor]) }
        becomeFollower(term: term, leader: nil)
    }
}
