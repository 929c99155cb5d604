import ChatModel

/// What the engine should do, told as plainly as it can be: everything in arrays and dictionaries,
/// every number counted anew.
struct DumbChat {
    struct Member: Equatable {
        var role: Role
        var joined: UInt64
        var floor: UInt64
        var leftAt: UInt64?
        var delivered: UInt64
        var read: UInt64
    }

    struct Known {
        var seq: UInt64
        var content: MessageContent
        var target: UInt64
        var isErase: Bool
        var expiryMs: UInt64
    }

    struct Conversation {
        var kind: ConversationKind
        var creator: UserID
        var title = ""
        var entries: [Entry] = []
        var members: [UserID: Member] = [:]
        var known: [Author: Known] = [:]

        /// Displayable messages up to a seq.
        func count(_ seq: UInt64) -> UInt64 {
            UInt64(
                entries.filter { entry in
                    guard case .message = entry.body else { return false }
                    return entry.seq <= seq
                }.count)
        }
        var head: UInt64 { UInt64(entries.count) }
        var present: [UserID: Member] { members.filter { $0.value.leftAt == nil } }
    }

    var conversations: [ConversationID: Conversation] = [:]
    var stampMs: UInt64 = 0
    let limits: Limits

    init(limits: Limits) { self.limits = limits }

    /// The code of the refusal the engine must give, or the seq it must answer, or neither.
    enum Answer: Equatable {
        case done
        case sent(UInt64, isDuplicate: Bool)
        case refused(ErrorCode)
    }

    mutating func apply(_ command: Command) -> Answer {
        switch command {
        case .createGroup(let group): return create(group)
        case .send(let id, let peer, let by, let content): return send(id, peer, by, content)
        case .edit(let id, let by, let target, let content):
            return change(id, by, target, content, isErase: false)
        case .erase(let id, let by, let target):
            return change(id, by, target, MessageContent(text: ""), isErase: true)
        case .changeMembers(let id, let by, let users, let role):
            return role.map { add(id, by, users, $0) } ?? remove(id, by, users[0])
        case .mark(let id, let user, let delivered, let read):
            return mark(id, user, delivered, read)
        default: return .done
        }
    }

    private mutating func create(_ group: NewGroup) -> Answer {
        if let old = conversations[group.conversation] {
            return old.creator == group.creator ? .done : .refused(.notFound)
        }
        var new = Conversation(kind: .group, creator: group.creator, title: group.title)
        for user in [group.creator] + group.members {
            let role: Role = user == group.creator ? .owner : .member
            log(&new, group.conversation, user: group.creator, nil) {
                _ in .membership(user: user, change: .joined, role: role)
            }
            new.members[user] = Member(
                role: role, joined: new.head, floor: 1, leftAt: nil, delivered: 0, read: 0)
        }
        conversations[group.conversation] = new
        return .done
    }

    private func log(
        _ conversation: inout Conversation, _ id: ConversationID, user: UserID,
        _ cid: ClientMessageID?, _ body: (UInt64) -> EntryBody
    ) {
        let seq = conversation.head + 1
        conversation.entries.append(
            Entry(
                conversation: id, seq: seq, m: 0, cid: cid, from: user, atMs: stampMs,
                body: body(seq)))
        conversation.entries[Int(seq) - 1].m = conversation.count(seq)
    }

    private func recall(
        _ id: ConversationID, _ by: Author, _ content: MessageContent, _ target: UInt64,
        _ isErase: Bool
    ) -> Answer? {
        guard let known = conversations[id]?.known[by], known.expiryMs > stampMs else { return nil }
        let isSame =
            known.content == content && known.target == target && known.isErase == isErase
        return isSame ? .sent(known.seq, isDuplicate: true) : .refused(.conflict)
    }

    private mutating func remember(
        _ id: ConversationID, _ by: Author, _ content: MessageContent, _ target: UInt64,
        _ isErase: Bool
    ) -> Answer {
        let seq = conversations[id]?.head ?? 0
        conversations[id]?.known[by] = Known(
            seq: seq, content: content, target: target, isErase: isErase,
            expiryMs: stampMs + limits.dedupMs)
        return .sent(seq, isDuplicate: false)
    }

    private mutating func send(
        _ id: ConversationID, _ peer: UserID?, _ by: Author, _ content: MessageContent
    ) -> Answer {
        if let answer = recall(id, by, content, 0, false) { return answer }
        var target: Conversation
        if let existing = conversations[id] {
            guard existing.present[by.user] != nil else { return .refused(.notFound) }
            target = existing
        } else {
            guard let peer else { return .refused(.notFound) }
            if content.text.isEmpty { return .refused(.invalidArgument) }
            if content.text.utf8.count > limits.textBytes { return .refused(.tooLarge) }
            if peer == by.user { return .refused(.invalidArgument) }
            target = Conversation(kind: .direct, creator: by.user)
            for user in [by.user, peer] {
                target.members[user] = Member(
                    role: .member, joined: 1, floor: 1, leftAt: nil, delivered: 0, read: 0)
            }
        }
        if content.text.isEmpty { return .refused(.invalidArgument) }
        if content.text.utf8.count > limits.textBytes { return .refused(.tooLarge) }
        let read = target.members[by.user]?.read ?? 0
        let hadReadAll = target.count(read) == target.count(target.head)
        log(&target, id, user: by.user, by.cid) {
            .message(Message(content: content, revision: $0))
        }
        if hadReadAll {
            let head = target.head
            target.members[by.user]?.delivered = head
            target.members[by.user]?.read = head
        }
        conversations[id] = target
        return remember(id, by, content, 0, false)
    }

    private mutating func change(
        _ id: ConversationID, _ by: Author, _ target: UInt64, _ content: MessageContent,
        isErase: Bool
    ) -> Answer {
        if let answer = recall(id, by, content, target, isErase) { return answer }
        guard var conversation = conversations[id], let member = conversation.present[by.user]
        else { return .refused(.notFound) }
        guard target >= member.floor, target <= conversation.head else {
            return .refused(.notFound)
        }
        let place = Int(target) - 1
        guard case .message(var message) = conversation.entries[place].body else {
            return .refused(.invalidArgument)
        }
        if message.isErased { return .refused(.gone) }
        let isOwn = conversation.entries[place].from == by.user
        let isModerator = isErase && conversation.kind == .group && member.role >= .admin
        guard isOwn || isModerator else { return .refused(.permissionDenied) }
        if !isErase, content.text.isEmpty { return .refused(.invalidArgument) }
        if content.text.utf8.count > limits.textBytes { return .refused(.tooLarge) }
        log(&conversation, id, user: by.user, by.cid) { _ in
            isErase ? .erase(target: target) : .edit(target: target, content: content)
        }
        message.revision = conversation.head
        message.content = content
        if isErase { message.isErased = true } else { message.editedAtMs = stampMs }
        conversation.entries[place].body = .message(message)
        if isErase {
            for index in conversation.entries.indices {
                if case .edit(target, _) = conversation.entries[index].body {
                    conversation.entries[index].body = .edit(target: target, content: content)
                }
            }
        }
        conversations[id] = conversation
        return remember(id, by, content, target, isErase)
    }
}

extension DumbChat {
    private mutating func add(
        _ id: ConversationID, _ by: UserID, _ users: [UserID], _ role: Role
    ) -> Answer {
        guard var conversation = conversations[id], let actor = conversation.present[by] else {
            return .refused(.notFound)
        }
        if conversation.kind == .direct { return .refused(.permissionDenied) }
        let present = conversation.present
        var order: [UserID] = []
        for user in users where !order.contains(user) { order.append(user) }
        let joining = order.filter { present[$0] == nil }
        let changing = order.filter { present[$0].map { $0.role != role } ?? false }
        for user in changing {
            let old = present[user]?.role ?? .member
            let isAllowed =
                actor.role == .owner || (user == by && role < old)
                || (actor.role == .admin && old == .member && role <= .admin)
            if !isAllowed { return .refused(.permissionDenied) }
        }
        if joining.isEmpty && changing.isEmpty { return .done }
        if !joining.isEmpty && (actor.role == .member || role > actor.role) {
            return .refused(.permissionDenied)
        }
        if present.count + joining.count > limits.members { return .refused(.tooLarge) }
        let hasOtherOwner = present.contains {
            $0.value.role == .owner && !changing.contains($0.key)
        }
        if role != .owner && !hasOtherOwner { return .refused(.conflict) }
        let (floor, before) = (conversation.head + 1, conversation.head)
        for user in joining {
            log(&conversation, id, user: by, nil) {
                _ in .membership(user: user, change: .joined, role: role)
            }
            let old = conversation.members[user]
            conversation.members[user] = Member(
                role: role, joined: conversation.head, floor: floor, leftAt: nil,
                delivered: max(old?.delivered ?? 0, before), read: max(old?.read ?? 0, before))
        }
        for user in changing {
            log(&conversation, id, user: by, nil) {
                _ in .membership(user: user, change: .role, role: role)
            }
            conversation.members[user]?.role = role
        }
        conversations[id] = conversation
        return .done
    }

    private mutating func remove(_ id: ConversationID, _ by: UserID, _ user: UserID) -> Answer {
        guard var conversation = conversations[id], let actor = conversation.present[by] else {
            return .refused(.notFound)
        }
        if conversation.kind == .direct { return .refused(.permissionDenied) }
        if user != by && actor.role == .member { return .refused(.permissionDenied) }
        guard let target = conversation.present[user] else { return .refused(.notFound) }
        if user != by && actor.role != .owner && target.role >= actor.role {
            return .refused(.permissionDenied)
        }
        let others = conversation.present.filter { $0.key != user }
        let isLastOwner = target.role == .owner && !others.contains { $0.value.role == .owner }
        if isLastOwner, let heir = others.min(by: { $0.value.joined < $1.value.joined })?.key {
            log(&conversation, id, user: by, nil) {
                _ in .membership(user: heir, change: .role, role: .owner)
            }
            conversation.members[heir]?.role = .owner
        }
        log(&conversation, id, user: by, nil) { _ in
            .membership(user: user, change: user == by ? .left : .removed, role: target.role)
        }
        let head = conversation.head
        conversation.members[user]?.leftAt = head
        conversations[id] = conversation
        return .done
    }

    private mutating func mark(
        _ id: ConversationID, _ user: UserID, _ delivered: UInt64, _ read: UInt64
    ) -> Answer {
        guard let conversation = conversations[id], var member = conversation.present[user] else {
            return .refused(.notFound)
        }
        member.read = max(member.read, min(read, conversation.head))
        member.delivered = max(member.delivered, min(delivered, conversation.head), member.read)
        conversations[id]?.members[user] = member
        return .done
    }
}
