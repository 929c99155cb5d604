/// Handing leadership over (Ongaro's thesis, 3.10).
extension Replica {
    /// Hands leadership to a voter: proposals are refused from now on, the target is brought up to
    /// date and told to campaign. Given up after an election timeout.
    package mutating func transferLeadership(to target: ReplicaID) -> TransferOutcome {
        guard role == .leader else { return .rejected(.notLeader(leader: leader)) }
        guard target != id, configuration.voters.contains(target) else {
            return .rejected(.unsuitable)
        }
        if let transferTarget {
            return transferTarget == target
                ? .started : .rejected(.transferring(to: transferTarget))
        }
        transferTarget = target
        transferElapsed = 0
        hastenTransfer()
        return .started
    }

    mutating func tickTransfer() {
        guard transferTarget != nil else { return }
        transferElapsed += 1
        if transferElapsed >= options.electionTicks { transferTarget = nil }
    }

    /// Tells the target to campaign when it holds the whole log. Saying it again does no harm: a
    /// target that has heard it is in the next term already.
    mutating func hastenTransfer() {
        guard let target = transferTarget, let place = configuration.place(of: target),
            progress[place].match == log.lastIndex
        else { return }
        sendNow(.timeoutNow, to: target)
    }

    /// The leader wants this replica to lead: no pre-vote, and no timeout to wait for.
    mutating func campaignForTransfer() {
        guard mayStand else { return }
        stand(isTransfer: true)
    }
}
