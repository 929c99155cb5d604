import Bytes
import ChatEngine
import ChatModel
import FanOut
import LSMTree
import Platform
import Presence
import RaftCore
import Replication
import Session
import ShardStore
import Synchronization

/// The apply lane: decided entries become rows, answers and events; live sessions, presence and
/// fan-out belong to it too, so that what a session hears has one order.
///
/// In a drain, rows come first, then answers, then events: who is told of something finds it.
// Confined to its lane; others come in through the node's box of inputs.
final class ApplyLoop: @unchecked Sendable {
    enum Input: Sendable {
        case decided([DecidedEntry])
        case attach(SessionEndpoint, Identity)
        case detach(SessionEndpoint, isClean: Bool)
        case refresh(SessionEndpoint, isActive: Bool)
        case typing(ConversationID, UserID, Audience?)
        case wish(WatchWish)
        case watch(WatchRequest)
        case unwatch(SessionEndpoint, conversations: [ConversationID], users: [UserID])
        case presence([VisiblePresence], answer: Answer<[PresenceView]>)
        case lastSeenWritten([LastSeenRow], isGood: Bool)
        case announce(PresenceView)
        /// What sockets of another node did.
        case presenceNotes(NodeNumber, [PeerFrame.PresenceNote])
        /// Pins the rows of a shard together with how far they go.
        case pin(GroupID, answer: @Sendable ((Snapshot, ShardPosition)?) -> Void)
        /// Takes a shard's state that came as a snapshot.
        case install(ShardPosition, TreeIngest, answer: @Sendable (Bool) -> Void)
        /// That state is what readers see.
        case resume(GroupID)
        /// What another node's replicas are.
        case compare(NodeNumber, [StateMarks.Mark])
        /// Runs once everything put before it is done.
        case fence(@Sendable () -> Void)
        /// A cut with these positions is durable.
        case installed([(shard: GroupID, index: LogIndex)])
        case tick
    }

    /// What a socket wants to watch.
    struct WatchWish: Sendable {
        let endpoint: SessionEndpoint
        let conversations: [ConversationID]
        let users: [UserID]
        let answer: Answer<[PresenceView]>
    }

    /// What a socket wants to watch, and what its user may see of it.
    struct WatchRequest: Sendable {
        let wish: WatchWish
        let users: [VisiblePresence]
    }

    /// Who gets what the lane makes; all of it is called on the lane and returns at once.
    struct Outlets: Sendable {
        let applied: @Sendable ([(shard: GroupID, index: LogIndex)]) -> Void
        let hasWork: @Sendable (ConversationID) -> Void
        let writeLastSeen: @Sendable ([LastSeenRow]) -> Void
        let checkLastSeen: @Sendable (PresenceView) -> Void
        let checkWatch: @Sendable (WatchWish, UserID) -> Void
        let failed: @Sendable (NodeFailure) -> Void
        /// A snapshot's rows are in the tree for good.
        let installed: @Sendable (ShardPosition) -> Void
        /// Other nodes are to know this of sockets here.
        let tellPresence: @Sendable ([PeerFrame.PresenceNote]) -> Void
        /// Other nodes are to compare these with theirs.
        let tellMarks: @Sendable ([StateMarks.Mark]) -> Void
        /// Up to where shards were found equal to other replicas.
        let verified: @Sendable ([GroupID: LogIndex]) -> Void
        /// The cluster has another map.
        let mapChanged: @Sendable (ClusterMap) -> Void
        /// The meta shard's rows came another way than through the log: its map is to be read.
        let readMap: @Sendable () -> Void
    }

    let store: ShardStore
    let clock: any Clock
    let outlets: Outlets
    let meters: NodeMeters
    let shards: ShardMap
    let leadership: Leadership
    let tails: TailCache
    let touches: SearchTouches
    /// How long a sign of life counts.
    let leaseMs: Milliseconds
    private var engines: [ChatEngine]
    private var lastStamps: [Milliseconds]
    /// The oldest stamp and each shard's position when it was noted, until a cut holds them.
    private var stampSample: (oldestMs: Milliseconds, indexes: [LogIndex])?
    private var isFailed = false
    private var marks = StateMarks()
    /// Shards whose snapshot is being installed, with what was decided behind it. Until readers see
    /// the snapshot's rows nothing can be computed from them.
    private var held: [GroupID: [DecidedEntry]] = [:]
    /// Since when an erased text may stand in older tables; an earlier run may have left some.
    private var erasedSinceMs: Milliseconds?
    private var lastErasedMs: Milliseconds?
    var hub = Hub()
    var presence: PresenceTable
    var sockets: [SessionEndpoint: Socket] = [:]
    var nextLease: UInt64
    /// What other nodes are to know, until the end of the drain.
    var presenceNotes: [PeerFrame.PresenceNote] = []

    /// A live socket, as presence knows it.
    struct Socket {
        let identity: Identity
        let lease: LeaseID
        var isActive: Bool
        /// When other nodes last heard of it.
        var toldMs: Milliseconds = 0
    }

    init(
        store: ShardStore, shards: ShardMap, leadership: Leadership, tails: TailCache,
        touches: SearchTouches, node: NodeNumber, limits: Limits, clock: any Clock,
        meters: NodeMeters, outlets: Outlets
    ) {
        self.store = store
        self.clock = clock
        self.outlets = outlets
        self.meters = meters
        self.shards = shards
        self.leadership = leadership
        self.tails = tails
        self.touches = touches
        leaseMs = limits.presenceMs
        nextLease = UInt64(node) << 48 + 1
        engines = shards.all.map { ChatEngine(shard: UInt16($0), limits: limits) }
        lastStamps = shards.all.map { _ in 0 }
        let startMs = Self.moment(clock).nowMs
        erasedSinceMs = startMs
        presence = PresenceTable(limits: PresenceLimits(limits: limits), startingAt: startMs)
    }

    /// Takes a batch of inputs, in order.
    func take(_ inputs: [Input]) {
        for input in inputs {
            // What comes behind an entry that could not be applied can't be either.
            if isFailed { return }
            switch input {
            case .decided(let entries): apply(entries)
            case .attach(let endpoint, let identity): attach(endpoint, identity)
            case .detach(let endpoint, let isClean): detach(endpoint, isClean: isClean)
            case .refresh(let endpoint, let isActive): refresh(endpoint, isActive: isActive)
            case .typing(let conversation, let user, let audience):
                type(conversation, user, audience)
            case .wish(let wish): forward(wish)
            case .watch(let request): watch(request)
            case .unwatch(let endpoint, let conversations, let users):
                hub.unwatch(endpoint, conversations: conversations, users: users)
            case .presence(let users, let answer): answer(.success(users.map(show)))
            case .lastSeenWritten(let rows, let isGood):
                if isGood { presence.acknowledge(rows) } else { presence.putBack(rows) }
            case .announce(let change):
                // It went by a read lane: what it says may be over.
                if presence.view(of: change.user).state == change.state { publish(change) }
            case .presenceNotes(let node, let notes): take(notes, from: node)
            case .pin(let shard, let answer): answer(pin(shard))
            case .install(let position, let ingest, let answer): install(position, ingest, answer)
            case .resume(let shard): resume(shard)
            case .compare(let node, let marks): compare(marks, of: node)
            case .fence(let next): next()
            case .installed(let points): noteInstalled(points)
            case .tick: tick()
            }
        }
        hub.flush()
        touches.flush()
        if !presenceNotes.isEmpty {
            outlets.tellPresence(presenceNotes)
            presenceNotes.removeAll(keepingCapacity: true)
        }
    }

    // MARK: Decided entries

    private func apply(_ entries: [DecidedEntry]) {
        var applied: [GroupID: LogIndex] = [:]
        for decided in entries {
            if held[decided.shard] != nil {
                held[decided.shard]?.append(decided)
                continue
            }
            do {
                try apply(decided)
            } catch {
                isFailed = true
                for waiters in decided.waiters {
                    for answer in waiters.answers {
                        answer(.failure(ServiceError(.noQuorum, "the node stops; send again")))
                    }
                }
                let (shard, index) = (decided.shard, decided.entry.index)
                outlets.failed(.apply(shard: shard, index: index, error))
                return
            }
            applied[decided.shard] = decided.entry.index
            if let position = store.position(of: decided.shard) { marks.note(position) }
        }
        outlets.applied(applied.keys.sorted().map { ($0, applied[$0] ?? 0) })
        if store.cutIfNeeded(nowMs: Self.moment(clock).nowMs) { touches.noteCut() }
        meters.note(pressure: store.pressure)
    }

    private func apply(_ decided: DecidedEntry) throws {
        let (shard, entry) = (decided.shard, decided.entry)
        guard let position = store.position(of: shard), entry.index > position.index else {
            // A snapshot that was installed meanwhile holds it; its results nobody knows any more.
            for waiters in decided.waiters {
                for answer in waiters.answers {
                    answer(.failure(ConsensusLoop.unknownOutcome))
                }
            }
            return
        }
        guard entry.kind == .command else {
            store.apply(
                shard: shard, index: entry.index, term: entry.term, payloadBytes: 0, .init(),
                configuration: entry.kind == .configuration
                    ? Configuration.decode(entry.payload) : nil)
            touches.note(shard, upTo: entry.index, [])
            return
        }
        #if PlantedBugs
            var batch = try CommandBatch(decoding: entry.payload)
            if PlantedBug.localTime.isOn { batch.stampMs = clock.wallMilliseconds() }
        #else
            let batch = try CommandBatch(decoding: entry.payload)
        #endif
        let place = Int(shard)
        let before = store.tree.snapshot()
        let outcome = try engines[place].apply(batch, view: before)
        let isErasing = outcome.events.contains { event in
            if case .entry(let entry, _) = event, case .erase = entry.body { true } else { false }
        }
        store.apply(
            shard: shard, index: entry.index, term: entry.term, payloadBytes: entry.payload.count,
            outcome.batch, isErasing: isErasing)
        if isErasing { noteErasure() }
        lastStamps[place] = outcome.stampMs
        meters.applied(commands: batch.commands.count)
        try advanceTails(outcome.events, from: before)
        touches.note(shard, upTo: entry.index, outcome.events)
        for waiters in decided.waiters {
            for (number, answer) in waiters.answers.enumerated() {
                let place = waiters.offset + number
                if place < outcome.results.count {
                    answer(.success(outcome.results[place]))
                } else {
                    answer(.failure(ConsensusLoop.unknownOutcome))
                }
            }
        }
        for event in outcome.events { publish(event) }
    }

    /// Compares the shards here with another node's.
    private func compare(_ others: [StateMarks.Mark], of node: NodeNumber) {
        for mark in others where !marks.agrees(with: mark) {
            isFailed = true
            outlets.failed(.diverged(shard: mark.shard, index: mark.index, node: node))
            return
        }
        outlets.verified(marks.verified)
    }

    /// Writes what was applied through to the newest pages that are in memory.
    private func advanceTails(_ events: [Event], from before: Snapshot) throws {
        var appended: [ConversationID: [ChatModel.Entry]?] = [:]
        for event in events {
            switch event {
            case .entry(let entry, _):
                guard tails.holds(entry.conversation) else { continue }
                let known = appended[entry.conversation, default: .some([])]
                switch entry.body {
                case .message, .membership, .settings:
                    appended[entry.conversation] = .some(known.map { $0 + [entry] })
                case .edit, .erase: appended[entry.conversation] = .some(nil)
                }
            case .mark(let conversation, _, _, _, _):
                if tails.holds(conversation), appended[conversation] == nil {
                    appended[conversation] = .some([])
                }
            default: break
            }
        }
        if appended.isEmpty { return }
        let (old, new) = (ChatQueries(before), ChatQueries(store.tree.snapshot()))
        for (conversation, entries) in appended {
            tails.advance(
                conversation, from: try old.change(of: conversation) ?? 0,
                to: try new.change(of: conversation) ?? 0, appending: entries)
        }
    }

    /// A shard's rows and how far they go; nil while they are being replaced, when the position is
    /// ahead of what readers see.
    private func pin(_ shard: GroupID) -> (Snapshot, ShardPosition)? {
        guard held[shard] == nil else { return nil }
        return store.position(of: shard).map { (store.tree.snapshot(), $0) }
    }

    /// The rows of a shard are replaced as a whole; what was cached of them is forgotten. A shard's
    /// next snapshot waits until the rows of this one are there: what is held belongs to it.
    private func install(
        _ position: ShardPosition, _ ingest: TreeIngest, _ answer: @Sendable (Bool) -> Void
    ) {
        guard held[position.shard] == nil, store.canInstall else { return answer(false) }
        let installed = outlets.installed
        if store.install(position, ingest, done: { installed(position) }) {
            engines[Int(position.shard)].forgetCaches()
            held[position.shard] = []
            touches.noteCut()
            // What was erased since is not among the new rows, but still among the old.
            noteErasure()
        } else {
            ingest.abandon()
        }
        answer(true)
    }

    /// The snapshot's rows are what readers see: what was decided meanwhile is applied to them.
    private func resume(_ shard: GroupID) {
        let waiting = held.removeValue(forKey: shard) ?? []
        if shard == ShardMap.meta { outlets.readMap() }
        touches.noteInstalled(shard, upTo: store.position(of: shard)?.index ?? 0)
        if !waiting.isEmpty { apply(waiting) }
    }

    private func publish(_ event: Event) {
        switch event {
        case .entry(let entry, let audience):
            hub.publish(SharedEvent(.entry(entry)), to: audience.members)
            if case .membership(let user, let change, _) = entry.body,
                change == .left || change == .removed
            {
                hub.endWatching(entry.conversation, by: user)
            }
        case .mark(let conversation, let user, let delivered, let read, let audience):
            let mark = MarkView(user: user, delivered: delivered, read: read)
            let shared = SharedEvent(.mark(conversation, mark))
            if let audience {
                hub.publish(shared, to: audience.members)
            } else {
                hub.publish(shared, to: user)
            }
        case .feed(let user, let position, let conversation, let head, let m, let leftSeq):
            let feed = FeedEvent(
                user: user, position: position, conversation: conversation, head: head, m: m,
                leftSeq: leftSeq)
            hub.publish(SharedEvent(.feed(feed)), to: user)
        case .work(let conversation, _, _): outlets.hasWork(conversation)
        case .deviceRevoked(let user, let device):
            hub.publish(SharedEvent(.deviceRevoked(device)), to: user)
        case .map(let map): outlets.mapChanged(map)
        }
    }

    // MARK: Time

    private func tick() {
        let moment = Self.moment(clock)
        for change in presence.tick(at: moment) { announce(change) }
        let rows = presence.takeDirty(max: NodeLimits.lastSeenRowsMax)
        // Every node has seen the user go; the one that leads the user's shard writes it down.
        let own = rows.filter { leadership.leads(shards.shard(of: $0.user.slot)) }
        if own.count < rows.count {
            presence.acknowledge(rows.filter { !own.contains($0) })
        }
        if !own.isEmpty { outlets.writeLastSeen(own) }
        if store.cutIfNeeded(nowMs: moment.nowMs) { touches.noteCut() }
        compactErased(moment.nowMs)
        // While new commands are refused nothing is applied: only here it is seen that it is over.
        meters.note(pressure: store.pressure)
        sampleStamps()
        let led = shards.all.filter { leadership.leads($0) }.compactMap { marks.newest(of: $0) }
        if !led.isEmpty { outlets.tellMarks(led) }
        meters.sockets.store(hub.endpointCount, ordering: .relaxed)
        meters.deliveries.store(Int(hub.deliveredCount), ordering: .relaxed)
    }

    /// Notes how far time has come in every data shard. The tree may drop what has expired by then
    /// only when a cut holds it: a replay applies what lies above the cut again, under its old
    /// stamps, and must find the rows that it found the first time.
    private func sampleStamps() {
        guard stampSample == nil, let oldestMs = lastStamps.dropFirst().min(),
            oldestMs > store.tree.expiryHorizon
        else { return }
        stampSample = (oldestMs, shards.all.map { store.position(of: $0)?.index ?? 0 })
    }

    private func noteInstalled(_ points: [(shard: GroupID, index: LogIndex)]) {
        guard let sample = stampSample,
            points.allSatisfy({ $0.index >= sample.indexes[Int($0.shard)] })
        else { return }
        store.tree.expiryHorizon = sample.oldestMs
        stampSample = nil
    }

    private func noteErasure() {
        let nowMs = Self.moment(clock).nowMs
        erasedSinceMs = erasedSinceMs ?? nowMs
        lastErasedMs = nowMs
    }

    /// What was erased must leave the tables within a day: some hours after an erasure, when a cut
    /// has long written it out, the entries' tables are merged to the bottom.
    private func compactErased(_ nowMs: Milliseconds) {
        guard let since = erasedSinceMs, nowMs >= since + NodeLimits.erasedMsMax else { return }
        // The last one may not be in tables yet: it gets another round.
        erasedSinceMs = lastErasedMs.flatMap { $0 + NodeLimits.erasedSettleMs > nowMs ? $0 : nil }
        store.tree.requestCompaction(.entries)
        touches.noteErasing()
    }

    static func moment(_ clock: any Clock) -> PresenceMoment {
        PresenceMoment(
            nowMs: clock.monotonicNanoseconds() / 1_000_000, wallMs: clock.wallMilliseconds())
    }
}
