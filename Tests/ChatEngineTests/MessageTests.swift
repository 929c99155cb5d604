import ChatEngine
import ChatModel
import Testing

@Suite struct MessageTests {
    let users = Make.users(4)

    private func author(_ index: Int, _ cid: UInt64) -> Author {
        Author(user: users[index], cid: Make.cid(cid))
    }

    @Test("Messages take dense seqs and m counts them alone")
    func dense() throws {
        var world = World()
        let group = try world.group(Array(users[..<3]))
        for number in 1...5 {
            let sent = try world.send("hello \(number)", by: users[0], to: group)
            #expect(sent.seq == UInt64(3 + number) && sent.m == UInt64(number))
        }
        let page = try #require(try world.ask.page(of: group, asker: users[1]))
        #expect(page.entries.map(\.seq) == Array(1...8))
        #expect(page.entries.map(\.m) == [0, 0, 0, 1, 2, 3, 4, 5])
    }

    @Test("A first send to a user opens the direct conversation, which begins with the message")
    func opens() throws {
        var world = World()
        let conversation = Make.conversation(9)
        let content = MessageContent(text: "hi")
        let command = Command.send(
            conversation: conversation, peer: users[1], by: author(0, 1), content: content)
        guard case .sent(let sent) = try world.run(command) else { throw Stop() }
        #expect(sent.seq == 1 && sent.m == 1)
        #expect(world.told.map(\.audience) == [[users[0], users[1]].sorted()])
        let view = try #require(try world.ask.conversation(conversation, asker: users[1]))
        #expect(view.kind == .direct && view.memberCount == 2 && view.state.unread == 1)
        #expect(view.members.map(\.user) == [users[0], users[1]].sorted())
        let own = Command.send(
            conversation: Make.conversation(8), peer: users[0], by: author(0, 2), content: content)
        #expect(try world.run(own).code == .invalidArgument)
    }

    @Test("A repeat answers the same seq and says so; other content under the cid is a conflict")
    func dedup() throws {
        var world = World()
        let group = try world.group(Array(users[..<2]))
        let first = try world.send("once", by: users[0], to: group, cid: 5)
        let again = try world.send("once", by: users[0], to: group, cid: 5)
        #expect(again.isDuplicate && !first.isDuplicate)
        #expect(again.seq == first.seq && again.atMs == first.atMs && again.m == first.m)
        #expect(world.events.isEmpty)
        let other = try world.run(
            .send(
                conversation: group, peer: nil, by: author(0, 5),
                content: MessageContent(text: "twice")))
        #expect(other.code == .conflict)
        let sameFromOther = try world.send("twice", by: users[1], to: group, cid: 5)
        #expect(!sameFromOther.isDuplicate && sameFromOther.seq == first.seq + 1)
    }

    @Test("A repeat is known before membership and limits count, until 30 days have passed")
    func dedupFirst() throws {
        var world = World()
        let group = try world.group(Array(users[..<2]))
        let sent = try world.send("bye", by: users[1], to: group, cid: 5)
        try world.run(
            .changeMembers(conversation: group, by: users[1], users: [users[1]], role: nil))
        #expect(try world.send("bye", by: users[1], to: group, cid: 5).seq == sent.seq)
        let command = Command.send(
            conversation: group, peer: nil, by: author(1, 5), content: MessageContent(text: "bye"))
        world.nowMs = sent.atMs + world.limits.dedupMs - 1
        guard case .sent(let late) = try world.run(command) else { throw Stop() }
        #expect(late.isDuplicate)
        world.nowMs += 1
        #expect(try world.run(command).code == .notFound)
    }

    @Test("A repeat inside one batch is known as well")
    func dedupInBatch() throws {
        var world = World()
        let group = try world.group(Array(users[..<2]))
        let command = Command.send(
            conversation: group, peer: nil, by: author(0, 5), content: MessageContent(text: "x"))
        let results = try world.run([command, command])
        guard case .sent(let first) = results[0], case .sent(let second) = results[1] else {
            throw Stop()
        }
        #expect(first.seq == second.seq && second.isDuplicate)
    }

    @Test("Strangers find nothing to send to, edit, erase or mark")
    func strangers() throws {
        var world = World()
        let group = try world.group(Array(users[..<2]))
        try world.send("secret", by: users[0], to: group)
        let content = MessageContent(text: "let me in")
        let before = world.rows
        let commands: [Command] = [
            .send(conversation: group, peer: nil, by: author(3, 1), content: content),
            .send(conversation: group, peer: users[0], by: author(3, 2), content: content),
            .edit(conversation: group, by: author(3, 3), target: 3, content: content),
            .erase(conversation: group, by: author(3, 4), target: 3),
            .mark(conversation: group, user: users[3], delivered: 1, read: 1),
            .setTitle(conversation: group, by: users[3], title: "mine"),
            .changeMembers(conversation: group, by: users[3], users: [users[3]], role: .member),
            .createDirect(conversation: group, by: users[3], peer: users[0]),
            .send(
                conversation: Make.conversation(77), peer: nil, by: author(0, 9), content: content),
        ]
        for command in commands { #expect(try world.run(command).code == .notFound) }
        #expect(world.rows == before)
        #expect(try world.ask.page(of: group, asker: users[3]) == nil)
        #expect(try world.ask.conversation(group, asker: users[3]) == nil)
        #expect(try world.ask.members(of: group, asker: users[3]) == nil)
    }

    @Test("Limits refuse what is too much, and an empty text without media")
    func limits() throws {
        var world = World { limits in
            limits.textBytes = 8
            limits.mentionsPerMessage = 1
            limits.mediaPerMessage = 1
        }
        let group = try world.group(Array(users[..<2]))
        let item = MediaReference(blob: Make.blob(1), name: "a.png")
        let rows: [(MessageContent, ErrorCode?)] = [
            (MessageContent(text: "12345678"), nil),
            (MessageContent(text: "123456789"), .tooLarge),
            (MessageContent(text: ""), .invalidArgument),
            (MessageContent(text: "", media: [item]), nil),
            (MessageContent(text: "", media: [item, item]), .invalidArgument),
            (MessageContent(text: "x", mentions: users), .invalidArgument),
            (MessageContent(text: "x", replyTo: 0), .invalidArgument),
            (MessageContent(text: "x", replyTo: 99), .invalidArgument),
            (MessageContent(text: "x", replyTo: 3), nil),
        ]
        for (index, (content, code)) in rows.enumerated() {
            let command = Command.send(
                conversation: group, peer: nil, by: author(0, UInt64(index)), content: content)
            #expect(try world.run(command).code == code, "row \(index)")
        }
    }

    @Test("An edit rewrites the message, stands in the log, and moves the revision")
    func edit() throws {
        var world = World()
        let group = try world.group(Array(users[..<2]))
        let item = MediaReference(blob: Make.blob(1), name: "a.png", type: "image/png", size: 4)
        let sent = try world.send("hello", by: users[0], to: group, media: [item])
        let command = Command.edit(
            conversation: group, by: author(0, 50), target: sent.seq,
            content: MessageContent(text: "hallo"))
        guard case .sent(let edit) = try world.run(command) else { throw Stop() }
        #expect(edit.seq == sent.seq + 1 && edit.m == sent.m)
        guard case .sent(let repeated) = try world.run(command) else { throw Stop() }
        #expect(repeated.isDuplicate && repeated.seq == edit.seq)
        let page = try #require(try world.ask.page(of: group, asker: users[1], limit: 2))
        guard case .message(let message) = page.entries[0].body,
            case .edit(let target, let content) = page.entries[1].body
        else { throw Stop() }
        #expect(message.content.text == "hallo" && message.revision == edit.seq)
        #expect(message.editedAtMs == edit.atMs && message.content.media == [item])
        #expect(target == sent.seq && content.text == "hallo" && content.media == [item])
    }

    @Test("Only the sender edits, only messages, only what is there")
    func editRefusals() throws {
        var world = World()
        let group = try world.group(Array(users[..<2]))
        let sent = try world.send("hello", by: users[0], to: group)
        let content = MessageContent(text: "x")
        func edit(_ index: Int, _ target: EntrySequence, _ cid: UInt64) -> Command {
            .edit(conversation: group, by: author(index, cid), target: target, content: content)
        }
        #expect(try world.run(edit(1, sent.seq, 1)).code == .permissionDenied)
        #expect(try world.run(edit(0, 1, 2)).code == .invalidArgument)
        #expect(try world.run(edit(0, sent.seq + 1, 3)).code == .notFound)
        #expect(try world.run(edit(0, 0, 4)).code == .notFound)
        try world.run(.erase(conversation: group, by: author(0, 5), target: sent.seq))
        #expect(try world.run(edit(0, sent.seq, 6)).code == .gone)
        let erase = Command.erase(conversation: group, by: author(0, 7), target: sent.seq)
        #expect(try world.run(erase).code == .gone)
    }

    @Test("Erasing leaves a tombstone that keeps m, and blanks every edit of the message")
    func erase() throws {
        var world = World()
        let group = try world.group(Array(users[..<2]))
        let item = MediaReference(blob: Make.blob(1), name: "secret.png")
        let sent = try world.send("secret one", by: users[0], to: group, media: [item])
        let other = try world.send("other", by: users[0], to: group)
        for (number, text) in ["secret two", "secret three"].enumerated() {
            for (offset, target) in [sent.seq, other.seq].enumerated() {
                let cid = UInt64(100 + number * 2 + offset)
                try world.run(
                    .edit(
                        conversation: group, by: author(0, cid), target: target,
                        content: MessageContent(text: target == sent.seq ? text : "fine")))
            }
        }
        try world.run(.erase(conversation: group, by: author(0, 7), target: sent.seq))
        let page = try #require(try world.ask.page(of: group, asker: users[1]))
        guard case .message(let message) = page.entries[Int(sent.seq) - 1].body else {
            throw Stop()
        }
        #expect(message.isErased && message.content == MessageContent(text: ""))
        #expect(message.revision == page.entries.last?.seq)
        #expect(page.entries[Int(sent.seq) - 1].m == sent.m)
        let stored = world.rows.keyspaces.flatMap { $0 }.flatMap(\.value)
        let needle = Array("secret".utf8)
        #expect(!stored.indices.contains { stored[$0...].starts(with: needle) })
        #expect(try world.text(group, other.seq, asker: users[1]) == "fine")
        #expect(try !world.ask.mayAttach(users[1], item.blob))
    }

    @Test("A message is edited so many times and no more, and can still be erased")
    func editsMax() throws {
        var world = World { $0.editsPerMessage = 3 }
        let group = try world.group(Array(users[..<2]))
        let sent = try world.send("secret", by: users[0], to: group)
        let other = try world.send("other", by: users[0], to: group)
        func edit(_ target: EntrySequence, _ cid: UInt64) -> Command {
            .edit(
                conversation: group, by: author(0, cid), target: target,
                content: MessageContent(text: "secret \(cid)"))
        }
        for cid in 1...3 as ClosedRange<UInt64> {
            #expect(try world.run(edit(sent.seq, cid)).code == nil)
        }
        #expect(try world.run(edit(sent.seq, 4)).code == .conflict)
        #expect(try world.run(edit(sent.seq, 3)).code == nil, "a repeat is known first")
        #expect(try world.run(edit(other.seq, 5)).code == nil, "each message counts its own")
        let erase = Command.erase(conversation: group, by: author(0, 7), target: sent.seq)
        #expect(try world.run(erase).code == nil)
        #expect(try world.run(edit(sent.seq, 8)).code == .gone)
        for seq in [sent.seq, other.seq + 1, other.seq + 2, other.seq + 3] {
            let page = try world.ask.page(
                of: group, asker: users[1], anchor: .around(seq), limit: 1)
            switch page?.entries.first?.body {
            case .message(let message)?: #expect(message.content.text.isEmpty && message.isErased)
            case .edit(sent.seq, let content)?: #expect(content.text.isEmpty)
            default: Issue.record("entry \(seq)")
            }
        }
    }

    @Test("A question knows a repeat as well as the log does, its media by id and name alone")
    func recall() throws {
        var world = World()
        let group = try world.group(Array(users[..<2]))
        let item = MediaReference(blob: Make.blob(1), name: "a.png", type: "image/png", size: 4)
        let sent = try world.send("x", by: users[0], to: group, cid: 5, media: [item])
        func send(_ text: String, _ cid: UInt64) -> Command {
            let bare = MediaReference(blob: Make.blob(1), name: "a.png")
            return .send(
                conversation: group, peer: nil, by: author(0, cid),
                content: MessageContent(text: text, media: [bare]))
        }
        let end = sent.atMs + world.limits.dedupMs
        var expected = sent
        expected.isDuplicate = true
        #expect(try world.ask.recall(send("x", 5), nowMs: end - 1) == expected)
        #expect(try world.ask.recall(send("x", 5), nowMs: end) == nil)
        #expect(try world.ask.recall(send("x", 6), nowMs: 0) == nil)
        #expect {
            try world.ask.recall(send("y", 5), nowMs: 0)
        } throws: { ($0 as? ServiceError)?.code == .conflict }
        let mark = Command.mark(conversation: group, user: users[0], delivered: 1, read: 1)
        #expect(try world.ask.recall(mark, nowMs: 0) == nil)
        for change in [
            Command.edit(
                conversation: group, by: author(0, 8), target: sent.seq,
                content: MessageContent(text: "z")),
            .erase(conversation: group, by: author(0, 9), target: sent.seq),
        ] {
            guard case .sent(var made) = try world.run(change) else { throw Stop() }
            made.isDuplicate = true
            #expect(try world.ask.recall(change, nowMs: world.nowMs) == made)
        }
    }

    @Test("Admins erase others' messages in a group; nobody does in a direct conversation")
    func moderators() throws {
        var world = World()
        let group = try world.group(users)
        let direct = try world.direct(users[0], users[1])
        for (cid, (conversation, index, code)) in [
            (group, 1, ErrorCode.permissionDenied), (group, 0, nil),
            (direct, 0, ErrorCode.permissionDenied), (direct, 1, nil),
        ].enumerated() {
            let by = conversation == group ? users[2] : users[1]
            let sent = try world.send("x", by: by, to: conversation)
            let command = Command.erase(
                conversation: conversation, by: author(index, UInt64(cid)), target: sent.seq)
            #expect(try world.run(command).code == code)
        }
    }

    @Test("Stamps never go back, whatever the leader's clock says")
    func stamps() throws {
        var world = World()
        let group = try world.group(users)
        let first = try world.send("x", by: users[0], to: group)
        world.nowMs = 5
        let second = try world.send("y", by: users[0], to: group)
        #expect(second.atMs == first.atMs && second.seq == first.seq + 1)
    }
}
