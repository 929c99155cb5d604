import Bytes
package import ChatModel
import LSMTree

/// What may be asked of the rows: reads that never enter the log.
///
/// Over one snapshot, so that all parts of an answer belong together. Whoever asks is part of the
/// question: what they may not know is nil, as if it did not exist. Corrupt rows throw
/// ``EngineError``, the tree its own errors, a bad cursor ``ServiceError``.
package struct ChatQueries<View: RowView> {
    /// Where the rows are read.
    package let view: View
    let limits: Limits
    let tails: TailCache?

    /// Questions to `view`.
    ///
    /// - Parameter tails: newest pages of the same rows; nil: every page is looked up.
    package init(_ view: View, limits: Limits = Limits(), tails: TailCache? = nil) {
        self.view = view
        self.limits = limits
        self.tails = tails
    }

    /// The change counter of a conversation; nil when there is none.
    package func change(of conversation: ConversationID) throws -> UInt64? {
        try view.head(conversation)?.change
    }

    /// A user's public side, or nil.
    package func user(_ user: UserID) throws -> UserView? {
        guard let row: ProfileRow = try view.row(.accounts, KeySchema.profile(user)) else {
            return nil
        }
        return UserView(
            id: user, username: row.name, displayName: row.displayName, avatar: row.avatar)
    }

    /// What the user's password is checked against, or nil.
    package func credential(_ user: UserID) throws -> [UInt8]? {
        try view.get(.accounts, KeySchema.credential(user))
    }

    /// A device that is signed in, or nil: the token of a device that is not ends.
    package func device(_ user: UserID, _ device: DeviceID) throws -> DeviceView? {
        guard let row: DeviceRow = try view.row(.accounts, KeySchema.device(user, device)) else {
            return nil
        }
        return DeviceView(id: device, name: row.name, createdAtMs: row.createdAtMs)
    }

    /// A user's devices, ascending by id.
    package func devices(_ user: UserID) throws -> [DeviceView] {
        try view.devices(user).map { id, row in
            DeviceView(id: id, name: row.name, createdAtMs: row.createdAtMs)
        }
    }

    /// When a user was last seen; nil when never. `hidden` users are nil to all but themselves.
    package func lastSeen(_ user: UserID, asker: UserID) throws -> Milliseconds? {
        let profile: ProfileRow? = try view.row(.accounts, KeySchema.profile(user))
        guard user == asker || profile?.isLastSeenVisible ?? false else { return nil }
        return try view.row(.presence, KeySchema.lastSeen(user), NumberRow.self)?.value
    }

    /// What is kept about an upload, or nil.
    package func blob(_ blob: BlobID) throws -> BlobRecord? {
        try view.row(.media, KeySchema.blob(blob), BlobRow.self)?.record
    }

    /// What an earlier try of a send, edit or erase came to, while that is remembered; nil for
    /// other commands. The media of its content need no more than ids and names.
    ///
    /// - Parameter nowMs: milliseconds since 1970.
    /// - Throws: ``ServiceError`` `conflict` when the client's id was used for other content.
    package func recall(_ command: Command, nowMs: Milliseconds) throws -> Sent? {
        guard let digest = SendDigest(command) else { return nil }
        return try view.recall(digest, atMs: nowMs)
    }

    /// Whether a user may put a blob into a message: they uploaded it, or an entry they may read
    /// shows it. Looks through at most ``ChatQueries/scanMax`` of their conversations.
    package func mayAttach(_ user: UserID, _ blob: BlobID) throws -> Bool {
        guard let record = try self.blob(blob) else { return false }
        if record.uploader == user { return true }
        var isShown = false
        try scanFeed(of: user) { conversation, _ in
            guard let member = try view.anyMember(conversation, user),
                let head = try view.head(conversation)
            else { return true }
            let upper = KeySchema.shown(
                conversation, blob, at: (member.left?.seq ?? head.seq) &+ 1)
            try view.scan(
                .media, from: KeySchema.shown(conversation, blob, at: member.floor), to: upper,
                isReversed: false
            ) { _, _ in
                isShown = true
                return false
            }
            return !isShown
        }
        return isShown
    }

    /// Whether two users share a direct conversation or a small group: who is one's contact sees
    /// one's presence. Looks through at most ``ChatQueries/scanMax`` conversations of `user`.
    package func areContacts(_ user: UserID, _ other: UserID) throws -> Bool {
        var isContact = false
        try scanFeed(of: user) { conversation, leftSeq in
            guard leftSeq == nil, let head = try view.head(conversation), isSmall(head),
                try view.member(conversation, user) != nil,
                try view.member(conversation, other) != nil
            else { return true }
            isContact = true
            return false
        }
        return isContact
    }

    /// Conversations of one user that a search through all of them looks at, newest first.
    package static var scanMax: Int { 10_000 }

    /// Visits a user's conversations, the one that changed last first.
    func scanFeed(
        of user: UserID, below position: FeedPosition = .max, max: Int = Self.scanMax,
        _ body: (ConversationID, _ leftSeq: EntrySequence?) throws -> Bool
    ) throws {
        var left = max
        try view.scan(
            .feeds, from: KeySchema.feedIndex(user),
            to: KeySchema.feedIndex(user, from: position), isReversed: true
        ) { key, _ in
            let (_, conversation) = try feedPlace(key)
            let feedKey = KeySchema.feed(user, conversation)
            guard let row: FeedRow = try view.row(.feeds, feedKey) else {
                throw EngineError.missingRow(
                    keyspace: Keyspace.feeds.rawValue, key: feedKey,
                    expected: "the feed row of an index row")
            }
            left -= 1
            return try body(conversation, row.leftSeq) && left > 0
        }
    }

    /// The position and the conversation of a feed's index key.
    func feedPlace(
        _ key: UnsafeRawBufferPointer
    ) throws -> (position: FeedPosition, conversation: ConversationID) {
        let start = KeySchema.partitionBytes + 1
        guard let position = OrderedKey.integer(UInt64.self, in: key, at: start),
            let high = OrderedKey.integer(UInt64.self, in: key, at: start + 8),
            let low = OrderedKey.integer(UInt64.self, in: key, at: start + 16)
        else {
            throw EngineError.corruptRow(
                keyspace: Keyspace.feeds.rawValue, key: [UInt8](key), found: "a key's length")
        }
        return (position, ConversationID(high: high, low: low))
    }

    func isSmall(_ head: HeadRow) -> Bool {
        head.memberCount <= UInt64(clamping: limits.smallGroupMembers)
    }
}
