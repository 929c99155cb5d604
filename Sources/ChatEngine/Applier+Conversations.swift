import ChatModel
import LSMTree

/// Conversations: founding them, titles, marks.
extension Applier {
    mutating func createDirect(
        _ conversation: ConversationID, by user: UserID, peer: UserID
    ) throws -> CommandResult {
        if try rows.head(conversation) != nil {
            _ = try access(conversation, user)
            return .conversation(conversation, isNew: false)
        }
        var head = try openDirect(conversation, by: user, peer: peer)
        noteChange(conversation, &head)
        return .conversation(conversation, isNew: true)
    }

    /// Writes the rows of a new direct conversation. It begins empty: its two members never change,
    /// so no entry tells of them.
    @discardableResult
    mutating func openDirect(
        _ conversation: ConversationID, by user: UserID, peer: UserID
    ) throws -> HeadRow {
        guard user != peer else {
            throw ServiceError(.invalidArgument, "user: a direct conversation needs another user")
        }
        var head = HeadRow(kind: .direct, createdBy: user, lastAtMs: stampMs, title: "")
        head.memberCount = 2
        rows.put(.conversations, KeySchema.head(conversation), head)
        let member = MemberRow(role: .member, joinedSeq: 1, floor: 1, joinedM: 0)
        for user in [user, peer] {
            rows.put(.conversations, KeySchema.member(conversation, user), member)
        }
        audiences.set(conversation, Audience(ascending: [user, peer].sorted()))
        return head
    }

    /// Founds a group: the creator joins as its owner, then the others in the order given. All may
    /// read from the first entry.
    mutating func createGroup(_ group: NewGroup) throws -> CommandResult {
        let conversation = group.conversation
        if let head = try rows.head(conversation) {
            guard head.createdBy == group.creator else {
                throw ServiceError(.notFound, "no such conversation")
            }
            return .conversation(conversation, isNew: false)
        }
        try checkTitle(group.title)
        try checkUsersOfCall(group.members)
        let others = unique(group.members).filter { $0 != group.creator }
        try checkMembers(0, adding: others.count + 1)
        var head = HeadRow(
            kind: .group, createdBy: group.creator, lastAtMs: stampMs, title: group.title)
        let everyone = [group.creator] + others
        let audience = Audience(ascending: everyone.sorted())
        audiences.set(conversation, audience)
        for user in everyone {
            let role: Role = user == group.creator ? .owner : .member
            let entry = append(
                .membership(user: user, change: .joined, role: role), from: group.creator,
                to: conversation, &head, hears: audience)
            let row = MemberRow(role: role, joinedSeq: entry.seq, floor: 1, joinedM: 0)
            rows.put(.conversations, KeySchema.member(conversation, user), row)
        }
        head.memberCount = UInt64(everyone.count)
        head.ownerCount = 1
        noteChange(conversation, &head, cameOrWent: isSmall(head) ? [] : everyone)
        return .conversation(conversation, isNew: true)
    }

    mutating func setTitle(
        _ conversation: ConversationID, by user: UserID, title: String
    ) throws -> CommandResult {
        var (head, member) = try access(conversation, user)
        guard head.kind == .group, member.role >= .admin else {
            throw ServiceError(.permissionDenied, "only an admin of a group sets its title")
        }
        try checkTitle(title)
        if title == head.title { return .done }
        head.title = title
        append(
            .settings(title: title), from: user, to: conversation, &head,
            hears: try audience(conversation))
        noteChange(conversation, &head)
        return .done
    }

    /// Moves marks: merged by max, clamped to the head, read raises delivered.
    mutating func mark(
        _ conversation: ConversationID, _ user: UserID, delivered: EntrySequence,
        read: EntrySequence
    ) throws -> CommandResult {
        var (head, member) = try access(conversation, user)
        let before = try rows.marks(conversation, user, member)
        var after = before
        after.read = max(before.read, min(read, head.seq))
        after.delivered = max(before.delivered, min(delivered, head.seq), after.read)
        if after == before { return .done }
        if after.read != before.read {
            after.readM =
                after.read == head.seq
                ? head.m : try rows.messageNumber(conversation, at: after.read)
        }
        let isShared = isSmall(head)
        let audience = isShared ? try audience(conversation) : nil
        rows.put(.conversations, KeySchema.marks(conversation, user), after)
        events.append(
            .mark(
                conversation: conversation, user: user, delivered: after.delivered,
                read: after.read, audience: audience))
        if isShared { noteChange(conversation, &head) }
        return .done
    }

    func checkTitle(_ title: String) throws {
        if title.utf8.count > limits.nameBytes {
            throw ServiceError(.invalidArgument, "title: more than \(limits.nameBytes) bytes")
        }
    }

    func checkUsersOfCall(_ users: [UserID]) throws {
        if users.count > limits.membersPerCall {
            throw ServiceError(
                .invalidArgument, "members: more than \(limits.membersPerCall) in a call")
        }
    }

    func checkMembers(_ count: UInt64, adding: Int) throws {
        if count + UInt64(adding) > UInt64(clamping: limits.members) {
            throw ServiceError(.tooLarge, "members: more than \(limits.members)")
        }
    }

    /// The users in their order, each once.
    func unique(_ users: [UserID]) -> [UserID] {
        var seen: Set<UserID> = []
        return users.filter { seen.insert($0).inserted }
    }
}
