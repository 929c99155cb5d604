extension Replica {
    /// Appends `payload` to the group's log when this replica leads and the limits allow.
    package mutating func propose(
        _ payload: [UInt8], kind: EntryKind = .command
    ) -> ProposalOutcome {
        guard role == .leader else { return .rejected(.notLeader(leader: leader)) }
        guard payload.count <= options.entryBytesMax else {
            return .rejected(.tooLarge(limit: options.entryBytesMax))
        }
        guard unappliedBytes + payload.count + Entry.overhead <= options.unappliedBytesMax else {
            return .rejected(.overloaded)
        }
        let index = appendOwn(kind: kind, payload: payload)
        return .accepted(index: index, term: term)
    }

    @discardableResult
    mutating func appendOwn(kind: EntryKind, payload: [UInt8]) -> LogIndex {
        let entry = Entry(index: log.lastIndex + 1, term: term, kind: kind, payload: payload)
        log.append(entry)
        unappliedBytes += entry.cost
        return entry.index
    }

    /// Commits what a quorum holds durably — but only counts copies of entries of the own term:
    /// an older entry on a majority may still be replaced (Raft paper, figure 8); it is committed
    /// by the first own entry after it.
    mutating func advanceCommit() {
        let reached = configuration.quorumIndex(progress.map(\.match))
        guard reached > commitIndex, log.term(at: reached) == term else { return }
        commitIndex = reached
    }

    /// True when a quorum, this replica included, has answered since the last call.
    mutating func hearsQuorum() -> Bool {
        var active = 0
        for (position, voter) in configuration.voters.enumerated() {
            if voter == id || progress[position].isActive { active += 1 }
            progress[position].isActive = false
        }
        return active >= configuration.quorum
    }

    mutating func sendHeartbeats() {
        for (position, voter) in configuration.voters.enumerated() where voter != id {
            sendNow(.heartbeat(commit: min(progress[position].match, commitIndex)), to: voter)
        }
    }

    /// Fills every voter's window.
    mutating func sendAppends() {
        for (position, voter) in configuration.voters.enumerated() where voter != id {
            switch progress[position].state {
            case .probe:
                guard !progress[position].isProbeUnderWay else { continue }
                if sendEntries(to: position) { progress[position].isProbeUnderWay = true }
            case .replicate:
                while progress[position].next <= log.lastIndex,
                    progress[position].flightBytes < options.inflightBytesMax
                {
                    guard sendEntries(to: position) else { break }
                }
                if progress[position].toldCommit < commitIndex,
                    progress[position].next > log.lastIndex
                {
                    sendAppend([], to: position)
                }
            }
        }
    }

    /// Sends the voter's next entries, or asks the driver for them. False when nothing was sent.
    private mutating func sendEntries(to position: Int) -> Bool {
        let next = progress[position].next
        guard !progress[position].isReading, next > log.baseIndex else { return false }
        if next < log.cachedFirst, next <= log.lastIndex {
            progress[position].isReading = true
            logReads.append(
                LogRead(
                    peer: configuration.voters[position], term: term, first: next,
                    last: min(log.cachedFirst - 1, log.lastIndex),
                    bytesMax: options.messageBytesMax))
            return false
        }
        sendAppend(
            log.entries(
                from: next, through: log.lastIndex, bytesMax: options.messageBytesMax),
            to: position)
        return true
    }

    private mutating func sendAppend(_ entries: [Entry], to position: Int) {
        let previous = progress[position].next - 1
        guard let previousTerm = log.term(at: previous) else { return }
        if progress[position].state == .replicate { progress[position].takeOff(entries) }
        progress[position].toldCommit = commitIndex
        sendNow(
            .append(
                previousIndex: previous, previousTerm: previousTerm, entries: entries,
                commit: commitIndex),
            to: configuration.voters[position])
    }

    /// Takes entries read from the log for a lagging peer, the answer to `read`; none when they
    /// could not be read.
    package mutating func provide(_ entries: [Entry], for read: LogRead) {
        guard role == .leader, read.term == term,
            let position = configuration.position(of: read.peer), progress[position].isReading
        else { return }
        progress[position].isReading = false
        guard let first = entries.first, first.index == progress[position].next,
            entries.allSatisfy({ log.term(at: $0.index) == $0.term })
        else { return }
        if progress[position].state == .probe { progress[position].isProbeUnderWay = true }
        sendAppend(entries, to: position)
    }

    mutating func takeAcceptance(_ match: LogIndex, from peer: ReplicaID) {
        guard let position = configuration.position(of: peer) else { return }
        progress[position].isActive = true
        guard match <= log.lastIndex else { return }
        if progress[position].accept(match) { advanceCommit() }
    }

    mutating func takeRejection(
        of previousIndex: LogIndex, _ hintIndex: LogIndex, _ hintTerm: Term, from peer: ReplicaID
    ) {
        guard let position = configuration.position(of: peer) else { return }
        progress[position].isActive = true
        let known = progress[position]
        // Answers to messages of the past say nothing about now.
        if known.state == .replicate
            ? previousIndex <= known.match
            : previousIndex != known.next - 1
        {
            return
        }
        let agreed = log.lastIndex(atOrBelow: hintIndex, withTermAtMost: hintTerm)
        progress[position].probe(from: min(previousIndex, agreed + 1))
    }

    /// A heartbeat's answer shows that the path works: what was lost on it is asked for again.
    mutating func takeHeartbeatReply(from peer: ReplicaID) {
        guard let position = configuration.position(of: peer) else { return }
        progress[position].isActive = true
        progress[position].isProbeUnderWay = false
        // An empty append behind everything sent makes a follower that misses some say so.
        if progress[position].state == .replicate, progress[position].match < log.lastIndex {
            sendAppend([], to: position)
        }
    }
}
