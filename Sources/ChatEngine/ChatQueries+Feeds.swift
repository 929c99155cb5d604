import Bytes
package import ChatModel
import LSMTree

/// A user's feed: what changed, and the list of conversations.
extension ChatQueries {
    /// The last position of a user's feed; 0 before the first.
    package func feedPosition(_ user: UserID) throws -> FeedPosition {
        try view.feedPosition(user)
    }

    /// What changed for a user above a feed position: at most `limit` (and
    /// ``Limits/changedMax``) conversations. Ask again above the answer's position until it is
    /// complete.
    ///
    /// The complete part also lists the user's large conversations, whether they changed or not:
    /// their messages touch no feed, so nothing else says that they moved. Above
    /// ``Limits/changedMax`` of them, those with the newest entries.
    ///
    /// Nil when the rows of a conversation are older than what the feed has heard of it: the shards
    /// of this node stand at different times, and the answer would pass over the change for good.
    package func changes(
        for user: UserID, since: FeedPosition, limit: Int? = nil
    ) throws -> FeedChanges? {
        let end = try view.feedPosition(user)
        let max = Swift.max(1, min(limit ?? limits.changedMax, limits.changedMax))
        var changed: [ChangedView] = []
        var position = since
        var isComplete = true
        var isStale = false
        var visited = 0
        if since < end {
            try view.scan(
                .feeds, from: KeySchema.feedIndex(user, from: since + 1),
                to: KeySchema.feedIndex(user, from: .max), isReversed: false
            ) { key, _ in
                if visited == max {
                    isComplete = false
                    return false
                }
                let place = try feedPlace(key)
                visited += 1
                position = place.position
                isStale = try isBehindFeed(of: user, place.conversation)
                if isStale { return false }
                if let state = try self.changed(place.conversation, asker: user) {
                    changed.append(state)
                }
                return true
            }
        }
        if isStale { return nil }
        guard isComplete else {
            return FeedChanges(changed: changed, position: position, isComplete: false)
        }
        let listed = Set(changed.map(\.conversation))
        for conversation in try largeConversations(of: user, except: listed) {
            if let state = try self.changed(conversation, asker: user) { changed.append(state) }
        }
        return FeedChanges(changed: changed, position: end, isComplete: true)
    }

    private func isBehindFeed(
        of user: UserID, _ conversation: ConversationID
    ) throws -> Bool {
        let row: FeedRow? = try view.row(.feeds, KeySchema.feed(user, conversation))
        return try row?.change ?? 0 > view.head(conversation)?.change ?? 0
    }

    /// The user's large conversations, at most ``Limits/changedMax``: the ones with the newest
    /// entries.
    private func largeConversations(
        of user: UserID, except listed: Set<ConversationID>
    ) throws -> [ConversationID] {
        var found: [ConversationID] = []
        let prefix = KeySchema.largeIndex(user)
        try view.scan(.feeds, prefix: prefix) { rest, _ in
            guard let conversation = ConversationID(bytes: rest) else {
                throw EngineError.corruptRow(
                    keyspace: Keyspace.feeds.rawValue, key: prefix + [UInt8](rest),
                    found: "a key's length")
            }
            if !listed.contains(conversation) { found.append(conversation) }
            return found.count < Self.scanMax
        }
        guard found.count > limits.changedMax else { return found }
        let dated = try found.map { (atMs: try view.head($0)?.lastAtMs ?? 0, id: $0) }
        let newest = dated.sorted { ($0.atMs, $1.id) > ($1.atMs, $0.id) }
        return newest.prefix(limits.changedMax).map(\.id)
    }

    /// Part of the conversations a user is a member of, the one that changed last first. The cursor
    /// is the feed position below which the next part lies.
    package func conversations(
        of user: UserID, cursor: String? = nil, limit: Int? = nil
    ) throws -> ListView<ConversationView> {
        var below = FeedPosition.max
        if let cursor {
            guard let position = FeedPosition(cursor, radix: 36) else {
                throw ServiceError(.invalidArgument, "cursor: is not one of ours")
            }
            below = position
        }
        let count = clamp(limit)
        var items: [ConversationView] = []
        var next: FeedPosition?
        var position = below
        try view.scan(
            .feeds, from: KeySchema.feedIndex(user),
            to: KeySchema.feedIndex(user, from: below), isReversed: true
        ) { key, _ in
            if items.count == count {
                next = position
                return false
            }
            let place = try feedPlace(key)
            position = place.position
            let view = try conversation(place.conversation, asker: user)
            if let view, !view.state.hasLeft { items.append(view) }
            return true
        }
        return ListView(items: items, cursor: next.map { String($0, radix: 36) })
    }
}

/// The feeds' work of one conversation, as far as it is due.
package struct FeedWork: Equatable, Sendable {
    /// Whose change it is.
    package var conversation: ConversationID
    /// The change it reaches: clear the work up to here once all touches are committed.
    package var change: UInt64
    /// Who must hear, ascending, and of what.
    package var touches: [Touch]

    /// One feed to touch.
    package struct Touch: Equatable, Sendable {
        /// Whose feed.
        package var user: UserID
        /// What it hears.
        package var touch: FeedTouch
    }
}

extension ChatQueries {
    /// The feeds' work that is due in a conversation, or nil when there is none.
    package func feedWork(of conversation: ConversationID) throws -> FeedWork? {
        guard let head = try view.head(conversation) else { return nil }
        var isForAll = false
        var users: [UserID] = []
        let length = KeySchema.work(conversation, .feeds).count
        try view.visitWork(conversation, .feeds) { key, _ in
            if key.count == length {
                isForAll = true
            } else if let user = UserID(bytes: key[length...]) {
                users.append(user)
            }
        }
        guard isForAll || !users.isEmpty else { return nil }
        if isForAll { users = Set(users + (try view.memberIDs(conversation))).sorted() }
        var touches: [FeedWork.Touch] = []
        touches.reserveCapacity(users.count)
        for user in users {
            guard let member = try view.anyMember(conversation, user) else { continue }
            let touch = FeedTouch(
                conversation: conversation, change: head.change,
                head: member.left?.seq ?? head.seq, m: member.left?.m ?? head.m,
                leftSeq: Self.leftSeq(member), isLarge: !isSmall(head))
            touches.append(FeedWork.Touch(user: user, touch: touch))
        }
        return FeedWork(conversation: conversation, change: head.change, touches: touches)
    }

    /// Conversations with feeds' work due whose slots lie in a range, ascending, at most `limit`
    /// and only those after `last`: what a new leader works off first.
    package func conversationsWithWork(
        slots: ClosedRange<Slot>, after last: ConversationID? = nil, limit: Int
    ) throws -> [ConversationID] {
        let bounds = KeySchema.bounds(slots: slots)
        var lower = bounds.lower
        if let last {
            let prefix = KeySchema.partition(last).bytes
            lower = OrderedKey.successor(ofPrefix: prefix) ?? bounds.upper
        }
        var found: [ConversationID] = []
        guard limit > 0 else { return found }
        try view.scan(.work, from: lower, to: bounds.upper, isReversed: false) { key, _ in
            guard key.count > KeySchema.partitionBytes,
                let conversation = ConversationID(bytes: key[2..<KeySchema.partitionBytes])
            else {
                throw EngineError.corruptRow(
                    keyspace: Keyspace.work.rawValue, key: [UInt8](key), found: "a key's length")
            }
            if conversation == found.last { return true }
            if found.count == limit { return false }
            found.append(conversation)
            return true
        }
        return found
    }

    /// The entry with which a former member went.
    private static func leftSeq(_ member: MemberRow) -> EntrySequence? {
        #if PlantedBugs
            if PlantedBug.returningFeed.isOn { return nil }
        #endif
        return member.left?.seq
    }
}
