import ChatModel

/// Conversations whose news wait as one `gap` each, in the order they came.
struct PendingGaps {
    struct Gap {
        var conversation: ConversationID
        var head: EntrySequence
        /// When it must be said; nil: collapsed entries of a slow reader, said as soon as the
        /// backlog allows.
        var dueMs: Milliseconds?
    }
    private var gaps: [ConversationID: Gap] = [:]
    private var order: [ConversationID] = []
    private var collapsed = 0
    /// No gap is due before; nil when none has a time.
    private(set) var earliestDueMs: Milliseconds?

    var count: Int { gaps.count }
    var hasCollapsed: Bool { collapsed > 0 }

    subscript(conversation: ConversationID) -> Gap? { gaps[conversation] }

    /// Raises the head that will be announced; a collapsed gap stays one.
    mutating func raise(
        _ conversation: ConversationID, to head: EntrySequence, dueMs: Milliseconds?
    ) {
        if var gap = gaps[conversation] {
            gap.head = max(gap.head, head)
            if dueMs == nil, gap.dueMs != nil {
                gap.dueMs = nil
                collapsed += 1
            }
            gaps[conversation] = gap
            return
        }
        gaps[conversation] = Gap(conversation: conversation, head: head, dueMs: dueMs)
        order.append(conversation)
        guard let dueMs else {
            collapsed += 1
            return
        }
        earliestDueMs = min(earliestDueMs ?? dueMs, dueMs)
    }

    /// Takes the conversation's gap away.
    mutating func remove(_ conversation: ConversationID) {
        guard gaps[conversation] != nil else { return }
        _ = take { $0.conversation == conversation }
    }

    /// Takes those that `isWanted` picks, oldest first.
    mutating func take(where isWanted: (Gap) -> Bool) -> [Gap] {
        var taken: [Gap] = []
        var rest: [ConversationID] = []
        earliestDueMs = nil
        for conversation in order {
            guard let gap = gaps[conversation] else { continue }
            if isWanted(gap) {
                taken.append(gap)
                gaps[conversation] = nil
                if gap.dueMs == nil { collapsed -= 1 }
            } else {
                rest.append(conversation)
                if let due = gap.dueMs { earliestDueMs = min(earliestDueMs ?? due, due) }
            }
        }
        order = rest
        return taken
    }
}
