import Bytes
package import ChatModel
import LSMTree

/// Pages of a conversation's log.
extension ChatQueries {
    /// Entries around an anchor, as they are now, ascending; nil for strangers. What lies outside
    /// floor…head (for one who left: their own last membership entry) is not there.
    package func page(
        of conversation: ConversationID, asker: UserID, anchor: PageAnchor = .newest,
        limit: Int? = nil
    ) throws -> PageView? {
        guard let (head, member) = try place(of: asker, in: conversation) else { return nil }
        let readable = Readable(head, member)
        let span = readable.span(anchor, UInt64(clamp(limit)))
        let entries: [Entry]
        if let tails, let span, span.upperBound == head.seq, span.count <= TailCache.tailMax {
            entries = try tails.newest(of: conversation, change: head.change, span: span) {
                try read(conversation, span)
            }
        } else {
            entries = try read(conversation, span)
        }
        let hasMoreBefore = span.map { $0.lowerBound > readable.first } ?? readable.isBelow(anchor)
        let hasMoreAfter = span.map { $0.upperBound < readable.last } ?? readable.isAbove(anchor)
        let hasMore =
            switch anchor {
            case .newest, .before: hasMoreBefore
            case .after: hasMoreAfter
            case .around: hasMoreBefore || hasMoreAfter
            }
        return PageView(
            conversation: conversation, entries: entries, hasMore: hasMore,
            hasMoreBefore: hasMoreBefore, hasMoreAfter: hasMoreAfter, floor: member.floor)
    }

    /// The entries of a span: the log is dense, so every one must be there.
    private func read(
        _ conversation: ConversationID, _ span: ClosedRange<EntrySequence>?
    ) throws -> [Entry] {
        guard let span, let count = Int(exactly: span.upperBound - span.lowerBound) else {
            return []
        }
        var entries: [Entry] = []
        entries.reserveCapacity(count + 1)
        var next = span.lowerBound
        try view.scan(
            .entries, from: KeySchema.entry(conversation, span.lowerBound),
            to: KeySchema.entry(conversation, span.upperBound &+ 1), isReversed: false
        ) { key, value in
            let start = KeySchema.partitionBytes
            guard OrderedKey.integer(UInt64.self, in: key, at: start) == next else { return false }
            let stored = try view.decode(.entries, [UInt8](key)) {
                try EntryCodec.decode(value, conversation: conversation, seq: next)
            }
            entries.append(stored.entry)
            next += 1
            return true
        }
        guard next == span.upperBound + 1 else {
            throw EngineError.missingRow(
                keyspace: Keyspace.entries.rawValue, key: KeySchema.entry(conversation, next),
                expected: "an entry at or below the head")
        }
        return entries
    }
}

/// The seqs an asker may read, and which of them a page holds.
struct Readable {
    let first: EntrySequence
    let last: EntrySequence

    /// What one who is or was a member may read.
    init(_ head: HeadRow, _ member: MemberRow) {
        first = member.floor
        last = member.left?.seq ?? head.seq
    }

    /// The page's seqs; nil when it is empty.
    func span(_ anchor: PageAnchor, _ count: UInt64) -> ClosedRange<EntrySequence>? {
        guard first <= last else { return nil }
        switch anchor {
        case .newest:
            return back(from: last, count)
        case .before(let seq):
            return seq <= first ? nil : back(from: min(seq - 1, last), count)
        case .after(let seq):
            return seq >= last ? nil : forth(from: max(seq + 1, first), count)
        case .around(let seq):
            // Half of the page below the middle; what one side lacks the other gets.
            let middle = min(max(seq, first), last)
            let below = min(count / 2, middle - first)
            let above = min(count - 1 - below, last - middle)
            let lower = back(from: middle, count - above).lowerBound
            return lower...(middle + above)
        }
    }

    /// Whether readable entries lie before an empty page.
    func isBelow(_ anchor: PageAnchor) -> Bool {
        if case .after = anchor { return first <= last }
        return false
    }

    /// Whether readable entries lie after an empty page.
    func isAbove(_ anchor: PageAnchor) -> Bool {
        if case .before = anchor { return first <= last }
        return false
    }

    private func back(from end: EntrySequence, _ count: UInt64) -> ClosedRange<EntrySequence> {
        (end - first >= count ? end - count + 1 : first)...end
    }

    private func forth(from start: EntrySequence, _ count: UInt64) -> ClosedRange<EntrySequence> {
        start...(last - start >= count ? start + count - 1 : last)
    }
}
