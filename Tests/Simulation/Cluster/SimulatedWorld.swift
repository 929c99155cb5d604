import Bytes
import ChatModel
import ChatNode
import Platform
import Replication
import Session

/// Everything in one simulated run: time, network, machines, clients, checkers.
// Confined to the thread that steps the scheduler.
final class SimulatedWorld: @unchecked Sendable {
    let options: SimulationOptions
    let clock: SimulatedClock
    let scheduler: SimulatedScheduler
    let trace: SimulationTrace
    let marks = ReachMarks()
    let verdict = Verdict()
    let network: SimulatedNetwork
    let history: HistoryChecker
    let searches: SearchChecker
    let replicas: ReplicaChecker
    let ownership: OwnershipChecker
    /// The lane of clients, of the operator, and of fate.
    let lane: any Lane
    private(set) var members: [SimulatedMember] = []
    var generator: SplitMix64
    /// Faults that struck.
    var faultCount = 0
    /// Breaks some client's socket.
    var dropSomeClient: @Sendable () -> Void = {}
    /// False from the moment that the faults end.
    var isStormy = false
    private(set) var nextRequest: UInt64 = 1

    init(_ options: SimulationOptions) {
        self.options = options
        clock = SimulatedClock()
        scheduler = SimulatedScheduler(seed: options.seed, clock: clock)
        trace = SimulationTrace(clock: clock)
        generator = SplitMix64(seed: options.seed ^ 0x776F_726C_6421)
        lane = scheduler.lane("world")
        network = SimulatedNetwork(
            nodes: (1...options.nodes).map { NodeNumber($0) }, scheduler: scheduler,
            seed: options.seed ^ 0x6E65_7477, trace: trace, marks: marks)
        history = HistoryChecker(verdict: verdict)
        searches = SearchChecker(verdict: verdict, marks: marks)
        replicas = ReplicaChecker(verdict: verdict, trace: trace, marks: marks)
        ownership = OwnershipChecker(verdict: verdict, marks: marks)
        members = (1...options.nodes).map { SimulatedMember(number: NodeNumber($0), world: self) }
        network.watch(ForwardingWatch(world: self))
        marks.reach(options.nodes == 1 ? .oneNode : .threeNodes)
    }

    // MARK: Chance and time

    /// A number below `bound`.
    func draw(_ bound: Int) -> Int { Int(generator.next() % UInt64(max(1, bound))) }

    /// True once in `of`, on average.
    func isDrawn(_ of: UInt64) -> Bool { generator.next() % of == 0 }

    /// An element of a list that is not empty.
    func pick<Element>(_ list: [Element]) -> Element? {
        list.isEmpty ? nil : list[draw(list.count)]
    }

    /// Milliseconds around a mean.
    func around(ms mean: UInt64) -> UInt64 {
        LaneDelay.exponential(mean: max(1, mean), &generator)
    }

    var nowMs: UInt64 { clock.monotonicNanoseconds() / 1_000_000 }

    func later(ms: UInt64, _ job: @escaping @Sendable () -> Void) {
        lane.submit(after: .milliseconds(Int64(clamping: ms)), job)
    }

    /// When something sent now arrives, not before what was sent before it.
    func arrival(after last: UInt64) -> UInt64 {
        max(last, clock.monotonicNanoseconds() + 500_000 + UInt64(draw(3_000_000)))
    }

    func at(nanoseconds: UInt64, _ job: @escaping @Sendable () -> Void) {
        let now = clock.monotonicNanoseconds()
        lane.submit(after: .nanoseconds(Int64(clamping: nanoseconds - min(nanoseconds, now))), job)
    }

    func nextRequestNumber() -> UInt64 {
        defer { nextRequest += 1 }
        return nextRequest
    }

    // MARK: Members

    /// Members whose process says that it may serve and whose machine runs.
    var serving: [SimulatedMember] {
        members.filter(\.isServing)
    }

    /// Members that make a majority.
    var majority: Int { options.nodes / 2 + 1 }

    /// Starts a member again after a while, as a supervisor does.
    func restartLater(_ member: SimulatedMember) {
        let wait = isStormy ? 200 + around(ms: options.lastingMs) : 200
        later(ms: wait) { member.boot() }
    }

    /// A member refused to start on what its disk holds.
    func startFailed(_ member: SimulatedMember, _ reason: String) {
        trace.note("node \(member.number) does not start: \(reason)")
        restartLater(member)
        if member.isDiskTroubled { return }
        verdict.fail(.start, "node \(member.number): \(reason)")
    }

    /// The operator gives a damaged member an empty disk.
    func replace(_ member: SimulatedMember) {
        trace.note(.wiped, UInt64(member.number))
        marks.reach(.diskWiped)
        member.disk.wipe()
        member.platters.wiped()
        replicas.wiped(member.number)
        member.isEmpty = true
        member.isDamaged = true
        member.rottenPath = nil
    }

    // MARK: Durability

    /// A message was acknowledged at its first try: it stands on a majority of platters, those
    /// that were lost since it was decided included.
    func checkPlatters(_ request: SendRequest, _ sent: Sent) {
        guard case .message = request.body, !sent.isDuplicate else { return }
        let copies = members.filter { $0.platters.held(request.number) }.map(\.number)
        if copies.count >= majority { return }
        verdict.fail(
            .durability,
            "request \(request.number) is acknowledged as seq \(sent.seq) of "
                + "\(sent.conversation), but stands on the platters of nodes \(copies) only")
    }

    // MARK: Requests of clients

    /// What a client gets for a request.
    enum Outcome<Value: Sendable>: Sendable {
        case answer(Result<Value, ServiceError>)
        /// Nobody took it.
        case unreachable
        /// Taken, perhaps; no answer came.
        case silence
    }

    /// Calls a member from outside: one way, the node's own time, and the way back. `done` runs
    /// once, on the world's lane.
    func call<Value: Sendable>(
        _ member: SimulatedMember, timeoutMs: UInt64 = 5_000,
        _ body: @escaping @Sendable (any NodePort, @escaping Answer<Value>) -> Void,
        done: @escaping @Sendable (Outcome<Value>) -> Void
    ) {
        let isOpen = Once()
        let finish: @Sendable (Outcome<Value>) -> Void = { outcome in
            if isOpen.take() { done(outcome) }
        }
        later(ms: 1 + UInt64(draw(3))) { [self] in
            guard member.phase == .ready, let host = member.host else {
                return later(ms: 1) { finish(.unreachable) }
            }
            host.lane.submit { [self] in
                guard let node = member.node else { return }
                body(node) { result in
                    self.lane.submit(after: .milliseconds(1)) { finish(.answer(result)) }
                }
            }
        }
        later(ms: timeoutMs) { finish(.silence) }
    }
}

/// Something that happens at most once.
// Confined to the thread that steps the scheduler.
final class Once: @unchecked Sendable {
    private var isTaken = false

    /// True the first time.
    func take() -> Bool {
        defer { isTaken = true }
        return !isTaken
    }
}
