import Bytes
import ChatEngine
import ChatModel
import LSMTree
import Session
import ShardStore
import Simulation
import Testing

@testable import ChatNode

/// Conversations that feeds do not list yet.
@Suite("Unlisted conversations")
struct UnlistedConversationsTests {
    private static func new(_ number: UInt64) -> ConversationID {
        ConversationID(high: SplitMix64.mix(number), low: number)
    }

    private static func work(_ number: UInt64, change: UInt64) -> Event {
        .work(conversation: new(number), kind: .feeds, change: change)
    }

    @Test("New ones are known until their mark is gone and a while has passed, others never are")
    func grace() throws {
        let world = SimulatedNode(seed: 1)
        #expect(world.boot())
        let store = try #require(world.node?.store)
        let queries = ChatQueries(store.tree.snapshot())
        let unlisted = UnlistedConversations()
        unlisted.note((1...100).map { Self.work($0, change: 1) })
        unlisted.note((101...200).map { Self.work($0, change: 2) })
        let first = try unlisted.all(queries, nowNs: 1)
        #expect(Set(first.conversations) == Set((1...100).map(Self.new)) && first.isComplete)
        #expect(try unlisted.all(queries, nowNs: 9_000_000_000).conversations.count == 100)
        // One of them has somebody new meanwhile.
        unlisted.note([Self.work(7, change: 1)])
        #expect(try unlisted.all(queries, nowNs: 11_000_000_000).conversations == [Self.new(7)])
        #expect(try unlisted.all(queries, nowNs: 12_000_000_000).conversations == [Self.new(7)])
    }

    @Test("With too many the marks say which are left, as at first and after a snapshot")
    func scans() throws {
        let world = SimulatedNode(seed: 2)
        #expect(world.boot())
        let ann = try #require(world.register("ann"))
        let bob = try #require(world.register("bob"))
        #expect(world.send("hello", to: .user(bob.user), by: ann, cid: 1) != nil)
        let node = try #require(world.node)
        let own = Names.pair(ann.user, bob.user)
        let queries = ChatQueries(node.store.tree.snapshot())
        #expect(try queries.hasFeedWork(own), "the mark is still to be worked off")
        let unlisted = UnlistedConversations()
        #expect(try unlisted.all(queries, nowNs: 1).conversations == [own])
        unlisted.note((1...4_096).map { Self.work($0, change: 1) })
        let many = try unlisted.all(queries, nowNs: 2)
        #expect(many.conversations.contains(own) && many.conversations.count <= 4_096)
        let other = UnlistedConversations()
        #expect(try other.all(queries, nowNs: 1).conversations == [own])
        other.noteInstalled()
        #expect(try other.all(queries, nowNs: 2).conversations == [own])
    }
}
