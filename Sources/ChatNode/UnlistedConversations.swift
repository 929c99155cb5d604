import ChatEngine
import ChatModel
import LSMTree
import Synchronization

/// Conversations that a member's feed may not list yet: new ones, and those that somebody joined.
/// Feeds hear of them some time later, by way of dirty marks; who searches must not wait for that.
///
/// The marks themselves are written and deleted with every message, so to look for those that are
/// left means to walk over all that were: it is done at the first search, and when a shard's rows
/// came as a snapshot, not at each.
final class UnlistedConversations: Sendable {
    private struct State {
        /// With when a search first met them, in monotonic nanoseconds; 0: none did yet.
        var known: [ConversationID: UInt64] = [:]
        var mustScan = true
    }

    /// So many are looked through by each search before it is found out which are done.
    private static let quietMax = 64
    /// And so many at most: then answers are partial.
    private static let knownMax = 4_096
    /// A conversation without a mark is let go only so long after it was met: rows of other shards,
    /// in which feeds stand, may be here later than that.
    private static let graceNs: UInt64 = 10_000_000_000

    private let state = Mutex(State())

    /// Notes what an entry of the log did. On the apply lane, before its answer.
    func note(_ events: [Event]) {
        for event in events {
            switch event {
            case .entry(let entry, _):
                guard case .membership(_, .joined, _) = entry.body else { continue }
                add(entry.conversation)
            case .work(let conversation, _, change: 1): add(conversation)
            default: continue
            }
        }
    }

    /// Rows came without entries.
    func noteInstalled() { state.withLock { $0.mustScan = true } }

    private func add(_ conversation: ConversationID) {
        state.withLock { state in
            if state.known.count >= Self.knownMax {
                // The marks say which are left.
                (state.known, state.mustScan) = ([:], true)
            }
            state.known[conversation] = 0
        }
    }

    /// All that there may be; not complete when there are too many.
    func all(
        _ queries: ChatQueries<Snapshot>, nowNs: UInt64
    ) throws -> (conversations: [ConversationID], isComplete: Bool) {
        let isComplete = try scanIfNeeded(queries)
        var known = state.withLock { state in
            for (conversation, met) in state.known where met == 0 {
                state.known[conversation] = nowNs
            }
            return state.known
        }
        if known.count > Self.quietMax {
            let old = known.filter { $0.value &+ Self.graceNs < nowNs }.map(\.key)
            let done = try old.filter { try !queries.hasFeedWork($0) }
            state.withLock { state in
                for conversation in done where state.known[conversation] == known[conversation] {
                    state.known[conversation] = nil
                }
            }
            for conversation in done { known[conversation] = nil }
        }
        return (Array(known.keys), isComplete)
    }

    private func scanIfNeeded(_ queries: ChatQueries<Snapshot>) throws -> Bool {
        let mustScan = state.withLock { state in
            defer { state.mustScan = false }
            return state.mustScan
        }
        if !mustScan { return true }
        do {
            let found = try queries.conversationsWithWork(
                slots: Slot(rawValue: 0)...Slot(rawValue: UInt16(Slot.count - 1)),
                limit: Self.knownMax)
            let isComplete = found.count < Self.knownMax
            state.withLock { state in
                for conversation in found where state.known[conversation] == nil {
                    state.known[conversation] = 0
                }
                if !isComplete { state.mustScan = true }
            }
            return isComplete
        } catch {
            noteInstalled()
            throw error
        }
    }
}
