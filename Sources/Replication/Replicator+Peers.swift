package import RaftCore

// What the replicator has to do with other nodes: messages, membership, leadership, reads, and
// states that came another way than through the log.
extension Replicator {
    /// Takes a message for a group's replica here; others are dropped.
    package func receive(_ group: GroupID, _ message: Message) {
        guard failure == nil, let position = positions[group],
            message.to == groups[position].replica.id
        else { return }
        groups[position].replica.receive(message)
        touch(position)
    }

    /// Asks for a read position of a group led here; ``ReplicatorOutput/reads`` confirms it.
    package func requestRead(_ group: GroupID) -> ReadRequestOutcome {
        guard failure == nil, let position = positions[group] else {
            return .rejected(.notLeader(leader: nil))
        }
        defer { touch(position) }
        return groups[position].replica.requestRead()
    }

    /// Changes who is in a group led here.
    package func changeMembership(
        _ group: GroupID, voters: [ReplicaID], learners: [ReplicaID]
    ) -> ProposeResult {
        change(group) { $0.changeMembership(voters: voters, learners: learners) }
    }

    /// Hands a group's leadership to a peer that is up to date.
    package func transferLeadership(_ group: GroupID, to peer: ReplicaID) -> TransferOutcome {
        guard failure == nil, let position = positions[group] else {
            return .rejected(.notLeader(leader: nil))
        }
        defer { touch(position) }
        return groups[position].replica.transferLeadership(to: peer)
    }

    /// Notes that the way to some replicas is gone: groups that follow one of them need not wait
    /// for the whole election timeout.
    package func lost(_ isLost: (ReplicaID) -> Bool) {
        guard failure == nil else { return }
        for position in groups.indices {
            guard let leader = groups[position].replica.leader, isLost(leader) else { continue }
            groups[position].replica.noteLeaderUnreachable()
            touch(position)
        }
    }

    /// Takes a group's state that came as a snapshot and is in the tree for good: the log begins
    /// anew behind it. False when the group has moved past it meanwhile.
    package func install(
        _ group: GroupID, index: LogIndex, term: Term, configuration: Configuration
    ) -> Bool {
        guard failure == nil, let position = positions[group],
            groups[position].replica.install(
                index: index, term: term, configuration: configuration)
        else { return false }
        groups[position].releasable = index
        extents.release(position, through: index)
        if groups[position].replica.log.lastIndex == index {
            extents.release(position, through: LogIndex.max)
        }
        // An erasure may have come with the snapshot, of something that the log here still holds.
        isErasing = true
        endsSegment = true
        forgetErasures(position)
        isReleaseDue = true
        if !movedBases.contains(position) { movedBases.append(position) }
        touch(position)
        return true
    }
}
