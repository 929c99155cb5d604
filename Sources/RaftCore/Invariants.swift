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
        switch role {
        case .leader: return brokenLeaderInvariant()
        case .candidate where hardState.vote != id: return "a candidate votes for itself"
        default: return progress.isEmpty ? nil : "only a leader tracks progress"
        }
    }

    private func brokenLeaderInvariant() -> String? {
        if leader != id { return "a leader knows itself" }
        if storage.durableHardState.term != term { return "a leader's term is on disk" }
        if progress.count != configuration.voters.count { return "progress for every voter" }
        if unappliedBytes != cost(from: appliedIndex + 1, through: log.lastIndex) {
            return "the count of unapplied bytes is off"
        }
        for entry in progress {
            if entry.match > log.lastIndex { return "a follower is past the leader" }
            if entry.flightBytes != entry.flights.reduce(0, { $0 + $1.bytes }) {
                return "the count of bytes under way is off"
            }
        }
        for (position, voter) in configuration.voters.enumerated() where voter != id {
            if progress[position].next <= progress[position].match { return "next behind match" }
        }
        return nil
    }
}
