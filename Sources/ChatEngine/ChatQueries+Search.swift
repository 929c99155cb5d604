import Bytes
package import ChatModel
import LSMTree

/// A conversation as far as somebody may read it.
package struct ReadableConversation: Equatable, Sendable {
    /// Which.
    package var conversation: ConversationID
    /// The entries that they may read.
    package var seqs: ClosedRange<EntrySequence>
    /// Its title; empty for direct ones.
    package var title: String
}

/// What a search needs of the rows: who may read what, and the entries that the index is made of.
extension ChatQueries {
    /// What of a conversation the asker may read, as ``page(of:asker:anchor:limit:)`` shows it; nil
    /// for strangers, and when it is nothing.
    package func readable(
        _ conversation: ConversationID, by asker: UserID
    ) throws -> ReadableConversation? {
        guard let (head, member) = try place(of: asker, in: conversation) else { return nil }
        let readable = Readable(head, Self.searcher(member))
        guard readable.first <= readable.last else { return nil }
        return ReadableConversation(
            conversation: conversation, seqs: readable.first...readable.last, title: head.title)
    }

    /// Whose rights a search has.
    private static func searcher(_ member: MemberRow) -> MemberRow {
        #if PlantedBugs
            if PlantedBug.searchAfterLeaving.isOn {
                var member = member
                member.left = nil
                return member
            }
        #endif
        return member
    }

    /// All conversations of which the asker may read something, ascending; not complete above
    /// ``ChatQueries/scanMax``.
    ///
    /// - Parameter unlisted: conversations that the asker's feed may not list yet.
    package func readableConversations(
        by asker: UserID, besides unlisted: [ConversationID]
    ) throws -> (conversations: [ReadableConversation], isComplete: Bool) {
        var listed: Set<ConversationID> = []
        var found: [ReadableConversation] = []
        func add(_ conversation: ConversationID) throws {
            guard listed.insert(conversation).inserted,
                let readable = try readable(conversation, by: asker)
            else { return }
            found.append(readable)
        }
        try scanFeed(of: asker) { conversation, _ in
            try add(conversation)
            return true
        }
        let isComplete = listed.count < Self.scanMax
        for conversation in unlisted { try add(conversation) }
        found.sort { $0.conversation < $1.conversation }
        return (found, isComplete)
    }

    /// Whether feeds are still to hear of a conversation's change.
    package func hasFeedWork(_ conversation: ConversationID) throws -> Bool {
        var isFound = false
        try view.visitWork(conversation, .feeds) { _, _ in isFound = true }
        return isFound
    }

    /// An entry as it is now, or nil. Whether the asker may read it is the caller's to know.
    package func entry(
        _ conversation: ConversationID, _ seq: EntrySequence
    ) throws -> Entry? {
        try view.entry(conversation, seq)?.entry
    }

    /// Visits each seq of a stretch of a conversation with the entry that stands there now, if any.
    package func visitEntries(
        of conversation: ConversationID, _ seqs: ClosedRange<EntrySequence>,
        _ body: (EntrySequence, Entry?) throws -> Void
    ) throws {
        var next = seqs.lowerBound
        try view.scan(
            .entries, from: KeySchema.entry(conversation, seqs.lowerBound),
            to: KeySchema.entry(conversation, seqs.upperBound &+ 1), isReversed: false
        ) { key, value in
            let entry = try storedEntry(key, value)
            while next < entry.seq {
                try body(next, nil)
                next += 1
            }
            try body(entry.seq, entry)
            next += 1
            return true
        }
        while next <= seqs.upperBound {
            try body(next, nil)
            next += 1
        }
    }

    /// Visits at most `limit` entries of the conversations of some slots, from `key` on (nil: from
    /// the beginning); the key to go on from, or nil at the end.
    package func visitEntries(
        in slots: ClosedRange<Slot>, from key: [UInt8]?, limit: Int,
        _ body: (Entry) throws -> Void
    ) throws -> [UInt8]? {
        let bounds = KeySchema.bounds(slots: slots)
        var left = limit
        var following: [UInt8]?
        try view.scan(
            .entries, from: key ?? bounds.lower, to: bounds.upper, isReversed: false
        ) { key, value in
            if left == 0 {
                following = [UInt8](key)
                return false
            }
            left -= 1
            try body(try storedEntry(key, value))
            return true
        }
        return following
    }

    private func storedEntry(
        _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer
    ) throws -> Entry {
        guard let high = OrderedKey.integer(UInt64.self, in: key, at: 2),
            let low = OrderedKey.integer(UInt64.self, in: key, at: 10),
            let seq = OrderedKey.integer(UInt64.self, in: key, at: KeySchema.partitionBytes)
        else {
            throw EngineError.corruptRow(
                keyspace: Keyspace.entries.rawValue, key: [UInt8](key), found: "a key's length")
        }
        return try view.decode(.entries, [UInt8](key)) {
            try EntryCodec.decode(
                value, conversation: ConversationID(high: high, low: low), seq: seq
            ).entry
        }
    }
}
