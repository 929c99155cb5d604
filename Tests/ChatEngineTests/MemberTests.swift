import ChatEngine
import ChatModel
import Testing

@Suite struct MemberTests {
    let users = Make.users(5)

    private func change(
        _ group: ConversationID, by: Int, _ others: [Int], _ role: Role?
    ) -> Command {
        .changeMembers(
            conversation: group, by: users[by], users: others.map { users[$0] }, role: role)
    }

    @Test("A group begins with its creator as owner, then the others; a retry is the same group")
    func create() throws {
        var world = World()
        let group = try world.group(Array(users[..<3]))
        #expect(world.told.map(\.entry.seq) == [1, 2, 3])
        let bodies = world.told.map(\.entry.body)
        #expect(bodies[0] == .membership(user: users[0], change: .joined, role: .owner))
        #expect(bodies[2] == .membership(user: users[2], change: .joined, role: .member))
        #expect(world.told.allSatisfy { $0.audience == users[..<3].sorted() })
        let again = NewGroup(conversation: group, creator: users[0], members: [], title: "")
        #expect(try world.run(.createGroup(again)) == .conversation(group, isNew: false))
        let view = try #require(try world.ask.conversation(group, asker: users[2]))
        #expect(view.memberCount == 3 && view.title == "group" && view.role == .member)
        #expect(view.state.floor == 1 && view.state.unread == 0 && view.state.head == 3)
    }

    @Test("Newcomers read from their own entry on and owe nothing from before")
    func newcomer() throws {
        var world = World()
        let group = try world.group(Array(users[..<2]))
        try world.send("before", by: users[0], to: group)
        #expect(try world.run(change(group, by: 0, [2], .member)) == .done)
        #expect(world.told.map(\.audience) == [users[..<3].sorted()])
        try world.send("after", by: users[0], to: group)
        let page = try #require(try world.ask.page(of: group, asker: users[2]))
        #expect(page.floor == 4 && page.entries.map(\.seq) == [4, 5] && !page.hasMoreBefore)
        let state = try #require(try world.ask.changed(group, asker: users[2]))
        #expect(state.unread == 1 && state.delivered == 3 && state.read == 3)
        let edit = Command.edit(
            conversation: group, by: Author(user: users[2], cid: Make.cid(1)), target: 3,
            content: MessageContent(text: "x"))
        #expect(try world.run(edit).code == .notFound)
    }

    @Test("The entry of their own going is the last that those removed may read")
    func removed() throws {
        var world = World()
        let group = try world.group(Array(users[..<3]))
        try world.send("one", by: users[0], to: group)
        #expect(try world.run(change(group, by: 0, [2], nil)) == .done)
        #expect(world.told.map(\.audience) == [users[..<3].sorted()])
        try world.send("two", by: users[0], to: group)
        #expect(world.told.map(\.audience) == [users[..<2].sorted()])
        let page = try #require(try world.ask.page(of: group, asker: users[2], anchor: .after(3)))
        #expect(page.entries.map(\.seq) == [4, 5] && !page.hasMoreAfter)
        let state = try #require(try world.ask.changed(group, asker: users[2]))
        #expect(state.hasLeft && state.head == 5 && state.m == 1 && state.last?.seq == 5)
        #expect(try world.ask.conversation(group, asker: users[0])?.memberCount == 2)
        let content = MessageContent(text: "x")
        let send = Command.send(
            conversation: group, peer: nil, by: Author(user: users[2], cid: Make.cid(1)),
            content: content)
        #expect(try world.run(send).code == .notFound)
    }

    @Test("Coming back starts a new floor; what was missed stays unread by nobody")
    func rejoin() throws {
        var world = World()
        let group = try world.group(Array(users[..<3]))
        _ = try world.run(change(group, by: 0, [2], nil))
        for number in 0..<3 { try world.send("missed \(number)", by: users[0], to: group) }
        _ = try world.run(change(group, by: 0, [2], .member))
        let state = try #require(try world.ask.changed(group, asker: users[2]))
        #expect(!state.hasLeft && state.floor == 8 && state.unread == 0 && state.read == 7)
        #expect(try world.ask.page(of: group, asker: users[2])?.entries.map(\.seq) == [8])
    }

    @Test("Rights: admins add and raise up to their own role, owners do all, members nothing")
    func rights() throws {
        var world = World()
        let group = try world.group(Array(users[..<4]))
        let rows: [(Command, ErrorCode?)] = [
            (change(group, by: 1, [4], .member), .permissionDenied),
            (change(group, by: 1, [1], .owner), .permissionDenied),
            (change(group, by: 1, [2], nil), .permissionDenied),
            (change(group, by: 0, [1], .admin), nil),
            (change(group, by: 1, [4], .owner), .permissionDenied),
            (change(group, by: 1, [4], .admin), nil),
            (change(group, by: 1, [4], .member), .permissionDenied),
            (change(group, by: 1, [4], nil), .permissionDenied),
            (change(group, by: 1, [0], nil), .permissionDenied),
            (change(group, by: 1, [2], nil), nil),
            (change(group, by: 1, [2], nil), .notFound),
            (change(group, by: 1, [1], .member), nil),
            (change(group, by: 0, [0], .admin), .conflict),
            (change(group, by: 0, [4], .owner), nil),
            (change(group, by: 0, [0], .member), nil),
            (change(group, by: 4, [1, 3], nil), .invalidArgument),
        ]
        for (index, (command, code)) in rows.enumerated() {
            #expect(try world.run(command).code == code, "row \(index)")
        }
    }

    @Test("The last owner who leaves hands over to the member of longest standing")
    func handOver() throws {
        var world = World()
        let group = try world.group(Array(users[..<3]))
        #expect(try world.run(change(group, by: 0, [0], nil)) == .done)
        #expect(
            world.told.map(\.entry.body) == [
                .membership(user: users[1], change: .role, role: .owner),
                .membership(user: users[0], change: .left, role: .owner),
            ])
        #expect(try world.ask.conversation(group, asker: users[1])?.role == .owner)
        _ = try world.run(change(group, by: 1, [1], nil))
        _ = try world.run(change(group, by: 2, [2], nil))
        #expect(try world.ask.audience(of: group)?.members == [])
    }

    @Test("The two of a direct conversation never change")
    func direct() throws {
        var world = World()
        let direct = try world.direct(users[0], users[1])
        #expect(try world.run(change(direct, by: 0, [2], .member)).code == .permissionDenied)
        #expect(try world.run(change(direct, by: 0, [0], nil)).code == .permissionDenied)
        let again = Command.createDirect(conversation: direct, by: users[1], peer: users[0])
        #expect(try world.run(again) == .conversation(direct, isNew: false))
        let title = Command.setTitle(conversation: direct, by: users[0], title: "us")
        #expect(try world.run(title).code == .permissionDenied)
    }

    @Test("Members of a group and of a call are limited, and so is a title")
    func limits() throws {
        var world = World { limits in
            limits.members = 4
            limits.membersPerCall = 3
            limits.nameBytes = 5
        }
        let group = try world.group(Array(users[..<3]))
        #expect(try world.run(change(group, by: 0, [3, 4], .member)).code == .tooLarge)
        #expect(try world.run(change(group, by: 0, [3, 3], .member)) == .done)
        #expect(
            try world.run(change(group, by: 0, [1, 2, 3, 4], .member)).code == .invalidArgument)
        let title = Command.setTitle(conversation: group, by: users[0], title: "123456")
        #expect(try world.run(title).code == .invalidArgument)
        let member = Command.setTitle(conversation: group, by: users[1], title: "12345")
        #expect(try world.run(member).code == .permissionDenied)
        let right = Command.setTitle(conversation: group, by: users[0], title: "12345")
        #expect(try world.run(right) == .done)
        #expect(world.told.map(\.entry.body) == [.settings(title: "12345")])
        #expect(try world.ask.conversation(group, asker: users[1])?.title == "12345")
    }

    @Test("Members and marks come in pages that join without a hole")
    func lists() throws {
        var world = World()
        let many = Make.users(23)
        let group = try world.group(many)
        var members: [UserID] = []
        var marks: [UserID] = []
        var cursor: String?
        repeat {
            let part = try #require(
                try world.ask.members(of: group, asker: many[0], cursor: cursor, limit: 5))
            let same = try #require(
                try world.ask.marks(of: group, asker: many[0], cursor: cursor, limit: 5))
            members += part.items.map(\.user)
            marks += same.items.map(\.user)
            #expect(part.cursor == same.cursor)
            cursor = part.cursor
        } while cursor != nil
        #expect(members == many.sorted() && marks == members)
        #expect(throws: ServiceError.self) {
            try world.ask.members(of: group, asker: many[0], cursor: "x")
        }
    }
}
