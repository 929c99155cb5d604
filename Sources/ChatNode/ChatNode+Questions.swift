import ChatEngine
package import ChatModel
package import Session

/// Questions: answered from a snapshot on a read lane; what the asker may not know is not found.
extension ChatNode {
    private static let noConversation = ServiceError(.notFound, "no such conversation")

    /// The users of these ids that exist, in the order asked.
    package func users(_ ids: [UserID], answer: @escaping Answer<[UserView]>) {
        read(fresh(ids), answer) { queries in try ids.compactMap { try queries.user($0) } }
    }

    /// The user of a name, or none.
    package func user(named name: String, answer: @escaping Answer<[UserView]>) {
        users([Names.user(name)], answer: answer)
    }

    /// The asker's signed-in devices.
    package func devices(_ identity: Identity, answer: @escaping Answer<[DeviceView]>) {
        read(fresh(identity.user), answer) { queries in try queries.devices(identity.user) }
    }

    /// One conversation of the asker.
    package func conversation(
        _ id: ConversationID, for identity: Identity, answer: @escaping Answer<ConversationView>
    ) {
        read(fresh(id), answer) { queries in
            guard let view = try queries.conversation(id, asker: identity.user) else {
                throw Self.noConversation
            }
            return view
        }
    }

    /// The asker's conversations, the one that changed last first.
    package func conversations(
        for identity: Identity, cursor: String?, limit: Int,
        answer: @escaping Answer<ListView<ConversationView>>
    ) {
        read(.all, answer) { queries in
            try queries.conversations(of: identity.user, cursor: cursor, limit: limit)
        }
    }

    /// Members of a conversation of the asker.
    package func members(
        of id: ConversationID, for identity: Identity, cursor: String?, limit: Int,
        answer: @escaping Answer<ListView<MemberView>>
    ) {
        read(fresh(id), answer) { queries in
            let members = try queries.members(
                of: id, asker: identity.user, cursor: cursor, limit: limit)
            guard let members else { throw Self.noConversation }
            return members
        }
    }

    /// Marks in a conversation of the asker.
    package func marks(
        of id: ConversationID, for identity: Identity, cursor: String?, limit: Int,
        answer: @escaping Answer<ListView<MarkView>>
    ) {
        read(fresh(id), answer) { queries in
            let marks = try queries.marks(
                of: id, asker: identity.user, cursor: cursor, limit: limit)
            guard let marks else { throw Self.noConversation }
            return marks
        }
    }

    /// Entries of a conversation of the asker.
    package func page(
        _ id: ConversationID, _ anchor: PageAnchor, limit: Int, for identity: Identity,
        answer: @escaping Answer<PageView>
    ) {
        read(fresh(id), answer) { queries in
            let page = try queries.page(
                of: id, asker: identity.user, anchor: anchor, limit: limit)
            guard let page else { throw Self.noConversation }
            return page
        }
    }

    /// What changed for the asker above a feed position. It is looked up behind what the apply lane
    /// was told before: a socket that was attached first hears what comes later than the answer,
    /// and one whose device was signed out meanwhile gets none.
    package func changes(
        since feed: FeedPosition, for identity: Identity, answer: @escaping Answer<FeedChanges>
    ) {
        let fence = ApplyLoop.Input.fence { [self] in
            readChanges(since: feed, identity, tries: 4, answer)
        }
        if !apply.put(fence) { refuse(answer, Self.overloaded) }
    }

    /// The shards' rows are confirmed one by one, so a feed may have heard of what the rows of a
    /// conversation do not show yet. What it has heard was decided, so the next confirmation
    /// brings it.
    private func readChanges(
        since feed: FeedPosition, _ identity: Identity, tries: Int,
        _ answer: @escaping Answer<FeedChanges>
    ) {
        read(.all, answer) { queries in
            guard try queries.device(identity.user, identity.device) != nil else {
                throw ServiceError(.unauthenticated, "this device was signed out")
            }
            return try queries.changes(for: identity.user, since: feed)
        } then: { [self] in
            if tries > 1 { return readChanges(since: feed, identity, tries: tries - 1, answer) }
            refuse(
                answer,
                ServiceError(
                    .unavailable, "this node is catching up", retryAfterMs: NodeLimits.retryMs))
        }
    }

    /// The asker's newest feed position.
    package func feedPosition(for identity: Identity, answer: @escaping Answer<FeedPosition>) {
        read(fresh(identity.user), answer) { queries in try queries.feedPosition(identity.user) }
    }

    /// Presence of users; those that are no contacts of the asker show as offline.
    package func presence(
        of users: [UserID], for identity: Identity, answer: @escaping Answer<[PresenceView]>
    ) {
        read(.any, answer) { [self] queries in
            let visible = try users.map { try visiblePresence($0, identity.user, queries) }
            let isQueued = apply.put(.presence(visible, answer: answer))
            if !isQueued { throw Self.overloaded }
            return nil
        } then: {
        }
    }

    /// What the rows say about the presence of a user, for one who asks.
    func visiblePresence(
        _ user: UserID, _ asker: UserID, _ queries: Queries
    ) throws -> VisiblePresence {
        var isContact = user == asker
        if !isContact { isContact = try queries.isMember(asker, of: Names.pair(user, asker)) }
        if !isContact { isContact = try queries.areContacts(asker, user) }
        guard isContact else {
            return VisiblePresence(
                user: user, isContact: false, isLastSeenVisible: false, storedMs: nil)
        }
        let mayShow = try user == asker || queries.showsLastSeen(user)
        return VisiblePresence(
            user: user, isContact: true, isLastSeenVisible: mayShow,
            storedMs: mayShow ? try queries.lastSeen(user, asker: asker) : nil)
    }
}

/// What the rows say about a user's presence; the presence table has the rest.
struct VisiblePresence: Sendable {
    let user: UserID
    /// False: shown as offline, never seen.
    let isContact: Bool
    let isLastSeenVisible: Bool
    /// Last seen as stored.
    let storedMs: Milliseconds?
}
