import Bytes
import Platform
import SortedTable
import Synchronization

// Replacing the content of key ranges as a whole.
//
// **Sequences.** The rows of an ingest are in files long before it is known between which batches
// they will be installed. So they take their sequences ahead of time: a step above the newest at
// the beginning, `tombstone = newest + step - 1` and `rows = newest + step`, and the install raises
// the tree's newest to `rows` if it is below. An ingest takes minutes, in which far fewer rows are
// written than the step has sequences; so:
//
// - A row of the ranges that was written before the install, also one written since the beginning,
//   is in a memtable that the install freezes, or in an older one, or in tables. Its sequence, and
//   those of the table that it becomes, are below the tombstone: it is hidden.
// - A later row of the ranges comes after the install, so its sequence is above `rows`, and it is
//   in a memtable that was empty then.
//
// So level 0, sorted by the highest sequence of each table, has an ingest's tables in front of all
// tables with older rows of its ranges and behind all with newer ones. The install of another
// ingest between the two would raise the newest above the tombstone, which would not hide what is
// written then: so one ingest is open at a time.
//
// **Order of writing.** The install freezes the active memtable and puts an empty one with the
// ingest's tables behind it into the same queue: so what is older is flushed first, also when a
// full disk delays it, and one manifest record has tables and state.
extension Tree {
    /// How far above the newest sequence an ingest takes its own: more rows than are written while
    /// it is open, at a hundred thousand a second in half a day.
    static let ingestStep: SequenceNumber = 1 << 32

    /// Starts the replacement of everything in `ranges`, in all keyspaces. Any thread.
    ///
    /// What batches write into the ranges from the call on until the install is replaced by it like
    /// everything before: an owner whose rows have moved past the ingest's abandons it.
    ///
    /// - Precondition: no ingest is open, that is, begun and neither installed nor abandoned;
    ///   bounds keep to ``TreeOptions/keyBytesMax``.
    package func beginIngest(ranges: [KeyRange]) throws(TreeError) -> TreeIngest {
        if let error = ending { throw error }
        let (number, newest) = state.withLock { state in
            precondition(state.openIngest == nil, "one ingest is open at a time")
            state.ingestCount += 1
            state.openIngest = state.ingestCount
            return (state.ingestCount, lastSequence)
        }
        let rows = newest + Self.ingestStep
        precondition(rows < InternalKey.sequenceMax, "sequences have 56 bits")
        let tombstones = ranges.map { range in
            precondition(
                max(range.lower.count, range.upper.count) <= TreeOptions.keyBytesMax,
                "key too long")
            return RangeTombstone(lower: range.lower, upper: range.upper, sequence: rows - 1)
        }
        return TreeIngest(
            self, number: number, tombstones: RangeTombstoneSet(tombstones), rowSequence: rows)
    }

    /// Makes a sealed ingest part of the tree: a cut with `memtableState`, and behind it one
    /// manifest record that adds the ingest's tables and sets `state`; then `installed(state)` is
    /// called on a lane of the tree. No I/O here, no waiting.
    ///
    /// A snapshot shows either what the ranges held before, with whatever was written since, or the
    /// ingest's rows, with whatever was written since; never some of both. One taken before
    /// `installed` may show the former, one taken after it shows the latter. A batch applied after
    /// this call is newer than the ingest's rows. An owner whose batches depend on what it reads
    /// there waits for `installed` before it applies any.
    ///
    /// - Precondition: called by the thread that applies, ``canCut``, and the ingest is of this
    ///   tree, sealed, and not abandoned.
    package func install(
        _ ingest: TreeIngest, state bytes: [UInt8], memtableState: [UInt8],
        installed: @escaping @Sendable ([UInt8]) -> Void
    ) {
        precondition(ingest.tree === self, "an ingest is installed where it began")
        let wasWriting = isWriting.exchange(true, ordering: .acquiring)
        precondition(!wasWriting, "the thread that applies makes the installs")
        let last = published.load(ordering: .relaxed)
        precondition(last < ingest.rowSequence - 1, "an ingest is not open for ever")
        let newest = ingest.rowSequence
        let tables = ingest.takeTables()
        let empty = Memtable(options.keyspaces, firstSequence: last + 1)
        let fresh = Memtable(options.keyspaces, firstSequence: newest + 1)
        state.withLock { state in
            freeze(&state, last: last, bytes: memtableState, next: empty) { _ in }
            let frozen = FrozenMemtable(
                memtable: empty, lastSequence: newest, state: bytes, ingested: tables,
                installed: installed)
            #if PlantedBugs
                if PlantedBug.unflushedInstall.isOn {
                    // What was to be flushed first stays where writes go.
                    let live = state.view.frozen.first?.memtable ?? fresh
                    show(
                        View(
                            active: live, frozen: [frozen] + state.view.frozen.dropFirst(),
                            keyspaces: state.view.keyspaces), in: &state)
                    state.openIngest = nil
                    published.store(newest, ordering: .releasing)
                    return
                }
            #endif
            show(
                View(
                    active: fresh, frozen: [frozen] + state.view.frozen,
                    keyspaces: state.view.keyspaces), in: &state)
            state.openIngest = nil
            published.store(newest, ordering: .releasing)
        }
        dropRetiredViews()
        isWriting.store(false, ordering: .releasing)
        for _ in 0..<2 { installLane.submit { [weak self] in self?.flushOldest() } }
    }

    /// An ingest was given up: another may begin.
    func endIngest(_ number: UInt64) {
        state.withLock { if $0.openIngest == number { $0.openIngest = nil } }
    }

    /// Why the tree takes nothing more; nil while it does.
    var ending: TreeError? {
        state.withLock { state in
            if state.isClosed { return .disk(DiskError(.closed, "ingest", store.directory)) }
            return state.failure
        }
    }
}
