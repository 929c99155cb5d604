import Platform
import Replication
import Synchronization

@testable import ChatNode

/// Channels in memory between the nodes of a test: frames arrive in order, on a lane of the
/// receiver, as long as both ends live.
final class MemoryPeers: Sendable {
    private struct Channel {
        let from: Endpoint
        let to: Endpoint
        /// Of the sender and of the receiver.
        let hello: PeerHello
        let receiver: PeerHello
    }

    private struct State {
        var endpoints: [NodeNumber: Endpoint] = [:]
        var channels: [Channel] = []
        /// Pairs that hear nothing of each other.
        var cuts: Set<[NodeNumber]> = []
    }

    /// One process's end.
    final class Endpoint: PeerTransport {
        fileprivate struct Own {
            var hello: (@Sendable () -> PeerHello)?
            var take: (@Sendable (PeerEvent) -> Void)?
            var peers: Set<NodeNumber> = []
            var isOver = false
        }

        let number: NodeNumber
        fileprivate let own = Mutex(Own())
        private let peers: MemoryPeers
        private let lane: any Lane

        fileprivate init(_ number: NodeNumber, _ peers: MemoryPeers, _ lane: any Lane) {
            self.number = number
            self.peers = peers
            self.lane = lane
        }

        func send(_ frame: [UInt8], to node: NodeNumber) -> Bool {
            peers.send(frame, from: self, to: node)
        }

        func start(
            hello: @escaping @Sendable () -> PeerHello,
            take: @escaping @Sendable (PeerEvent) -> Void
        ) throws {
            own.withLock { own in
                own.hello = hello
                own.take = take
            }
            peers.connect(self)
        }

        func setPeers(_ nodes: [(node: NodeNumber, address: String)]) {
            own.withLock { $0.peers = Set(nodes.map(\.node)) }
            peers.connect(self)
        }

        func stop() { peers.remove(self) }

        fileprivate func tell(_ event: PeerEvent) {
            lane.submit { [self] in
                let take = own.withLock { $0.isOver ? nil : $0.take }
                take?(event)
            }
        }

        fileprivate var hello: PeerHello? { own.withLock { $0.isOver ? nil : $0.hello }?() }

        fileprivate func wants(_ node: NodeNumber) -> Bool {
            own.withLock { $0.peers.contains(node) && $0.take != nil && !$0.isOver }
        }
    }

    private let state = Mutex(State())

    /// The end of a new process; the former one of that node is dead.
    func endpoint(_ number: NodeNumber, on scheduler: any Scheduler) -> Endpoint {
        let endpoint = Endpoint(number, self, scheduler.lane("peers"))
        let former = state.withLock { $0.endpoints.updateValue(endpoint, forKey: number) }
        if let former { remove(former) }
        return endpoint
    }

    /// Two nodes hear nothing of each other from now on, or again.
    func cut(_ one: NodeNumber, _ other: NodeNumber, _ isCut: Bool) {
        state.withLock { state in
            if isCut {
                state.cuts.insert([min(one, other), max(one, other)])
            } else {
                state.cuts.remove([min(one, other), max(one, other)])
            }
        }
    }

    fileprivate func connect(_ endpoint: Endpoint) {
        let others = state.withLock { $0.endpoints.values.filter { $0 !== endpoint } }
        for other in others.sorted(by: { $0.number < $1.number }) {
            for (from, to) in [(endpoint, other), (other, endpoint)] { open(from, to) }
        }
    }

    private func open(_ from: Endpoint, _ to: Endpoint) {
        guard from.wants(to.number), to.wants(from.number), let theirs = to.hello,
            let ours = from.hello
        else { return }
        let isNew = state.withLock { state in
            if state.channels.contains(where: { $0.from === from && $0.to === to }) { return false }
            state.channels.append(Channel(from: from, to: to, hello: ours, receiver: theirs))
            return true
        }
        if isNew { from.tell(.connected(theirs)) }
    }

    fileprivate func send(_ frame: [UInt8], from: Endpoint, to node: NodeNumber) -> Bool {
        let channel = state.withLock { state -> Channel? in
            if state.cuts.contains([min(from.number, node), max(from.number, node)]) { return nil }
            return state.channels.first { $0.from === from && $0.to.number == node }
        }
        guard let channel else { return false }
        channel.to.tell(.frame(from: channel.hello, frame))
        return true
    }

    fileprivate func remove(_ endpoint: Endpoint) {
        endpoint.own.withLock { $0.isOver = true }
        let broken = state.withLock { state in
            if state.endpoints[endpoint.number] === endpoint {
                state.endpoints[endpoint.number] = nil
            }
            let broken = state.channels.filter { $0.from === endpoint || $0.to === endpoint }
            state.channels.removeAll { $0.from === endpoint || $0.to === endpoint }
            return broken
        }
        for channel in broken where channel.to === endpoint {
            channel.from.tell(
                .disconnected(endpoint.number, incarnation: channel.receiver.incarnation))
        }
    }
}
