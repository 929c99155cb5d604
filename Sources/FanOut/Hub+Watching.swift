package import ChatModel

extension Hub {
    /// From now on the socket hears the ephemeral events of these conversations and users. What it
    /// watches already stays as it is.
    ///
    /// The caller has checked that the socket's user may see them.
    ///
    /// - Returns: false when the socket is not attached or would watch more than it may; nothing
    ///   happened then.
    package mutating func watch(
        _ endpoint: SessionEndpoint, conversations: [ConversationID], users: [UserID]
    ) -> Bool {
        guard let seat = seat(of: endpoint), var record = records[seat] else { return false }
        let newConversations = Self.additions(conversations, to: record.conversations)
        let newUsers = Self.additions(users, to: record.users)
        guard
            record.conversations.count + newConversations.count <= limits.watchedConversations,
            record.users.count + newUsers.count <= limits.watchedUsers
        else { return false }
        for conversation in newConversations {
            conversationWatchers[conversation, default: []].append(seat)
        }
        for user in newUsers { userWatchers[user, default: []].append(seat) }
        record.conversations += newConversations
        record.users += newUsers
        records[seat] = record
        return true
    }

    /// Ends what ``watch(_:conversations:users:)`` began; what is not watched is passed over.
    package mutating func unwatch(
        _ endpoint: SessionEndpoint, conversations: [ConversationID], users: [UserID]
    ) {
        guard let seat = seat(of: endpoint), var record = records[seat] else { return }
        for conversation in conversations where record.conversations.contains(conversation) {
            record.conversations.removeAll { $0 == conversation }
            Self.remove(seat, from: &conversationWatchers, at: conversation)
        }
        for user in users where record.users.contains(user) {
            record.users.removeAll { $0 == user }
            Self.remove(seat, from: &userWatchers, at: user)
        }
        records[seat] = record
    }

    /// Ends the watching of a conversation by every socket of a user, who is no longer a member.
    package mutating func endWatching(_ conversation: ConversationID, by user: UserID) {
        for endpoint in endpoints(of: user) {
            unwatch(endpoint, conversations: [conversation], users: [])
        }
    }

    /// True when some socket here watches the conversation.
    package func isWatched(_ conversation: ConversationID) -> Bool {
        conversationWatchers[conversation] != nil
    }

    /// True when some socket here watches the user.
    package func isWatched(_ user: UserID) -> Bool { userWatchers[user] != nil }

    func endpoint(_ seat: Seat) -> SessionEndpoint {
        SessionEndpoint(loop: outboxes[Int(seat.loop)].loop, slot: seat.slot)
    }

    func seat(of endpoint: SessionEndpoint) -> Seat? {
        loopNumbers[ObjectIdentifier(endpoint.loop)].map { Seat(loop: $0, slot: endpoint.slot) }
    }

    /// The socket's seat; its loop gets a number when it is new.
    mutating func makeSeat(_ endpoint: SessionEndpoint) -> Seat? {
        if let known = seat(of: endpoint) { return known }
        guard outboxes.count < limits.loops else { return nil }
        let number = Int32(outboxes.count)
        outboxes.append(Outbox(loop: endpoint.loop))
        loopNumbers[ObjectIdentifier(endpoint.loop)] = number
        return Seat(loop: number, slot: endpoint.slot)
    }

    static func remove<Key: Hashable>(
        _ seat: Seat, from table: inout [Key: [Seat]], at key: Key
    ) {
        guard var list = table.removeValue(forKey: key) else { return }
        list.removeAll { $0 == seat }
        if !list.isEmpty { table[key] = list }
    }

    private static func additions<Key: Equatable>(_ wanted: [Key], to present: [Key]) -> [Key] {
        var added: [Key] = []
        for key in wanted where !present.contains(key) && !added.contains(key) {
            added.append(key)
        }
        return added
    }
}
