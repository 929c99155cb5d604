import Bytes
import ChatEngine
import ChatModel
import FanOut
import LSMTree
import RaftCore
import Replication
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

/// What a node gives to one that fetches a shard.
@Suite struct SnapshotSourceTests {
    private final class Peer: Sendable {
        let said = Box<[PeerFrame]>([])
    }

    private func source(_ world: SimulatedNode, _ node: ChatNode, _ peer: Peer) -> SnapshotSource {
        SnapshotSource(
            shards: node.shards, clock: world.clock, lane: world.scheduler.lane("source"),
            firstExport: 7,
            pin: { shard, answer in
                answer(node.store.position(of: shard).map { (node.store.tree.snapshot(), $0) })
            },
            send: { frame, _ in peer.said.change { $0.append(frame) } }, failed: { _ in })
    }

    private func ask(
        _ source: SnapshotSource, _ cursor: SnapshotCursor, _ world: SimulatedNode, _ peer: Peer
    ) -> PeerFrame? {
        let before = peer.said.value.count
        source.ask(cursor, from: 2)
        world.run { peer.said.value.count > before }
        return peer.said.value.last
    }

    @Test("Questions for keyspaces, ranges and shards that there are none of are refused")
    func refused() throws {
        let world = SimulatedNode(seed: 3)
        #expect(world.boot())
        let (node, peer) = (try #require(world.node), Peer())
        let source = source(world, node, peer)
        let first = SnapshotCursor(shard: 1, export: 0, keyspace: 1, range: 0, lastKey: [])
        guard case .snapshotChunk(let chunk)? = ask(source, first, world, peer) else {
            Issue.record("no chunk")
            return
        }
        #expect(chunk.export == 8 && chunk.index == node.store.position(of: 1)?.index)
        var wrong = first
        wrong.export = 8
        for keyspace in [0, 99, 255] as [UInt8] {
            wrong.keyspace = keyspace
            #expect(ask(source, wrong, world, peer) == .snapshotRefused(shard: 1, export: 8))
        }
        wrong = SnapshotCursor(shard: 1, export: 8, keyspace: 1, range: 2, lastKey: [])
        #expect(ask(source, wrong, world, peer) == .snapshotRefused(shard: 1, export: 8))
        wrong = SnapshotCursor(shard: 2, export: 8, keyspace: 1, range: 0, lastKey: [])
        #expect(ask(source, wrong, world, peer) == .snapshotRefused(shard: 2, export: 8))
        wrong = SnapshotCursor(shard: 9_999, export: 0, keyspace: 1, range: 0, lastKey: [])
        #expect(ask(source, wrong, world, peer) == .snapshotRefused(shard: 9_999, export: 0))
        source.stop()
        world.stop()
    }
}
