import ChatEngine
package import ChatModel
package import FanOut
import Presence
package import Session

/// Live sessions: everything goes to the apply lane, in order.
extension ChatNode {
    /// Lets a socket hear what its user may hear.
    package func attach(_ endpoint: SessionEndpoint, _ identity: Identity) {
        apply.putCompletion(.attach(endpoint, identity))
    }

    /// Forgets a socket.
    package func detach(_ endpoint: SessionEndpoint, isClean: Bool) {
        apply.putCompletion(.detach(endpoint, isClean: isClean))
    }

    /// Takes a sign of life; when the lane is full the next one will do.
    package func refreshPresence(_ endpoint: SessionEndpoint, isActive: Bool) {
        _ = apply.put(.refresh(endpoint, isActive: isActive))
    }

    /// Tells the other members that the user types; dropped when the node is busy.
    package func typing(_ id: ConversationID, by identity: Identity) {
        showTyping(id, identity.user)
        cluster.tellAll(.typing(id, identity.user))
    }

    /// Tells sockets of this node that a user types, here or on another node.
    func showTyping(_ id: ConversationID, _ user: UserID) {
        _ = readers.run { [self] in
            let audience = attempt { queries -> Audience?? in
                guard try queries.isMember(user, of: id) else { return nil }
                return .some(try queries.smallAudience(of: id, asker: user))
            }
            if case .success(let known?) = audience {
                _ = apply.put(.typing(id, user, known))
            }
        }
    }

    /// Lets a socket hear ephemeral events of conversations and users, as far as its user may. The
    /// apply lane knows whose socket it is, a read lane what that user may see.
    package func watch(
        _ endpoint: SessionEndpoint, conversations: [ConversationID], users: [UserID],
        answer: @escaping Answer<[PresenceView]>
    ) {
        let most = NodeLimits.presenceUsersMax
        guard users.count <= most, conversations.count <= most else {
            return refuse(answer, ServiceError(.invalidArgument, "watch: at most \(most) at once"))
        }
        let wish = ApplyLoop.WatchWish(
            endpoint: endpoint, conversations: conversations, users: users, answer: answer)
        if !apply.put(.wish(wish)) { refuse(answer, Self.overloaded) }
    }

    /// Looks up what a socket's user may see of what it wishes to watch.
    func checkWatch(_ wish: ApplyLoop.WatchWish, _ user: UserID) {
        read(.any, wish.answer) { [self] queries in
            for conversation in wish.conversations {
                guard try queries.isMember(user, of: conversation) else {
                    throw ServiceError(.notFound, "no such conversation")
                }
            }
            let request = ApplyLoop.WatchRequest(
                wish: wish, users: try wish.users.map { try visiblePresence($0, user, queries) })
            if !apply.put(.watch(request)) { throw Self.overloaded }
            return nil
        } then: {
        }
    }

    /// Ends watching.
    package func unwatch(
        _ endpoint: SessionEndpoint, conversations: [ConversationID], users: [UserID]
    ) {
        _ = apply.put(.unwatch(endpoint, conversations: conversations, users: users))
    }

    /// Writes last seen times behind: one command per user, acknowledged together.
    func writeLastSeen(_ rows: [LastSeenRow]) {
        let tally = Tally(rows.count) { [apply] isGood in
            apply.putCompletion(.lastSeenWritten(rows, isGood: isGood))
        }
        for row in rows {
            propose(.setLastSeen(user: row.user, atMs: row.atMs)) { result in
                let isGood = if case .success = result { true } else { false }
                tally.count(if: isGood)
            }
        }
    }

    /// Takes last seen out of a change that its user does not want shown.
    func checkLastSeen(_ change: PresenceView) {
        var shown = change
        let isQueued = readers.run { [self] in
            var shown = change
            let mayShow = attempt { try $0.showsLastSeen(change.user) }
            if case .success(true) = mayShow {} else { shown.lastSeenMs = nil }
            apply.putCompletion(.announce(shown))
        }
        if isQueued { return }
        shown.lastSeenMs = nil
        apply.putCompletion(.announce(shown))
    }
}
