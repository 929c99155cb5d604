import ChatModel
import LSMTree
import RaftCore
import Replication
import ShardStore
import Simulation
import Testing

@testable import ChatNode

/// What a node gives to one that fetches a shard.
@Suite struct SnapshotSourceTests {
    private final class Peer: Sendable {
        let said = Box<[PeerFrame]>([])
    }

    private func source(
        _ world: SimulatedNode, _ node: ChatNode, _ peer: Peer, _ gate: Gate = Gate()
    ) -> SnapshotSource {
        SnapshotSource(
            shards: node.shards, clock: world.clock, lane: world.scheduler.lane("source"),
            firstExport: 7,
            pin: { shard, answer in
                gate.pass {
                    answer(node.store.position(of: shard).map { (node.store.tree.snapshot(), $0) })
                }
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
        // Those far off have no place among the keys at all.
        let strangers: [GroupID] = [17, 9_999, 49_150, 49_151, 60_000, 65_536, .max]
        for shard in strangers {
            wrong = SnapshotCursor(shard: shard, export: 8, keyspace: 1, range: 0, lastKey: [])
            #expect(ask(source, wrong, world, peer) == .snapshotRefused(shard: shard, export: 8))
        }
        for shard in strangers {
            #expect(
                ask(source, self.first(shard), world, peer)
                    == .snapshotRefused(shard: shard, export: 0))
        }
        source.stop()
        world.stop()
    }

    /// The first question for a shard.
    private func first(_ shard: GroupID) -> SnapshotCursor {
        SnapshotCursor(shard: shard, export: 0, keyspace: 1, range: 0, lastKey: [])
    }

    private func export(_ frame: PeerFrame?) -> UInt64? {
        if case .snapshotChunk(let chunk)? = frame { chunk.export } else { nil }
    }

    @Test("A repeated first question is answered from the same state, until more was asked of it")
    func repeated() throws {
        let world = SimulatedNode(seed: 4)
        #expect(world.boot())
        let (node, peer) = (try #require(world.node), Peer())
        let source = source(world, node, peer)
        #expect(export(ask(source, first(1), world, peer)) == 8)
        #expect(export(ask(source, first(1), world, peer)) == 8)
        var more = first(1)
        (more.export, more.keyspace) = (8, 2)
        #expect(export(ask(source, more, world, peer)) == 8)
        // Whoever knows the state and begins anew has forgotten it.
        #expect(export(ask(source, first(1), world, peer)) == 9)
        #expect(ask(source, more, world, peer) == .snapshotRefused(shard: 1, export: 8))
        #expect(export(ask(source, first(2), world, peer)) == 10)
        // Nor is it a repeated question when it comes much later.
        world.pass(.seconds(11))
        #expect(export(ask(source, first(2), world, peer)) == 11)
        source.stop()
        world.stop()
    }

    @Test("Of pins that come late only the one counts that is still wanted")
    func latePins() throws {
        let world = SimulatedNode(seed: 5)
        #expect(world.boot())
        let (node, peer, gate) = (try #require(world.node), Peer(), Gate())
        let source = source(world, node, peer, gate)
        gate.close()
        for shard in [1, 1, 2, 1, 1] as [GroupID] {
            source.ask(first(shard), from: 2)
            world.scheduler.runUntilIdle()
        }
        #expect(gate.waiting == 3 && peer.said.value.isEmpty)
        gate.open()
        world.scheduler.runUntilIdle()
        #expect(peer.said.value.count == 1 && export(peer.said.value.last) == 8)
        // The others hold no state: there is room for that of others.
        for node in 3...5 as ClosedRange<NodeNumber> { source.ask(first(1), from: node) }
        world.scheduler.runUntilIdle()
        #expect(peer.said.value.compactMap { export($0) } == [8, 9, 10, 11])
        source.ask(first(1), from: 6)
        world.scheduler.runUntilIdle()
        #expect(peer.said.value.last == .snapshotRefused(shard: 1, export: 0))
        source.stop()
        world.stop()
    }
}
