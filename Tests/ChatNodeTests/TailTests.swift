import Bytes
import ChatEngine
import ChatModel
import FanOut
import LSMTree
import Session
import ShardStore
import Simulation
import Testing

@testable import ChatNode

/// Newest pages from memory are those of the rows, whatever happens.
@Suite struct TailTests {
    /// Draws what users do in a few conversations.
    private struct Script {
        var random: SplitMix64
        let world: SimulatedNode
        let users: [Identity]
        var conversations: [ConversationID] = []
        var cid: UInt64 = 1_000

        mutating func number(_ count: Int) -> Int { Int(random.next() % UInt64(count)) }

        mutating func step() {
            let user = users[number(users.count)]
            let conversation = conversations[number(conversations.count)]
            cid += 1
            let id = ClientMessageID(high: 0x8000, low: cid)
            let target = UInt64(1 + number(60))
            let request: ChangeRequest
            switch number(12) {
            case 0...5:
                request = .send(
                    .conversation(conversation), cid: id,
                    content: .init(text: "\(cid)"))
            case 6:
                request = .edit(
                    conversation, target: target, cid: id, content: .init(text: "edited \(cid)"))
            case 7: request = .erase(conversation, target: target, cid: id)
            case 8: request = .setTitle(conversation, "title \(cid)")
            case 9:
                request = .changeMember(
                    conversation, user: users[number(users.count)].user,
                    role: number(2) == 0 ? .member : nil)
            default:
                request = .mark(
                    MarkRequest(conversation: conversation, delivered: target, read: target))
            }
            _ = world.change(request, by: user)
        }
    }

    @Test("Pages are equal to those looked up in the rows", arguments: 1...3 as ClosedRange<UInt64>)
    func random(seed: UInt64) throws {
        let world = SimulatedNode(seed: seed)
        #expect(world.boot())
        let users = ["ann", "bob", "cleo"].compactMap { world.register($0) }
        try #require(users.count == 3)
        var script = Script(random: SplitMix64(seed: seed), world: world, users: users)
        for title in ["one", "two"] {
            let answer = world.change(
                .createGroup(members: users.map(\.user), title: title, cid: nil), by: users[0])
            guard case .success(.conversation(let id, _)) = answer else { continue }
            script.conversations.append(id)
        }
        try #require(script.conversations.count == 2)
        for _ in 0..<300 {
            script.step()
            for _ in 0..<2 { try compare(&script) }
        }
        let counts = try #require(world.node).tails.counts
        #expect(counts.hits > 100 && counts.misses > 5, "seed \(seed): \(counts)")
        world.stop()
    }

    private func compare(_ script: inout Script) throws {
        let node = try #require(script.world.node)
        let user = script.users[script.number(script.users.count)]
        let conversation = script.conversations[script.number(script.conversations.count)]
        let limit = 1 + script.number(40)
        let anchor: PageAnchor =
            script.number(4) == 0 ? .after(UInt64(script.number(30))) : .newest
        let plain = try ChatQueries(node.store.tree.snapshot(), limits: Limits())
            .page(of: conversation, asker: user.user, anchor: anchor, limit: limit)
        let page = script.world.call {
            $0.page(conversation, anchor, limit: limit, for: user, answer: $1)
        }
        switch page {
        case .success(let view):
            #expect(view.entries == plain?.entries && view.hasMore == plain?.hasMore)
        case .failure: #expect(plain == nil)
        case nil: Issue.record("no answer")
        }
    }
}
