import Bytes
import ChatModel
import RaftCore
import Replication
import Session

/// Commands on their way to other nodes, and those that wait until somebody leads their shard.
///
/// One user's commands stay in order while leaders change. Batches of a shard go to one node at a
/// time: those under way together are a *flight*. When one of a flight is refused, the leader
/// refuses the rest, and nothing goes anywhere before the whole flight has come back: a later batch
/// must not be taken by a node that refused an earlier one a moment before it came to lead.
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
        let proposals: [Proposal]
        let deadline: UInt64
    }

    /// A shard's batches under way.
    struct Flight {
        /// The first one's request.
        let name: UInt64
        let node: NodeNumber
        var count = 0
        /// Ticks since another node leads the shard.
        var strayTicks: UInt64 = 0
    }

    /// A node's flight of which a batch was refused here.
    struct RefusedFlight: Hashable {
        let node: NodeNumber
        let shard: GroupID
    }

    var sent: [UInt64: Sent] = [:]
    /// Where each shard's batches under way were sent.
    var flights: [GroupID: Flight] = [:]
    /// What waits, in order.
    var parked: [GroupID: [Parked]] = [:]
    var parkedBytes = 0
    var nextRequest: UInt64 = 0
    /// The newest flight of each node and shard that was refused here.
    var refused: [RefusedFlight: UInt64] = [:]

    /// True when a shard's commands must wait behind earlier ones, which wait themselves or are
    /// under way to another node.
    func mustQueue(_ shard: GroupID, for node: NodeNumber) -> Bool {
        if let flight = flights[shard], flight.node != node { return true }
        return parked[shard] != nil
    }

    mutating func take(_ request: UInt64) -> Sent? {
        guard let item = sent.removeValue(forKey: request) else { return nil }
        flights[item.shard]?.count -= 1
        if flights[item.shard]?.count == 0 { flights[item.shard] = nil }
        return item
    }

    /// Takes what waits for a shard, to be tried or ended.
    mutating func takeParked(_ shard: GroupID) -> [Parked] {
        let items = parked.removeValue(forKey: shard) ?? []
        for item in items { parkedBytes -= Self.bytes(item.proposals) }
        return items
    }

    static func bytes(_ proposals: [Proposal]) -> Int {
        proposals.reduce(0) { $0 + $1.command.count }
    }
}

extension ConsensusLoop {
    /// The node that leads a shard, as far as this one knows and can reach it.
    func leaderNode(of shard: GroupID) -> NodeNumber? {
        guard let leader = replicator.leader(of: shard) else { return nil }
        let node = ReplicaName.node(of: leader)
        return cluster.peer(node)?.isConnected == true ? node : nil
    }

    /// Sends units where their shard is led; parks them while nobody knows where. Units of other
    /// nodes go back: a command makes one hop.
    func forward(_ units: [Unit], of shard: GroupID) {
        var mine: [Proposal] = []
        for unit in units {
            switch unit.source {
            case .node(let origin): refuse(origin, of: shard, .notLeader)
            case .here(let proposals): mine += proposals
            }
        }
        if mine.isEmpty { return }
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
            let request = forwarding.nextRequest
            let flight = forwarding.flights[shard] ?? .init(name: request, node: node)
            let batch = PeerFrame.ForwardedBatch(
                request: request, flight: flight.name, shard: shard, epoch: cluster.epoch,
                commands: part.map(\.command))
            if cluster.send(.propose(batch), to: node) {
                forwarding.sent[request] = Forwarding.Sent(
                    shard: shard, node: node, proposals: part, deadline: deadline)
                forwarding.flights[shard] = flight
                forwarding.flights[shard]?.count += 1
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
        let bytes = Forwarding.bytes(proposals)
        guard forwarding.parkedBytes + bytes <= NodeLimits.proposalBytesMax else {
            for proposal in proposals { proposal.answer(.failure(ChatNode.overloaded)) }
            return
        }
        forwarding.parkedBytes += bytes
        forwarding.parked[shard, default: []].append(
            Forwarding.Parked(proposals: proposals, deadline: deadline))
    }

    /// Takes what another node's leader said of a forwarded batch.
    func takeOutcome(_ outcome: PeerFrame.ForwardOutcome, of request: UInt64) {
        guard let sent = forwarding.take(request) else { return }
        switch outcome {
        case .accepted(let index, let term, let offset):
            let answers = sent.proposals.map(\.answer)
            // Applied already: its results went by, and nobody can tell them any more.
            guard index > (replicator.handedOut(sent.shard)) else {
                for answer in answers { answer(.failure(Self.unknownOutcome)) }
                return
            }
            wait(answers, for: (sent.shard, index, term), offset: offset)
        case .notLeader: park(sent.proposals, of: sent.shard, deadline: sent.deadline)
        case .overloaded, .tooLarge:
            for proposal in sent.proposals { proposal.answer(.failure(Self.error(outcome))) }
        }
    }

    /// Takes a batch that a node sent, to be proposed here; nil when it is refused.
    func takeForwarded(_ batch: PeerFrame.ForwardedBatch, from node: NodeNumber) -> Unit? {
        let origin = Unit.Origin(node: node, request: batch.request, flight: batch.flight)
        let refused = forwarding.refused[.init(node: node, shard: batch.shard)]
        guard batch.epoch >= cluster.epoch, refused != batch.flight else {
            refuse(origin, of: batch.shard, .notLeader)
            return nil
        }
        let bytes = batch.commands.reduce(0) { $0 + $1.count }
        return Unit(commands: batch.commands, source: .node(origin), bytes: bytes)
    }

    /// Sends a node's batch back, and what follows it in its flight.
    func refuse(_ origin: Unit.Origin, of shard: GroupID, _ outcome: PeerFrame.ForwardOutcome) {
        forwarding.refused[.init(node: origin.node, shard: shard)] = origin.flight
        reply(origin.request, outcome, to: origin.node)
    }

    /// A node's connection is new: so are its flights.
    func forgetFlights(of node: NodeNumber) {
        forwarding.refused = forwarding.refused.filter { $0.key.node != node }
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
            let isLed = replicator.isLeading(shard)
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
        for shard in forwarding.parked.keys.sorted() { retry(shard) }
        for request in forwarding.sent.keys.sorted() {
            guard let sent = forwarding.sent[request], sent.deadline <= tickCount else { continue }
            _ = forwarding.take(request)
            giveUp(sent.proposals)
        }
    }

    private func retry(_ shard: GroupID) {
        var items = forwarding.takeParked(shard)
        for item in items where item.deadline <= tickCount { giveUp(item.proposals) }
        items.removeAll { $0.deadline <= tickCount }
        let isLed = replicator.isLeading(shard) && !keeper.isClockOff
        let node = forwarding.flights[shard] == nil && !isLed ? leaderNode(of: shard) : nil
        if isLed, forwarding.flights[shard] == nil {
            propose(items.flatMap { $0.proposals.map { Self.unit([$0]) } }, to: shard)
        } else {
            for item in items {
                if let node, forwarding.parked[shard] == nil {
                    send(item.proposals, of: shard, to: node, deadline: item.deadline)
                } else {
                    park(item.proposals, of: shard, deadline: item.deadline)
                }
            }
        }
    }

    func abandonForwarded() {
        for request in forwarding.sent.keys.sorted() {
            giveUp(forwarding.take(request)?.proposals ?? [])
        }
        for shard in forwarding.parked.keys.sorted() {
            for item in forwarding.takeParked(shard) { giveUp(item.proposals) }
        }
        forwarding = Forwarding()
    }

    private func giveUp(_ proposals: [Proposal]) {
        for proposal in proposals { proposal.answer(.failure(Self.unknownOutcome)) }
    }
}
