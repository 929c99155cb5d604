extension Replica {
    /// What always holds inside one replica; the first broken rule in words, nil when all hold.
    /// Tests and the simulator ask after every step.
    package func brokenInvariant() -> String? {
        if log.baseIndex > appliedIndex { return "the base is past what is applied" }
        if appliedIndex > handedOut { return "applied before handed out" }
        if handedOut > commitIndex { return "handed out before decided" }
        if commitIndex > log.lastIndex { return "decided past the end of the log" }
        if handedOut < commitIndex, log.cachedFirst > handedOut + 1 {
            return "a decided entry was dropped before it was handed out"
        }
        if storage.durableIndex > storage.writtenIndex { return "durable before written" }
        if storage.writtenIndex > log.lastIndex { return "written past the end of the log" }
        if storage.writtenIndex < log.lastIndex, log.cachedFirst > storage.writtenIndex + 1 {
            return "an entry was dropped before it was written"
        }
        if hardState.term < log.lastTerm { return "an entry of a term never seen" }
        if storage.durableHardState.term > hardState.term { return "the term went back" }
        if let rule = brokenConfigurationInvariant() { return rule }
        if let reset = storage.reset, reset.index > storage.writtenIndex {
            return "a log to be reset holds what was written"
        }
        switch role {
        case .leader: return brokenLeaderInvariant() ?? brokenReadInvariant()
        case .candidate where hardState.vote != id: return "a candidate votes for itself"
        case .candidate, .preCandidate:
            if !mayStand { return "only a voter stands" }
            if votes.count != configuration.members.count { return "a vote for every member" }
        case .follower: break
        }
        if !progress.isEmpty { return "only a leader tracks progress" }
        if transferTarget != nil { return "only a leader hands leadership over" }
        if reads.waiting != 0 || !reads.batches.isEmpty { return "only a leader confirms reads" }
        return nil
    }

    private func brokenConfigurationInvariant() -> String? {
        if configuration != log.changes.last?.configuration ?? baseConfiguration {
            return "the newest configuration of the log counts"
        }
        var before = log.baseIndex
        for change in log.changes {
            if change.index <= before || change.index > log.lastIndex {
                return "configurations ascend above the base"
            }
            before = change.index
        }
        return nil
    }

    private func brokenLeaderInvariant() -> String? {
        if leader != id || ticksSinceLeaderHeard != 0 { return "a leader knows itself" }
        if storage.durableHardState.term != term { return "a leader's term is on disk" }
        if progress.count != configuration.members.count { return "progress for every member" }
        if unappliedBytes != cost(from: appliedIndex + 1, through: log.lastIndex) {
            return "the count of unapplied bytes is off"
        }
        if hasOwnTermCommit, log.changes.count(where: { $0.index > commitIndex }) > 1 {
            return "two changes of membership at once"
        }
        if hasOwnTermCommit, isConfigurationDecided {
            if configuration.isJoint { return "a decided joint configuration is left at once" }
            if !configuration.isVoter(id) { return "a leader votes" }
        }
        if let transferTarget {
            if !configuration.voters.contains(transferTarget) || transferTarget == id {
                return "leadership goes to another voter"
            }
            if transferElapsed >= options.electionTicks { return "a handover has a time" }
        }
        for (place, member) in configuration.members.enumerated() {
            if let rule = brokenRule(of: progress[place], isOwn: member == id) { return rule }
        }
        return nil
    }

    private func brokenRule(of known: Progress, isOwn: Bool) -> String? {
        if known.match > log.lastIndex { return "a follower is past the leader" }
        if known.flightBytes != known.flights.reduce(0, { $0 + $1.bytes }) {
            return "the count of bytes under way is off"
        }
        if isOwn {
            return known.match == storage.durableIndex ? nil : "the own match is what is durable"
        }
        if known.next <= known.match { return "next behind match" }
        if known.readEchoed > reads.newest { return "an echo of a position never told" }
        if known.state != .replicate, !known.flights.isEmpty { return "only a window is under way" }
        if known.state == .snapshot, known.match >= log.baseIndex {
            return "a snapshot for a member that needs none"
        }
        return nil
    }

    private func brokenReadInvariant() -> String? {
        if reads.waiting != reads.batches.reduce(0, { $0 + $1.count }) {
            return "the count of waiting reads is off"
        }
        if reads.waiting > options.readsMax { return "more reads wait than may" }
        var before: UInt64 = 0
        for batch in reads.batches {
            if batch.position <= before { return "positions of reads ascend" }
            if batch.index == nil && hasOwnTermCommit { return "a read without its index" }
            before = batch.position
        }
        if before > reads.newest + (reads.isOpen ? 1 : 0) { return "a position from the future" }
        return nil
    }
}
