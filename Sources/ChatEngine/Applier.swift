import ChatModel
import LSMTree

/// The work of one batch: rows being written, events so far, the time.
///
/// Each command checks everything before it writes anything, so that a refusal leaves no trace.
struct Applier {
    let rows: RowTransaction
    let limits: Limits
    let stampMs: Milliseconds
    var audiences: AudienceCache
    var events: [Event] = []

    init(
        rows: RowTransaction, limits: Limits, stampMs: Milliseconds, audiences: AudienceCache
    ) {
        self.rows = rows
        self.limits = limits
        self.stampMs = stampMs
        self.audiences = audiences
    }

    mutating func apply(_ command: Command) throws -> CommandResult {
        let (revision, told) = (rows.revision, events.count)
        do {
            return try perform(command)
        } catch let refusal as ServiceError {
            precondition(
                rows.revision == revision && events.count == told,
                "a refused command must leave no trace")
            return .refused(refusal)
        }
    }

    private mutating func perform(_ command: Command) throws -> CommandResult {
        switch command {
        case .createAccount(let account): try createAccount(account)
        case .openDevice(let user, let device, let name):
            try openDevice(user, device, name: name)
        case .revokeDevice(let user, let device): try revokeDevice(user, device)
        case .updateProfile(let user, let change): try updateProfile(user, change)
        case .createDirect(let conversation, let by, let peer):
            try createDirect(conversation, by: by, peer: peer)
        case .createGroup(let group): try createGroup(group)
        case .send(let conversation, let peer, let by, let content):
            try send(conversation, peer: peer, by: by, content)
        case .edit(let conversation, let by, let target, let content):
            try edit(conversation, by: by, target: target, content)
        case .erase(let conversation, let by, let target):
            try erase(conversation, by: by, target: target)
        case .changeMembers(let conversation, let by, let users, let role):
            try changeMembers(conversation, by: by, users: users, role: role)
        case .setTitle(let conversation, let by, let title):
            try setTitle(conversation, by: by, title: title)
        case .mark(let conversation, let user, let delivered, let read):
            try mark(conversation, user, delivered: delivered, read: read)
        case .touchFeed(let user, let touch): try touchFeed(user, touch)
        case .clearWork(let conversation, let work, let change):
            try clearWork(conversation, work, change: change)
        case .registerBlob(let blob): try registerBlob(blob)
        case .setLastSeen(let user, let atMs): try setLastSeen(user, atMs: atMs)
        case .setMap(let map): try setMap(map)
        }
    }

    /// The conversation and the asker's place in it; strangers learn nothing.
    func access(
        _ conversation: ConversationID, _ user: UserID
    ) throws -> (head: HeadRow, member: MemberRow) {
        guard let member = try rows.member(conversation, user) else {
            throw ServiceError(.notFound, "no such conversation")
        }
        guard let head = try rows.head(conversation) else {
            throw EngineError.missingRow(
                keyspace: Keyspace.conversations.rawValue, key: KeySchema.head(conversation),
                expected: "the head of a conversation that has members")
        }
        return (head, member)
    }

    /// Those who hear of the conversation now.
    mutating func audience(_ conversation: ConversationID) throws -> Audience {
        if let cached = audiences.get(conversation) { return cached }
        let audience = Audience(ascending: try rows.memberIDs(conversation))
        audiences.set(conversation, audience)
        return audience
    }

    /// Adds an entry after the head; `head` is the caller's to write.
    @discardableResult
    mutating func append(
        _ body: EntryBody, from user: UserID, cid: ClientMessageID? = nil,
        to conversation: ConversationID, _ head: inout HeadRow, hears audience: Audience,
        previous: EntrySequence = 0
    ) -> Entry {
        head.seq += 1
        if case .message = body { head.m += 1 }
        head.lastAtMs = stampMs
        let entry = Entry(
            conversation: conversation, seq: head.seq, m: head.m, cid: cid, from: user,
            atMs: stampMs, body: body)
        rows.put(
            .entries, KeySchema.entry(conversation, entry.seq),
            EntryCodec.encode(entry, previous: previous))
        events.append(.entry(entry, audience: audience))
        return entry
    }

    /// Writes the head of a conversation that changed, and the dirty marks of those whose feeds
    /// must hear of it: all members of a small group, or of one that was small before the change,
    /// so that they learn that they must look at it themselves; and `users` (who came or went) of
    /// any.
    mutating func noteChange(
        _ conversation: ConversationID, _ head: inout HeadRow, wasSmall: Bool = false,
        cameOrWent users: [UserID] = []
    ) {
        head.change += 1
        rows.put(.conversations, KeySchema.head(conversation), head)
        let isForAll = wasSmall || isSmall(head)
        let change = NumberRow(head.change)
        if isForAll { rows.put(.work, KeySchema.work(conversation, .feeds), change) }
        for user in users {
            rows.put(.work, KeySchema.work(conversation, .feeds, user), change)
        }
        guard isForAll || !users.isEmpty else { return }
        events.append(.work(conversation: conversation, kind: .feeds, change: head.change))
    }

    /// Whether members of the conversation see each other's marks and hear through their feeds.
    func isSmall(_ head: HeadRow) -> Bool {
        head.memberCount <= UInt64(clamping: limits.smallGroupMembers)
    }
}
