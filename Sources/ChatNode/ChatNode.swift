import BlobStore
import ChatEngine
package import ChatModel
import FanOut
import LSMTree
import Platform
import RaftCore
import RecordLog
import Replication
import Secrets
package import Session
import ShardStore
import Synchronization

/// One node without a network: it owns the data directory and answers ``NodePort``.
///
/// Lanes, and what flows between them:
///
///     callers ── proposals ──▶ consensus ── turns ──▶ log (append + one sync)
///                                  ▲  │                  │
///                                  │  └── decided ──▶ apply ── events ──▶ event loops
///                                  └──── completions ────┘  └── dirty marks ──▶ feeds
///     callers ── questions ──▶ read lanes        passwords ──▶ hash lanes
///
/// Every queue between them is bounded (``NodeLimits``). Production and the simulator run this very
/// code; only the seams differ.
package final class ChatNode: NodePort {
    /// What the node says about itself; fixed while it is open.
    package let facts: NodeFacts
    /// Signs media URLs with the node's key.
    package let links: any MediaLinks
    /// What the node counts.
    package let meters: NodeMeters
    let configuration: NodeConfiguration
    let seams: NodeSeams
    let store: ShardStore
    let blobs: BlobStore
    let signer: SignedLinks
    let mint: TokenMint
    let tickets = TicketBook()
    let detours = Detours()
    let sends: RateLimiter<UserID>
    let failedSignIns: RateLimiter<String>
    let uploadsUnderWay = Atomic<Int>(0)
    /// What a stranger's password is compared with.
    let nobody: [UInt8]
    let readers: LanePool
    let hashers: LanePool
    let blobLanes: LanePool
    let answerLane: any Lane
    let apply: InputBox<ApplyLoop.Input>
    /// Bytes of commands that wait for the consensus lane.
    private let waitingBytes = Atomic<Int>(0)
    private let directory: DataDirectory
    private let lanes: NodeLanes
    private let consensusBox: InputBox<ConsensusLoop.Input>
    /// Ends the node's work for good: it takes nothing more, and the process is told to end.
    let fail: @Sendable (NodeFailure) -> Void
    private let hooks: Hooks
    private let feeds = Mutex<FeedWorker?>(nil)

    /// Everything a node's lanes run on.
    struct NodeLanes: Sendable {
        let consensus: any Lane
        let apply: any Lane
        let feeds: any Lane
        let timer: any Lane
        let answers: any Lane

        init(_ scheduler: any Scheduler) {
            consensus = scheduler.lane("consensus")
            apply = scheduler.lane("apply")
            feeds = scheduler.lane("feeds")
            timer = scheduler.lane("timer")
            answers = scheduler.lane("answers")
        }
    }

    /// What the outside learns of a node, on its lanes.
    package struct Hooks: Sendable {
        /// Once: everything the log held is applied; the node may serve.
        package var ready: @Sendable () -> Void
        /// Once: the node has stopped itself and the process must end.
        package var failed: @Sendable (NodeFailure) -> Void
        /// An error whose incident number a client was told.
        package var incident: @Sendable (String) -> Void

        /// Hooks.
        package init(
            ready: @escaping @Sendable () -> Void,
            failed: @escaping @Sendable (NodeFailure) -> Void,
            incident: @escaping @Sendable (String) -> Void
        ) {
            self.ready = ready
            self.failed = failed
            self.incident = incident
        }
    }

    /// Takes the data directory, recovers, and starts the lanes. Blocks on the disk.
    ///
    /// - Throws: ``StartFailure`` with one message for the person at the terminal; the data are
    ///   untouched then.
    package init(_ configuration: NodeConfiguration, seams: NodeSeams, hooks: Hooks) throws {
        let directory = try DataDirectory(configuration.directory, seams: seams)
        let lanes = NodeLanes(seams.scheduler)
        let consensusBox = InputBox<ConsensusLoop.Input>(
            limit: NodeLimits.proposalsMax, lane: lanes.consensus)
        let apply = InputBox<ApplyLoop.Input>(
            limit: NodeLimits.applyInputsMax, lane: lanes.apply)
        let meters = NodeMeters()
        let fail: @Sendable (NodeFailure) -> Void = { failure in
            let wasStopping = meters.isStopping.exchange(true, ordering: .relaxed)
            if !wasStopping { hooks.failed(failure) }
        }
        do {
            (store, blobs) = try Self.openStores(
                directory, configuration, seams, consensusBox, apply, hooks, fail)
        } catch {
            directory.release()
            throw error
        }
        self.configuration = configuration
        self.seams = seams
        self.directory = directory
        self.lanes = lanes
        self.consensusBox = consensusBox
        self.apply = apply
        answerLane = lanes.answers
        self.meters = meters
        self.fail = fail
        self.hooks = hooks
        let superblock = directory.superblock
        signer = SignedLinks(key: superblock.key, clock: seams.clock)
        links = signer
        mint = TokenMint(key: superblock.key)
        nobody = PasswordHash.credential(
            password: "", salt: [UInt8](repeating: 0, count: PasswordHash.saltBytes),
            cost: configuration.passwordCost)
        let limits = configuration.limits
        sends = RateLimiter(
            burst: limits.sendsPerWindow, windowMs: limits.sendWindowMs,
            keysMax: NodeLimits.senderBucketsMax)
        failedSignIns = RateLimiter(
            burst: limits.failedSignInsPerMinute, windowMs: 60_000,
            keysMax: NodeLimits.senderBucketsMax)
        readers = LanePool(
            name: "read", count: configuration.readLanes, limit: NodeLimits.questionsMax,
            scheduler: seams.scheduler)
        hashers = LanePool(
            name: "hash", count: configuration.hashLanes, limit: NodeLimits.hashesMax,
            scheduler: seams.scheduler)
        blobLanes = LanePool(
            name: "blob", count: 2, limit: NodeLimits.blobJobsMax, scheduler: seams.scheduler)
        facts = NodeFacts(
            id: UserID(bytes: superblock.node)?.description ?? "", epoch: superblock.epoch,
            limits: limits, publicURL: configuration.publicURL)
        start(hooks)
    }

    private static func openStores(
        _ directory: DataDirectory, _ configuration: NodeConfiguration, _ seams: NodeSeams,
        _ consensusBox: InputBox<ConsensusLoop.Input>, _ apply: InputBox<ApplyLoop.Input>,
        _ hooks: Hooks, _ fail: @escaping @Sendable (NodeFailure) -> Void
    ) throws -> (ShardStore, BlobStore) {
        var opened: ShardStore?
        do {
            var tree = TreeOptions(keyspaces: KeySchema.all)
            // A memtable takes 4 GiB at most, and more than twice this before writers wait.
            tree.memtableBytes = min(configuration.memoryBudget / 8, 512 << 20)
            tree.blockCacheBytes = configuration.memoryBudget / 2
            var options = ShardStoreOptions(tree: tree)
            options.replication.log = .init(segmentBytes: configuration.segmentBytes)
            options.replication.raft.entryBytesMax = 2 * NodeLimits.entryBytesMax
            options.replication.raft.unappliedBytesMax = NodeLimits.unappliedBytesMax
            options.replication.seed = directory.superblock.incarnation
            let incarnation = directory.superblock.incarnation
            let store = try ShardStore.open(
                fileSystem: seams.fileSystem, directory: directory.path,
                scheduler: seams.scheduler, options: options,
                shards: ShardMap.all.map { ($0, ShardMap.replica(of: $0, incarnation)) },
                completed: { consensusBox.putCompletion(.logTurn($0)) },
                installed: { positions in
                    consensusBox.putCompletion(.installed(positions))
                    apply.putCompletion(
                        .installed(positions.map { (shard: $0.shard, index: $0.index) }))
                },
                onTreeFailure: { fail(.tree($0)) })
            opened = store
            let blobs = try BlobStore.open(
                fileSystem: seams.fileSystem, directory: directory.blobPath, random: seams.random)
            for damage in blobs.damage { hooks.incident("\(damage)") }
            return (store, blobs)
        } catch {
            opened?.close()
            throw StartFailure(
                "\(error). Nothing was removed or repaired: restore the file from a copy of this "
                    + "directory, or look at it with magpie-dump")
        }
    }

    // MARK: Starting

    private func start(_ hooks: Hooks) {
        let worker = FeedWorker(node: self, lane: lanes.feeds)
        feeds.withLock { $0 = worker }
        var behind: [GroupID: LogIndex] = [:]
        for shard in ShardMap.all {
            // The no-op of the new term comes after what the log held.
            behind[shard] = (store.replicator.status(of: shard)?.lastIndex ?? 0) + 1
        }
        let loop = ApplyLoop(
            store: store, limits: configuration.limits, clock: seams.clock, behind: behind,
            meters: meters, outlets: outlets(hooks, worker))
        let consensus = ConsensusLoop(
            replicator: store.replicator, clock: seams.clock,
            release: { [store] in store.release($0) },
            took: { [weak self] in _ = self?.waitingBytes.subtract($0, ordering: .relaxed) },
            decided: { [apply] in apply.putCompletion(.decided($0)) }, failed: fail)
        apply.open { loop.take($0) }
        consensusBox.open { consensus.take($0) }
        consensusBox.putCompletion(.tick)
        startTimers(loop)
    }

    private func outlets(_ hooks: Hooks, _ worker: FeedWorker) -> ApplyLoop.Outlets {
        ApplyLoop.Outlets(
            applied: { [consensusBox] in consensusBox.putCompletion(.applied($0)) },
            hasWork: { worker.note($0) },
            writeLastSeen: { [weak self] in self?.writeLastSeen($0) },
            checkLastSeen: { [weak self] in self?.checkLastSeen($0) },
            checkWatch: { [weak self] in self?.checkWatch($0, $1) },
            failed: fail,
            caughtUp: { [meters] in
                meters.isReady.store(true, ordering: .releasing)
                worker.start()
                hooks.ready()
            })
    }

    /// The consensus lane ticks every 50 ms, the apply lane every second.
    private func startTimers(_ loop: ApplyLoop) {
        repeatedly(every: .milliseconds(50)) { [consensusBox] in
            consensusBox.putCompletion(.tick)
        }
        repeatedly(every: .seconds(1)) { [apply] in apply.putCompletion(.tick) }
        repeatedly(every: .seconds(600)) { [weak self] in self?.moveStampsOn() }
        repeatedly(every: .seconds(5)) { [weak self] in self?.markBlobs() }
    }

    private func repeatedly(
        every interval: Duration, _ job: @escaping @Sendable () -> Void
    ) {
        lanes.timer.submit(after: interval) { [weak self] in
            guard let self, !meters.isStopping.load(ordering: .relaxed) else { return }
            job()
            repeatedly(every: interval, job)
        }
    }

    /// An empty batch to every data shard: an idle shard's time moves on too, so that what expires
    /// can leave the disk.
    private func moveStampsOn() {
        for shard in ShardMap.all where shard != ShardMap.meta {
            consensusBox.putCompletion(.beat(shard))
        }
    }

    /// Writes down how far the media volumes are durable, so that rot is told from a torn tail.
    private func markBlobs() {
        _ = blobLanes.run { [blobs, fail] in
            do {
                try blobs.mark()
            } catch {
                fail(.blobs(error))
            }
        }
    }

    // MARK: Proposing and stopping

    /// Queues a proposal; false when the queue is full or the node cannot take more.
    func enqueue(_ proposal: Proposal) -> Bool {
        if meters.isStopping.load(ordering: .relaxed) || meters.isBehind.load(ordering: .relaxed) {
            return false
        }
        let bytes = proposal.command.count
        let waiting = waitingBytes.add(bytes, ordering: .relaxed).newValue
        if waiting <= NodeLimits.proposalBytesMax, consensusBox.put(.proposal(proposal)) {
            return true
        }
        waitingBytes.subtract(bytes, ordering: .relaxed)
        return false
    }

    /// Notes an error that is no client's fault, and answers the number under which it is logged.
    func report(_ error: any Error) -> UInt64 {
        let number = meters.incidents.add(1, ordering: .relaxed).newValue
        hooks.incident("incident \(number): \(error)")
        return number
    }

    /// Stops: no new work, lanes finish what they have, files close. Blocks. What was acknowledged
    /// is in the log. Called once.
    package func stop() {
        meters.isStopping.store(true, ordering: .relaxed)
        lanes.timer.stop()
        feeds.withLock { $0 }?.stop()
        hashers.stop()
        readers.stop()
        blobLanes.stop()
        consensusBox.putCompletion(.stop)
        consensusBox.close()
        lanes.consensus.stop()
        apply.close()
        lanes.apply.stop()
        lanes.answers.stop()
        store.close()
        feeds.withLock { $0 = nil }
        consensusBox.empty()
        apply.empty()
        directory.release()
    }
}
