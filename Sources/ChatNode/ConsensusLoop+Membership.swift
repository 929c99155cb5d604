import ChatModel
import RaftCore
import Replication
import Session

/// When leaders look after who is in their groups and who leads them.
struct MembershipKeeper {
    /// Shards whose leadership was handed over lately, with the tick: not again at once.
    var moved: [GroupID: UInt64] = [:]
    /// The own clock is far from the others'.
    var isClockOff = false
}

/// Whether leaders of all shards are within reach.
struct Contact {
    /// Ticks in a row in which one was not.
    var ticksWithout: UInt64 = 0
    var isInTouch = true
}

/// A graceful stop: leaderships go first.
struct HandOver {
    let done: @Sendable () -> Void
    var deadline: UInt64?

    func finish() { done() }
}

/// Leaders keep their groups as the placement says: a node that has no replica in its group, or
/// came back with an empty disk, becomes a learner and, when it has caught up, a voter in the place
/// of what it was before; nodes that don't belong leave; leaderships go where they should be.
extension ConsensusLoop {
    func tickMembership() {
        if cluster.isAlone { return }
        tickHandOver()
        guard tickCount % ClusterLimits.membershipTicks == 0, handOver == nil else { return }
        let isClockOff = cluster.isClockOff
        if isClockOff != keeper.isClockOff {
            keeper.isClockOff = isClockOff
            outlets.notice(
                isClockOff
                    ? "the clock of this node is more than "
                        + "\(ClusterLimits.clockOffsetMsMax / 1_000) s off the majority's: it "
                        + "leads no shard until that is put right"
                    : "the clock of this node agrees with the others again")
        }
        if replicator.isDiskSlow || isClockOff {
            giveUpLeaderships()
            return
        }
        finishLeaving()
        var moves = 0
        for shard in replicator.groupIDs {
            guard replicator.isLeading(shard), let replica = replicator.replica(of: shard),
                replica.hasOwnTermCommit, replica.transferTarget == nil
            else { continue }
            if keep(shard, replica) { continue }
            if moves < ClusterLimits.movesMax, moveToPreferred(shard, replica) { moves += 1 }
        }
    }

    /// A node that leaves is let go once every group has parted from it for good.
    private func finishLeaving() {
        guard replicator.isLeading(ShardMap.meta) else { return }
        for node in cluster.map.nodes where node.isLeaving {
            let isHeld = replicator.groupIDs.contains { shard in
                // What is not decided yet may come to nothing.
                guard let replica = replicator.replica(of: shard) else { return true }
                return replica.configuration(at: replica.commitIndex).members.contains {
                    ReplicaName.node(of: $0) == node.number
                }
            }
            if !isHeld { outlets.left(node.number) }
        }
    }

    /// Brings a group one step nearer to its placement; true when there was something to do.
    private func keep(_ shard: GroupID, _ replica: Replica) -> Bool {
        let configuration = replica.configuration
        if configuration.isJoint { return true }
        let wanted = cluster.placement(of: Int(shard))
        var learners = configuration.learners
        var voters = configuration.voters
        for node in wanted {
            guard let name = name(of: node, in: shard), !voters.contains(name) else { continue }
            guard let place = learners.firstIndex(of: name) else {
                learners.removeAll { ReplicaName.node(of: $0) == node }
                return change(shard, voters, learners + [name])
            }
            guard let status = replica.peerStatus(of: name), status.isActive,
                status.match + ClusterLimits.promotionLag >= replica.commitIndex
            else { continue }
            learners.remove(at: place)
            voters.removeAll { ReplicaName.node(of: $0) == node }
            return change(shard, voters + [name], learners)
        }
        // Strangers leave when everybody who belongs is there.
        let isComplete = wanted.allSatisfy { node in
            voters.contains { ReplicaName.node(of: $0) == node }
        }
        let strangers = (voters + learners).filter { !wanted.contains(ReplicaName.node(of: $0)) }
        guard isComplete, !strangers.isEmpty else { return false }
        if strangers.contains(replica.id) { return moveAway(shard, replica) }
        voters.removeAll { strangers.contains($0) }
        learners.removeAll { strangers.contains($0) }
        return change(shard, voters, learners)
    }

    /// What a node's replica of a shard is called, when the node is here.
    private func name(of node: NodeNumber, in shard: GroupID) -> ReplicaID? {
        if node == cluster.node { return replicator.replica(of: shard)?.id }
        guard let peer = cluster.peer(node), peer.isConnected else { return nil }
        return ReplicaName.replica(of: shard, node: node, incarnation: peer.incarnation)
    }

    private func change(
        _ shard: GroupID, _ voters: [ReplicaID], _ learners: [ReplicaID]
    ) -> Bool {
        _ = replicator.changeMembership(shard, voters: voters, learners: learners)
        return true
    }

    /// Hands a leadership to the node that should have it, when that node is up to date.
    private func moveToPreferred(_ shard: GroupID, _ replica: Replica) -> Bool {
        guard let preferred = cluster.placement(of: Int(shard)).first,
            preferred != cluster.node,
            cluster.isReady(preferred),
            tickCount >= keeper.moved[shard, default: 0]
        else { return false }
        let target = replica.configuration.voters.first { ReplicaName.node(of: $0) == preferred }
        guard let target, isUpToDate(target, replica) else { return false }
        return transfer(shard, to: target)
    }

    private func moveAway(_ shard: GroupID, _ replica: Replica) -> Bool {
        let targets = replica.configuration.voters.filter {
            $0 != replica.id && cluster.isReady(ReplicaName.node(of: $0))
        }
        guard let target = targets.first(where: { isUpToDate($0, replica) }) else { return false }
        return transfer(shard, to: target)
    }

    private func isUpToDate(_ peer: ReplicaID, _ replica: Replica) -> Bool {
        guard let status = replica.peerStatus(of: peer) else { return false }
        return status.isActive && status.match + ClusterLimits.promotionLag >= replica.commitIndex
    }

    func transfer(_ shard: GroupID, to target: ReplicaID) -> Bool {
        // If it fails, not again for some seconds.
        keeper.moved[shard] = tickCount + 10 * ClusterLimits.membershipTicks
        return replicator.transferLeadership(shard, to: target) == .started
    }

    /// A leader whose disk stalls makes everybody wait: others lead better.
    private func giveUpLeaderships() {
        for shard in replicator.groupIDs {
            guard replicator.isLeading(shard), let replica = replicator.replica(of: shard) else {
                continue
            }
            _ = moveAway(shard, replica)
        }
    }

    /// A node that no longer belongs, or is cut off, is no place for clients.
    func tickContact() {
        guard !cluster.isAlone, tickCount % ClusterLimits.reportTicks == 0 else { return }
        let reachesAll =
            cluster.isMember
            && replicator.groupIDs.allSatisfy {
                replicator.isLeading($0) || leaderNode(of: $0) != nil
            }
        contact.ticksWithout = reachesAll ? 0 : contact.ticksWithout + ClusterLimits.reportTicks
        let isInTouch = contact.ticksWithout < ClusterLimits.outOfTouchTicks
        guard isInTouch != contact.isInTouch else { return }
        contact.isInTouch = isInTouch
        outlets.inTouch(isInTouch)
    }

    // MARK: Graceful stop

    /// Gives every leadership away and waits, one second at most, until the others have them.
    private func tickHandOver() {
        guard var state = handOver else { return }
        let led = replicator.groupIDs.compactMap { shard -> (GroupID, Replica)? in
            guard replicator.isLeading(shard), let replica = replicator.replica(of: shard) else {
                return nil
            }
            return (shard, replica)
        }
        if state.deadline == nil { state.deadline = tickCount + ClusterLimits.askTicks }
        handOver = state
        let hasHeir = cluster.connected.contains { cluster.isReady($0) }
        if led.isEmpty || !hasHeir || tickCount >= state.deadline ?? 0 {
            handOver = nil
            state.finish()
            return
        }
        for (shard, replica) in led where replica.transferTarget == nil {
            _ = moveAway(shard, replica)
        }
    }
}
