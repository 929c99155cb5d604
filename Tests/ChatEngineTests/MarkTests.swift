import ChatEngine
import ChatModel
import Testing

@Suite struct MarkTests {
    let users = Make.users(4)

    private func marks(
        _ world: World, _ conversation: ConversationID, _ user: UserID
    ) throws -> [UInt64] {
        let state = try #require(try world.ask.changed(conversation, asker: user))
        return [state.delivered, state.read, state.unread]
    }

    @Test("Marks are clamped to the head, never go back, and read raises delivered")
    func merge() throws {
        var world = World()
        let direct = try world.direct(users[0], users[1])
        for _ in 0..<4 { try world.send("x", by: users[0], to: direct) }
        let rows: [(UInt64, UInt64, [UInt64], Bool)] = [
            (2, 0, [2, 0, 4], true), (1, 3, [3, 3, 1], true), (0, 2, [3, 3, 1], false),
            (.max, 0, [4, 3, 1], true), (0, .max, [4, 4, 0], true), (9, 9, [4, 4, 0], false),
        ]
        for (delivered, read, after, isTold) in rows {
            let command = Command.mark(
                conversation: direct, user: users[1], delivered: delivered, read: read)
            #expect(try world.run(command) == .done)
            #expect(try marks(world, direct, users[1]) == after)
            let told = world.events.contains { if case .mark = $0 { true } else { false } }
            #expect(told == isTold)
        }
    }

    @Test("A send moves the sender's marks only when all was read")
    func ownSend() throws {
        var world = World()
        let direct = try world.direct(users[0], users[1])
        try world.send("a", by: users[0], to: direct)
        #expect(try marks(world, direct, users[0]) == [1, 1, 0])
        try world.send("b", by: users[1], to: direct)
        #expect(try marks(world, direct, users[1]) == [0, 0, 2])
        try world.run(.mark(conversation: direct, user: users[1], delivered: 0, read: 2))
        try world.send("c", by: users[1], to: direct)
        #expect(try marks(world, direct, users[1]) == [3, 3, 0])
        try world.run(
            .edit(
                conversation: direct, by: Author(user: users[1], cid: Make.cid(1)), target: 3,
                content: MessageContent(text: "d")))
        #expect(try marks(world, direct, users[1]) == [3, 3, 0])
        try world.send("e", by: users[1], to: direct)
        #expect(try marks(world, direct, users[1]) == [5, 5, 0])
    }

    @Test("Others hear of marks in a small group; in a large one only the member's own sockets do")
    func audience() throws {
        for size in [3, 4] as [UInt64] {
            var world = World { $0.smallGroupMembers = 3 }
            let members = Make.users(size)
            let group = try world.group(members)
            try world.workOff()
            try world.run(
                .mark(conversation: group, user: members[1], delivered: 2, read: 1))
            guard case .mark(_, let user, 2, 1, let audience)? = world.events.first else {
                throw Stop()
            }
            #expect(user == members[1])
            #expect(audience?.members == (size == 3 ? members.sorted() : nil))
            #expect(world.events.count == (size == 3 ? 2 : 1))
            #expect(
                try world.ask.changed(group, asker: members[0])?.marks.count == (size == 3 ? 2 : 0))
            #expect(
                try world.ask.marks(of: group, asker: members[1])?.items.count
                    == (size == 3 ? 3 : 1))
        }
    }
}
