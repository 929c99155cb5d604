import ChatModel
import LSMTree
import Platform
import RaftCore
import Replication
import ShardStore
import Synchronization

/// The way of a write through production's parts: consensus lane, log lane, apply lane.
///
///     writer ─▶ consensus lane: CommandBatch ─▶ Replicator ─▶ log lane: append, sync
///                                                               │
///     writer ◀─ apply lane: rows into the tree ◀─ committed ◀───┘
///
/// It is what `ChatNode` does, without the chat: while a turn of the log is synced, commands
/// gather, and the next turn takes all of them as one entry. Replication has no turn without a
/// sync, so writes that nobody waits for are synced too.
// `pending` and `deferred` are confined to the consensus lane, `scratch` to the apply lane.
final class CommitPipeline: @unchecked Sendable {
    /// Turns the bytes of a command into rows.
    typealias RowMaker = @Sendable (_ command: [UInt8], _ batch: inout WriteBatch) -> Void

    private struct Command: Sendable {
        let bytes: [UInt8]
        /// Nil: counted in the window.
        let ticket: CommitTicket?
    }

    private enum ConsensusInput: Sendable {
        case command(Command)
        case logTurn(LogCompletion)
        case installed(InstalledCut)
        case applied(LogIndex)
        case tick
    }

    private struct Decided: Sendable {
        let index: LogIndex
        let term: Term
        let payload: [UInt8]?
        let tickets: [CommitTicket?]
    }

    /// A queue's consumer that is made after the queue.
    private final class Door<Input: Sendable>: Sendable {
        /// A struct around the closure: a closure that is itself the value of a generic type is
        /// wrapped once more each time it is read and put back, so the chain would grow for ever.
        struct Consumer: Sendable {
            let take: @Sendable ([Input]) -> Void
        }

        private let consumer = Mutex<Consumer?>(nil)

        func open(_ take: @escaping @Sendable ([Input]) -> Void) {
            consumer.withLock { $0 = Consumer(take: take) }
        }

        func pass(_ inputs: [Input]) {
            let consumer = consumer.withLock { $0 }
            consumer?.take(inputs)
        }
    }

    /// The bytes of commands in one entry, as in a node.
    private static let entryBytesMax = 512 << 10
    private static let shard: GroupID = 1
    private static let windowMax = 16_384

    let store: ShardStore
    private let makeRows: RowMaker
    private let consensusLane: any Lane
    private let applyLane: any Lane
    private let timerLane: any Lane
    private let consensus: Mailbox<ConsensusInput>
    private let apply: Mailbox<[Decided]>
    private let window = WriteWindow(limit: windowMax)
    private let clock = LinuxClock()
    private let isBehind = Atomic<Bool>(false)
    private let isClosed = Atomic<Bool>(false)
    private let isFailed = Atomic<Bool>(false)
    private var pending: [LogIndex: [CommitTicket?]] = [:]
    private var deferred: [Command] = []
    private var rows = WriteBatch()

    /// Opens a store, or makes it, and starts the lanes.
    init(directory: String, options: ShardStoreOptions, makeRows: @escaping RowMaker) throws {
        let scheduler = ThreadScheduler()
        self.makeRows = makeRows
        consensusLane = scheduler.hotLane("consensus")
        applyLane = scheduler.hotLane("apply")
        timerLane = scheduler.lane("timer")
        let consensusDoor = Door<ConsensusInput>()
        let applyDoor = Door<[Decided]>()
        let consensus = Mailbox<ConsensusInput>(limit: 1 << 20, lane: consensusLane) { inputs in
            consensusDoor.pass(inputs)
        }
        self.consensus = consensus
        apply = Mailbox(limit: 1 << 20, lane: applyLane) { inputs in
            applyDoor.pass(inputs)
        }
        do {
            store = try ShardStore.open(
                fileSystem: LinuxFileSystem(), directory: directory, scheduler: scheduler,
                options: options,
                shards: [
                    ShardPlacement(
                        shard: Self.shard, replica: 1, configuration: Configuration(voters: [1]))
                ],
                completed: { consensus.putCompletion(.logTurn($0), isHandedOver: true) },
                installed: { consensus.putCompletion(.installed($0)) },
                onTreeFailure: { Terminal.error("magpie: \($0)") })
        } catch {
            for lane in [consensusLane, applyLane, timerLane] { lane.stop() }
            throw error
        }
        consensusDoor.open { [unowned self] in take($0) }
        applyDoor.open { [unowned self] in apply($0) }
        tick()
    }

    /// Commits a command and waits until it is durable and visible.
    func commit(_ command: [UInt8], _ ticket: CommitTicket) throws {
        try waitWhileBehind()
        consensus.putCompletion(.command(Command(bytes: command, ticket: ticket)))
        try ticket.wait()
    }

    /// Hands a command over; one thread does so.
    func send(_ command: [UInt8]) throws {
        try waitWhileBehind()
        try window.enter()
        consensus.putCompletion(.command(Command(bytes: command, ticket: nil)))
    }

    /// Returns when everything sent is durable and visible.
    func drain() throws {
        try window.wait(until: 0)
    }

    /// Makes a cut and returns when no background work is left. Nothing may be under way.
    func settle() throws {
        try drain()
        // As long as too many memtables wait for their flush there is no cut.
        store.tree.waitForQuiet()
        try cut()
        store.tree.waitForQuiet()
    }

    /// Makes a cut, whose tables are written in the background. Nothing may be under way.
    func cut() throws {
        try drain()
        let latch = Latch()
        applyLane.submit { [self] in
            store.cut()
            latch.countDown()
        }
        latch.wait()
    }

    /// Ends the lanes and closes the files.
    func close() {
        isClosed.store(true, ordering: .releasing)
        timerLane.stop()
        consensusLane.stop()
        applyLane.stop()
        store.close()
    }

    /// A node refuses commands meanwhile; the benchmark waits, as its peers do inside.
    private func waitWhileBehind() throws {
        while isBehind.load(ordering: .relaxed) {
            // Nothing is applied meanwhile: only by looking is it seen that it is over.
            applyLane.submit { [weak self] in self?.lookAtTree() }
            _ = Latch().wait(.milliseconds(1))
        }
        if isFailed.load(ordering: .relaxed) { throw EngineError("magpie: the log failed") }
    }

    private func tick() {
        if isClosed.load(ordering: .acquiring) { return }
        consensus.putCompletion(.tick)
        timerLane.submit(after: .milliseconds(50)) { [weak self] in self?.tick() }
    }

    // MARK: Consensus lane

    private func take(_ inputs: [ConsensusInput]) {
        var commands = deferred
        deferred = []
        for input in inputs {
            switch input {
            case .command(let command): commands.append(command)
            case .logTurn(let completion): store.replicator.completed(completion)
            case .installed(let cut): store.release(cut)
            case .applied(let index): store.replicator.applied(group: Self.shard, through: index)
            case .tick: store.replicator.tick()
            }
        }
        propose(commands)
        while true {
            let output = store.replicator.drain()
            if let failure = output.failure { return fail("\(failure)") }
            let decided = output.committed.map { committed in
                let entry = committed.entry
                return Decided(
                    index: entry.index, term: entry.term,
                    payload: entry.kind == .command ? entry.payload : nil,
                    tickets: pending.removeValue(forKey: entry.index) ?? [])
            }
            let bytes = decided.reduce(0) { $0 + ($1.payload?.count ?? 0) }
            if !decided.isEmpty {
                apply.putCompletion(decided, isHandedOver: BriefWork.fits(bytes))
            }
            if !output.hasMore { return }
        }
    }

    private func propose(_ commands: [Command]) {
        var first = 0
        while first < commands.count {
            var bytes = 0
            var next = first
            while next < commands.count,
                next == first || bytes + commands[next].bytes.count <= Self.entryBytesMax
            {
                bytes += commands[next].bytes.count
                next += 1
            }
            let batch = CommandBatch(
                stampMs: clock.wallMilliseconds(), commands: commands[first..<next].map(\.bytes))
            switch store.replicator.propose(group: Self.shard, payload: batch.encoded()) {
            case .accepted(let index, _): pending[index] = commands[first..<next].map(\.ticket)
            // Until the group leads, and while too much is unapplied.
            case .rejected:
                deferred = Array(commands[first...])
                return
            }
            first = next
        }
    }

    private func fail(_ reason: String) {
        Terminal.error("magpie: \(reason)")
        isFailed.store(true, ordering: .releasing)
        let left = pending.keys.sorted().flatMap { pending[$0] ?? [] } + deferred.map(\.ticket)
        answer(left, isGood: false)
    }

    // MARK: Apply lane

    private func apply(_ inputs: [[Decided]]) {
        for entries in inputs {
            for entry in entries { apply(entry) }
            if let last = entries.last { consensus.putCompletion(.applied(last.index)) }
            lookAtTree()
        }
    }

    private func lookAtTree() {
        store.cutIfNeeded(nowMs: clock.monotonicNanoseconds() / 1_000_000)
        isBehind.store(store.isBehind, ordering: .relaxed)
    }

    private func apply(_ entry: Decided) {
        rows.removeAll()
        if let payload = entry.payload {
            guard let batch = try? CommandBatch(decoding: payload) else {
                preconditionFailure("a payload that was encoded here decodes")
            }
            for command in batch.commands { makeRows(command, &rows) }
        }
        store.apply(
            shard: Self.shard, index: entry.index, term: entry.term,
            payloadBytes: entry.payload?.count ?? 0, rows)
        answer(entry.tickets, isGood: true)
    }

    private func answer(_ tickets: [CommitTicket?], isGood: Bool) {
        var counted = 0
        for ticket in tickets {
            if let ticket { ticket.post(isGood: isGood) } else { counted += 1 }
        }
        if counted > 0 { window.leave(counted, isGood: isGood) }
    }
}
