import ChatModel
import LSMTree

/// Who belongs to a group.
///
/// Admins and owners add, and give roles up to their own; only an owner touches another admin or
/// an owner. Anyone leaves, and may give up rights. A group that has members has an owner: one who
/// leaves as the last owner hands over to the member of longest standing, and cannot step down.
extension Applier {
    mutating func changeMembers(
        _ conversation: ConversationID, by actor: UserID, users: [UserID], role: Role?
    ) throws -> CommandResult {
        let (head, member) = try access(conversation, actor)
        guard head.kind == .group else {
            throw ServiceError(
                .permissionDenied, "the members of a direct conversation never change")
        }
        try checkUsersOfCall(users)
        guard let role else {
            guard users.count == 1, let user = users.first else {
                throw ServiceError(.invalidArgument, "members: remove one at a time")
            }
            return try remove(user, from: conversation, by: actor, member.role, head)
        }
        return try add(unique(users), role, to: conversation, by: actor, member.role, head)
    }

    private mutating func add(
        _ users: [UserID], _ role: Role, to conversation: ConversationID, by actor: UserID,
        _ actorRole: Role, _ before: HeadRow
    ) throws -> CommandResult {
        var head = before
        var joining: [UserID] = []
        var changing: [(user: UserID, row: MemberRow)] = []
        for user in users {
            guard let row = try rows.member(conversation, user) else {
                joining.append(user)
                continue
            }
            if row.role == role { continue }
            let isOwnStepDown = user == actor && role < row.role
            let isBelow = row.role < actorRole && role <= actorRole && actorRole >= .admin
            guard isOwnStepDown || isBelow || actorRole == .owner else {
                throw ServiceError(.permissionDenied, "not with your role")
            }
            if row.role == .owner { head.ownerCount &-= 1 }
            if role == .owner { head.ownerCount += 1 }
            changing.append((user, row))
        }
        if joining.isEmpty, changing.isEmpty { return .done }
        guard joining.isEmpty || (actorRole >= .admin && role <= actorRole) else {
            throw ServiceError(.permissionDenied, "only an admin adds members, up to their role")
        }
        try checkMembers(head.memberCount, adding: joining.count)
        if role == .owner { head.ownerCount += UInt64(joining.count) }
        guard head.ownerCount > 0 else {
            throw ServiceError(.conflict, "role: the last owner must name another owner first")
        }
        let audience = try audience(conversation).adding(joining)
        audiences.set(conversation, audience)
        let (floor, joinedM) = (head.seq + 1, head.m)
        for user in joining {
            let entry = append(
                .membership(user: user, change: .joined, role: role), from: actor,
                to: conversation, &head, hears: audience)
            let row = MemberRow(
                role: role, joinedSeq: entry.seq, floor: floor, joinedM: joinedM)
            rows.put(.conversations, KeySchema.member(conversation, user), row)
        }
        for (user, row) in changing {
            setRole(user, row, role, in: conversation, by: actor, &head, hears: audience)
        }
        head.memberCount += UInt64(joining.count)
        let wasSmall = isSmall(before)
        noteChange(conversation, &head, wasSmall: wasSmall, cameOrWent: wasSmall ? [] : joining)
        return .done
    }

    private mutating func setRole(
        _ user: UserID, _ before: MemberRow, _ role: Role, in conversation: ConversationID,
        by actor: UserID, _ head: inout HeadRow, hears audience: Audience
    ) {
        var row = before
        row.role = role
        rows.put(.conversations, KeySchema.member(conversation, user), row)
        append(
            .membership(user: user, change: .role, role: role), from: actor, to: conversation,
            &head, hears: audience)
    }

    private mutating func remove(
        _ user: UserID, from conversation: ConversationID, by actor: UserID, _ actorRole: Role,
        _ before: HeadRow
    ) throws -> CommandResult {
        guard user == actor || actorRole >= .admin else {
            throw ServiceError(.permissionDenied, "only an admin removes members")
        }
        guard var row = try rows.member(conversation, user) else {
            throw ServiceError(.notFound, "no such member")
        }
        guard user == actor || actorRole == .owner || row.role < actorRole else {
            throw ServiceError(.permissionDenied, "only an owner removes an admin or owner")
        }
        var head = before
        // The one who goes still hears of the hand-over and of their own going.
        let audience = try audience(conversation)
        if row.role == .owner {
            if head.ownerCount == 1, let heir = try longestMember(conversation, but: user) {
                setRole(
                    heir.user, heir.row, .owner, in: conversation, by: actor, &head,
                    hears: audience)
                head.ownerCount += 1
            }
            head.ownerCount &-= 1
        }
        let change: MembershipChange = user == actor ? .left : .removed
        let entry = append(
            .membership(user: user, change: change, role: row.role), from: actor,
            to: conversation, &head, hears: audience)
        row.left = MemberRow.LeftMark(seq: entry.seq, m: entry.m)
        rows.put(.conversations, KeySchema.member(conversation, user), row)
        head.memberCount &-= 1
        audiences.set(conversation, audience.removing(user))
        noteChange(conversation, &head, wasSmall: isSmall(before), cameOrWent: [user])
        return .done
    }

    /// The present member who joined first, but not `user`.
    private func longestMember(
        _ conversation: ConversationID, but user: UserID
    ) throws -> (user: UserID, row: MemberRow)? {
        var longest: (user: UserID, row: MemberRow)?
        try rows.scanMembers(conversation) { other, row in
            guard other != user, row.left == nil else { return true }
            if longest.map({ row.joinedSeq < $0.row.joinedSeq }) ?? true {
                longest = (other, row)
            }
            return true
        }
        return longest
    }
}
