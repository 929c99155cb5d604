import Bytes
import ChatModel
import LSMTree

/// Feeds, the work that fills them, and blobs.
extension Applier {
    /// Moves a conversation to the end of a user's feed, unless the feed has heard of the change.
    /// A large conversation that the user belongs to stands in the index of such as well.
    mutating func touchFeed(_ user: UserID, _ touch: FeedTouch) throws -> CommandResult {
        let key = KeySchema.feed(user, touch.conversation)
        let before: FeedRow? = try rows.row(.feeds, key)
        if let before, touch.change <= before.change { return .done }
        let position = try rows.feedPosition(user) + 1
        if let before {
            rows.delete(
                .feeds, KeySchema.feedIndex(user, before.position, touch.conversation))
        }
        let after = FeedRow(
            position: position, head: touch.head, m: touch.m, change: touch.change,
            leftSeq: touch.leftSeq, isLarge: touch.isLarge && touch.leftSeq == nil)
        rows.put(.feeds, key, after)
        if after.isLarge != before?.isLarge ?? false {
            let indexKey = KeySchema.largeIndex(user, touch.conversation)
            if after.isLarge {
                rows.put(.feeds, indexKey, [])
            } else {
                rows.delete(.feeds, indexKey)
            }
        }
        rows.put(.feeds, KeySchema.feedIndex(user, position, touch.conversation), [])
        rows.put(.feeds, KeySchema.feedHead(user), NumberRow(position))
        events.append(
            .feed(
                user: user, position: position, conversation: touch.conversation,
                head: touch.head, m: touch.m, leftSeq: touch.leftSeq))
        return .done
    }

    /// Deletes the dirty marks that were worked off; those of later changes stay.
    mutating func clearWork(
        _ conversation: ConversationID, _ work: WorkKind, change: UInt64
    ) throws -> CommandResult {
        var done: [[UInt8]] = []
        try rows.visitWork(conversation, work) { key, value in
            if value <= change { done.append(key) }
        }
        for key in done { rows.delete(.work, key) }
        return .done
    }

    mutating func registerBlob(_ record: BlobRecord) throws -> CommandResult {
        let key = KeySchema.blob(record.blob)
        if let existing: BlobRow = try rows.row(.media, key) {
            guard existing.record == record else {
                throw ServiceError(.conflict, "blob: the id is taken")
            }
            return .done
        }
        rows.put(.media, key, BlobRow(record))
        return .done
    }
}

extension RowView {
    /// Visits a conversation's dirty marks: that for all members, then those of single users.
    ///
    /// The first is a row by itself that is written and deleted with every change: it is looked up
    /// as a point, since a scan would walk over all its former versions.
    func visitWork(
        _ conversation: ConversationID, _ kind: WorkKind,
        _ body: (_ key: [UInt8], _ change: UInt64) throws -> Void
    ) throws {
        let key = KeySchema.work(conversation, kind)
        if let row: NumberRow = try row(.work, key) { try body(key, row.value) }
        guard let upper = OrderedKey.successor(ofPrefix: key) else { return }
        try scan(.work, from: key + [0], to: upper, isReversed: false) { found, value in
            let row = try decode(.work, [UInt8](found)) {
                try NumberRow(decoding: [UInt8](value))
            }
            try body([UInt8](found), row.value)
            return true
        }
    }

    /// The last position of a user's feed; 0 before the first.
    func feedPosition(_ user: UserID) throws -> FeedPosition {
        try row(.feeds, KeySchema.feedHead(user), NumberRow.self)?.value ?? 0
    }
}
