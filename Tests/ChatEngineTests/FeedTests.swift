import ChatEngine
import ChatModel
import Testing

@Suite struct FeedTests {
    let users = Make.users(5)

    /// What changed, where the rows are not older than the feed.
    private func listed(
        _ world: World, for user: UserID, since: FeedPosition, limit: Int? = nil
    ) throws -> FeedChanges {
        let found = try world.ask.changes(for: user, since: since, limit: limit)
        return try #require(found)
    }

    @Test("Each change of a small conversation reaches every member's feed once")
    func feeds() throws {
        var world = World()
        let group = try world.group(Array(users[..<3]))
        #expect(
            world.events.contains { if case .work(group, .feeds, 1) = $0 { true } else { false } })
        try world.workOff()
        for user in users[..<3] { #expect(try world.ask.feedPosition(user) == 1) }
        try world.send("x", by: users[0], to: group)
        try world.send("y", by: users[0], to: group)
        try world.workOff()
        let changes = try listed(world, for: users[1], since: 1)
        #expect(changes.position == 2 && changes.isComplete)
        #expect(changes.changed.map(\.head) == [5] && changes.changed.map(\.unread) == [2])
        #expect(try listed(world, for: users[1], since: 2).changed.isEmpty)
        try world.workOff()
        #expect(try world.ask.feedPosition(users[1]) == 2)
    }

    @Test("An old touch changes nothing; a new one moves the conversation to the end")
    func touches() throws {
        var world = World()
        let user = users[0]
        func touch(_ number: UInt64, _ change: UInt64) -> Command {
            let touch = FeedTouch(
                conversation: Make.conversation(number), change: change, head: 1, m: 1)
            return .touchFeed(user: user, touch: touch)
        }
        for number in 1...3 as ClosedRange<UInt64> { try world.run(touch(number, 5)) }
        let before = world.rows
        try world.run(touch(1, 5))
        try world.run(touch(1, 4))
        #expect(world.rows == before && world.events.isEmpty)
        try world.run(touch(1, 6))
        guard case .feed(user, 4, Make.conversation(1), 1, 1, nil)? = world.events.first else {
            throw Stop()
        }
        #expect(world.rows.keyspaces[4].count == 7)
    }

    @Test("Work is cleared only up to the change that was worked off")
    func clear() throws {
        var world = World()
        let group = try world.group(Array(users[..<2]))
        let early = try #require(try world.ask.feedWork(of: group))
        try world.send("x", by: users[0], to: group)
        try world.run(.clearWork(conversation: group, work: .feeds, change: early.change))
        let late = try #require(try world.ask.feedWork(of: group))
        #expect(late.change == early.change + 1 && late.touches.map(\.touch.head) == [3, 3])
        try world.run(.clearWork(conversation: group, work: .feeds, change: late.change))
        #expect(try world.ask.feedWork(of: group) == nil)
    }

    @Test("Changes wait for rows as new as what the feed has heard of")
    func staleRows() throws {
        var world = World()
        let group = try world.group(Array(users[..<2]))
        try world.workOff()
        let head = try #require(try world.ask.conversation(group, asker: users[1])?.state)
        let known = try listed(world, for: users[1], since: 0)
        #expect(known.changed.map(\.head) == [head.head])
        // The user's shard is ahead of the conversation's: a change that is not here yet was told.
        let touch = FeedTouch(
            conversation: group, change: 1_000, head: head.head + 1, m: head.m + 1)
        try world.run(.touchFeed(user: users[1], touch: touch))
        #expect(try world.ask.changes(for: users[1], since: 0) == nil)
        #expect(try world.ask.changes(for: users[1], since: known.position) == nil)
        #expect(try world.ask.changes(for: users[0], since: 0) != nil)
    }

    @Test("A large group feeds only those who come and go")
    func large() throws {
        var world = World { $0.smallGroupMembers = 3 }
        let group = try world.group(Array(users[..<4]))
        try world.workOff()
        for user in users[..<4] { #expect(try world.ask.feedPosition(user) == 1) }
        try world.send("x", by: users[0], to: group)
        #expect(try world.ask.feedWork(of: group) == nil && world.events.count == 1)
        try world.run(
            .changeMembers(conversation: group, by: users[0], users: [users[4]], role: .member))
        #expect(try world.ask.feedWork(of: group)?.touches.map(\.user) == [users[4]])
        try world.workOff()
        try world.run(
            .changeMembers(conversation: group, by: users[4], users: [users[4]], role: nil))
        try world.workOff()
        let changes = try listed(world, for: users[4], since: 1)
        #expect(changes.changed.map(\.hasLeft) == [true])
        #expect(try world.ask.feedPosition(users[0]) == 1)
    }

    @Test("The changes of a user end with their large groups, whose messages move no feed")
    func largeChanges() throws {
        var world = World { $0.smallGroupMembers = 3 }
        let group = try world.group(Array(users[..<4]))
        let small = try world.group(Array(users[..<2]), number: 2)
        try world.workOff()
        let whole = try listed(world, for: users[1], since: 0)
        #expect(Set(whole.changed.map(\.conversation)) == [group, small], "each once")
        #expect(whole.changed.count == 2 && whole.position == 2 && whole.isComplete)
        try world.send("x", by: users[0], to: group)
        try world.workOff()
        for since in [2, 1, 7] as [FeedPosition] {
            let changes = try listed(world, for: users[1], since: since)
            #expect(changes.position == 2 && changes.isComplete, "no feed moved")
            let state = changes.changed.first { $0.conversation == group }
            #expect(state?.head == 5 && state?.unread == 1, "since \(since)")
        }
        let part = try listed(world, for: users[1], since: 0, limit: 1)
        #expect(part.changed.count == 1 && !part.isComplete, "the last part alone has them")
        #expect(try listed(world, for: users[4], since: 0).changed.isEmpty)
    }

    @Test("A group that grows large or small again tells every member how to hear of it")
    func crossing() throws {
        var world = World { $0.smallGroupMembers = 3 }
        let group = try world.group(Array(users[..<3]))
        try world.workOff()
        func lists(_ user: UserID) throws -> Bool {
            let end = try world.ask.feedPosition(user)
            return try listed(world, for: user, since: end).changed.map(
                \.conversation)
                == [group]
        }
        for user in users { #expect(try !lists(user)) }
        try world.run(
            .changeMembers(conversation: group, by: users[0], users: [users[3]], role: .member))
        try world.workOff()
        for user in users[..<4] { #expect(try lists(user), "it grew") }
        try world.run(
            .changeMembers(conversation: group, by: users[0], users: [users[4]], role: .member))
        try world.workOff()
        for user in users { #expect(try lists(user), "one more") }
        try world.run(
            .changeMembers(conversation: group, by: users[4], users: [users[4]], role: nil))
        try world.workOff()
        for user in users { #expect(try lists(user) == (user != users[4]), "one left") }
        try world.run(
            .changeMembers(conversation: group, by: users[0], users: [users[3]], role: nil))
        try world.workOff()
        for user in users { #expect(try !lists(user), "it shrank") }
        let position = try world.ask.feedPosition(users[1])
        try world.send("x", by: users[0], to: group)
        try world.workOff()
        #expect(try world.ask.feedPosition(users[1]) == position + 1)
    }

    @Test("Of more large groups than one answer holds, those with the newest entries are listed")
    func manyLarge() throws {
        var world = World { limits in
            limits.smallGroupMembers = 1
            limits.changedMax = 4
        }
        for number in 1...9 as ClosedRange<UInt64> {
            _ = try world.group(Array(users[..<2]), number: number)
        }
        try world.workOff()
        let end = try world.ask.feedPosition(users[1])
        for number in [3, 8, 1, 5] as [UInt64] {
            world.nowMs += 10
            try world.send("x", by: users[0], to: Make.conversation(number))
        }
        let changes = try listed(world, for: users[1], since: end)
        #expect(changes.changed.map(\.conversation) == [5, 1, 8, 3].map(Make.conversation))
        #expect(changes.position == end && changes.isComplete)
    }

    @Test("One who left hears of it once, and no more of the conversation")
    func left() throws {
        var world = World()
        let group = try world.group(Array(users[..<3]))
        try world.workOff()
        try world.run(
            .changeMembers(conversation: group, by: users[0], users: [users[2]], role: nil))
        try world.send("x", by: users[0], to: group)
        try world.workOff()
        try world.send("y", by: users[0], to: group)
        try world.workOff()
        #expect(try world.ask.feedPosition(users[2]) == 2)
        let state = try #require(
            try listed(world, for: users[2], since: 1).changed.first)
        #expect(state.hasLeft && state.head == 4 && state.m == 0)
        #expect(try world.ask.conversations(of: users[2]).items.isEmpty)
        #expect(try world.ask.conversations(of: users[0]).items.count == 1)
    }

    @Test("Conversations come newest first in pages, and changes oldest first in parts")
    func pages() throws {
        var world = World { $0.changedMax = 4 }
        let count: UInt64 = 11
        for number in 1...count {
            _ = try world.direct(users[0], Make.user(100 + number), number: 100 + number)
            try world.workOff()
        }
        var seen: [ConversationID] = []
        var cursor: String?
        repeat {
            let part = try world.ask.conversations(of: users[0], cursor: cursor, limit: 4)
            seen += part.items.map(\.state.conversation)
            cursor = part.cursor
        } while cursor != nil
        #expect(seen == (1...count).reversed().map { Make.conversation(100 + $0) })
        var changed: [ConversationID] = []
        var position: FeedPosition = 0
        var isComplete = false
        while !isComplete {
            let part = try listed(world, for: users[0], since: position)
            #expect(part.changed.count <= 4 && part.position > position)
            changed += part.changed.map(\.conversation)
            (position, isComplete) = (part.position, part.isComplete)
        }
        #expect(changed == seen.reversed() && position == count)
        #expect(throws: ServiceError.self) {
            try world.ask.conversations(of: users[0], cursor: "!")
        }
    }

    @Test("Contacts share a direct conversation or a small group")
    func contacts() throws {
        var world = World { $0.smallGroupMembers = 3 }
        _ = try world.direct(users[0], users[1], number: 10)
        _ = try world.group(Array(users[1...3]), number: 11)
        _ = try world.group(users, number: 12)
        try world.workOff()
        #expect(try world.ask.areContacts(users[0], users[1]))
        #expect(try world.ask.areContacts(users[3], users[2]))
        #expect(try !world.ask.areContacts(users[0], users[3]))
        #expect(try !world.ask.areContacts(users[4], users[0]))
    }

    @Test("Work is found by slot, from where the last look ended")
    func dirty() throws {
        var world = World()
        var conversations: [ConversationID] = []
        for number in 1...9 as ClosedRange<UInt64> {
            conversations.append(try world.direct(users[0], users[1], number: number))
        }
        conversations.sort()
        let all = Slot(rawValue: 0)...Slot(rawValue: 0x3FFF)
        let first = try world.ask.conversationsWithWork(slots: all, limit: 4)
        let rest = try world.ask.conversationsWithWork(slots: all, after: first.last, limit: 9)
        #expect(first + rest == conversations)
        let slot = conversations[3].slot
        let one = try world.ask.conversationsWithWork(slots: slot...slot, limit: 9)
        #expect(one == conversations.filter { $0.slot == slot })
    }
}
