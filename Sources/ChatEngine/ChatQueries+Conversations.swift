package import ChatModel
import LSMTree

/// Conversations as one of their members sees them.
extension ChatQueries {
    /// Others' marks that a whole conversation shows, and its members.
    private static var shownMax: Int { 100 }

    /// A conversation with its first members, or nil.
    package func conversation(
        _ conversation: ConversationID, asker: UserID
    ) throws -> ConversationView? {
        guard let (head, member) = try place(of: asker, in: conversation) else { return nil }
        var members: [MemberView] = []
        if member.left == nil {
            try view.scanMembers(conversation) { user, row in
                if row.left == nil {
                    members.append(MemberView(user: user, role: row.role, joinedSeq: row.joinedSeq))
                }
                return members.count < Self.shownMax
            }
        }
        let state = try changed(conversation, asker, head, member, marksMax: Self.shownMax)
        return ConversationView(
            kind: head.kind, title: head.title, memberCount: head.memberCount, members: members,
            role: member.role, state: state, lastAtMs: state.last?.atMs ?? head.lastAtMs)
    }

    /// The part of a conversation that changes often, or nil. One who left sees it as it was then.
    package func changed(
        _ conversation: ConversationID, asker: UserID
    ) throws -> ChangedView? {
        guard let (head, member) = try place(of: asker, in: conversation) else { return nil }
        return try changed(
            conversation, asker, head, member, marksMax: limits.smallGroupMembers)
    }

    private func changed(
        _ conversation: ConversationID, _ asker: UserID, _ head: HeadRow, _ member: MemberRow,
        marksMax: Int
    ) throws -> ChangedView {
        let seq = member.left?.seq ?? head.seq
        let m = member.left?.m ?? head.m
        let own = try view.marks(conversation, asker, member)
        var marks: [MarkView] = []
        if member.left == nil, isSmall(head) {
            try view.scanMembers(conversation) { user, row in
                if user != asker, row.left == nil {
                    let mark = try view.marks(conversation, user, row)
                    marks.append(
                        MarkView(user: user, delivered: mark.delivered, read: mark.read))
                }
                return marks.count < marksMax
            }
        }
        let last = seq < member.floor ? nil : try view.existingEntry(conversation, seq).entry
        return ChangedView(
            conversation: conversation, head: seq, m: m, floor: member.floor,
            unread: m > own.readM ? m - own.readM : 0, delivered: min(own.delivered, seq),
            read: min(own.read, seq), marks: marks, last: last, hasLeft: member.left != nil)
    }

    /// Whether a user is a member now.
    package func isMember(_ user: UserID, of conversation: ConversationID) throws -> Bool {
        try view.member(conversation, user) != nil
    }

    /// The present members, or nil when there is no such conversation. Costs a read of all.
    package func audience(of conversation: ConversationID) throws -> Audience? {
        guard try view.head(conversation) != nil else { return nil }
        return Audience(ascending: try view.memberIDs(conversation))
    }

    /// Part of the members, ascending by id; nil for strangers and those who left.
    package func members(
        of conversation: ConversationID, asker: UserID, cursor: String? = nil, limit: Int? = nil
    ) throws -> ListView<MemberView>? {
        guard try view.member(conversation, asker) != nil else { return nil }
        return try list(conversation, cursor, limit) { user, row in
            MemberView(user: user, role: row.role, joinedSeq: row.joinedSeq)
        }
    }

    /// Part of the marks, the asker's own among them, ascending by user; in a large group only the
    /// asker's own. Nil for strangers and those who left.
    package func marks(
        of conversation: ConversationID, asker: UserID, cursor: String? = nil, limit: Int? = nil
    ) throws -> ListView<MarkView>? {
        guard let member = try view.member(conversation, asker),
            let head = try view.head(conversation)
        else { return nil }
        func mark(of user: UserID, _ row: MemberRow) throws -> MarkView {
            let mark = try view.marks(conversation, user, row)
            return MarkView(user: user, delivered: mark.delivered, read: mark.read)
        }
        guard isSmall(head) else {
            return ListView(items: [try mark(of: asker, member)], cursor: nil)
        }
        return try list(conversation, cursor, limit, mark)
    }

    /// A page over the present members; the cursor is the first user of the next page.
    private func list<Item>(
        _ conversation: ConversationID, _ cursor: String?, _ limit: Int?,
        _ item: (UserID, MemberRow) throws -> Item
    ) throws -> ListView<Item> {
        var first: UserID?
        if let cursor {
            first = UserID(cursor)
            if first == nil { throw ServiceError(.invalidArgument, "cursor: is not one of ours") }
        }
        let count = clamp(limit)
        var items: [Item] = []
        var next: UserID?
        try view.scanMembers(conversation, from: first) { user, row in
            if row.left != nil { return true }
            if items.count == count {
                next = user
                return false
            }
            items.append(try item(user, row))
            return true
        }
        return ListView(items: items, cursor: next?.description)
    }

    /// The rows of one who is or was a member.
    func place(
        of user: UserID, in conversation: ConversationID
    ) throws -> (HeadRow, MemberRow)? {
        guard let member = try view.anyMember(conversation, user),
            let head = try view.head(conversation)
        else { return nil }
        return (head, member)
    }

    func clamp(_ limit: Int?) -> Int {
        min(max(limit ?? limits.pageDefault, 1), limits.pageMax)
    }
}
