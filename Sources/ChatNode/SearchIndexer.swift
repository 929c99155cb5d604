import ChatEngine
import ChatModel
import LSMTree
import Platform
import RaftCore
import Replication
import SearchIndex
import ShardStore
import Synchronization

/// Keeps the search index of every data shard, each replica for itself.
///
///     apply lane ── touches ──▶ box ──▶ search lane ──▶ tails ── commits ──▶ stores
///     search lanes ── look ──────────────▶ │  ▲              ▲
///                                          │  └── rows ──────┤
///                                merge plan└──▶ merge lane ──┘
///
/// The index is made of rows, read when the lane works, never of what the apply lane had in its
/// hands: whatever order things come in, a later look at a row shows a later version, and the
/// builder keeps the last. That is why the scan of a rebuild and live touches may meet.
///
/// The index is derived data. No error of it stops the node: the shard's store is opened again
/// later, or made anew from the rows; meanwhile answers say that documents may be missing.
// Confined to its lane, but for `look`, `report` and what only hands over to the lane.
final class SearchIndexer: @unchecked Sendable {
    enum Input: Sendable {
        /// What can be searched of these shards, everything applied until now included.
        case look([GroupID], answer: @Sendable ([GroupID: SearchShardView]) -> Void)
        /// A search could not read a segment.
        case damaged(SearchError)
        case merged(GroupID, Result<MergedSegment, SearchError>)
    }

    let tree: Tree
    let clock: any Clock
    let touches: SearchTouches
    let lane: any Lane
    let mergeLane: any Lane
    let figures: SearchFigures
    /// False while the disk is short of room.
    let hasRoom: @Sendable () -> Bool
    let notice: @Sendable (String) -> Void
    private let box: InputBox<Input>
    /// Data shards, ascending.
    let shards: [SearchShard]
    var tokenizer = Tokenizer()
    /// Taken out of the box and not yet worked off.
    var batch: SearchTouches.Batch
    var batchPlace = 0
    /// Shards to commit, in order.
    var dueCommits: [GroupID] = []
    /// The shard of the merge under way.
    var merging: GroupID?
    /// When the scan goes on, and when merges do after one that failed.
    var scanDueNs: UInt64 = 0
    var mergeDueNs: UInt64 = 0
    private var isTurnPlanned = false
    /// When the lane comes back by itself.
    private var timerNs: UInt64?
    private var isStopped = false
    /// The merge under way is to end.
    let isEnding = Atomic<Bool>(false)

    /// - Parameter directory: where the shards' directories lie.
    init(
        store: ShardStore, shards: ShardMap, directory: String, seams: NodeSeams,
        tailEventsMax: Int, touches: SearchTouches, figures: SearchFigures,
        hasRoom: @escaping @Sendable () -> Bool,
        notice: @escaping @Sendable (String) -> Void
    ) {
        tree = store.tree
        clock = seams.clock
        self.touches = touches
        self.figures = figures
        self.hasRoom = hasRoom
        self.notice = notice
        lane = seams.scheduler.lane("search")
        mergeLane = seams.scheduler.lane("search-merge")
        batch = .init(applied: [LogIndex](repeating: 0, count: shards.all.count))
        self.shards = shards.all.compactMap { shard in
            shards.slots(of: shard).map { slots in
                SearchShard(
                    shard, slots: slots, directory: "\(directory)/\(shard)",
                    files: seams.fileSystem, position: store.position(of: shard)?.index ?? 0,
                    tailEventsMax: tailEventsMax)
            }
        }
        box = InputBox(limit: NodeLimits.searchesMax, lane: lane)
        box.open { [weak self] inputs in self?.take(inputs) }
    }

    /// Begins: opens the shards' stores, then takes what comes.
    func start() {
        touches.open { [weak self] urgency in
            guard let self else { return }
            switch urgency {
            case .soon: lane.submit(after: NodeLimits.searchDelay) { [weak self] in self?.plan() }
            case .now: lane.submit { [weak self] in self?.plan() }
            }
        }
        lane.submit { [self] in plan() }
    }

    /// Asks what can be searched of some shards; false when too many ask. The answer comes on the
    /// indexer's lane and must return at once.
    func look(
        _ shards: [GroupID], answer: @escaping @Sendable ([GroupID: SearchShardView]) -> Void
    ) -> Bool {
        box.put(.look(shards, answer: answer))
    }

    /// A search could not read a segment: when it is rotten or lost, its shard is made anew.
    func noteDamage(_ error: SearchError) { _ = box.put(.damaged(error)) }

    /// Makes everything that was applied durable, as far as the disk lets it, and ends. Called when
    /// the apply lane has ended, and before the tree makes its last cut: so the next start finds an
    /// index that lacks nothing.
    func stop() {
        box.close()
        isEnding.store(true, ordering: .relaxed)
        mergeLane.stop()
        lane.submit { [self] in finish() }
        lane.stop()
        touches.close()
        box.empty()
    }

    /// Merges end on their own lane.
    func finished(_ shard: GroupID, _ result: Result<MergedSegment, SearchError>) {
        box.putCompletion(.merged(shard, result))
    }

    private func finish() {
        isStopped = true
        for shard in shards where shard.isClosed && shard.dueNs == 0 && !shard.mustRebuild {
            open(shard)
        }
        var budget = Int.max
        workOff(&budget)
        for shard in shards where shard.isBehind { commit(shard) }
    }

    // MARK: The lane

    private func take(_ inputs: [Input]) {
        if isStopped { return }
        var looks: [(shards: [GroupID], answer: @Sendable ([GroupID: SearchShardView]) -> Void)] =
            []
        for input in inputs {
            switch input {
            case .look(let shards, let answer): looks.append((shards, answer))
            case .damaged(let error): takeDamage(error)
            case .merged(let shard, let result): takeMerge(shard, result)
            }
        }
        if !looks.isEmpty {
            var budget = NodeLimits.searchCatchUpRows
            let isLate = !workOff(&budget)
            for look in looks { look.answer(views(look.shards, isLate: isLate)) }
        }
        plan()
    }

    private func views(_ wanted: [GroupID], isLate: Bool) -> [GroupID: SearchShardView] {
        var views: [GroupID: SearchShardView] = [:]
        for group in wanted {
            guard var view = shard(group)?.current else { continue }
            if isLate { view.isWhole = false }
            views[group] = view
        }
        return views
    }

    func shard(_ group: GroupID) -> SearchShard? {
        group > 0 && Int(group) <= shards.count ? shards[Int(group) - 1] : nil
    }

    var nowNs: UInt64 { clock.monotonicNanoseconds() }

    /// Has the lane take a turn, behind what waits for it already.
    func plan() {
        if isTurnPlanned || isStopped { return }
        isTurnPlanned = true
        lane.submit { [weak self] in
            guard let self else { return }
            isTurnPlanned = false
            if isStopped { return }
            turn()
            figures.set(report)
        }
    }

    /// Some work of each kind that is due, the most urgent first. A turn is short, so that those
    /// who look do not wait long, and however much is touched, what else is due has its share.
    private func turn() {
        let now = nowNs
        if let shard = shards.first(where: { $0.isClosed && $0.dueNs <= now && mayOpen($0) }) {
            open(shard)
            return plan()
        }
        var budget = NodeLimits.searchTurnRows
        let isDone = workOff(&budget)
        if !dueCommits.isEmpty, let shard = shard(dueCommits.removeFirst()), shard.isBehind {
            commit(shard)
        }
        beginMerge()
        if now >= scanDueNs { scan() }
        if isDone, dueCommits.isEmpty { planLater() } else { plan() }
    }

    /// Comes back when the next shard is to be opened, or the scan is to go on.
    private func planLater() {
        let now = nowNs
        var due = shards.filter(\.isClosed).map(\.dueNs)
        due += shards.filter(\.isScanning).map { max(scanDueNs, $0.dueNs) }
        guard var first = due.min() else { return }
        // A shard that waits for a merge to end would be due again and again.
        first = max(first, now &+ NodeLimits.searchRestNs)
        if let timerNs, timerNs <= first { return }
        timerNs = first
        lane.submit(after: .nanoseconds(Int64(clamping: first - now))) { [weak self] in
            self?.timerNs = nil
            self?.plan()
        }
    }
}
