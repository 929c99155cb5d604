package import ChatModel
import Synchronization

/// The group cache: the newest entries of conversations in use, so that the page that everybody
/// opens is not looked up again and again.
///
/// A tail is good for one value of its conversation's change counter, which stands in the head row
/// that every page reads anyway: a tail of another state of the rows is never shown, whatever
/// order things happen in. What is applied is written through
/// (``advance(_:from:to:appending:)``), so a busy conversation stays cached.
///
/// Readers that miss the same page at the same time share one look-up (request coalescing): the
/// first reads, the others wait for it.
///
/// Bounded by entries: two generations, as in ``AudienceCache``.
package final class TailCache: Sendable {
    private struct Tail {
        var change: UInt64
        /// Consecutive, up to the head.
        var entries: [Entry]
    }

    private struct LoadKey: Hashable {
        let conversation: ConversationID
        let change: UInt64
        let first: EntrySequence
        let last: EntrySequence
    }

    /// A look-up under way: its mutex is held until it is done.
    private final class Load: Sendable {
        let result = Mutex<[Entry]?>(nil)
    }

    private struct State {
        var young: [ConversationID: Tail] = [:]
        var old: [ConversationID: Tail] = [:]
        var youngEntries = 0
        var loads: [LoadKey: Load] = [:]
    }

    /// Entries of one conversation that are kept: more than a page has by default.
    package static let tailMax = 64
    private let entriesMax: Int
    private let state = Mutex(State())
    private let hitCount = Atomic<UInt64>(0)
    private let missCount = Atomic<UInt64>(0)
    private let sharedCount = Atomic<UInt64>(0)

    /// A cache of about `entriesMax` entries.
    package init(entriesMax: Int = 1 << 17) {
        self.entriesMax = entriesMax
    }

    /// Pages from memory, look-ups in the rows, and readers that shared one of those.
    package var counts: (hits: UInt64, misses: UInt64, shared: UInt64) {
        (
            hitCount.load(ordering: .relaxed), missCount.load(ordering: .relaxed),
            sharedCount.load(ordering: .relaxed)
        )
    }

    private enum Found {
        case entries([Entry])
        case load(Load)
    }

    /// The entries of a span that ends at the head, from memory or by `load`.
    ///
    /// - Parameter change: the change counter of the head that the asker sees.
    package func newest(
        of conversation: ConversationID, change: UInt64, span: ClosedRange<EntrySequence>,
        load: () throws -> [Entry]
    ) throws -> [Entry] {
        let key = LoadKey(
            conversation: conversation, change: change, first: span.lowerBound,
            last: span.upperBound)
        let found = state.withLock { state -> Found in
            if let entries = Self.cached(conversation, change, span, &state, entriesMax) {
                return .entries(entries)
            }
            let load = state.loads[key] ?? Load()
            state.loads[key] = load
            return .load(load)
        }
        switch found {
        case .entries(let entries):
            hitCount.add(1, ordering: .relaxed)
            return entries
        case .load(let under):
            return try under.result.withLock { result in
                if let entries = result {
                    sharedCount.add(1, ordering: .relaxed)
                    return entries
                }
                // The first to come, whoever made it; or one who waited for a look-up that failed.
                missCount.add(1, ordering: .relaxed)
                do {
                    let entries = try load()
                    result = entries
                    end(key, under, Tail(change: change, entries: entries))
                    return entries
                } catch {
                    end(key, under, nil)
                    throw error
                }
            }
        }
    }

    /// A look-up is over; what it found is kept in the same moment, so that nobody looks again.
    private func end(_ key: LoadKey, _ load: Load, _ tail: Tail?) {
        state.withLock { state in
            if state.loads[key] === load { state.loads[key] = nil }
            guard let tail, !tail.entries.isEmpty, tail.entries.count <= Self.tailMax else {
                return
            }
            // A tail of later rows stays.
            let known = state.young[key.conversation] ?? state.old[key.conversation]
            if let known, known.change > tail.change { return }
            Self.set(key.conversation, tail, &state, entriesMax)
        }
    }

    /// True when a tail of the conversation is kept: then it is of use to advance it.
    package func holds(_ conversation: ConversationID) -> Bool {
        state.withLock { $0.young[conversation] != nil || $0.old[conversation] != nil }
    }

    /// Takes what a batch did to a conversation whose change counter it moved from `before` to
    /// `after`: the entries that it appended, or nil when it changed older ones too.
    package func advance(
        _ conversation: ConversationID, from before: UInt64, to after: UInt64,
        appending entries: [Entry]?
    ) {
        state.withLock { state in
            // A tail of any other state lacks what happened in between.
            guard var tail = state.young[conversation] ?? state.old[conversation],
                tail.change == before, let entries
            else { return Self.drop(conversation, &state) }
            tail.change = after
            tail.entries.append(contentsOf: entries)
            tail.entries.removeFirst(max(0, tail.entries.count - Self.tailMax))
            Self.set(conversation, tail, &state, entriesMax)
        }
    }

    private static func cached(
        _ conversation: ConversationID, _ change: UInt64, _ span: ClosedRange<EntrySequence>,
        _ state: inout State, _ entriesMax: Int
    ) -> [Entry]? {
        guard let tail = state.young[conversation] ?? state.old[conversation],
            tail.change == change, let first = tail.entries.first?.seq,
            let last = tail.entries.last?.seq, first <= span.lowerBound,
            last == span.upperBound
        else { return nil }
        if state.young[conversation] == nil { set(conversation, tail, &state, entriesMax) }
        return Array(tail.entries[Int(span.lowerBound - first)...])
    }

    private static func set(
        _ conversation: ConversationID, _ tail: Tail, _ state: inout State, _ entriesMax: Int
    ) {
        state.old[conversation] = nil
        let replaced = state.young.updateValue(tail, forKey: conversation)
        state.youngEntries += tail.entries.count - (replaced?.entries.count ?? 0)
        guard state.youngEntries > entriesMax / 2 else { return }
        state.old = state.young
        state.young = [:]
        state.youngEntries = 0
    }

    private static func drop(_ conversation: ConversationID, _ state: inout State) {
        state.old[conversation] = nil
        if let tail = state.young.removeValue(forKey: conversation) {
            state.youngEntries -= tail.entries.count
        }
    }
}
