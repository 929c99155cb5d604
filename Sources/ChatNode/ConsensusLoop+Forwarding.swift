import Bytes
import ChatModel
import RaftCore
import Replication
import Session

/// Commands on their way to other nodes, and those that wait until somebody leads their shard.
struct Forwarding {
    /// Sent to a leader that has not said yet what became of it.
    struct Sent {
        let shard: GroupID
        let node: NodeNumber
        let proposals: [Proposal]
        let deadline: UInt64
    }

    /// Waits for a leader.
    struct Parked {
        let shard: GroupID
        let proposals: [Proposal]
        let deadline: UInt64
    }

    var sent: [UInt64: Sent] = [:]
    /// A shard's batches under way.
    struct Flight {
        let node: NodeNumber
        var count: Int
        /// Ticks since another node leads the shard.
        var strayTicks: UInt64 = 0
    }

    /// Where each shard's batches under way were sent.
    var flights: [GroupID: Flight] = [:]
    var parked: [Parked] = []
    var parkedBytes = 0
    var nextRequest: UInt64 = 0

    /// True when a shard's commands must wait behind earlier ones, which wait themselves or are
    /// under way to another node: one user's commands stay in order while leaders change.
    func mustQueue(_ shard: GroupID, for node: NodeNumber) -> Bool {
        if let flight = flights[shard], flight.node != node { return true }
        return !parked.isEmpty && parked.contains { $0.shard == shard }
    }

    mutating func take(_ request: UInt64) -> Sent? {
        guard let item = sent.removeValue(forKey: request) else { return nil }
        flights[item.shard]?.count -= 1
        if flights[item.shard]?.count == 0 { flights[item.shard] = nil }
        return item
    }
}

extension ConsensusLoop {
    /// The node that leads a shard, as far as this one knows and can reach it.
    func leaderNode(of shard: GroupID) -> NodeNumber? {
        guard let leader = replicator.status(of: shard)?.leader else { return nil }
        let node = ReplicaName.node(of: leader)
        return cluster.peer(node)?.isConnected == true ? node : nil
    }

    /// Sends units where their shard is led; parks them while nobody knows where. Units of other
    /// nodes go back: a command makes one hop.
    func forward(_ units: [Unit], of shard: GroupID) {
        var mine: [Proposal] = []
        for unit in units {
            switch unit.source {
            case .node(let node, let request): reply(request, .notLeader, to: node)
            case .here(let proposals): mine += proposals
            }
        }
        let deadline = tickCount + ClusterLimits.proposalTicks
        if let node = leaderNode(of: shard), !forwarding.mustQueue(shard, for: node) {
            send(mine, of: shard, to: node, deadline: deadline)
        } else {
            park(mine, of: shard, deadline: deadline)
        }
    }

    private func send(
        _ proposals: [Proposal], of shard: GroupID, to node: NodeNumber, deadline: UInt64
    ) {
        var first = 0
        while first < proposals.count {
            var bytes = 0
            var next = first
            while next < proposals.count,
                next == first || bytes + proposals[next].command.count <= NodeLimits.entryBytesMax
            {
                bytes += proposals[next].command.count
                next += 1
            }
            let part = Array(proposals[first..<next])
            forwarding.nextRequest += 1
            let batch = PeerFrame.ForwardedBatch(
                request: forwarding.nextRequest, shard: shard, epoch: cluster.epoch,
                commands: part.map(\.command))
            if cluster.send(.propose(batch), to: node) {
                forwarding.sent[batch.request] = Forwarding.Sent(
                    shard: shard, node: node, proposals: part, deadline: deadline)
                forwarding.flights[shard, default: .init(node: node, count: 0)].count += 1
            } else {
                return park(Array(proposals[first...]), of: shard, deadline: deadline)
            }
            first = next
        }
    }

    /// Has a unit of this node wait for a leader.
    func park(_ unit: Unit, of shard: GroupID) {
        guard case .here(let proposals) = unit.source else { return }
        park(proposals, of: shard, deadline: tickCount + ClusterLimits.proposalTicks)
    }

    private func park(_ proposals: [Proposal], of shard: GroupID, deadline: UInt64) {
        if proposals.isEmpty { return }
        let bytes = proposals.reduce(0) { $0 + $1.command.count }
        guard forwarding.parkedBytes + bytes <= NodeLimits.proposalBytesMax else {
            for proposal in proposals { proposal.answer(.failure(ChatNode.overloaded)) }
            return
        }
        forwarding.parkedBytes += bytes
        forwarding.parked.append(
            Forwarding.Parked(shard: shard, proposals: proposals, deadline: deadline))
    }

    /// Takes what another node's leader said of a forwarded batch.
    func takeOutcome(_ outcome: PeerFrame.ForwardOutcome, of request: UInt64) {
        guard let sent = forwarding.take(request) else { return }
        switch outcome {
        case .accepted(let index, let term, let offset):
            let answers = sent.proposals.map(\.answer)
            // Applied already: its results went by, and nobody can tell them any more.
            guard index > (replicator.replica(of: sent.shard)?.handedOut ?? 0) else {
                for answer in answers { answer(.failure(Self.unknownOutcome)) }
                return
            }
            wait(answers, for: (sent.shard, index, term), offset: offset)
        case .notLeader: park(sent.proposals, of: sent.shard, deadline: sent.deadline)
        case .overloaded, .tooLarge:
            for proposal in sent.proposals { proposal.answer(.failure(Self.error(outcome))) }
        }
    }

    /// Says what became of a batch that a node sent.
    func reply(_ request: UInt64, _ outcome: PeerFrame.ForwardOutcome, to node: NodeNumber) {
        _ = cluster.send(.proposed(request: request, outcome), to: node)
    }

    /// A node is gone: what was sent to it may be in the log or not.
    func loseForwarded(to node: NodeNumber) {
        for request in forwarding.sent.keys.sorted()
        where forwarding.sent[request]?.node == node {
            giveUp(forwarding.take(request)?.proposals ?? [])
        }
    }

    /// What was sent to a node that does not lead its shard any more may never be answered, if that
    /// node is paused or cut off: it must not hold up what comes after it. A moment is left for
    /// answers on their way, as after a leadership that was handed over.
    private func giveUpStrays() {
        for shard in forwarding.flights.keys.sorted() {
            guard let flight = forwarding.flights[shard] else { continue }
            let isLed = replicator.status(of: shard)?.role == .leader
            let leader = isLed ? cluster.node : leaderNode(of: shard)
            guard let leader, leader != flight.node else {
                forwarding.flights[shard]?.strayTicks = 0
                continue
            }
            forwarding.flights[shard]?.strayTicks += 1
            guard flight.strayTicks >= ClusterLimits.strayTicks else { continue }
            for request in forwarding.sent.keys.sorted()
            where forwarding.sent[request]?.shard == shard {
                giveUp(forwarding.take(request)?.proposals ?? [])
            }
        }
    }

    /// Tries what is parked again, and ends what waited too long.
    func expireForwarded() {
        giveUpStrays()
        if !forwarding.parked.isEmpty {
            let parked = forwarding.parked
            forwarding.parked = []
            forwarding.parkedBytes = 0
            for item in parked { retry(item) }
        }
        for request in forwarding.sent.keys.sorted() {
            guard let sent = forwarding.sent[request], sent.deadline <= tickCount else { continue }
            _ = forwarding.take(request)
            giveUp(sent.proposals)
        }
    }

    private func retry(_ item: Forwarding.Parked) {
        if item.deadline <= tickCount { return giveUp(item.proposals) }
        let isLed = replicator.status(of: item.shard)?.role == .leader
        let node = isLed ? cluster.node : leaderNode(of: item.shard)
        guard let node, !forwarding.mustQueue(item.shard, for: node) else {
            return park(item.proposals, of: item.shard, deadline: item.deadline)
        }
        if isLed {
            propose(item.proposals.map { Self.unit([$0]) }, to: item.shard)
        } else {
            send(item.proposals, of: item.shard, to: node, deadline: item.deadline)
        }
    }

    func abandonForwarded() {
        for request in forwarding.sent.keys.sorted() {
            giveUp(forwarding.take(request)?.proposals ?? [])
        }
        for item in forwarding.parked { giveUp(item.proposals) }
        forwarding = Forwarding()
    }

    private func giveUp(_ proposals: [Proposal]) {
        for proposal in proposals { proposal.answer(.failure(Self.unknownOutcome)) }
    }
}
