import Platform
import Replication
import Synchronization

/// One process's end of the simulated network.
final class SimulatedTransport: PeerTransport {
    private struct State {
        var hello: (@Sendable () -> PeerHello)?
        var take: (@Sendable (PeerEvent) -> Void)?
        var peers: [NodeNumber] = []
    }

    let place: Int
    let life: UInt64
    let machine: SimulatedMachine
    private let network: SimulatedNetwork
    private let lane: any Lane
    private let state = Mutex(State())

    init(
        network: SimulatedNetwork, place: Int, life: UInt64, machine: SimulatedMachine,
        lane: any Lane
    ) {
        self.network = network
        self.place = place
        self.life = life
        self.machine = machine
        self.lane = lane
    }

    func send(_ frame: [UInt8], to node: NodeNumber) -> Bool {
        network.watch?.sends(frame, from: network.numbers[place], to: node)
        return network.send(frame, from: self, to: node)
    }

    func start(
        hello: @escaping @Sendable () -> PeerHello, take: @escaping @Sendable (PeerEvent) -> Void
    ) throws {
        state.withLock { state in
            state.hello = hello
            state.take = take
        }
        network.started(self)
        connect()
    }

    func setPeers(_ peers: [(node: NodeNumber, address: String)]) {
        let own = network.numbers[place]
        state.withLock { $0.peers = peers.map(\.node).filter { $0 != own } }
        connect()
    }

    func stop() {
        forget()
        network.stopped(self)
    }

    /// Lets the node go: nothing is told any more.
    func forget() {
        let last = state.withLock { state in
            defer { state = State() }
            return state
        }
        withExtendedLifetime(last) {}
    }

    func isListed(_ node: NodeNumber) -> Bool {
        state.withLock { $0.peers.contains(node) }
    }

    /// What this process says of itself now; nil before it has begun.
    var hello: PeerHello? {
        let ask = state.withLock { $0.hello.map { Asker(ask: $0) } }
        return ask?.ask()
    }

    /// Tells the process something, on a lane of its machine.
    func tell(_ event: PeerEvent, then done: @escaping @Sendable () -> Void = {}) {
        lane.submit { [self] in
            let taker = state.withLock { $0.take.map { Taker(take: $0) } }
            if taker != nil, case .frame(let hello, let bytes) = event {
                network.watch?.takes(bytes, from: hello.node, on: network.numbers[place])
            }
            taker?.take(event)
            done()
        }
    }

    private func connect() {
        let isStarted = state.withLock { $0.take != nil }
        guard isStarted else { return }
        for to in network.numbers.indices where isListed(network.numbers[to]) {
            network.connect(from: place, to: to, after: 1_000_000)
        }
    }

    // A closure in a struct: a mutex over a bare closure type wraps it anew at every access.
    private struct Asker: Sendable {
        let ask: @Sendable () -> PeerHello
    }

    private struct Taker: Sendable {
        let take: @Sendable (PeerEvent) -> Void
    }
}
