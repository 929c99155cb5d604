import Bytes

extension Replica {
    /// True when this replica leads and has committed an entry of its term: only then does it know
    /// everything that was decided before it.
    package var hasOwnTermCommit: Bool { role == .leader && log.term(at: commitIndex) == term }

    /// Appends `payload` to the group's log when this replica leads and the limits allow.
    ///
    /// - Precondition: the kind is not that of configurations: membership is changed by
    ///   ``changeMembership(voters:learners:)``.
    package mutating func propose(
        _ payload: [UInt8], kind: EntryKind = .command
    ) -> ProposalOutcome {
        precondition(kind != .configuration, "membership has its own way in")
        guard role == .leader else { return .rejected(.notLeader(leader: leader)) }
        guard transferTarget == nil else { return .rejected(.transferring) }
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
        if kind == .configuration { adoptConfiguration() }
        return entry.index
    }

    /// Commits what a quorum holds durably — but only counts copies of entries of the own term:
    /// an older entry on a majority may still be replaced (Raft paper, figure 8); it is committed
    /// by the first own entry after it. May end this replica's leadership.
    mutating func advanceCommit() {
        let reached = configuration.quorumIndex { progress[$0].match }
        #if PlantedBugs
            let counts = log.term(at: reached) == term || PlantedBug.commitOldTerm.isOn
        #else
            let counts = log.term(at: reached) == term
        #endif
        guard reached > commitIndex, counts else { return }
        commitIndex = reached
        reads.settle(at: reached)
        carryOnChange()
    }

    /// True when a quorum, this replica included, has answered since the last call.
    mutating func hearsQuorum() -> Bool {
        let hears = configuration.isQuorum {
            configuration.members[$0] == id || progress[$0].isActive
        }
        for place in progress.indices {
            progress[place].wasActive = progress[place].isActive
            progress[place].isActive = false
        }
        return hears
    }

    mutating func sendHeartbeats(toVotersOnly: Bool) {
        let floor = retentionFloor
        for place in progress.indices {
            let peer = configuration.members[place]
            if peer == id || toVotersOnly && !configuration.isVoter(peer) { continue }
            let commit = min(progress[place].match, commitIndex)
            sendNow(.heartbeat(commit: commit, read: reads.newest, floor: floor), to: peer)
        }
    }

    /// Fills every member's window.
    mutating func sendAppends() {
        // Members that are equally far share one list of entries.
        var batch: [Entry] = []
        for place in progress.indices where configuration.members[place] != id {
            switch progress[place].state {
            case .probe:
                guard !progress[place].isProbeUnderWay else { continue }
                if sendEntries(to: place, &batch) { progress[place].isProbeUnderWay = true }
            case .replicate:
                while progress[place].next <= log.lastIndex,
                    progress[place].flightBytes < options.inflightBytesMax
                {
                    guard sendEntries(to: place, &batch) else { break }
                }
                if progress[place].toldCommit < commitIndex, progress[place].next > log.lastIndex {
                    sendAppend([], to: place)
                }
            case .snapshot: break
            }
        }
    }

    /// Sends the member's next entries, asks the driver for them, or offers a snapshot when they
    /// are gone. False when no entries were sent.
    private mutating func sendEntries(to place: Int, _ batch: inout [Entry]) -> Bool {
        let next = progress[place].next
        guard !progress[place].isReading else { return false }
        guard next > log.baseIndex else {
            offerSnapshot(to: place)
            return false
        }
        if next < log.cachedFirst, next <= log.lastIndex {
            progress[place].isReading = true
            logReads.append(
                LogRead(
                    peer: configuration.members[place], term: term, first: next,
                    last: min(log.cachedFirst - 1, log.lastIndex),
                    bytesMax: options.messageBytesMax))
            return false
        }
        if next > log.lastIndex {
            sendAppend([], to: place)
            return true
        }
        if batch.first?.index != next {
            batch = log.entries(
                from: next, through: log.lastIndex, bytesMax: options.messageBytesMax)
        }
        sendAppend(batch, to: place)
        return true
    }

    private mutating func sendAppend(_ entries: [Entry], to place: Int) {
        let previous = progress[place].next - 1
        guard let previousTerm = log.term(at: previous) else {
            // Compacted while it was under way, or waited for room in the window.
            offerSnapshot(to: place)
            return
        }
        if progress[place].state == .replicate { progress[place].takeOff(entries) }
        progress[place].toldCommit = commitIndex
        sendNow(
            .append(
                previousIndex: previous, previousTerm: previousTerm, entries: entries,
                commit: commitIndex),
            to: configuration.members[place])
    }

    /// Takes entries read from the log for a lagging peer, the answer to `read`; none when they
    /// could not be read.
    package mutating func provide(_ entries: [Entry], for read: LogRead) {
        guard role == .leader, read.term == term,
            let place = configuration.place(of: read.peer), progress[place].isReading
        else { return }
        progress[place].isReading = false
        guard let first = entries.first, first.index == progress[place].next,
            entries.allSatisfy({ log.term(at: $0.index) == $0.term })
        else { return }
        if progress[place].state == .probe { progress[place].isProbeUnderWay = true }
        sendAppend(entries, to: place)
    }

    mutating func takeAcceptance(_ match: LogIndex, from place: Int) {
        guard match <= log.lastIndex else { return }
        guard progress[place].accept(match, base: log.baseIndex) else { return }
        advanceCommit()
        hastenTransfer()
    }

    mutating func takeRejection(
        of previousIndex: LogIndex, _ hintIndex: LogIndex, _ hintTerm: Term, from place: Int
    ) {
        let known = progress[place]
        // Answers to messages of the past say nothing about now.
        switch known.state {
        case .probe: if previousIndex != known.next - 1 { return }
        case .replicate: if previousIndex <= known.match { return }
        case .snapshot: return
        }
        let agreed = log.lastIndex(atOrBelow: hintIndex, withTermAtMost: hintTerm)
        progress[place].probe(from: min(previousIndex, agreed + 1))
    }

    /// A heartbeat's answer confirms reads; and it shows that the path works: what was lost on it
    /// is asked for again, once a tick at most.
    mutating func takeHeartbeatReply(_ read: UInt64, from place: Int) {
        progress[place].readEchoed = max(progress[place].readEchoed, min(read, reads.newest))
        grantReads()
        guard progress[place].nudgedAt != ticksLed else { return }
        progress[place].nudgedAt = ticksLed
        progress[place].isProbeUnderWay = false
        switch progress[place].state {
        case .probe: break
        case .replicate:
            // An empty append behind everything sent makes a follower that misses some say so.
            if progress[place].match < log.lastIndex { sendAppend([], to: place) }
        case .snapshot:
            if ticksLed - progress[place].offeredAt >= options.electionTicks {
                offerSnapshot(to: place)
            }
        }
        hastenTransfer()
    }

    /// What this leader knows about a member's log; nil for strangers and when it does not lead.
    package func peerStatus(of peer: ReplicaID) -> PeerStatus? {
        guard role == .leader, let place = configuration.place(of: peer) else { return nil }
        let known = progress[place]
        if peer == id { return PeerStatus(match: known.match, isActive: true, state: .replicate) }
        return PeerStatus(
            match: known.match, isActive: known.isActive || known.wasActive, state: known.state)
    }
}
