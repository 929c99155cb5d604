import ChatEngine
import ChatModel
import RaftCore
import Replication
import Synchronization

#if PlantedBugs
    import Bytes
#endif

/// Which entries the apply lane changed, until the indexer looks at their rows again.
///
/// The apply lane never waits here and hands over no texts: it appends what it touched, and a run
/// of a conversation's entries is one item. When items pile up they are put in order and joined;
/// when that does not help, the shards with the most are given up: their index is made anew.
///
/// What an entry touched is here before anybody hears that the entry is applied. So a search that
/// comes after an answer finds what was answered.
final class SearchTouches: Sendable {
    /// Some entries of a conversation.
    struct Touch: Equatable, Sendable {
        var shard: GroupID
        var conversation: ConversationID
        var seqs: ClosedRange<EntrySequence>
    }

    /// What happened since the indexer last took.
    struct Batch: Sendable {
        var touches: [Touch] = []
        /// Up to which log index each shard's touches are here; 0: nothing new.
        var applied: [LogIndex]
        /// Shards whose rows came as a snapshot, with how far it goes.
        var installed: [GroupID: LogIndex] = [:]
        /// Shards whose touches were given up.
        var lost: Set<GroupID> = []
        /// The tree made a cut: what the shards' indexes lack must be durable before it is.
        var isCut = false
        /// Erased texts are to leave the disk.
        var isErasing = false
    }

    /// How soon the indexer is to look.
    enum Urgency: Int, Sendable {
        case soon
        case now
    }

    private struct State {
        var batch: Batch
        /// Something was noted since the indexer last took.
        var isNew = false
        /// The indexer was woken and has not come yet.
        var isAwaited = false
        var wake: Wake?
    }

    /// A closure in a struct: see ``InputBox``.
    private struct Wake: Sendable {
        let call: @Sendable (Urgency) -> Void
    }

    /// Conversations that a search looks through beside the asker's feed.
    let unlisted = UnlistedConversations()
    private let itemsMax: Int
    private let state: Mutex<State>

    /// - Parameter shards: all of them, the meta shard included.
    init(shards: Int, itemsMax: Int = NodeLimits.searchTouchesMax) {
        self.itemsMax = itemsMax
        state = Mutex(State(batch: Batch(applied: [LogIndex](repeating: 0, count: shards))))
    }

    /// From now on `wake` is called when there is something to take; it returns at once.
    func open(_ wake: @escaping @Sendable (Urgency) -> Void) {
        state.withLock { $0.wake = Wake(call: wake) }
    }

    /// Lets the consumer go.
    func close() { state.withLock { $0.wake = nil } }

    // MARK: Apply lane

    /// Notes what an entry of a shard's log touched.
    func note(_ shard: GroupID, upTo index: LogIndex, _ events: [Event]) {
        unlisted.note(events)
        state.withLock { state in
            for event in events {
                guard case .entry(let entry, _) = event else { continue }
                switch entry.body {
                case .message: state.batch.add(shard, entry.conversation, entry.seq)
                case .edit(let target, _), .erase(let target):
                    #if PlantedBugs
                        if PlantedBug.forgetEdit.isOn, case .edit = entry.body { continue }
                    #endif
                    state.batch.add(shard, entry.conversation, target)
                case .membership, .settings: break
                }
            }
            state.batch.applied[Int(shard)] = index
            state.isNew = true
            if state.batch.touches.count > itemsMax { state.batch.compact(to: itemsMax / 2) }
        }
    }

    /// At the end of a drain: has the indexer look, before long.
    func flush() {
        let wake = state.withLock { state -> Wake? in
            guard state.isNew, !state.isAwaited else { return nil }
            state.isAwaited = true
            return state.wake
        }
        wake?.call(.soon)
    }

    /// The tree made a cut of everything noted so far.
    func noteCut() { change { $0.isCut = true } }

    /// What was erased is to leave the disk.
    func noteErasing() { change { $0.isErasing = true } }

    /// A snapshot took the place of a shard's rows.
    func noteInstalled(_ shard: GroupID, upTo index: LogIndex) {
        unlisted.noteInstalled()
        change { $0.installed[shard] = index }
    }

    private func change(_ body: (inout Batch) -> Void) {
        let wake = state.withLock { state in
            body(&state.batch)
            return state.wake
        }
        wake?.call(.now)
    }

    // MARK: Indexer's lane

    /// Everything noted so far.
    func take() -> Batch {
        state.withLock { state in
            (state.isNew, state.isAwaited) = (false, false)
            let batch = state.batch
            state.batch = Batch(
                applied: [LogIndex](repeating: 0, count: batch.applied.count))
            return batch
        }
    }
}

extension SearchTouches.Batch {
    /// True when nothing was noted.
    var isEmpty: Bool {
        touches.isEmpty && installed.isEmpty && lost.isEmpty && !isCut && !isErasing
            && applied.allSatisfy { $0 == 0 }
    }

    fileprivate mutating func add(
        _ shard: GroupID, _ conversation: ConversationID, _ seq: EntrySequence
    ) {
        if lost.contains(shard) { return }
        if let last = touches.last, last.conversation == conversation {
            if last.seqs.contains(seq) { return }
            if last.seqs.upperBound + 1 == seq {
                touches[touches.count - 1].seqs = last.seqs.lowerBound...seq
                return
            }
        }
        touches.append(.init(shard: shard, conversation: conversation, seqs: seq...seq))
    }

    /// Joins items that touch or overlap, and gives up the shards with the most until at most
    /// `limit` are left.
    fileprivate mutating func compact(to limit: Int) {
        touches.sort {
            ($0.conversation, $0.seqs.lowerBound) < ($1.conversation, $1.seqs.lowerBound)
        }
        var joined: [SearchTouches.Touch] = []
        for touch in touches {
            if let last = joined.last, last.conversation == touch.conversation,
                touch.seqs.lowerBound <= last.seqs.upperBound + 1
            {
                let end = max(last.seqs.upperBound, touch.seqs.upperBound)
                joined[joined.count - 1].seqs = last.seqs.lowerBound...end
            } else {
                joined.append(touch)
            }
        }
        while joined.count > limit {
            var counts: [GroupID: Int] = [:]
            for touch in joined { counts[touch.shard, default: 0] += 1 }
            let most = counts.max { ($0.value, $0.key) < ($1.value, $1.key) }
            guard let shard = most?.key else { break }
            lost.insert(shard)
            joined.removeAll { $0.shard == shard }
        }
        touches = joined
    }
}
