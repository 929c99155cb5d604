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
        let first = try unlisted.look().all(queries, nowNs: 1)
        #expect(Set(first.conversations) == Set((1...100).map(Self.new)) && first.isComplete)
        #expect(try unlisted.look().all(queries, nowNs: 9_000_000_000).conversations.count == 100)
        // One of them has somebody new meanwhile.
        unlisted.note([Self.work(7, change: 1)])
        for seconds in 11...12 as ClosedRange<UInt64> {
            let left = try unlisted.look().all(queries, nowNs: seconds * 1_000_000_000)
            #expect(left.conversations == [Self.new(7)])
        }
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
        #expect(try unlisted.look().all(queries, nowNs: 1).conversations == [own])
        unlisted.note((1...4_096).map { Self.work($0, change: 1) })
        let many = try unlisted.look().all(queries, nowNs: 2_000_000_000)
        #expect(many.conversations.contains(own) && many.conversations.count <= 4_096)
        #expect(many.isComplete)
        let early = unlisted.look()
        unlisted.noteInstalled()
        let late = try early.all(queries, nowNs: 4_000_000_000)
        #expect(!late.isComplete, "what came as a snapshot after the look is not known yet")
        #expect(try unlisted.look().all(queries, nowNs: 6_000_000_000).isComplete)
        let other = UnlistedConversations()
        #expect(try other.look().all(queries, nowNs: 1).conversations == [own])
        other.noteInstalled()
        #expect(try other.look().all(queries, nowNs: 2_000_000_000).conversations == [own])
    }
}
