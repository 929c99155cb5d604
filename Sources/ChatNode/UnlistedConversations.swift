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
    /// What one search may rely on: taken before the rows that it reads.
    struct Look: Sendable {
        let conversations: UnlistedConversations
        /// Scans that were called for.
        fileprivate let wanted: UInt64

        /// All that there may be; not complete when there are too many, or when others look for
        /// them just now.
        func all(
            _ queries: ChatQueries<Snapshot>, nowNs: UInt64
        ) throws -> (conversations: [ConversationID], isComplete: Bool) {
            try conversations.all(queries, wanted, nowNs)
        }
    }

    private struct State {
        /// With when a search first met them, in monotonic nanoseconds; 0: none did yet.
        var known: [ConversationID: UInt64] = [:]
        /// How often a scan was called for, and up to which call one has answered.
        var wanted: UInt64 = 1
        var scanned: UInt64 = 0
        var isScanning = false
        /// The next scan is not begun before.
        var scanDueNs: UInt64 = 0
    }

    /// So many are looked through by each search before it is found out which are done.
    private static let quietMax = 64
    /// And so many at most: then answers are partial.
    private static let knownMax = 4_096
    /// A conversation without a mark is let go only so long after it was met: rows of other shards,
    /// in which feeds stand, may be here later than that.
    private static let graceNs: UInt64 = 10_000_000_000
    /// From one scan to the next, when marks are too many or cannot be read.
    private static let pauseNs: UInt64 = 1_000_000_000

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
    func noteInstalled() { state.withLock { $0.wanted += 1 } }

    private func add(_ conversation: ConversationID) {
        state.withLock { state in
            if state.known.count >= Self.knownMax {
                // The marks say which are left.
                state.known = [:]
                state.wanted += 1
            }
            state.known[conversation] = 0
        }
    }

    /// What holds for a search that reads rows after this.
    func look() -> Look { Look(conversations: self, wanted: state.withLock { $0.wanted }) }

    private func all(
        _ queries: ChatQueries<Snapshot>, _ wanted: UInt64, _ nowNs: UInt64
    ) throws -> (conversations: [ConversationID], isComplete: Bool) {
        try scanIfNeeded(queries, wanted, nowNs)
        var (known, isComplete) = state.withLock { state in
            for (conversation, met) in state.known where met == 0 {
                state.known[conversation] = nowNs
            }
            return (state.known, state.scanned == state.wanted)
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

    private func scanIfNeeded(
        _ queries: ChatQueries<Snapshot>, _ wanted: UInt64, _ nowNs: UInt64
    ) throws {
        let isOurs = state.withLock { state in
            if state.scanned >= wanted || state.isScanning || nowNs < state.scanDueNs {
                return false
            }
            (state.isScanning, state.scanDueNs) = (true, nowNs &+ Self.pauseNs)
            return true
        }
        if !isOurs { return }
        defer { state.withLock { $0.isScanning = false } }
        let found = try queries.conversationsWithWork(
            slots: Slot(rawValue: 0)...Slot(rawValue: UInt16(Slot.count - 1)),
            limit: Self.knownMax)
        state.withLock { state in
            for conversation in found where state.known[conversation] == nil {
                state.known[conversation] = 0
            }
            if found.count < Self.knownMax { state.scanned = wanted }
        }
    }
}
