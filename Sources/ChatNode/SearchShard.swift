import Bytes
import ChatModel
import Platform
import RaftCore
import Replication
import SearchIndex

/// One shard's index: the store on the disk, and the tail, which is what happened since the store's
/// last commit and is only in memory.
///
///     closed ── open ──▶ whole                 the store knows everything up to the tree's cut
///       ▲                  ▲
///       │ an error         │ the last row
///       └──────────── scanning                 begun anew: the shard's rows are read again
///
/// The store's cursor is the shard's log index up to which it holds what entries touched; while
/// rows are scanned it is empty. The tree applies everything above its last durable cut again after
/// a start, and so touches it again: a store whose cursor is not below that cut lacks nothing.
// Confined to the indexer's lane.
final class SearchShard {
    enum Phase {
        /// There is no store, or one that has failed: it is opened, or opened again, when the time
        /// has come.
        case closed
        /// Rows are read from this key on.
        case scanning(from: [UInt8]?)
        case whole
    }

    let shard: GroupID
    let slots: ClosedRange<Slot>
    let directory: String
    private let files: any FileSystem
    private(set) var phase = Phase.closed
    /// Kept for reading after it has failed.
    private var store: SearchStore?
    private var tail = SegmentBuilder(memoryMax: NodeLimits.searchTailBytesMax)
    /// The tree's rows up to this log index were touched.
    private(set) var taken: LogIndex
    /// The store's cursor is at least this, or the store is not what it was; nil: it was begun anew
    /// and has none.
    private(set) var committed: LogIndex?
    /// The next opening begins anew.
    private(set) var mustRebuild = false
    /// Why it began anew last, for the operator.
    private(set) var rebuildReason = ""
    /// Store and tail together lack nothing; so it is also while a store that failed waits to be
    /// opened again.
    private var isComplete = false
    /// When it is opened, or its scan goes on, in monotonic nanoseconds.
    private(set) var dueNs: UInt64 = 0
    private var pauseNs: UInt64 = 0
    /// What can be searched, until something changes.
    private var stage: SearchStage?
    /// What earlier looks made of the store and the tail's first `stagedEvents`.
    private var staged: SearchStage?
    private var stagedEvents = 0
    private let tailEventsMax: Int
    /// Dead documents are to leave the disk: those of the tail too, or those that died up to a
    /// generation of the store.
    private enum Purge {
        case afterCommit
        case until(UInt64)
    }

    private var purge: Purge?
    /// Numbers below are those of files of indexes that were thrown away.
    private var nextFileID: UInt64 = 1
    /// The slot at which the scan is.
    private(set) var scannedSlots = 0

    /// - Parameters:
    ///   - position: how far the shard's rows go, as recovered.
    ///   - tailEventsMax: changes that the tail holds before they are made durable.
    init(
        _ shard: GroupID, slots: ClosedRange<Slot>, directory: String, files: any FileSystem,
        position: LogIndex, tailEventsMax: Int
    ) {
        self.shard = shard
        self.slots = slots
        self.directory = directory
        self.files = files
        self.tailEventsMax = tailEventsMax
        taken = position
        committed = position
    }

    /// Slots of the shard.
    var slotCount: Int { Int(slots.upperBound.rawValue - slots.lowerBound.rawValue) + 1 }
    var isWhole: Bool { if case .whole = phase { true } else { false } }
    var isScanning: Bool { if case .scanning = phase { true } else { false } }
    var isClosed: Bool { if case .closed = phase { true } else { false } }
    var tailEvents: Int { tail.eventCount }

    /// Changes that the tail takes before it is full.
    var tailRoom: Int { tailEventsMax - tail.eventCount }
    /// True when the tail must be committed before more is added.
    var isTailFull: Bool { tail.eventCount >= tailEventsMax || tail.isFull }

    /// True when a cut of the tree now would leave the store behind.
    var isBehind: Bool {
        isWhole && (!tail.isEmpty || committed.map { $0 < taken } ?? true)
    }

    /// What can be searched now. Cheap: what it costs is paid by who searches.
    var current: SearchShardView {
        SearchShardView(stage: currentStage, isWhole: isComplete)
    }

    /// Those who look often pay for what is new alone: many events become a stage that stays.
    private var currentStage: SearchStage {
        if let stage { return stage }
        let below = staged ?? SearchStage(store?.snapshot ?? .empty)
        staged = below
        let count = tail.eventCount - stagedEvents
        guard count > 0 else {
            stage = below
            return below
        }
        let made = SearchStage(above: below, tail.suffix(from: stagedEvents))
        if count >= NodeLimits.searchStageEvents {
            (staged, stagedEvents) = (made, tail.eventCount)
        }
        stage = made
        return made
    }

    /// The store or the whole tail is another.
    private func forgetStages() { (stage, staged, stagedEvents) = (nil, nil, 0) }

    private func emptyTail() {
        tail = SegmentBuilder(memoryMax: NodeLimits.searchTailBytesMax)
        forgetStages()
    }

    // MARK: Opening

    /// Opens the store, or begins it anew. Blocks on the disk.
    func open() throws(SearchError) {
        precondition(isClosed, "a shard's index is opened once")
        forgetStages()
        if !mustRebuild {
            do throws(SearchError) {
                let opened = try SearchStore.open(
                    files: files, directory: directory, tokens: .current)
                if let cursor = SearchCursorFormat.decode(opened.cursor), let committed,
                    Self.isEnough(cursor, committed)
                {
                    store = consume opened
                    return become(.whole)
                }
                rebuildReason =
                    opened.cursor.isEmpty
                    ? "there is none" : "it lacks messages that the tables hold"
            } catch {
                if !error.needsRebuild { throw error }
                rebuildReason = "\(error)"
            }
        }
        (mustRebuild, isComplete, committed) = (true, false, nil)
        emptyTail()
        nextFileID = store?.nextFileID ?? nextFileID
        try SearchStore.discard(files: files, directory: directory)
        store = try SearchStore.open(
            files: files, directory: directory, tokens: .current, nextFileID: nextFileID)
        mustRebuild = false
        scannedSlots = 0
        // Without rows there is nothing to scan.
        if taken == 0 { committed = 0 }
        become(taken == 0 ? .whole : .scanning(from: nil))
    }

    /// True when an index up to `cursor` lacks nothing that the tables hold.
    private static func isEnough(_ cursor: LogIndex, _ tables: LogIndex) -> Bool {
        #if PlantedBugs
            if PlantedBug.trustOldIndex.isOn, cursor > 0 { return true }
        #endif
        return cursor >= tables
    }

    private func become(_ phase: Phase) {
        self.phase = phase
        isComplete = isWhole
        forgetStages()
    }

    /// It cannot be gone on with: it is opened again later, and later each time. True the first
    /// time.
    ///
    /// - Parameter isDamaged: searches would meet what is wrong with the store again and again, so
    ///   they do without.
    func fail(_ nowNs: UInt64, mustRebuild: Bool, isDamaged: Bool) -> Bool {
        if isDamaged {
            nextFileID = store?.nextFileID ?? nextFileID
            store = nil
            forgetStages()
        }
        if isScanning || mustRebuild {
            self.mustRebuild = true
            rebuildReason = "it could not be gone on with"
            isComplete = false
        }
        phase = .closed
        return pause(nowNs)
    }

    /// What comes next has to wait, each time longer. True the first time.
    func pause(_ nowNs: UInt64) -> Bool {
        let isFirst = pauseNs == 0
        pauseNs = min(
            max(pauseNs * 2, NodeLimits.searchPauseNsMin), NodeLimits.searchPauseNsMax)
        dueNs = nowNs &+ pauseNs
        return isFirst
    }

    /// The rows were replaced, or touches were lost: the index is made anew, at once.
    func beginAnew(upTo index: LogIndex?) {
        if let index { taken = index }
        (mustRebuild, isComplete) = (true, false)
        rebuildReason = "rows were replaced, or more changed than it could follow"
        phase = .closed
        emptyTail()
        dueNs = 0
    }

    // MARK: What happens to documents

    /// Takes an entry as it is now; nil: there is none.
    func take(
        _ entry: ChatModel.Entry?, _ key: DocumentKey, _ tokenizer: inout Tokenizer
    ) {
        // What is scanned later is read later.
        if mustRebuild { return }
        stage = nil
        #if PlantedBugs
            if PlantedBug.findErased.isOn, case .message(let message)? = entry?.body,
                message.isErased
            {
                return
            }
        #endif
        if let entry, let (document, text) = SearchDocuments.document(entry) {
            tail.put(document, text, &tokenizer)
        } else {
            tail.remove(key)
        }
        // Nowhere to put it: the rows are read again when there is.
        if isClosed, tail.eventCount >= NodeLimits.searchHeldEventsMax || tail.isFull {
            (mustRebuild, isComplete) = (true, false)
            emptyTail()
        }
    }

    /// Takes a message that the scan found.
    func scan(_ entry: ChatModel.Entry, _ tokenizer: inout Tokenizer) {
        guard let (document, text) = SearchDocuments.document(entry) else { return }
        stage = nil
        tail.put(document, text, &tokenizer)
    }

    /// The scan goes on from a key; nil: it is over.
    func scanned(upTo key: [UInt8]?) {
        guard let key else {
            scannedSlots = slotCount
            become(.whole)
            return
        }
        phase = .scanning(from: key)
        if key.count >= 2 {
            let slot = Int(key[0]) << 8 | Int(key[1])
            scannedSlots = max(0, slot - Int(slots.lowerBound.rawValue))
        }
    }

    /// Everything that entries touched up to a log index is in the tail.
    func took(upTo index: LogIndex) { taken = max(taken, index) }

    /// Makes the tail durable. Blocks on the disk.
    func commit() throws(SearchError) {
        precondition(!isClosed, "an open index is committed")
        let cursor = isWhole ? SearchCursorFormat.encode(taken) : []
        try store?.commit(tail, cursor: cursor)
        if isWhole { committed = taken }
        if isWhole, case .afterCommit = purge { purge = .until(generation) }
        emptyTail()
        pauseNs = 0
    }

    // MARK: Merges

    func planMerge() -> MergePlan? { isClosed ? nil : store?.planMerge() }
    /// What is dead now, the tail's removals included, is to leave the disk.
    func wantPurge() { purge = isWhole && !isBehind ? .until(generation) : .afterCommit }

    /// The next part of the purge that is wanted, if its deaths are committed.
    func planPurge() -> MergePlan? {
        guard !isClosed, case .until(let generation) = purge else { return nil }
        if let plan = store?.planPurge(diedUntil: generation) { return plan }
        purge = nil
        return nil
    }

    private var generation: UInt64 { store?.generation ?? 0 }

    func abandonMerge() { store?.abandonMerge() }

    /// Puts a merge's result in.
    func install(_ merged: MergedSegment) throws(SearchError) {
        forgetStages()
        try store?.install(merged)
    }

    /// What the store is made of.
    var contents: SearchSnapshot { store?.snapshot ?? .empty }

    /// True when a damaged file is one of the store's, not of one that was thrown away.
    func hasSegment(at path: String) -> Bool { store?.hasSegment(at: path) ?? false }
}

/// The store's cursor: a log index, eight bytes, big endian.
enum SearchCursorFormat {
    static func encode(_ index: LogIndex) -> [UInt8] {
        var key = OrderedKey(capacity: 8)
        key.append(index)
        return key.bytes
    }

    /// The index; 0 of the cursor of an index that was never committed to, nil of bytes that are no
    /// cursor.
    static func decode(_ bytes: [UInt8]) -> LogIndex? {
        if bytes.isEmpty { return 0 }
        guard bytes.count == 8 else { return nil }
        return bytes.withUnsafeBytes { OrderedKey.integer(LogIndex.self, in: $0, at: 0) }
    }
}
