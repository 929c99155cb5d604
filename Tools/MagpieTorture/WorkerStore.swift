import Bytes
import LSMTree
import Platform
import RaftCore
import Replication
import ShardStore
import Synchronization

/// The store as a node runs it: a group of one over the shared log and the tree, on lanes.
///
///     main thread ─▶ consensus lane: Replicator ─▶ log lane: append, sync
///                                                     │
///     acknowledged ◀─ apply lane: rows into the tree ◀┘
///
/// A batch is acknowledged when it is durable and visible.
// `deferred` is confined to the consensus lane; what is counted is atomic or locked.
final class WorkerStore: @unchecked Sendable {
    private enum Input: Sendable {
        case batch(UInt64)
        case logTurn(LogCompletion)
        case installed(InstalledCut)
        case applied(LogIndex)
        case tick
    }

    /// What the log carries: the batch's number, and in which life it was handed over.
    private struct Command {
        let number: UInt64
        let life: UInt64

        init(number: UInt64, life: UInt64) {
            (self.number, self.life) = (number, life)
        }

        init(decoding payload: [UInt8]) {
            number = Workload.number(Array(payload.prefix(8)))
            life = Workload.number(Array(payload.prefix(16)))
        }

        /// With padding that lets the log fill its segments.
        var encoded: [UInt8] {
            Workload.bytes(number) + Workload.bytes(life)
                + [UInt8](repeating: 0x55, count: Int(SplitMix64.mix(number) % 300))
        }
    }

    /// A queue's consumer that is made after the queue.
    private final class Door<Value: Sendable>: Sendable {
        private struct Consumer: Sendable {
            let take: @Sendable ([Value]) -> Void
        }
        private let consumer = Mutex<Consumer?>(nil)

        func open(_ take: @escaping @Sendable ([Value]) -> Void) {
            consumer.withLock { $0 = Consumer(take: take) }
        }

        func pass(_ values: [Value]) { consumer.withLock { $0 }?.take(values) }
    }

    static let shard: GroupID = 1
    static let replica: ReplicaID = 1
    /// Batches that may be under way.
    private static let windowMax = 64

    let store: ShardStore
    private let life: UInt64
    private let makeBatch: @Sendable (UInt64) -> WriteBatch
    private let reporter: Reporter
    private let consensusLane: any Lane
    private let applyLane: any Lane
    private let timerLane: any Lane
    private let consensus: Mailbox<Input>
    private let apply: Mailbox<[Entry]>
    private let clock = LinuxClock()
    private let underWay = Atomic<Int>(0)
    private let isBehind = Atomic<Bool>(false)
    /// The last batch applied.
    private let newest = Atomic<UInt64>(0)
    private let waiter = Mutex<Latch?>(nil)
    private var deferred: [UInt64] = []
    /// The disk was said to be full. Of the thread that submits.
    private var isToldFull = false

    /// Opens the store. A batch is made of its number by `makeBatch`; 0 is a batch of nothing.
    init(
        directory: String, options: ShardStoreOptions, life: UInt64, reporter: Reporter,
        makeBatch: @escaping @Sendable (UInt64) -> WriteBatch
    ) throws {
        let scheduler = ThreadScheduler()
        self.life = life
        self.makeBatch = makeBatch
        self.reporter = reporter
        consensusLane = scheduler.hotLane("consensus")
        applyLane = scheduler.hotLane("apply")
        timerLane = scheduler.lane("timer")
        let consensusDoor = Door<Input>()
        let applyDoor = Door<[Entry]>()
        let consensus = Mailbox<Input>(limit: 4096, lane: consensusLane) { consensusDoor.pass($0) }
        self.consensus = consensus
        apply = Mailbox(limit: 4096, lane: applyLane) { applyDoor.pass($0) }
        store = try ShardStore.open(
            fileSystem: LinuxFileSystem(), directory: directory, scheduler: scheduler,
            options: options, shards: [Self.placement],
            completed: { consensus.putCompletion(.logTurn($0), isHandedOver: true) },
            installed: { consensus.putCompletion(.installed($0)) },
            onTreeFailure: { reporter.refuse("\($0)") })
        consensusDoor.open { [unowned self] in take($0) }
        applyDoor.open { [unowned self] in apply($0) }
        tick()
    }

    static var placement: ShardPlacement {
        ShardPlacement(
            shard: shard, replica: replica, configuration: Configuration(voters: [replica]))
    }

    /// Has everything that the log holds applied; answers the last batch.
    func awaitRecovery() -> UInt64 {
        underWay.add(1, ordering: .sequentiallyConsistent)
        consensus.putCompletion(.batch(0))
        drain()
        return newest.load(ordering: .acquiring)
    }

    /// Hands a batch over, once the store takes more.
    func submit(_ number: UInt64) {
        wait { underWay.load(ordering: .sequentiallyConsistent) < Self.windowMax }
        waitWhileBehind()
        reporter.say(.submitted(number))
        underWay.add(1, ordering: .sequentiallyConsistent)
        consensus.putCompletion(.batch(number))
    }

    /// Returns when everything handed over is acknowledged.
    func drain() {
        wait { underWay.load(ordering: .sequentiallyConsistent) == 0 }
    }

    /// Asks for a checkpoint of what is acknowledged. Nothing may be under way.
    ///
    /// - Parameter done: called on a lane of the tree.
    func checkpoint(
        to directory: String, done: @escaping @Sendable (Result<Checkpoint, TreeError>) -> Void
    ) {
        while true {
            let isTaken = Promise<Bool>()
            applyLane.submit { [self] in
                let canCut = store.tree.canCut
                if canCut {
                    reporter.say(.checkpointing)
                    store.checkpoint(to: directory, done: done)
                }
                isTaken.fulfil(canCut)
            }
            if isTaken.wait() { return }
            _ = Latch().wait(.milliseconds(1))
        }
    }

    /// Ends the lanes and closes the files, as a stopped node does. Nothing may be under way.
    func close() {
        for lane in [timerLane, consensusLane, applyLane] { lane.stop() }
        store.close()
    }

    private func wait(until isTrue: () -> Bool) {
        while !isTrue() {
            let latch = Latch()
            waiter.withLock { $0 = latch }
            // Looked at again after the latch is there: what comes later opens it.
            if isTrue() { return }
            while !latch.wait(.milliseconds(20)) { tellIfFull() }
        }
    }

    /// Says once that tree or log wait for room: only the other side can make some.
    private func tellIfFull() {
        if isToldFull { return }
        isToldFull =
            store.tree.statistics.isOutOfSpace || store.replicator.logSpace.isOutOfSpace
        if isToldFull { reporter.say(.full) }
    }

    private func waitWhileBehind() {
        while isBehind.load(ordering: .acquiring) {
            tellIfFull()
            applyLane.submit { [weak self] in self?.lookAtTree() }
            _ = Latch().wait(.milliseconds(1))
        }
    }

    private func tick() {
        consensus.putCompletion(.tick)
        timerLane.submit(after: .milliseconds(20)) { [weak self] in self?.tick() }
    }

    // MARK: Consensus lane

    private func take(_ inputs: [Input]) {
        var numbers = deferred
        deferred = []
        for input in inputs {
            switch input {
            case .batch(let number): numbers.append(number)
            case .logTurn(let completion): store.replicator.completed(completion)
            case .installed(let cut): store.release(cut)
            case .applied(let index): store.replicator.applied(group: Self.shard, through: index)
            case .tick: store.replicator.tick()
            }
        }
        propose(numbers)
        while true {
            let output = store.replicator.drain()
            if let failure = output.failure { reporter.refuse("\(failure)") }
            if !output.committed.isEmpty { apply.putCompletion(output.committed.map(\.entry)) }
            if !output.hasMore { return }
        }
    }

    private func propose(_ numbers: [UInt64]) {
        for (place, number) in numbers.enumerated() {
            let result = store.replicator.propose(
                group: Self.shard, payload: Command(number: number, life: life).encoded)
            // Until the group leads, and while too much is unapplied.
            guard case .accepted = result else {
                deferred = Array(numbers[place...])
                return
            }
        }
    }

    // MARK: Apply lane

    private func apply(_ inputs: [[Entry]]) {
        for entries in inputs {
            var acknowledged: UInt64 = 0
            var own = 0
            for entry in entries {
                let command = entry.kind == .command ? Command(decoding: entry.payload) : nil
                let number = command?.number ?? 0
                store.apply(
                    shard: Self.shard, index: entry.index, term: entry.term,
                    payloadBytes: entry.payload.count,
                    number == 0 ? WriteBatch() : makeBatch(number))
                if number > 0 { newest.store(number, ordering: .releasing) }
                // Entries of earlier lives come out too; nobody waits for them.
                guard let command, command.life == life else { continue }
                own += 1
                acknowledged = max(acknowledged, number)
            }
            if let last = entries.last { consensus.putCompletion(.applied(last.index)) }
            lookAtTree()
            if acknowledged > 0 { reporter.say(.acknowledged(acknowledged)) }
            if own == 0 { continue }
            underWay.subtract(own, ordering: .sequentiallyConsistent)
            waiter.withLock { $0 }?.countDown()
        }
    }

    private func lookAtTree() {
        store.cutIfNeeded(nowMs: clock.monotonicNanoseconds() / 1_000_000)
        isBehind.store(store.isBehind, ordering: .releasing)
        // Numbers are the time by which rows expire.
        store.tree.expiryHorizon = newest.load(ordering: .relaxed)
    }
}
