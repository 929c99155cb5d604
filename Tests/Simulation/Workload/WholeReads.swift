import ChatModel
import Session

/// Reads a whole conversation from one node, page by page.
// Confined to the thread that steps the scheduler.
final class WholeLog: @unchecked Sendable {
    private let world: SimulatedWorld
    private let member: SimulatedMember
    private let room: Town.Room
    private let identity: Identity
    private(set) var entries: [Entry] = []
    private(set) var isDone = false

    init(
        world: SimulatedWorld, member: SimulatedMember, room: Town.Room, identity: Identity
    ) {
        self.world = world
        self.member = member
        self.room = room
        self.identity = identity
    }

    func start() { next() }

    /// True when the log says that a user belongs to the room in the end.
    func hasMember(_ user: UserID) -> Bool {
        var isMember = room.founders.contains(user)
        for entry in entries {
            if case .membership(user, let change, _) = entry.body {
                isMember = change == .joined || (isMember && change == .role)
            }
        }
        return isMember
    }

    private func next() {
        let after = entries.last?.seq ?? 0
        let (room, identity) = (room, identity)
        world.call(member) { node, answer in
            node.page(room.id, .after(after), limit: 200, for: identity, answer: answer)
        } done: { [self] (outcome: SimulatedWorld.Outcome<PageView>) in
            guard case .answer(.success(let page)) = outcome else {
                return world.later(ms: 300) { [self] in next() }
            }
            entries += page.entries
            if page.hasMoreAfter, !page.entries.isEmpty { next() } else { isDone = true }
        }
    }
}

/// Reads a user's whole list of changes from one node, as a new device does.
// Confined to the thread that steps the scheduler.
final class WholeFeed: @unchecked Sendable {
    private let world: SimulatedWorld
    private let member: SimulatedMember
    private let identity: Identity
    private(set) var views: [ConversationID: ChangedView] = [:]
    private(set) var isDone = false

    init(world: SimulatedWorld, member: SimulatedMember, identity: Identity) {
        self.world = world
        self.member = member
        self.identity = identity
    }

    func start() { next(after: 0) }

    private func next(after position: FeedPosition) {
        let identity = identity
        world.call(member) { node, answer in
            node.changes(since: position, for: identity, answer: answer)
        } done: { [self] (outcome: SimulatedWorld.Outcome<FeedChanges>) in
            guard case .answer(.success(let changes)) = outcome else {
                return world.later(ms: 300) { [self] in next(after: position) }
            }
            for view in changes.changed { views[view.conversation] = view }
            if changes.isComplete { isDone = true } else { next(after: changes.position) }
        }
    }
}

/// Asks one node who is there.
// Confined to the thread that steps the scheduler.
final class PresenceQuestion: @unchecked Sendable {
    private let world: SimulatedWorld
    private let member: SimulatedMember
    private let users: [UserID]
    private let identity: Identity
    private(set) var views: [PresenceView] = []
    private(set) var isDone = false

    init(world: SimulatedWorld, member: SimulatedMember, users: [UserID], identity: Identity) {
        self.world = world
        self.member = member
        self.users = users
        self.identity = identity
    }

    func start() {
        let (users, identity) = (users, identity)
        world.call(member) { node, answer in
            node.presence(of: users, for: identity, answer: answer)
        } done: { [self] (outcome: SimulatedWorld.Outcome<[PresenceView]>) in
            guard case .answer(.success(let views)) = outcome else {
                return world.later(ms: 300) { [self] in start() }
            }
            self.views = views
            isDone = true
        }
    }
}
