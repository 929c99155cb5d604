import ChatEngine
import ChatModel
import LSMTree
import Platform
import Simulation
import Testing

/// The engine over the tree it runs on, against the engine over plain arrays.
@Suite struct ChatEngineTreeTests {
    @Test("Over a tree that flushes and compacts, everything is as over plain rows")
    func tree() throws {
        let scheduler = SimulatedScheduler(seed: 1)
        var options = TreeOptions(keyspaces: KeySchema.all)
        options.memtableBytes = 16 << 10
        options.tableBytes = 16 << 10
        let tree = try Tree.open(
            fileSystem: SimulatedFileSystem(seed: 1), directory: "/tree", options: options,
            scheduler: scheduler
        ) { Issue.record("the tree failed: \($0)") }
        var world = World()
        var engine = ChatEngine(shard: 3, audienceMembersMax: 64)
        let users = Make.users(6)
        func apply(_ commands: [Command]) throws {
            world.nowMs += 10
            let batch = CommandBatch(stampMs: world.nowMs, commands)
            let applied = try engine.apply(batch, view: tree.snapshot())
            let results = try world.run(commands)
            #expect(applied.results == results)
            tree.apply(applied.batch)
            guard tree.memtableBytes > 16 << 10 else { return }
            if tree.canCut { tree.cut(state: [1]) { _ in } }
            scheduler.runUntilIdle()
        }
        let groups = (1...4).map { Make.conversation($0) }
        for group in groups {
            let new = NewGroup(
                conversation: group, creator: users[0], members: Array(users[1...]), title: "t")
            try apply([.createGroup(new)])
        }
        for round in 0..<40 as Range<UInt64> {
            try apply(Self.commands(ofRound: round, groups: groups, users: users))
        }
        let ask = ChatQueries(tree.snapshot())
        #expect(ask.view.sequence > 0)
        for group in groups {
            for user in users {
                #expect(
                    try ask.conversation(group, asker: user)
                        == world.ask.conversation(group, asker: user))
                for anchor in [PageAnchor.newest, .before(20), .after(20), .around(9)] {
                    #expect(
                        try ask.page(of: group, asker: user, anchor: anchor)
                            == world.ask.page(of: group, asker: user, anchor: anchor))
                }
            }
            #expect(try ask.feedWork(of: group) == world.ask.feedWork(of: group))
        }
        #expect(
            try ask.conversations(of: users[1], limit: 3)
                == world.ask.conversations(of: users[1], limit: 3))
        #expect(
            try ask.changes(for: users[1], since: 100)
                == world.ask.changes(for: users[1], since: 100))
        tree.close()
        scheduler.runUntilIdle()
    }

    /// What happens in each group in a round: a send, every third time an edit, and upkeep.
    private static func commands(
        ofRound round: UInt64, groups: [ConversationID], users: [UserID]
    ) -> [Command] {
        var commands: [Command] = []
        for (place, group) in groups.enumerated() {
            let author = Author(user: users[place], cid: Make.cid(round))
            let text = MessageContent(text: String(repeating: "\(round) ", count: 20))
            commands.append(.send(conversation: group, peer: nil, by: author, content: text))
            let edit = Author(user: users[place], cid: Make.cid(1_000 + round))
            if round % 3 == 0, round > 0 {
                commands.append(
                    .edit(conversation: group, by: edit, target: 7 + round / 2, content: text))
            }
            commands.append(
                .mark(conversation: group, user: users[5], delivered: .max, read: round))
            commands.append(.clearWork(conversation: group, work: .feeds, change: round))
            let touch = FeedTouch(
                conversation: group, change: round + 1, head: round, m: round)
            commands.append(.touchFeed(user: users[1], touch: touch))
        }
        return commands
    }
}
