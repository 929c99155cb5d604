import ChatEngine
import LSMTree
import ShardStore
import Simulation
import Testing

@testable import ChatNode

/// A shard on its way from one node to another.
@Suite struct SnapshotFetcherTests {
    @Test("A fetched shard is the sender's, and a minute later nobody holds what it was read from")
    func fetch() throws {
        let bench = try FetchBench(seed: 31)
        bench.write(20)
        bench.cut()
        bench.offer()
        bench.run { bench.isHere }
        #expect(bench.isHere && !bench.hasGivenUp, "\(bench.notices)")
        try bench.expectEqual()
        let read = FetchBench.tables(bench.sender.files)
        bench.write(5)
        bench.cut(andMerges: true)
        let (files, tree) = (bench.sender.files, bench.node.store.tree)
        #expect(FetchBench.tables(files).isSuperset(of: read), "pinned for a repeated question")
        #expect(FetchBench.listed(tree) < FetchBench.tables(files).count)
        bench.sender.pass(.seconds(30))
        #expect(FetchBench.listed(tree) == FetchBench.tables(files).count)
        #expect(!FetchBench.tables(files).isSuperset(of: read))
        bench.stop()
    }

    @Test("A state whose receiver falls silent half-way is let go of after a minute")
    func silence() throws {
        let bench = try FetchBench(seed: 32)
        bench.write(20)
        bench.cut()
        bench.offer()
        bench.run { bench.said.count == 3 }
        bench.fetcher.stop()
        bench.write(5)
        bench.cut(andMerges: true)
        let (files, tree) = (bench.sender.files, bench.node.store.tree)
        bench.sender.pass(.seconds(50))
        bench.sender.scheduler.runUntilIdle()
        #expect(FetchBench.listed(tree) < FetchBench.tables(files).count)
        bench.sender.pass(.seconds(25))
        bench.sender.scheduler.runUntilIdle()
        #expect(FetchBench.listed(tree) == FetchBench.tables(files).count)
        #expect(FetchBench.tables(bench.files).isEmpty, "what had come is gone with the fetch")
        bench.stop()
    }

    @Test("A pin that takes longer than the receiver's patience is waited for")
    func slowPin() throws {
        let bench = try FetchBench(seed: 33)
        bench.write(20)
        bench.pins.close()
        bench.offer()
        bench.sender.pass(.seconds(7))
        #expect(bench.asked.count == 4 && bench.pins.count == 1)
        bench.pins.open()
        bench.run { bench.isHere || bench.hasGivenUp }
        #expect(bench.isHere && !bench.hasGivenUp, "\(bench.notices)")
        #expect(bench.pins.count == 1)
        try bench.expectEqual()
        bench.stop()
    }

    @Test("A first answer that is slow is not refused by its own retry, nor taken twice")
    func slowAnswer() throws {
        let bench = try FetchBench(seed: 34)
        // More than a chunk: the second answer to the first question could be taken for the next.
        bench.write(70, bytes: 12_000)
        bench.answers.close()
        bench.offer()
        bench.sender.pass(.seconds(5))
        #expect(bench.asked.count == 3 && bench.answers.waiting == 3)
        bench.answers.open()
        bench.run { bench.isHere || bench.hasGivenUp }
        #expect(bench.isHere && !bench.hasGivenUp, "\(bench.notices)")
        #expect(bench.pins.count == 1)
        try bench.expectEqual()
        bench.stop()
    }

    @Test("A late answer out of the middle of a former state is not the beginning of the next")
    func lateAnswer() throws {
        let bench = try FetchBench(seed: 35)
        bench.write(70, bytes: 12_000)
        bench.offer()
        bench.run { bench.said.count == 1 }
        bench.answers.close()
        bench.sender.pass(.seconds(15))
        #expect(bench.hasGivenUp)
        let late = try #require(bench.said.last)
        guard case .snapshotChunk(let chunk) = late else {
            Issue.record("no chunk")
            return
        }
        #expect(chunk.keyspace == KeySchema.all[0].keyspace.rawValue && chunk.range == 0)
        // The next first question is on its way; the late answer comes before its own.
        bench.offer()
        bench.run { bench.asked.last?.export == 0 }
        bench.answers.open()
        bench.run { bench.isHere }
        try bench.expectEqual()
        bench.stop()
    }

    @Test("A refusal that comes while the shard is being installed ends nothing")
    func lateRefusal() throws {
        let bench = try FetchBench(seed: 36)
        bench.write(20)
        bench.installs.close()
        bench.offer()
        bench.run { bench.installs.waiting == 1 }
        for export in 0...10 as ClosedRange<UInt64> {
            bench.fetcher.take(
                .snapshotRefused(shard: FetchBench.shard, export: export), from: 1)
        }
        bench.sender.pass(.seconds(30))
        #expect(!bench.hasGivenUp && !bench.isHere)
        bench.installs.open()
        bench.run { bench.isHere }
        try bench.expectEqual()
        bench.stop()
    }

    @Test("A refusal of another state than the one that was asked for is not heeded")
    func strayRefusal() throws {
        let bench = try FetchBench(seed: 37)
        bench.write(20)
        bench.answers.close()
        bench.offer()
        bench.run { bench.answers.waiting == 1 }
        bench.fetcher.take(.snapshotRefused(shard: FetchBench.shard, export: 5), from: 1)
        bench.answers.open()
        bench.run { bench.isHere || bench.hasGivenUp }
        #expect(bench.isHere && !bench.hasGivenUp, "\(bench.notices)")
        bench.fetcher.want(FetchBench.shard, from: 1, upTo: .max)
        bench.answers.close()
        bench.run { bench.answers.waiting == 1 }
        bench.fetcher.take(.snapshotRefused(shard: FetchBench.shard, export: 0), from: 1)
        bench.run { bench.hasGivenUp }
        #expect(bench.hasGivenUp, "its own refusal is")
        bench.stop()
    }

    @Test("A stop while an install waits for the apply lane leaves the new shard")
    func stopBeforeInstall() throws {
        let bench = try FetchBench(seed: 38)
        bench.write(20)
        bench.installs.close()
        bench.offer()
        bench.run { bench.installs.waiting == 1 }
        let rows = try bench.rows(bench.node.store.tree.snapshot())
        let again = try bench.restartReceiver()
        #expect(again.position(of: FetchBench.shard)?.index == bench.position?.index)
        #expect(again.position(of: FetchBench.shard)?.hash == bench.position?.hash)
        try bench.expectRows(of: again, rows)
        again.close()
        bench.source.stop()
        bench.sender.stop()
    }

    @Test("A stop while the tree takes no install leaves the shard as it was, and no files")
    func stopWhileRefused() throws {
        let bench = try FetchBench(seed: 39)
        bench.write(20)
        bench.installs.close()
        bench.offer()
        bench.run { bench.installs.waiting == 1 }
        #expect(!FetchBench.tables(bench.files).isEmpty)
        while bench.store.canInstall { bench.store.cut() }
        let again = try bench.restartReceiver()
        #expect(again.position(of: FetchBench.shard)?.index == 0)
        #expect(FetchBench.tables(bench.files).isEmpty)
        again.close()
        bench.source.stop()
        bench.sender.stop()
    }
}
