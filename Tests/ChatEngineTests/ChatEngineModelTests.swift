import Bytes
import ChatEngine
import ChatModel
import Testing

/// The engine against ``DumbChat`` over random commands: the same answers, and after every few
/// batches the same conversations, seen by everyone.
@Suite struct ChatEngineModelTests {
    /// Draws commands that hit and miss.
    private struct Source {
        var random: SplitMix64
        let users = Make.users(7)
        var past: [Command] = []
        var cid: UInt64 = 0

        mutating func number(_ range: ClosedRange<UInt64>) -> UInt64 {
            UInt64.random(in: range, using: &random)
        }
        mutating func user() -> UserID { users[Int(number(0...6))] }
        mutating func role() -> Role { [.member, .member, .admin, .owner][Int(number(0...3))] }

        mutating func author(_ user: UserID) -> Author {
            cid += 1
            // A few client ids come twice, for other content.
            return Author(user: user, cid: Make.cid(number(0...19) == 0 ? cid / 2 : cid))
        }

        mutating func content() -> MessageContent {
            let length = Int(number(0...24))
            return MessageContent(
                text: String(repeating: "x", count: length > 17 ? 3 : length),
                mentions: number(0...3) == 0 ? [user()] : [])
        }

        mutating func command(_ heads: [ConversationID: UInt64]) -> Command {
            if let old = past.randomElement(using: &random), number(0...9) == 0 { return old }
            let command = fresh(heads)
            past.append(command)
            return command
        }

        private mutating func fresh(_ heads: [ConversationID: UInt64]) -> Command {
            let place = number(1...4)
            let id = Make.conversation(place)
            let head = heads[id] ?? 0
            let user = user()
            switch number(0...15) {
            case 0:
                let group = NewGroup(
                    conversation: Make.conversation(place > 2 ? place : place + 2), creator: user,
                    members: users.filter { $0 != user && number(0...1) == 0 }, title: "t")
                return .createGroup(group)
            case 1...6:
                let peer = place <= 2 ? self.user() : nil
                return .send(
                    conversation: id, peer: peer, by: author(user), content: content())
            case 7...8:
                return .edit(
                    conversation: id, by: author(user), target: number(0...head + 1),
                    content: content())
            case 9:
                return .erase(
                    conversation: id, by: author(user), target: number(0...head + 1))
            case 10...11:
                let added = [self.user(), self.user()]
                return .changeMembers(conversation: id, by: user, users: added, role: role())
            case 12:
                return .changeMembers(
                    conversation: id, by: user, users: [number(0...1) == 0 ? user : self.user()],
                    role: nil)
            default:
                return .mark(
                    conversation: id, user: user, delivered: number(0...head + 2),
                    read: number(0...head + 2))
            }
        }
    }

    @Test("Any commands leave what a dumb model leaves", arguments: 1...6)
    func random(seed: UInt64) throws {
        var world = World { limits in
            limits.smallGroupMembers = 4
            limits.members = 6
            limits.textBytes = 16
            limits.dedupMs = 400
        }
        var model = DumbChat(limits: world.limits)
        var source = Source(random: SplitMix64(seed: seed))
        for round in 0..<160 {
            world.nowMs += source.number(0...9) == 0 ? 500 : source.number(0...20)
            model.stampMs = world.nowMs
            let heads = model.conversations.mapValues(\.head)
            let commands = (0...source.number(0...7)).map { _ in source.command(heads) }
            let before = marks(model)
            let answers = commands.map { model.apply($0) }
            let results = try world.run(commands)
            for (index, command) in commands.enumerated() {
                check(command, results[index], answers[index], "seed \(seed), round \(round)")
            }
            let after = marks(model)
            let wentBack = before.filter { key, mark in
                guard let now = after[key] else { return true }
                return now[0] < mark[0] || now[1] < mark[1]
            }
            #expect(wentBack.isEmpty, "marks went back, seed \(seed)")
            if round % 10 == 9 { try compare(world, model, "seed \(seed), round \(round)") }
        }
        let entries = model.conversations.values.map(\.entries.count).reduce(0, +)
        #expect(entries > 100, "seed \(seed) wrote too little to mean anything")
    }

    private func check(
        _ command: Command, _ result: CommandResult, _ answer: DumbChat.Answer, _ hint: String
    ) {
        let isExpected =
            switch (result, answer) {
            case (.refused(let error), .refused(let code)): error.code == code
            case (.sent(let sent), .sent(let seq, let isDuplicate)):
                sent.seq == seq && sent.isDuplicate == isDuplicate
            case (.done, .done), (.conversation, .done): true
            default: false
            }
        #expect(isExpected, "\(hint): \(command) gave \(result), not \(answer)")
    }

    private func marks(_ model: DumbChat) -> [String: [UInt64]] {
        var marks: [String: [UInt64]] = [:]
        for (id, conversation) in model.conversations {
            for (user, member) in conversation.members {
                marks["\(id) \(user)"] = [member.delivered, member.read]
            }
        }
        return marks
    }

    private func compare(_ world: World, _ model: DumbChat, _ hint: String) throws {
        let comment = Comment(rawValue: hint)
        for (id, expected) in model.conversations {
            #expect(
                try world.ask.audience(of: id)?.members == expected.present.keys.sorted(), comment)
            for user in Make.users(7) {
                let state = try world.ask.changed(id, asker: user)
                guard let member = expected.members[user] else {
                    #expect(state == nil, comment)
                    #expect(try world.ask.page(of: id, asker: user) == nil, comment)
                    continue
                }
                let last = member.leftAt ?? expected.head
                let found = try #require(state, comment)
                #expect(found.head == last && found.m == expected.count(last), comment)
                #expect(found.floor == member.floor, comment)
                #expect(found.delivered == member.delivered, comment)
                #expect(found.read == member.read, comment)
                #expect(
                    found.unread == expected.count(last) - expected.count(member.read), comment)
                #expect(found.read <= found.delivered && found.delivered <= last, comment)
                let whole = try #require(
                    try world.ask.page(of: id, asker: user, anchor: .after(0), limit: 200), comment)
                let readable = expected.entries.filter { $0.seq >= member.floor && $0.seq <= last }
                #expect(whole.entries == Array(readable.prefix(200)), comment)
            }
        }
    }
}
