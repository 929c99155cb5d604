import ChatModel
import FanOut
import Presence
import Replication
import Session

/// Live sessions: who is attached, who watches whom, who is here.
extension ApplyLoop {
    func attach(_ endpoint: SessionEndpoint, _ identity: Identity) {
        guard hub.attach(endpoint, user: identity.user, device: identity.device) else { return }
        if sockets[endpoint] == nil {
            sockets[endpoint] = Socket(
                identity: identity, lease: LeaseID(rawValue: nextLease), isActive: true)
            nextLease += 1
        }
        refresh(endpoint, isActive: true)
    }

    func detach(_ endpoint: SessionEndpoint, isClean: Bool) {
        hub.detach(endpoint)
        guard let socket = sockets.removeValue(forKey: endpoint) else { return }
        presence.disconnect(
            socket.identity.user, socket.lease, isClean: isClean, at: Self.moment(clock))
        tell(socket, isClean ? .left : .lost)
    }

    func refresh(_ endpoint: SessionEndpoint, isActive: Bool) {
        guard var socket = sockets[endpoint] else { return }
        let nowMs = Self.moment(clock).nowMs
        // Other nodes hear of changes, and otherwise often enough to keep the user here.
        if socket.toldMs == 0 || socket.isActive != isActive
            || nowMs >= socket.toldMs + leaseMs / 4
        {
            socket.toldMs = nowMs
            tell(socket, isActive ? .active : .away)
        }
        socket.isActive = isActive
        sockets[endpoint] = socket
        let change = presence.refresh(
            socket.identity.user, socket.lease, isActive: isActive, at: Self.moment(clock))
        if let change { announce(change) }
    }

    private func tell(_ socket: Socket, _ what: PeerFrame.PresenceNote.What) {
        presenceNotes.append(
            PeerFrame.PresenceNote(
                user: socket.identity.user, lease: socket.lease.rawValue, what: what))
    }

    /// What sockets of another node did. When that node dies their leases run out by themselves.
    func take(_ notes: [PeerFrame.PresenceNote], from node: NodeNumber) {
        for note in notes where note.lease >> 48 == UInt64(node) {
            let lease = LeaseID(rawValue: note.lease)
            let moment = Self.moment(clock)
            switch note.what {
            case .active, .away:
                let change = presence.refresh(
                    note.user, lease, isActive: note.what == .active, at: moment)
                if let change { announce(change) }
            case .left, .lost:
                presence.disconnect(note.user, lease, isClean: note.what == .left, at: moment)
            }
        }
    }

    /// The members of a small conversation hear it, of a large one those who watch it.
    func type(_ conversation: ConversationID, _ user: UserID, _ audience: Audience?) {
        let event = SharedEvent(.typing(conversation, user))
        if let audience {
            hub.publish(event, to: audience.removing(user).members)
        } else {
            hub.publish(event, toWatchersOf: conversation, except: user)
        }
    }

    func forward(_ wish: WatchWish) {
        guard let socket = sockets[wish.endpoint] else {
            return wish.answer(.failure(ServiceError(.unauthenticated, "the socket is gone")))
        }
        outlets.checkWatch(wish, socket.identity.user)
    }

    func watch(_ request: WatchRequest) {
        let wish = request.wish
        let isTaken = hub.watch(
            wish.endpoint, conversations: wish.conversations,
            users: request.users.filter(\.isContact).map(\.user))
        guard isTaken else {
            let error = ServiceError(
                .invalidArgument, "watch: more conversations or users than one socket may watch")
            return wish.answer(.failure(error))
        }
        wish.answer(.success(request.users.map(show)))
    }

    /// A user's presence as the asker may see it: what the table knows, else what is stored.
    func show(_ visible: VisiblePresence) -> PresenceView {
        guard visible.isContact else {
            return PresenceView(user: visible.user, state: .offline, lastSeenMs: nil)
        }
        var view = presence.view(of: visible.user)
        if view.state == .offline { view.lastSeenMs = view.lastSeenMs ?? visible.storedMs }
        if !visible.isLastSeenVisible { view.lastSeenMs = nil }
        return view
    }

    /// Watchers hear of a change. When the user was last seen is shown by those alone who want it
    /// shown, which the rows know: such a change goes by a read lane first.
    func announce(_ change: PresenceView) {
        guard hub.isWatched(change.user) else { return }
        if change.lastSeenMs != nil {
            outlets.checkLastSeen(change)
        } else {
            publish(change)
        }
    }

    func publish(_ change: PresenceView) {
        hub.publish(SharedEvent(.presence(change)), toWatchersOf: change.user)
    }
}
