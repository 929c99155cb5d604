package import ChatModel

/// What live sessions need to know beside pages and lists.
extension ChatQueries {
    /// The members of a small conversation that `asker` belongs to; nil for strangers and for
    /// conversations above ``Limits/smallGroupMembers``, where only watchers hear ephemeral events.
    package func smallAudience(
        of conversation: ConversationID, asker: UserID
    ) throws -> Audience? {
        guard try isMember(asker, of: conversation), let head = try view.head(conversation),
            isSmall(head)
        else { return nil }
        return try audience(of: conversation)
    }

    /// Whether others may see when `user` was last seen.
    package func showsLastSeen(_ user: UserID) throws -> Bool {
        let profile: ProfileRow? = try view.row(.accounts, KeySchema.profile(user))
        return profile?.isLastSeenVisible ?? false
    }
}
