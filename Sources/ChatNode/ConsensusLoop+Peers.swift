import Bytes
import Platform
import RaftCore
import Replication

/// What comes from other nodes, and what goes to them.
extension ConsensusLoop {
    /// Takes what the transport tells. A batch of commands from another node is given back, to be
    /// proposed with this drain's others.
    func take(_ event: PeerEvent) -> (GroupID, Unit)? {
        cluster.note(event)
        switch event {
        case .connected(let hello):
            forgetFlights(of: hello.node)
            outlets.peers(event)
        case .disconnected(let node, _):
            outlets.peers(event)
            guard cluster.peer(node)?.isConnected != true else { return nil }
            replicator.lost { ReplicaName.node(of: $0) == node }
            loseForwarded(to: node)
            loseAsked(of: node)
        case .refused(_, let reason): outlets.notice(reason)
        case .frame(let hello, let bytes):
            outlets.tookFrame(bytes.count)
            return takeFrame(bytes, from: hello)
        }
        return nil
    }

    private func takeFrame(_ bytes: [UInt8], from hello: PeerHello) -> (GroupID, Unit)? {
        let node = hello.node
        let frame: PeerFrame
        do {
            frame = try PeerFrame.decode(bytes)
        } catch {
            outlets.notice("node \(node) sent a frame that cannot be read: \(error)")
            return nil
        }
        switch frame {
        case .raft(let messages):
            for item in messages { replicator.receive(item.group, item.message) }
        case .formationAsk:
            _ = cluster.send(.formation(cluster.formation), to: node)
        case .propose(let batch):
            return takeForwarded(batch, from: node).map { (batch.shard, $0) }
        case .proposed(let request, let outcome): takeOutcome(outcome, of: request)
        case .readAsk(let request, let shards): takeAsk(request, shards, from: node)
        case .readAnswer(let request, let answers): takeAnswers(answers, of: request)
        case .gossip(let gossip):
            cluster.note(gossip, of: node, wallMs: clock.wallMilliseconds())
            if gossip.mapEpoch < cluster.epoch { _ = cluster.send(.map(cluster.map), to: node) }
        case .formation: break
        case .snapshotAsk, .snapshotChunk, .snapshotRefused, .presence, .typing,
            .stateMarks, .map:
            outlets.frame(node, frame)
        }
        return nil
    }

    /// Puts a message into the frame of this drain for the node it goes to.
    func say(_ item: GroupMessage) {
        let node = ReplicaName.node(of: item.message.to)
        guard cluster.peer(node)?.isConnected == true else { return }
        if outgoing[node] == nil {
            var writer = ByteWriter(capacity: 256)
            writer.write(PeerFrame.raftKind)
            outgoing[node] = writer
        }
        encoder.append(item.group, item.message, to: &outgoing[node, default: ByteWriter()])
        // A frame has a limit; what is in it so far goes ahead.
        if outgoing[node]?.count ?? 0 > Self.frameBytesGoal {
            if let writer = outgoing.removeValue(forKey: node) {
                _ = cluster.send(writer.bytes, to: node)
            }
        }
    }

    private static var frameBytesGoal: Int { 4 << 20 }

    /// Sends what this drain has to say: one frame for each node, all groups together.
    func sendOutgoing() {
        if outgoing.isEmpty { return }
        for node in outgoing.keys.sorted() {
            if let writer = outgoing[node] { _ = cluster.send(writer.bytes, to: node) }
        }
        outgoing.removeAll(keepingCapacity: true)
        encoder.forget()
    }
}
