import ChatModel
import LSMTree
import RaftCore
import Replication
import ShardStore
import Simulation
import Testing

@testable import ChatNode

/// Snapshots that reach the apply lane, and what comes while they are installed.
@Suite struct ApplyInstallTests {
    private static let shard = FetchBench.shard

    /// Hands a state to the apply loop; what it answers.
    private func install(
        _ state: (ShardPosition, rows: [[UInt8]]), _ bench: FetchBench
    ) throws -> Bool? {
        let answer = Box<Bool?>(nil)
        let ingest = try bench.ingest(state.rows)
        bench.loop.take([.install(state.0, ingest) { taken in answer.change { $0 = taken } }])
        return answer.value
    }

    private func pin(_ bench: FetchBench) -> (Snapshot, ShardPosition)? {
        let answer = Box<(Snapshot, ShardPosition)?>(nil)
        bench.loop.take([.pin(Self.shard) { pinned in answer.change { $0 = pinned } }])
        return answer.value
    }

    /// An entry behind `position`, with one who waits for it.
    private func entry(
        behind position: ShardPosition, _ heard: Box<Int>
    ) -> ApplyLoop.Input {
        let batch = CommandBatch(stampMs: 1, commands: [])
        let entry = RaftCore.Entry(
            index: position.index + 1, term: position.term, kind: .command,
            payload: batch.encoded())
        let waiters = DecidedEntry.Waiters(
            offset: 0, answers: [{ _ in heard.change { $0 += 1 } }])
        return .decided([DecidedEntry(shard: Self.shard, entry: entry, waiters: [waiters])])
    }

    @Test("A second snapshot of a shard waits for the first, whose held entries are applied")
    func overlapping() throws {
        let bench = try FetchBench(seed: 51)
        bench.write(20)
        let first = try bench.state()
        bench.write(20)
        let second = try bench.state()
        #expect(first.0.index + 1 < second.0.index)
        let heard = Box(0)
        #expect(try install(first, bench) == true)
        bench.loop.take([entry(behind: first.0, heard)])
        let before = bench.loop.touches.take()
        #expect(before.isCut && before.installed.isEmpty)
        // Its rows are not there yet.
        #expect(try install(second, bench) == false)
        #expect(heard.value == 0 && bench.store.position(of: Self.shard)?.index == first.0.index)
        bench.sender.scheduler.runUntilIdle()
        #expect(heard.value == 1)
        let after = bench.loop.touches.take()
        #expect(after.installed == [Self.shard: first.0.index])
        #expect(after.applied[Int(Self.shard)] == first.0.index + 1)
        #expect(bench.store.position(of: Self.shard)?.index == first.0.index + 1)
        try bench.expectRows(of: bench.store, first.rows)
        #expect(try install(second, bench) == true)
        try bench.expectEqual()
        // One that comes late changes nothing.
        #expect(try install(first, bench) == true)
        try bench.expectEqual()
        bench.stop()
    }

    @Test("What is pinned are rows and the position that they stand for, or nothing")
    func pins() throws {
        let bench = try FetchBench(seed: 52)
        bench.write(20)
        #expect(pin(bench)?.1.index == 0)
        let state = try bench.state()
        #expect(try install(state, bench) == true)
        #expect(pin(bench) == nil)
        bench.sender.scheduler.runUntilIdle()
        let (snapshot, position) = try #require(pin(bench))
        #expect(position.index == state.0.index && position.hash == state.0.hash)
        let isEqual = try bench.rows(snapshot) == state.rows
        #expect(isEqual)
        bench.stop()
    }

    @Test("A snapshot counts as an erasure: hours later its tables are merged to the bottom")
    func erasure() throws {
        let bench = try FetchBench(seed: 53)
        bench.write(20)
        // What an earlier run may have erased is compacted first; then nothing is due.
        bench.sender.clock.advance(nanoseconds: NodeLimits.erasedMsMax * 1_000_000)
        bench.loop.take([.tick])
        #expect(try install(try bench.state(), bench) == true)
        bench.sender.scheduler.runUntilIdle()
        #expect(tables(bench).above > 0)
        bench.loop.take([.tick])
        bench.sender.scheduler.runUntilIdle()
        #expect(tables(bench).above > 0)
        _ = bench.loop.touches.take()
        bench.sender.clock.advance(nanoseconds: NodeLimits.erasedMsMax * 1_000_000)
        bench.loop.take([.tick])
        #expect(bench.loop.touches.take().isErasing, "the search index does the same")
        bench.sender.scheduler.runUntilIdle()
        let found = tables(bench)
        #expect(found.above == 0 && found.bottom > 0)
        bench.stop()
    }

    /// Tables of the entries on the last level, and on those above it.
    private func tables(_ bench: FetchBench) -> (above: Int, bottom: Int) {
        let levels = bench.store.tree.statistics.keyspaces[0].levels.map(\.tables)
        return (levels.dropLast().reduce(0, +), levels.last ?? 0)
    }
}
