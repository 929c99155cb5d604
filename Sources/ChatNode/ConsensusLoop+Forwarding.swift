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
        let batch: Batch
    }

    /// Commands of one shard, on their way or waiting for a leader.
    struct Batch {
        let proposals: [Proposal]
        let deadline: UInt64
        /// The place of the first among the shard's commands: what is sent again keeps it.
        let age: UInt64

        /// A part of the batch.
        subscript(_ range: Range<Int>) -> Batch {
            Batch(
                proposals: Array(proposals[range]), deadline: deadline,
                age: age + UInt64(range.lowerBound))
        }
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
    /// What waits, the oldest first.
    var parked: [GroupID: [Batch]] = [:]
    var parkedBytes = 0
    var nextRequest: UInt64 = 0
    private var nextAge: UInt64 = 0
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

    /// A new batch, younger than all others.
    mutating func batch(_ proposals: [Proposal], deadline: UInt64) -> Batch {
        defer { nextAge += UInt64(proposals.count) }
        return Batch(proposals: proposals, deadline: deadline, age: nextAge)
    }

    /// Has a batch wait at its place. False when too much waits.
    mutating func park(_ batch: Batch, of shard: GroupID) -> Bool {
        let bytes = Self.bytes(batch.proposals)
        guard parkedBytes + bytes <= NodeLimits.proposalBytesMax else { return false }
        parkedBytes += bytes
        let waiting = parked[shard] ?? []
        let place = waiting.firstIndex { $0.age > batch.age } ?? waiting.count
        parked[shard, default: []].insert(batch, at: place)
        return true
    }

    /// Takes what waits for a shard, to be tried or ended.
    mutating func takeParked(_ shard: GroupID) -> [Batch] {
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
        var mine: [Forwarding.Batch] = []
        for unit in units {
            switch unit.source {
            case .node(let origin): refuse(origin, of: shard, .notLeader)
            case .here(let batch): mine.append(batch)
            }
        }
        let proposals = mine.flatMap(\.proposals)
        guard let first = mine.first, !proposals.isEmpty else { return }
        let batch = Forwarding.Batch(
            proposals: proposals, deadline: first.deadline, age: first.age)
        if let node = leaderNode(of: shard), !forwarding.mustQueue(shard, for: node) {
            send(batch, of: shard, to: node)
        } else {
            park(batch, of: shard)
        }
    }

    /// Sends a batch, in frames that an entry can take.
    private func send(_ batch: Forwarding.Batch, of shard: GroupID, to node: NodeNumber) {
        var first = 0
        while first < batch.proposals.count {
            var bytes = 0
            var next = first
            while next < batch.proposals.count,
                next == first
                    || bytes + batch.proposals[next].command.count <= NodeLimits.entryBytesMax
            {
                bytes += batch.proposals[next].command.count
                next += 1
            }
            guard sendPart(batch[first..<next], of: shard, to: node) else {
                return park(batch[first..<batch.proposals.count], of: shard)
            }
            first = next
        }
    }

    private func sendPart(
        _ part: Forwarding.Batch, of shard: GroupID, to node: NodeNumber
    ) -> Bool {
        forwarding.nextRequest += 1
        let request = forwarding.nextRequest
        let flight = forwarding.flights[shard] ?? .init(name: request, node: node)
        let frame = PeerFrame.ForwardedBatch(
            request: request, flight: flight.name, shard: shard, epoch: cluster.epoch,
            commands: part.proposals.map(\.command))
        guard cluster.send(.propose(frame), to: node) else { return false }
        forwarding.sent[request] = Forwarding.Sent(shard: shard, node: node, batch: part)
        forwarding.flights[shard] = flight
        forwarding.flights[shard]?.count += 1
        return true
    }

    /// Has commands of this node wait for a leader.
    func park(_ batch: Forwarding.Batch, of shard: GroupID) {
        if batch.proposals.isEmpty || forwarding.park(batch, of: shard) { return }
        for proposal in batch.proposals { proposal.answer(.failure(ChatNode.overloaded)) }
    }

    /// Takes what another node's leader said of a forwarded batch.
    func takeOutcome(_ outcome: PeerFrame.ForwardOutcome, of request: UInt64) {
        guard let sent = forwarding.take(request) else { return }
        switch outcome {
        case .accepted(let index, let term, let offset):
            let answers = sent.batch.proposals.map(\.answer)
            // Applied already: its results went by, and nobody can tell them any more.
            guard index > (replicator.handedOut(sent.shard)) else {
                for answer in answers { answer(.failure(Self.unknownOutcome)) }
                return
            }
            wait(answers, for: (sent.shard, index, term), offset: offset)
        case .notLeader: park(sent.batch, of: sent.shard)
        case .overloaded, .tooLarge:
            for proposal in sent.batch.proposals { proposal.answer(.failure(Self.error(outcome))) }
        }
    }

    /// Takes a batch that a node sent, to be proposed here; nil when it is refused.
    func takeForwarded(_ batch: PeerFrame.ForwardedBatch, from node: NodeNumber) -> Unit? {
        let origin = Unit.Origin(node: node, request: batch.request, flight: batch.flight)
        // Nothing is remembered of shards that there are not: any number may come.
        guard shards.all.contains(batch.shard) else {
            reply(batch.request, .notLeader, to: node)
            return nil
        }
        let refused = forwarding.refused[.init(node: node, shard: batch.shard)]
        #if PlantedBugs
            let isOld = batch.epoch < cluster.epoch && !PlantedBug.acceptOldEpoch.isOn
        #else
            let isOld = batch.epoch < cluster.epoch
        #endif
        guard !isOld, refused != batch.flight else {
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
            giveUp(forwarding.take(request)?.batch.proposals ?? [])
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
                giveUp(forwarding.take(request)?.batch.proposals ?? [])
            }
        }
    }

    /// Tries what is parked again, and ends what waited too long.
    func expireForwarded() {
        giveUpStrays()
        for shard in forwarding.parked.keys.sorted() { retry(shard) }
        for request in forwarding.sent.keys.sorted() {
            guard let batch = forwarding.sent[request]?.batch, batch.deadline <= tickCount else {
                continue
            }
            _ = forwarding.take(request)
            giveUp(batch.proposals)
        }
    }

    /// Tries again what waits for a shard's leader, unless some of it is still on its way.
    private func retry(_ shard: GroupID) {
        let waiting = forwarding.takeParked(shard)
        for batch in waiting where batch.deadline <= tickCount { giveUp(batch.proposals) }
        let batches = waiting.filter { $0.deadline > tickCount }
        guard forwarding.flights[shard] == nil else {
            for batch in batches { park(batch, of: shard) }
            return
        }
        if replicator.isLeading(shard), !keeper.isClockOff {
            if !batches.isEmpty { propose(batches.map(Self.unit), to: shard) }
            return
        }
        let node = leaderNode(of: shard)
        for batch in batches {
            if let node, forwarding.parked[shard] == nil {
                send(batch, of: shard, to: node)
            } else {
                park(batch, of: shard)
            }
        }
    }

    func abandonForwarded() {
        for request in forwarding.sent.keys.sorted() {
            giveUp(forwarding.take(request)?.batch.proposals ?? [])
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
