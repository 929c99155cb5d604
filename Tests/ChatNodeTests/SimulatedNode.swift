import Bytes
import ChatModel
import FanOut
import Platform
import Secrets
import Session
import Simulation
import Synchronization
import Testing

@testable import ChatNode

/// A whole node on a simulated disk, clock and scheduler: everything that happens is replayed by
/// the seed.
final class SimulatedNode {
    let files: SimulatedFileSystem
    let scheduler: SimulatedScheduler
    let seed: UInt64
    private(set) var node: ChatNode?
    private(set) var failure: String?
    private(set) var startFailure: String?
    private var machine: SimulatedMachine?
    private var boots: UInt64 = 0
    var configure: (inout NodeConfiguration) -> Void = { _ in }
    /// What the operator was told.
    let incidents = Box<[String]>([])

    init(seed: UInt64, files: SimulatedFileSystem? = nil) {
        self.seed = seed
        self.files = files ?? SimulatedFileSystem(seed: seed)
        scheduler = SimulatedScheduler(seed: seed)
    }

    var clock: SimulatedClock { scheduler.clock }

    /// Opens the node and runs until it is ready; false when it could not be opened.
    @discardableResult
    func boot() -> Bool {
        boots += 1
        failure = nil
        startFailure = nil
        let machine = scheduler.group()
        self.machine = machine
        var configuration = NodeConfiguration(directory: "/magpie")
        configuration.passwordCost = .init(logN: 2, r: 8, p: 1)
        configuration.segmentBytes = 64 << 10
        configuration.pinnedSegmentsMax = 8
        configuration.memoryBudget = 256 << 10
        configuration.limits.isRateLimited = false
        configure(&configuration)
        let seams = NodeSeams(
            fileSystem: files, clock: clock, random: SimulatedRandom(seed: seed ^ boots),
            scheduler: machine)
        let state = Box<(isReady: Bool, failure: String?)>((false, nil))
        let hooks = ChatNode.Hooks(
            ready: { state.change { $0.isReady = true } },
            failed: { failure in state.change { $0.failure = failure.description } },
            incident: { [incidents] line in incidents.change { $0.append(line) } })
        let formed = Box<Result<Void, StartFailure>?>(nil)
        ClusterFormation.run(configuration, seams: seams, notice: { _ in }) { result in
            formed.change { $0 = result }
        }
        run { formed.value != nil || files.isDown }
        guard case .success? = formed.value else {
            if case .failure(let error)? = formed.value { startFailure = "\(error)" }
            return false
        }
        do {
            node = try ChatNode(configuration, seams: seams, hooks: hooks)
        } catch {
            startFailure = "\(error)"
            return false
        }
        run { state.value.isReady || state.value.failure != nil || self.files.isDown }
        failure = state.value.failure
        return state.value.isReady
    }

    /// Runs jobs, and lets time pass when there are none, until `condition` or `steps` jobs.
    func run(steps: Int = 200_000, until condition: () -> Bool) {
        for _ in 0..<steps {
            if condition() { return }
            if scheduler.step() { continue }
            guard let next = scheduler.nextDeadline else { return }
            let now = clock.monotonicNanoseconds()
            clock.advance(nanoseconds: next > now ? next - now : 1)
        }
    }

    /// Lets simulated time pass.
    func pass(_ duration: Duration) {
        let parts = duration.components
        let end =
            clock.monotonicNanoseconds()
            + UInt64(parts.seconds) * 1_000_000_000 + UInt64(parts.attoseconds / 1_000_000_000)
        run { clock.monotonicNanoseconds() >= end }
    }

    /// Calls the node and runs until it answers; nil when the power went first.
    func call<Value: Sendable>(
        _ body: (ChatNode, @escaping Answer<Value>) -> Void
    ) -> Result<Value, ServiceError>? {
        guard let node else { return nil }
        let answer = Box<Result<Value, ServiceError>?>(nil)
        body(node) { result in answer.change { $0 = result } }
        run { answer.value != nil || files.isDown }
        return answer.value
    }

    /// The power fails: unsynced bytes and names survive in any subset. Then the disk is back.
    func cutPower(seed: UInt64) {
        machine?.kill()
        node = nil
        files.crash(seed: seed)
        files.restart()
    }

    /// Stops gracefully and forgets the node.
    func stop() {
        node?.stop()
        node = nil
    }

    // MARK: What users do

    func register(_ name: String) -> Identity? {
        let request = Registration(
            username: name, password: "a good password", displayName: nil, deviceName: "test")
        guard case .success(let signedIn) = call({ $0.register(request, answer: $1) }) else {
            return nil
        }
        return Identity(
            user: signedIn.user.id, device: signedIn.device, expiresAtMs: signedIn.expiresAtMs)
    }

    func change(_ request: ChangeRequest, by identity: Identity) -> Result<
        CommandResult, ServiceError
    >? {
        call { $0.submit(request, by: identity, answer: $1) }
    }

    func send(_ text: String, to target: SendTarget, by identity: Identity, cid: UInt64) -> Sent? {
        let request = ChangeRequest.send(
            target, cid: ClientMessageID(high: 0x8000, low: cid), content: .init(text: text))
        guard case .success(.sent(let sent)) = change(request, by: identity) else { return nil }
        return sent
    }

    /// All entries of a conversation, page by page.
    func entries(_ conversation: ConversationID, for identity: Identity) -> [Entry] {
        var entries: [Entry] = []
        while true {
            let after = PageAnchor.after(entries.last?.seq ?? 0)
            let page = call { $0.page(conversation, after, limit: 200, for: identity, answer: $1) }
            guard case .success(let view) = page, !view.entries.isEmpty else { return entries }
            entries += view.entries
            if !view.hasMore { return entries }
        }
    }
}

/// A value that closures of the node's lanes fill in.
final class Box<Value: Sendable>: Sendable {
    private let mutex: Mutex<Value>

    init(_ value: Value) { mutex = Mutex(value) }

    var value: Value { mutex.withLock { $0 } }

    func change(_ body: (inout sending Value) -> Void) { mutex.withLock { body(&$0) } }
}
