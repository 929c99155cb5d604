import Platform
package import SortedTable
import Synchronization

/// A log-structured merge tree over several keyspaces that commit together.
///
/// It has no log of its own. Rows are in memory until a cut freezes them; a cut's manifest record
/// names the tables of all keyspaces **and** the owner's bytes that say what the cut covers, so the
/// owner replays its own log from exactly there.
///
/// Who may call what:
/// - ``apply(_:)``, ``cut(state:installed:)``, ``install(_:state:memtableState:installed:)``: one
///   thread at a time, the writes' owner; no I/O.
/// - ``snapshot()`` and everything on a snapshot: any thread. Reads may block on the disk.
/// - Two lanes of the tree's own: the *install lane* flushes frozen memtables and is the only one
///   to write the manifest and to change the set of tables; the *compaction lane* merges tables
///   and hands the result to the install lane. So a flush never waits behind a merge.
///
/// Order of durability: table data → table sync → directory sync → manifest record → manifest
/// sync → visible → inputs removed, when no snapshot needs them. A failed sync ends background work
/// for good and is reported once; a full disk is waited out; a table with rot goes into quarantine,
/// see `Tree+Quarantine.swift`.
package final class Tree: Sendable {
    struct State {
        var view: View
        var requests: [CompactionRequest] = []
        /// From picking until installed.
        var isCompacting = false
        /// The compaction under way stands back until a flush is done.
        var isParked = false
        /// Something changed since the compaction lane last looked.
        var mustLook = false
        var failure: TreeError?
        var isClosed = false
        /// Opened when nothing is under way.
        var waiters: [Latch] = []
        var installedState: [UInt8]?
        var counters = TreeCounters()
        /// Bytes that compaction must move, as of the last change of the tables.
        var compactionDebt: UInt64 = 0
        /// Set while a full disk holds up flush or compaction.
        var isOutOfSpace = false
        /// The number of the open ingest.
        var openIngest: UInt64?
        /// Ingests begun so far.
        var ingestCount: UInt64 = 0
        /// Views that are not shown any more, with the epochs in which they were.
        var retired: [(view: View, epoch: UInt64)] = []
        /// The install lane will look after them again.
        var isDropPlanned = false
        /// Tables in quarantine, by file id.
        var quarantined: Set<UInt64> = []
        /// How far the scrub is.
        var scrub = ScrubStatistics()
        /// The compaction lane will scrub a little.
        var isScrubPlanned = false
    }

    let context: TreeContext
    let store: TableStore
    let state: Mutex<State>
    let manifest: Manifest
    let installLane: any Lane
    let compactionLane: any Lane
    let compactor = Compactor()
    let scrubber = Scrubber()
    let onFailure: @Sendable (TreeError) -> Void
    let onDamage: @Sendable (TreeError) -> Void
    /// All rows up to here are in the memtables or tables, and visible; those of an ingest as soon
    /// as it is installed.
    let published: Atomic<SequenceNumber>
    /// The address of the view that readers take, as in the state.
    let shown: Atomic<UInt>
    let isWriting = Atomic<Bool>(false)
    private let horizon = Atomic<UInt64>(0)

    init(
        options: TreeOptions, store: TableStore, manifest: Manifest, recovered: RecoveredTree,
        installLane: any Lane, compactionLane: any Lane,
        onFailure: @escaping @Sendable (TreeError) -> Void,
        onDamage: @escaping @Sendable (TreeError) -> Void
    ) {
        context = TreeContext(options: options, gate: store.cache.gate)
        self.store = store
        self.manifest = manifest
        self.installLane = installLane
        self.compactionLane = compactionLane
        self.onFailure = onFailure
        self.onDamage = onDamage
        published = Atomic(recovered.lastSequence)
        let memtable = Memtable(
            options.keyspaces, firstSequence: recovered.lastSequence + 1)
        let view = View(active: memtable, frozen: [], keyspaces: recovered.keyspaces)
        let debt = CompactionPicker(options: options, horizon: 0)
            .debt(recovered.keyspaces.map(\.shape))
        shown = Atomic(Self.address(of: view))
        state = Mutex(
            State(view: view, installedState: recovered.state, compactionDebt: debt))
    }

    /// As it was opened.
    package var options: TreeOptions { context.options }
    var places: KeyspacePlaces { context.places }

    // MARK: Writing

    /// Makes the rows of a batch visible, all at once and in every keyspace. No I/O, no waiting.
    ///
    /// - Precondition: one caller at a time; every keyspace of the batch is in the options.
    package func apply(_ batch: WriteBatch) {
        if batch.isEmpty { return }
        let wasWriting = isWriting.exchange(true, ordering: .acquiring)
        precondition(!wasWriting, "one thread at a time applies batches")
        let memtable = state.withLock { $0.view.active }
        let last = published.load(ordering: .relaxed)
        precondition(
            last < InternalKey.sequenceMax - UInt64(batch.count), "sequences have 56 bits")
        memtable.insert(batch, first: last + 1, places: places)
        // The one store that makes the batch visible, after every link of its rows stands.
        published.store(last + UInt64(batch.count), ordering: .releasing)
        isWriting.store(false, ordering: .releasing)
    }

    /// Bytes in the memtable that takes writes.
    package var memtableBytes: Int { state.withLock { $0.view.active.bytes } }

    /// True when the memtable has reached its size.
    package var shouldCut: Bool { memtableBytes >= options.memtableBytes }

    /// True when a cut is allowed: fewer frozen memtables wait than the limit.
    package var canCut: Bool {
        state.withLock { state in
            state.failure == nil && !state.isClosed
                && state.view.frozen.count < options.frozenMemtablesMax
        }
    }

    /// Tables in the fullest level 0, those of one ingest counted once. Reads visit each of them:
    /// when there are many more than `levelZeroTables` of the options, writes come faster than
    /// compaction and the owner should refuse some.
    package var levelZeroTables: Int { state.withLock { levelZeroTables($0) } }

    func levelZeroTables(_ state: State) -> Int {
        state.view.keyspaces.map(\.levelZeroRuns).max() ?? 0
    }

    /// Freezes all keyspaces at this batch boundary. In the background the rows become tables, and
    /// one manifest record makes them and `state` durable; then `installed(state)` is called on a
    /// lane of the tree. Cuts install in the order they were made. An empty memtable is fine: the
    /// record then holds the state alone.
    ///
    /// - Precondition: called by the thread that applies, and ``canCut``.
    package func cut(state bytes: [UInt8], installed: @escaping @Sendable ([UInt8]) -> Void) {
        let wasWriting = isWriting.exchange(true, ordering: .acquiring)
        precondition(!wasWriting, "the thread that applies makes the cuts")
        let last = published.load(ordering: .relaxed)
        let fresh = Memtable(options.keyspaces, firstSequence: last + 1)
        state.withLock { freeze(&$0, last: last, bytes: bytes, next: fresh, installed) }
        dropRetiredViews()
        isWriting.store(false, ordering: .releasing)
        installLane.submit { [weak self] in self?.flushOldest() }
    }

    /// Queues the active memtable for its flush and has `next` take writes.
    func freeze(
        _ state: inout State, last: SequenceNumber, bytes: [UInt8], next: Memtable,
        _ installed: @escaping @Sendable ([UInt8]) -> Void
    ) {
        precondition(state.view.frozen.count < options.frozenMemtablesMax, "a cut needs canCut")
        let frozen = FrozenMemtable(
            memtable: state.view.active, lastSequence: last, state: bytes, installed: installed)
        show(
            View(
                active: next, frozen: [frozen] + state.view.frozen,
                keyspaces: state.view.keyspaces), in: &state)
        state.counters.cuts += 1
    }

    /// The state of the newest cut that is durable; nil when there is none.
    package var installedState: [UInt8]? { state.withLock { $0.installedState } }

    // MARK: Reading

    /// The tree as it is now. Cheap; any thread. For a look-up or two see ``reader()``.
    package func snapshot() -> Snapshot {
        let stay = store.cache.gate.enter()
        let (view, sequence) = current()
        let snapshot = Snapshot(
            view: view.takeUnretainedValue(), sequence: sequence,
            expiryHorizon: horizon.load(ordering: .relaxed), tree: context)
        store.cache.gate.leave(stay)
        return snapshot
    }

    /// Has readers take `view` from now on. The one before stays until those who took it have left
    /// the gate; see ``dropRetiredViews()``.
    func show(_ view: View, in state: inout State) {
        let old = state.view
        state.view = view
        shown.store(Self.address(of: view), ordering: .sequentiallyConsistent)
        state.retired.append((old, store.cache.gate.closeEpoch()))
    }

    private static func address(of view: View) -> UInt {
        UInt(bitPattern: Unmanaged.passUnretained(view).toOpaque())
    }

    /// Lets go of views that nobody can look at any more, and with them of files; comes back for
    /// those that somebody still does.
    func dropRetiredViews() {
        // They die after the lock is given back.
        let (dropped, mustPlan) = state.withLock { state in
            let oldest = store.cache.gate.oldest()
            let dropped = state.retired.filter { $0.epoch < oldest }
            state.retired.removeAll { $0.epoch < oldest }
            let mustPlan = !state.retired.isEmpty && !state.isClosed && !state.isDropPlanned
            if mustPlan { state.isDropPlanned = true }
            return (dropped, mustPlan)
        }
        withExtendedLifetime(dropped) {}
        guard mustPlan else { return }
        installLane.submit(after: .milliseconds(10)) { [weak self] in
            self?.state.withLock { $0.isDropPlanned = false }
            self?.dropRetiredViews()
        }
    }

    /// The sequence of the newest visible row.
    package var lastSequence: SequenceNumber { published.load(ordering: .acquiring) }

    // MARK: Background policy

    /// Rows of expiring keyspaces with 0 < expiry ≤ horizon may be dropped from now on. Never goes
    /// back.
    package var expiryHorizon: UInt64 {
        get { horizon.load(ordering: .acquiring) }
        set {
            if newValue <= horizon.load(ordering: .acquiring) { return }
            horizon.store(newValue, ordering: .releasing)
            wakeCompaction()
        }
    }

    /// Asks that what the range `lower ..< upper` (nil: to the end) holds now in tables reach the
    /// last level, so that deletes and older versions leave the disk. Rows still in memory need a
    /// cut first. Returns at once.
    package func requestCompaction(
        _ keyspace: Keyspace, lower: [UInt8] = [], upper: [UInt8]? = nil
    ) {
        let request = CompactionRequest(
            keyspace: places[keyspace], lower: lower, upper: upper,
            sequence: published.load(ordering: .acquiring))
        state.withLock { $0.requests.append(request) }
        wakeCompaction()
    }

    /// True when no flush or compaction is under way or due, or when a failure ended them.
    package var isQuiet: Bool { state.withLock { Self.isQuiet($0) } }

    /// Blocks this thread until ``isQuiet``. For tests and benchmarks on real threads; never on a
    /// simulated scheduler.
    package func waitForQuiet() {
        let latch = Latch()
        let mustWait = state.withLock { state in
            if Self.isQuiet(state) { return false }
            state.waiters.append(latch)
            return true
        }
        if mustWait { latch.wait() }
    }

    /// Ends background work and closes. Jobs under way stop at the next row; frozen memtables that
    /// were not flushed are lost, and the owner's log still has them.
    ///
    /// - Parameter isFlushing: cuts made before are installed first, as far as the disk lets them.
    package func close(isFlushing: Bool = false) {
        if isFlushing { installLane.stop() }
        let isFirst = state.withLock { state in
            defer { state.isClosed = true }
            return !state.isClosed
        }
        guard isFirst else { return }
        store.graveyard.close()
        compactionLane.stop()
        compactor.discard()
        scrubber.discard()
        if !isFlushing { installLane.stop() }
        manifest.close()
        wakeWaiters()
    }

    static func isQuiet(_ state: State) -> Bool {
        if state.failure != nil || state.isClosed { return true }
        return state.view.frozen.isEmpty && !state.isCompacting && !state.mustLook
    }

    func wakeWaiters() {
        let waiters = state.withLock { state in
            guard Self.isQuiet(state) else { return [] as [Latch] }
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.countDown() }
    }
}
