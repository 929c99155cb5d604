import Bytes

/// Reads without writing the log (ReadIndex; Ongaro's thesis, 6.4). A read may be answered from a
/// state that has applied the commit index of when it was asked for, once it is known that this
/// replica led then. See ``ReadQueue`` for how answers are matched.
extension Replica {
    /// Asks for a read of the newest state. Requests made between two calls of
    /// ``takeEffects(into:)`` share a position and are confirmed by one round of heartbeats.
    package mutating func requestRead() -> ReadRequestOutcome {
        guard role == .leader else { return .rejected(.notLeader(leader: leader)) }
        guard reads.waiting < options.readsMax else { return .rejected(.overloaded) }
        // Without a commit in the own term, entries may be decided that this leader does not know
        // to be: such reads wait for the first.
        #if PlantedBugs
            let index = hasOwnTermCommit || PlantedBug.earlyRead.isOn ? commitIndex : nil
        #else
            let index = hasOwnTermCommit ? commitIndex : nil
        #endif
        return .waiting(position: reads.join(index: index))
    }

    /// Closes the open position and asks the voters about it.
    mutating func startReads() {
        if reads.close() { sendHeartbeats(toVotersOnly: true) }
        grantReads()
    }

    /// Grants the reads that a quorum has confirmed, this replica included when it votes.
    mutating func grantReads() {
        guard !reads.batches.isEmpty else { return }
        let newest = reads.newest
        let confirmed = configuration.quorumIndex {
            configuration.members[$0] == id ? newest : progress[$0].readEchoed
        }
        reads.grant(through: confirmed, into: &readGrants)
    }

    /// Leadership ends: what is not confirmed never will be.
    mutating func loseReads() {
        readsLost = max(readsLost, reads.lose())
    }

    mutating func takeReads(into effects: inout Effects) {
        effects.reads.append(contentsOf: readGrants)
        readGrants.removeAll(keepingCapacity: true)
        effects.readsLost = max(effects.readsLost, readsLost)
        readsLost = 0
    }
}
