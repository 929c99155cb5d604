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
package import ShardStore
import Synchronization

/// One node without a network: it owns the data directory and answers ``NodePort``.
///
/// Lanes, and what flows between them:
///
///     callers ── proposals ──▶ consensus ── turns ──▶ log (append + one sync)
///     peers ◀──── messages ───▶    ▲  │                  │
///                                  │  └── decided ──▶ apply ── events ──▶ event loops
///                                  └──── completions ────┘  └── dirty marks ──▶ feeds
///     callers ── questions ──▶ consensus (is this up to date?) ──▶ read lanes
///     apply ── what entries touched ──▶ search (the index) ◀── what is there? ── searches
///     passwords ──▶ hash lanes
///
/// Every node of a cluster of three holds a replica of every shard, so every node answers from its
/// own rows and tells its own sockets what it applied: between nodes an event travels once, as the
/// log entry that it is.
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
    /// Rows and log; for checkers, which look while nothing runs.
    package let store: ShardStore
    let blobs: BlobStore
    let signer: SignedLinks
    let mint: TokenMint
    let tickets = TicketBook()
    let detours = Detours(limit: NodeLimits.questionsMax)
    let sends: RateLimiter<UserID>
    let failedSignIns: RateLimiter<String>
    let uploadsUnderWay = Atomic<Int>(0)
    /// What a stranger's password is compared with.
    let nobody: [UInt8]
    let readers: LanePool
    let hashers: LanePool
    let blobLanes: LanePool
    let searchers: LanePool
    let answerLane: any Lane
    let apply: InputBox<ApplyLoop.Input>
    /// Bytes of commands that wait for the consensus lane.
    private let waitingBytes = Atomic<Int>(0)
    private let directory: DataDirectory
    private let lanes: NodeLanes
    let consensusBox: InputBox<ConsensusLoop.Input>
    let shards: ShardMap
    let cluster: ClusterLinks
    let leadership = Leadership()
    /// The newest pages of conversations in use.
    let tails = TailCache()
    let reports: SharedReports
    let disk: DiskWatch
    /// What the apply lane tells the search index.
    let touches: SearchTouches
    let searchFigures = SearchFigures()
    let indexer: SearchIndexer
    private let snapshots = Mutex<(source: SnapshotSource, fetcher: SnapshotFetcher)?>(nil)
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
        let exports: any Lane
        let rebuild: any Lane
        let disk: any Lane

        init(_ scheduler: any Scheduler) {
            consensus = scheduler.hotLane("consensus")
            apply = scheduler.hotLane("apply")
            feeds = scheduler.lane("feeds")
            timer = scheduler.lane("timer")
            answers = scheduler.lane("answers")
            exports = scheduler.lane("exports")
            rebuild = scheduler.lane("rebuild")
            disk = scheduler.lane("disk")
        }
    }

    /// What the outside learns of a node, on its lanes.
    package struct Hooks: Sendable {
        /// Once: the node has caught up with its cluster and may serve.
        package var ready: @Sendable () -> Void
        /// Once: the node has stopped itself and the process must end.
        package var failed: @Sendable (NodeFailure) -> Void
        /// An error whose incident number a client was told, or what an operator should know.
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

    /// Takes the data directory, recovers, and starts the lanes. Blocks on the disk. The directory
    /// belongs to a cluster, see ``ClusterFormation``.
    ///
    /// - Throws: ``StartFailure`` with one message for the person at the terminal; the data are
    ///   untouched then.
    package init(_ configuration: NodeConfiguration, seams: NodeSeams, hooks: Hooks) throws {
        let directory = try DataDirectory(
            configuration.directory, number: configuration.cluster?.node ?? 1, seams: seams)
        let shards = ShardMap(dataShards: configuration.dataShards)
        let lanes = NodeLanes(seams.scheduler)
        let consensusBox = InputBox<ConsensusLoop.Input>(
            limit: NodeLimits.proposalsMax, lane: lanes.consensus)
        let apply = InputBox<ApplyLoop.Input>(
            limit: NodeLimits.applyInputsMax, lane: lanes.apply)
        let meters = NodeMeters()
        let hasPeers = configuration.cluster.map { $0.nodes.count > 1 } ?? false
        let fail: @Sendable (NodeFailure) -> Void = { failure in
            if hasPeers, failure.isDamage { NodeOpening.markForRebuild(directory, seams) }
            let wasStopping = meters.isStopping.exchange(true, ordering: .relaxed)
            if !wasStopping { hooks.failed(failure) }
        }
        touches = SearchTouches(shards: shards.all.count)
        do {
            let opening = NodeOpening(
                directory: directory, configuration: configuration, seams: seams, shards: shards,
                consensusBox: consensusBox, apply: apply, hooks: hooks, fail: fail)
            (store, blobs, cluster) = try opening.open()
            disk = try opening.watch(store, blobs, searchFigures)
            indexer = opening.indexer(store, touches, searchFigures, disk)
        } catch {
            directory.release()
            throw error
        }
        self.configuration = configuration
        self.seams = seams
        self.directory = directory
        self.shards = shards
        reports = SharedReports()
        self.lanes = lanes
        self.consensusBox = consensusBox
        self.apply = apply
        answerLane = lanes.answers
        self.meters = meters
        self.fail = fail
        self.hooks = hooks
        let formation = cluster.formation
        signer = SignedLinks(key: formation.key, clock: seams.clock)
        links = signer
        mint = TokenMint(key: formation.key)
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
        searchers = LanePool(
            name: "search-read", count: configuration.readLanes, limit: NodeLimits.searchesMax,
            scheduler: seams.scheduler)
        facts = NodeFacts(
            id: UserID(bytes: directory.superblock.node)?.description ?? "",
            epoch: formation.epoch, limits: limits, publicURL: configuration.publicURL)
        try start(hooks)
    }

    // MARK: Starting

    private func start(_ hooks: Hooks) throws {
        let worker = FeedWorker(node: self, lane: lanes.feeds)
        feeds.withLock { $0 = worker }
        startSnapshots()
        let loop = ApplyLoop(
            store: store, shards: shards, leadership: leadership, tails: tails,
            touches: touches, node: cluster.node, limits: configuration.limits, clock: seams.clock,
            meters: meters, outlets: outlets(worker))
        let consensus = ConsensusLoop(
            replicator: store.replicator, clock: seams.clock, shards: shards, cluster: cluster,
            outlets: consensusOutlets(hooks, worker))
        indexer.start()
        apply.open { loop.take($0) }
        consensusBox.open { consensus.take($0) }
        readMap()
        try cluster.attach(configuration.cluster?.name ?? "") { [consensusBox, meters] event in
            if case .frame(_, let bytes) = event, !meters.takesPeerFrame(bytes: bytes.count) {
                return
            }
            consensusBox.putCompletion(.peer(event))
        }
        consensusBox.putCompletion(.tick)
        startTimers(loop)
        awaitReadiness(hooks, worker)
    }

    /// The node serves once its rows hold everything that was acknowledged before it started.
    private func awaitReadiness(_ hooks: Hooks, _ worker: FeedWorker) {
        let barrier = ReadBarrier(shards: shards.all) { [weak self] error in
            guard let self, !meters.isStopping.load(ordering: .relaxed) else { return }
            guard error == nil else {
                hooks.incident(whatIsAwaited)
                return awaitReadiness(hooks, worker)
            }
            meters.isCaughtUp.store(true, ordering: .releasing)
            worker.start()
            hooks.ready()
        }
        consensusBox.putCompletion(.read(barrier))
    }

    private func outlets(_ worker: FeedWorker) -> ApplyLoop.Outlets {
        ApplyLoop.Outlets(
            applied: { [consensusBox] in consensusBox.putCompletion(.applied($0)) },
            hasWork: { worker.note($0) },
            writeLastSeen: { [weak self] in self?.writeLastSeen($0) },
            checkLastSeen: { [weak self] in self?.checkLastSeen($0) },
            checkWatch: { [weak self] in self?.checkWatch($0, $1) },
            failed: fail,
            installed: { [consensusBox, apply] position in
                apply.putCompletion(.resume(position.shard))
                consensusBox.putCompletion(.snapshotInstalled(position))
            },
            tellPresence: { [cluster] in cluster.tellAll(.presence($0)) },
            tellMarks: { [cluster] in cluster.tellAll(.stateMarks($0)) },
            verified: { [reports] in reports.set(verified: $0) },
            mapChanged: { [weak self] in self?.take($0) },
            readMap: { [weak self] in self?.readMap() })
    }

    private func consensusOutlets(
        _ hooks: Hooks, _ worker: FeedWorker
    ) -> ConsensusLoop.Outlets {
        ConsensusLoop.Outlets(
            release: { [store] in store.release($0) },
            took: { [weak self] in _ = self?.waitingBytes.subtract($0, ordering: .relaxed) },
            tookFrame: { [meters] in meters.tookPeerFrame(bytes: $0) },
            decided: { [apply] in
                let bytes = $0.reduce(0) { $0 + $1.entry.payload.count }
                apply.putCompletion(.decided($0), isHandedOver: BriefWork.fits(bytes))
            },
            failed: fail,
            led: { [leadership] shard, isLed in
                if leadership.note(shard, isLed: isLed), isLed { worker.noteLeadership() }
            },
            fetch: { [weak self] shard, node, index in
                self?.snapshots.withLock { $0 }?.fetcher.want(shard, from: node, upTo: index)
            },
            frame: { [weak self] node, frame in self?.take(frame, from: node) },
            peers: { event in
                switch event {
                case .connected(let hello): hooks.incident("node \(hello.node) is connected")
                case .disconnected(let node, _): hooks.incident("node \(node) is gone")
                default: break
                }
            },
            notice: hooks.incident,
            turned: { [meters] in meters.logTurn(microseconds: $0) },
            left: { [weak self] in self?.finishLeaving($0) },
            inTouch: { [weak self] in self?.note(isInTouch: $0) },
            reports: { [reports] in reports.set($0) })
    }

    private func startSnapshots() {
        let source = SnapshotSource(
            shards: shards, clock: seams.clock, lane: lanes.exports,
            firstExport: seams.random.word() >> 8,
            pin: { [apply] shard, answer in apply.putCompletion(.pin(shard, answer: answer)) },
            send: { [cluster] in _ = cluster.send($0, to: $1) }, failed: fail)
        let fetcher = SnapshotFetcher(
            store: store, shards: shards, clock: seams.clock, lane: lanes.rebuild,
            ask: { [cluster] in _ = cluster.send(.snapshotAsk($0), to: $1) },
            install: { [apply] in apply.putCompletion(.install($0, $1, answer: $2)) },
            notice: hooks.incident, failed: fail)
        snapshots.withLock { $0 = (source, fetcher) }
    }

    /// The map that the meta shard's rows hold takes the place of the configured one.
    private func readMap() {
        guard case .success(let map?) = attempt({ try $0.clusterMap() }) else { return }
        take(map)
    }

    private func take(_ map: ClusterMap) {
        // Those who are removed must hear it before their channels go.
        if map.epoch > cluster.epoch { cluster.tellAll(.map(map)) }
        guard cluster.take(map) else { return }
        let nodes = map.nodes.map { "\($0.number)" + ($0.isLeaving ? " (leaving)" : "") }
            .joined(separator: ", ")
        hooks.incident("map \(map.epoch) of the cluster: nodes \(nodes)")
        let own = map.nodes.first { $0.number == cluster.node }
        if own == nil {
            hooks.incident("this node, \(cluster.node), was removed from the cluster: stop it")
        } else if own?.isLeaving == true {
            hooks.incident("this node, \(cluster.node), is leaving the cluster: let it run")
        }
    }

    private func note(isInTouch: Bool) {
        meters.isInTouch.store(isInTouch, ordering: .relaxed)
        hooks.incident(
            isInTouch
                ? "in touch with the leaders of all shards again"
                : "no contact with the leaders of some shards: not ready, clients go elsewhere"
        )
    }

    /// Frames of other nodes that are not the consensus lane's.
    private func take(_ frame: PeerFrame, from node: NodeNumber) {
        switch frame {
        case .snapshotAsk(let cursor):
            snapshots.withLock { $0 }?.source.ask(cursor, from: node)
        case .snapshotChunk, .snapshotRefused:
            snapshots.withLock { $0 }?.fetcher.take(frame, from: node)
        case .presence(let notes): _ = apply.put(.presenceNotes(node, notes))
        case .typing(let conversation, let user): showTyping(conversation, user)
        case .stateMarks(let marks): _ = apply.put(.compare(node, marks))
        case .map(let map): take(map)
        default: break
        }
    }

    /// The consensus lane ticks every 50 ms, the apply lane every second.
    private func startTimers(_ loop: ApplyLoop) {
        repeatedly(every: configuration.tick) { [consensusBox] in
            consensusBox.putCompletion(.tick)
        }
        repeatedly(every: .seconds(1)) { [apply] in apply.putCompletion(.tick) }
        repeatedly(every: .seconds(600)) { [weak self] in self?.moveStampsOn() }
        repeatedly(every: .seconds(5)) { [weak self] in self?.markBlobs() }
        lookAfterDisk()
        if !cluster.isAlone {
            repeatedly(every: .seconds(1)) { [weak self] in self?.tellHowItIs() }
        }
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

    /// On a lane of its own, each second from the end of the last: writing the ballast takes time.
    private func lookAfterDisk() {
        lanes.disk.submit(after: .seconds(1)) { [weak self] in
            guard let self, !meters.isStopping.load(ordering: .relaxed) else { return }
            disk.tick()
            let nowMs = seams.clock.wallMilliseconds()
            if isScrubHour(nowMs) { store.tree.scrub(nowMs: nowMs) }
            lookAfterDisk()
        }
    }

    /// The members of a cluster scrub one after the other, each in its part of the day: a member
    /// that finds rot is rebuilt, and two that find some at once would be a lost quorum.
    private func isScrubHour(_ nowMs: Milliseconds) -> Bool {
        guard let members = configuration.cluster?.nodes.map(\.number).sorted(),
            let place = members.firstIndex(of: cluster.node)
        else { return true }
        let part = NodeLimits.dayMs / UInt64(members.count)
        return nowMs % NodeLimits.dayMs / part == UInt64((place + 1) % members.count)
    }

    /// An empty batch to every data shard that is led here: an idle shard's time moves on too, so
    /// that what expires can leave the disk.
    private func moveStampsOn() {
        for shard in shards.all where shard != ShardMap.meta {
            consensusBox.putCompletion(.beat(shard))
        }
    }

    func tellHowItIs() {
        cluster.ageRefusals()
        let gossip = PeerFrame.Gossip(
            load: load,
            isReady: meters.isReady && !cluster.isClockOff,
            groupsLed: leadership.count, wallMs: seams.clock.wallMilliseconds(),
            mapEpoch: cluster.epoch)
        cluster.tellAll(.gossip(gossip))
    }

    /// Writes down how far the media volumes are durable, so that rot is told from a torn tail.
    private func markBlobs() {
        _ = blobLanes.run { [blobs, fail] in
            do throws(BlobError) {
                try blobs.mark()
            } catch .disk(let error) where error.isWaitedOut {
                // The mark is for later; what is durable stays so.
                return
            } catch {
                fail(.blobs(error))
            }
        }
    }

    // MARK: Proposing and stopping

    /// Queues a proposal; false when the queue is full or the node cannot take more.
    func enqueue(_ proposal: Proposal) -> Bool {
        if meters.isStopping.load(ordering: .relaxed) || !meters.admits() { return false }
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
        lanes.disk.stop()
        cluster.detach()
        feeds.withLock { $0 }?.stop()
        let (source, fetcher) = snapshots.withLock { ($0?.source, $0?.fetcher) }
        source?.stop()
        fetcher?.stop()
        hashers.stop()
        readers.stop()
        searchers.stop()
        blobLanes.stop()
        consensusBox.putCompletion(.stop)
        consensusBox.close()
        lanes.consensus.stop()
        apply.close()
        lanes.apply.stop()
        lanes.answers.stop()
        indexer.stop()
        store.close()
        feeds.withLock { $0 = nil }
        snapshots.withLock { $0 = nil }
        consensusBox.empty()
        apply.empty()
        directory.release()
    }
}
