import Platform
import SortedTable
import Synchronization

// What the compaction lane does.
//
// **Right of way: flush, then level 0, then deeper levels.** A flush has a lane of its own. A merge
// is worked through in slices, and between two of them it is asked whether something more urgent
// waits: a deep merge is left where it is while a flush writes, and while level 0 of another
// keyspace, or of its own when they don't meet, is compacted; then it goes on. A merge that would
// have to be thrown away to give way is finished first, without rests: it is short, a dozen tables.
//
// **Pace.** Between slices the lane rests, long while little is due and not at all when much is: a
// timed job, so nobody waits for it. See ``Tree/rest(in:)``.
extension Tree {
    /// How long a full disk is waited for before the next try.
    static let spaceRetry: Duration = .seconds(1)

    /// Has the compaction lane look for work.
    func wakeCompaction() {
        let mustSubmit = state.withLock { state in
            if state.failure != nil || state.isClosed { return false }
            if state.isCompacting && !state.isParked {
                state.mustLook = true
                return false
            }
            state.isCompacting = true
            state.isParked = false
            return true
        }
        if mustSubmit { compactionLane.submit { [weak self] in self?.compactOnce() } }
    }

    /// Does a slice of the compaction that has right of way; the install lane takes the result.
    private func compactOnce() {
        if isStopping { return compactor.discard() }
        discardDamaged()
        guard let run = nextRun() else { return wakeWaiters() }
        do throws(TableError) {
            if let result = try run.step(bytes: options.sliceBytes) {
                compactor.runs.removeLast()
                let plan = run.plan
                installLane.submit { [weak self] in self?.finishCompaction(plan, result) }
            } else {
                goOn(after: rest(in: run))
            }
        } catch {
            // Room for the more urgent ones, too.
            compactor.discard()
            if isWaitedOut(error) {
                goOn(after: Self.spaceRetry)
            } else if isQuarantined(error) {
                // What is picked now leaves the table alone.
                goOn(after: .zero)
            } else {
                fail(TreeError(error))
            }
        }
    }

    private func goOn(after delay: Duration) {
        if delay == .zero {
            compactionLane.submit { [weak self] in self?.compactOnce() }
        } else {
            compactionLane.submit(after: delay) { [weak self] in self?.compactOnce() }
        }
    }

    /// On the install lane: installs and lets the compaction lane look again.
    private func finishCompaction(_ plan: CompactionPlan, _ result: CompactionRun.Result) {
        switch install(remove: result.remove, add: result.add) {
        case .done: noteSpace(isShort: false)
        case .ended: return wakeWaiters()
        case .noSpace:
            if plan.work == .merge { discard(result.add.map(\.table)) }
            return goOn(after: Self.spaceRetry)
        }
        state.withLock { $0.counters.count(plan, result) }
        goOn(after: .zero)
    }

    // MARK: What is next

    /// The compaction that has right of way; nil when none is due, or when the one under way gives
    /// way to a flush.
    private func nextRun() -> CompactionRun? {
        guard let run = compactor.runs.last else {
            guard let (plan, levels) = pickCompaction() else { return nil }
            return begin(plan, levels)
        }
        if !run.plan.isDeep { return run }
        let (view, picker) = picking(horizon: expiryHorizon)
        if let plan = picker.urgent(view.keyspaces.map(\.shape), before: run.plan) {
            state.withLock { $0.counters.yields += 1 }
            return begin(plan, view.keyspaces[plan.keyspace])
        }
        return isParking() ? nil : run
    }

    private func begin(_ plan: CompactionPlan, _ levels: KeyspaceLevels) -> CompactionRun {
        let run = CompactionRun(plan, levels, store, horizon: expiryHorizon)
        compactor.runs.append(run)
        return run
    }

    /// Whether a deep merge stands still now: a flush writes, and its end will wake the lane. Not
    /// when the flush waits for room, which merging may make, nor when level 0 waits for the merge.
    private func isParking() -> Bool {
        state.withLock { state in
            if state.view.frozen.isEmpty || state.isOutOfSpace || state.failure != nil {
                return false
            }
            if levelZeroTables(state) >= options.levelZeroTables { return false }
            state.isParked = true
            state.counters.yields += 1
            return true
        }
    }

    private func pickCompaction() -> (CompactionPlan, KeyspaceLevels)? {
        while true {
            let requests = state.withLock { state in
                state.mustLook = false
                return state.requests
            }
            let (view, picker) = picking(horizon: expiryHorizon)
            let shapes = view.keyspaces.map(\.shape)
            let open = requests.filter { !picker.isDone($0, shapes[$0.keyspace]) }
            if let plan = picker.pick(shapes, requests: open) {
                dropRequests(requests.count, keeping: open)
                return (plan, view.keyspaces[plan.keyspace])
            }
            dropRequests(requests.count, keeping: [])
            let isDone = state.withLock { state in
                if state.mustLook && state.failure == nil && !state.isClosed { return false }
                state.isCompacting = false
                state.mustLook = false
                // What waited for room may not be wanted any more.
                if state.view.frozen.isEmpty { state.isOutOfSpace = false }
                return true
            }
            if isDone { return nil }
        }
    }

    /// The tables, and what picks among them.
    func picking(horizon: UInt64) -> (View, CompactionPicker) {
        let (view, quarantined) = state.withLock { ($0.view, $0.quarantined) }
        return (
            view,
            CompactionPicker(options: options, horizon: horizon, quarantined: quarantined)
        )
    }

    private func dropRequests(_ count: Int, keeping open: [CompactionRequest]) {
        state.withLock { $0.requests.replaceSubrange(..<count, with: open) }
    }

    // MARK: Pace

    /// How long the lane rests before the next slice of `run`. The longest rest makes for the
    /// options' rate; it shrinks as ``urgency`` grows and is over when level 0 waits for the run.
    private func rest(in run: CompactionRun) -> Duration {
        let rate = options.compactionBytesPerSecond
        if rate <= 0 { return .zero }
        if run.plan.isDeep, levelZeroTables >= options.levelZeroTables { return .zero }
        let seconds = Double(options.sliceBytes) / Double(rate) * (1 - urgency)
        return .nanoseconds(Int64(min(seconds, 60) * 1_000_000_000))
    }

    /// 0: hardly any background work is due; 1: so much that it goes at the disk's speed. Grows
    /// with the bytes that are due and with the tables in level 0, so that work is done as fast as
    /// it comes and never in bursts.
    private var urgency: Double {
        state.withLock { state in
            if state.isOutOfSpace || state.isClosed { return 1 }
            let bytes = Double(dueBytes(state)) / Double(options.fullPaceDebt)
            let zero = Double(levelZeroTables(state) - options.levelZeroTables)
            return min(1, max(0, bytes, zero / Double(options.levelZeroTables)))
        }
    }
}

extension TreeOptions {
    /// Bytes of due work at which compaction no longer rests: about four compactions of level 0.
    var fullPaceDebt: UInt64 {
        UInt64(max(1, memtableBytes)) * UInt64(max(1, levelZeroTables)) * 4
    }
}

/// Compactions under way.
// Sendable: only jobs of the compaction lane touch it, and `close` when that lane has ended.
final class Compactor: @unchecked Sendable {
    /// The one that has right of way is last: at most a deep one, and one of level 0 before which
    /// it stands back.
    var runs: [CompactionRun] = []

    /// Forgets them, and removes what they wrote.
    func discard() {
        for run in runs { run.discard() }
        runs = []
    }
}
