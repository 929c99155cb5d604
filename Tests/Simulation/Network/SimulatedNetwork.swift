import Bytes
import Platform
package import Replication
import Synchronization

/// The network between simulated nodes: frames over channels, one channel for each direction of
/// each pair.
///
/// - Within a channel frames arrive once and in order, or not at all: lost, dropped at a full
///   queue, or gone with the channel.
/// - A link (one direction of a pair) can be cut, clogged or slow. Frames sent into a cut wait, as
///   in a kernel's buffers, and arrive when it heals, unless the channel timed out by then.
/// - After a reconnect frames of the old channel may still arrive, behind newer ones.
///
/// All delays are timed jobs of the scheduler; all chance comes from the seed.
// Everything runs on the thread that steps the scheduler; the lock is there for the compiler.
package final class SimulatedNetwork: Sendable {
    struct Node {
        var transport: SimulatedTransport?
        var life: UInt64 = 0
    }

    struct Link {
        var isCut = false
        var cutCount: UInt64 = 0
        var cloggedUntil: UInt64 = 0
        /// Added to every delay while the link is slow.
        var slowness: UInt64 = 0
        var channel: Channel?
        var isConnecting = false
        var channelCount: UInt64 = 0
        /// The last frames of the channel that went, for a replay.
        var recent: [[UInt8]] = []
    }

    /// An open channel from one node to another.
    struct Channel {
        let number: UInt64
        let senderHello: PeerHello
        let receiverHello: PeerHello
        let senderLife: UInt64
        let receiverLife: UInt64
        /// When the last frame arrives.
        var lastArrival: UInt64 = 0
        /// On the wire, in order.
        var underWay: [[UInt8]] = []
        /// Arrived, but not taken by the process yet.
        var untaken = 0
        /// Frames sent into a cut.
        var parked: [[UInt8]] = []
        var recent: [[UInt8]] = []

        /// Frames that fill the queue.
        var load: Int { underWay.count + untaken + parked.count }
    }

    struct State {
        var profile = NetworkProfile()
        var watch: (any FrameWatch)?
        var nodes: [Node]
        var links: [Link]
        var generator: SplitMix64
    }

    let scheduler: SimulatedScheduler
    let lane: SimulatedNetworkLane
    let numbers: [NodeNumber]
    let trace: SimulationTrace
    let marks: ReachMarks
    let state: Mutex<State>

    /// A network of good links between nodes without processes.
    package init(
        nodes numbers: [NodeNumber], scheduler: SimulatedScheduler, seed: UInt64,
        trace: SimulationTrace, marks: ReachMarks
    ) {
        self.scheduler = scheduler
        self.numbers = numbers
        self.trace = trace
        self.marks = marks
        lane = SimulatedNetworkLane(scheduler.lane("network"))
        state = Mutex(
            State(
                nodes: numbers.map { _ in Node() },
                links: [Link](repeating: Link(), count: numbers.count * numbers.count),
                generator: SplitMix64(seed: seed)))
    }

    /// The way to the others for a process that begins on a node; its predecessor's is dead.
    package func transport(
        for node: NodeNumber, on machine: SimulatedMachine
    ) -> any PeerTransport {
        let place = place(of: node)
        let life = state.withLock { state in
            state.nodes[place].life += 1
            return state.nodes[place].life
        }
        return SimulatedTransport(
            network: self, place: place, life: life, machine: machine,
            lane: machine.lane("peers"))
    }

    /// A process closes its end.
    func stopped(_ transport: SimulatedTransport) {
        let isCurrent = state.withLock { $0.nodes[transport.place].life == transport.life }
        if isCurrent { processEnded(on: numbers[transport.place]) }
    }

    /// The process on a node is gone: its channels break, which the others learn in time.
    package func processEnded(on node: NodeNumber) {
        let place = place(of: node)
        let last = state.withLock { state in
            state.nodes[place].life += 1
            defer { state.nodes[place].transport = nil }
            return state.nodes[place].transport
        }
        last?.forget()
        for other in numbers.indices where other != place {
            close(from: place, to: other, after: 0)
            let wait = state.withLock { state in
                LaneDelay.exponential(
                    mean: state.profile.timeoutNanoseconds / 8, &state.generator)
            }
            close(from: other, to: place, after: wait)
        }
    }

    /// Has somebody see the frames at the ends of the wires.
    package func watch(_ watch: (any FrameWatch)?) {
        state.withLock { $0.watch = watch }
    }

    /// Who sees the frames.
    var watch: (any FrameWatch)? { state.withLock { $0.watch } }

    // MARK: Faults

    /// How all links behave from now on.
    package func setProfile(_ profile: NetworkProfile) {
        state.withLock { $0.profile = profile }
    }

    /// Cuts one direction of a pair.
    package func cut(from sender: NodeNumber, to receiver: NodeNumber) {
        let (from, to) = (place(of: sender), place(of: receiver))
        let link = index(from, to)
        let timeout: (UInt64, UInt64)? = state.withLock { state in
            if state.links[link].isCut { return nil }
            state.links[link].isCut = true
            state.links[link].cutCount += 1
            let wait = LaneDelay.exponential(
                mean: state.profile.timeoutNanoseconds, &state.generator)
            return (wait, state.links[link].cutCount)
        }
        guard let (wait, count) = timeout else { return }
        trace.note(.cut, UInt64(sender), UInt64(receiver))
        lane.run(after: wait) { [self] in
            let isStill = state.withLock {
                $0.links[link].isCut && $0.links[link].cutCount == count
            }
            if isStill { close(from: from, to: to, after: 0) }
        }
    }

    /// Joins one direction of a pair again; what waited at the cut goes on.
    package func heal(from sender: NodeNumber, to receiver: NodeNumber) {
        let (from, to) = (place(of: sender), place(of: receiver))
        let link = index(from, to)
        let parked: [[UInt8]]? = state.withLock { state in
            guard state.links[link].isCut else { return nil }
            state.links[link].isCut = false
            let parked = state.links[link].channel?.parked ?? []
            state.links[link].channel?.parked = []
            return parked
        }
        guard let parked else { return }
        trace.note(.healed, UInt64(sender), UInt64(receiver))
        for frame in parked { carry(frame, from, to) }
    }

    /// All cuts, clogs and slow links are gone.
    package func healAll() {
        for sender in numbers {
            for receiver in numbers where receiver != sender {
                heal(from: sender, to: receiver)
                state.withLock { state in
                    let link = index(place(of: sender), place(of: receiver))
                    state.links[link].cloggedUntil = 0
                    state.links[link].slowness = 0
                }
            }
        }
    }

    /// Nothing arrives on one direction of a pair for so long; then all of it at once.
    package func clog(from sender: NodeNumber, to receiver: NodeNumber, nanoseconds: UInt64) {
        let now = scheduler.clock.monotonicNanoseconds()
        state.withLock { state in
            state.links[index(place(of: sender), place(of: receiver))].cloggedUntil =
                now &+ nanoseconds
        }
        trace.note(.clogged, UInt64(sender), UInt64(receiver), nanoseconds / 1_000_000)
        marks.reach(.clogged)
    }

    /// Every frame of one direction of a pair takes so much longer.
    package func slow(from sender: NodeNumber, to receiver: NodeNumber, nanoseconds: UInt64) {
        state.withLock { state in
            state.links[index(place(of: sender), place(of: receiver))].slowness = nanoseconds
        }
        trace.note(.slowLink, UInt64(sender), UInt64(receiver), nanoseconds / 1_000_000)
    }

    /// Breaks the channel of one direction of a pair.
    package func reset(from sender: NodeNumber, to receiver: NodeNumber) {
        marks.reach(.channelReset)
        close(from: place(of: sender), to: place(of: receiver), after: 0)
    }

    /// True while any direction of any pair is cut.
    package var isPartitioned: Bool {
        state.withLock { $0.links.contains { $0.isCut } }
    }

    /// The most frames under way or parked on a link now.
    package var framesUnderWay: Int {
        state.withLock { $0.links.map { $0.channel?.load ?? 0 }.max() ?? 0 }
    }

    // MARK: Places

    func place(of node: NodeNumber) -> Int {
        guard let place = numbers.firstIndex(of: node) else {
            preconditionFailure("node \(node) is on this network")
        }
        return place
    }

    func index(_ from: Int, _ to: Int) -> Int { from * numbers.count + to }
}

/// Sees the frames that processes send and take.
package protocol FrameWatch: AnyObject, Sendable {
    /// A process sends a frame, whatever becomes of it.
    func sends(_ frame: [UInt8], from sender: NodeNumber, to receiver: NodeNumber)
    /// A process gets a frame next.
    func takes(_ frame: [UInt8], from sender: NodeNumber, on receiver: NodeNumber)
}

/// The lane of the wires themselves, which no machine's pause stops.
struct SimulatedNetworkLane: Sendable {
    private let lane: any Lane

    init(_ lane: any Lane) { self.lane = lane }

    func run(after nanoseconds: UInt64, _ job: @escaping @Sendable () -> Void) {
        lane.submit(after: .nanoseconds(Int64(clamping: nanoseconds)), job)
    }
}
