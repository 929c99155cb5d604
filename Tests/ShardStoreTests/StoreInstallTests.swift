import Bytes
import LSMTree
import Platform
import RaftCore
import Replication
import Simulation
import Synchronization
import Testing

@testable import ShardStore

/// A shard's rows that come as a snapshot: with their position, or not at all.
@Suite struct StoreInstallTests {
    private static let shard: ShardID = 1
    private static let configuration = Configuration(voters: [12, 98, 99])
    /// Shard 1 follows somebody else; the others are alone.
    private static let shards = StoreNode.shards.map {
        $0.shard == shard
            ? ShardPlacement(shard: shard, replica: 12, configuration: configuration) : $0
    }
    private static let snapshot = ShardPosition(
        shard: shard, replica: 98, index: 40, term: 3, hash: 0xABCD, configuration: configuration)

    /// The rows of the snapshot.
    private static var snapshotRows: StoreModel {
        var model = StoreModel()
        for number in 500..<520 as Range<UInt64> {
            model.apply(Commands.batch(number, shard: shard))
        }
        return model
    }

    /// The rows of shard 1 after its log's entries up to an index, or after the snapshot.
    private static func rows(at index: LogIndex) -> StoreModel {
        var model = index < snapshot.index ? StoreModel() : snapshotRows
        let first = index < snapshot.index ? 1 : snapshot.index + 1
        for entry in first..<max(first, index + 1) {
            model.apply(Commands.batch(100 + entry, shard: shard))
        }
        return model
    }

    private static func node(_ disk: SimulatedFileSystem) throws -> StoreNode {
        try StoreNode(disk, seed: 9, shards: shards, hasPeers: true)
    }

    private static func append(
        after previous: LogIndex, _ previousTerm: Term, _ count: LogIndex, term: Term,
        commit: LogIndex
    ) -> Message {
        let entries = (1...count).map { offset in
            Entry(
                index: previous + offset, term: term, kind: .command,
                payload: Commands.payload(100 + previous + offset))
        }
        return Message(
            from: 98, to: 12, term: term,
            body: .append(
                previousIndex: previous, previousTerm: previousTerm, entries: entries,
                commit: commit))
    }

    private static func packed(_ rows: [[UInt8]: [UInt8]]) -> [UInt8] {
        var writer = ByteWriter()
        for key in rows.keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            writer.write(prefixed: key)
            writer.write(prefixed: rows[key] ?? [])
        }
        return writer.bytes
    }

    private static func ingest(_ store: ShardStore) throws -> TreeIngest {
        let ingest = try store.tree.beginIngest(
            ranges: [KeyRange(lower: [UInt8(shard)], upper: [UInt8(shard) + 1])])
        for (place, keyspace) in [Commands.first, Commands.second].enumerated() {
            try ingest.add(keyspace, packed: packed(snapshotRows.rows[place]))
        }
        try ingest.seal()
        return ingest
    }

    /// What a life of the script was told.
    private struct Life {
        /// The snapshot's rows are durable.
        var isInstalled = false
        /// Entries of shard 1 that were applied and those a cut has.
        var applied: LogIndex = 0
        var operations = 0
    }

    /// A follower with old rows, a cut behind some of them, and undecided entries gets a snapshot.
    private func play(_ disk: SimulatedFileSystem) throws -> Life {
        var life = Life()
        guard let node = try? Self.node(disk) else { return life }
        defer { node.machine.kill() }
        node.settle()
        for number in 1...6 as ClosedRange<UInt64> { _ = node.propose(0, number) }
        node.store.replicator.receive(
            Self.shard, Self.append(after: 0, 0, 12, term: 1, commit: 6))
        node.settle()
        node.store.cut()
        node.settle()
        node.store.replicator.receive(
            Self.shard, Self.append(after: 12, 1, 3, term: 1, commit: 9))
        node.settle()
        life.applied = node.store.position(of: Self.shard)?.index ?? 0
        guard !disk.isDown, let ingest = try? Self.ingest(node.store) else { return life }
        let done = Mutex(false)
        let isTaken = node.store.install(Self.snapshot, ingest) { done.withLock { $0 = true } }
        #expect(isTaken && node.store.position(of: Self.shard)?.index == 40)
        node.settle()
        life.isInstalled = done.withLock { $0 }
        guard life.isInstalled, !disk.isDown else { return life }
        #expect(
            node.store.replicator.install(
                Self.shard, index: 40, term: 3, configuration: Self.configuration))
        node.settle()
        node.store.replicator.receive(
            Self.shard, Self.append(after: 40, 3, 5, term: 3, commit: 43))
        node.settle()
        life.applied = node.store.position(of: Self.shard)?.index ?? 0
        return life
    }

    private func rows(_ node: StoreNode) throws -> StoreModel {
        var model = try StoreModel.read(node.store.tree)
        for place in model.rows.indices {
            model.rows[place] = model.rows[place].filter { $0.key.first == UInt8(Self.shard) }
        }
        return model
    }

    @Test("A power cut at any operation leaves old rows at the old position or new at the new one")
    func powerCuts() throws {
        let whole = SimulatedFileSystem(seed: 4)
        let end = try play(whole)
        #expect(end.isInstalled && end.applied == 43 && whole.operationCount > 40)
        var (old, new) = (0, 0)
        for index in 0..<whole.operationCount {
            let moment = CrashPlan.Moment.allCases[index % 3]
            let disk = SimulatedFileSystem(seed: 4)
            disk.plan(CrashPlan(index: index, moment: moment, seed: UInt64(index)))
            let life = try play(disk)
            disk.crash(seed: UInt64(index) &+ 1)
            disk.restart()
            let comment: Comment = "operation \(index), \(moment)"
            let node = try Self.node(disk)
            defer { node.machine.kill() }
            let position = try #require(node.store.position(of: Self.shard))
            // Before any replay: exactly what the position says.
            #expect(try rows(node) == Self.rows(at: position.index), comment)
            #expect(position.replica == 12, comment)
            let log = try #require(node.store.replicator.replica(of: Self.shard)).log
            #expect(log.baseIndex == position.index, comment)
            if position.index < 40 {
                old += 1
                #expect(!life.isInstalled && position.index <= 9, comment)
            } else {
                new += 1
                if position.index == 40 { #expect(position.hash == 0xABCD, comment) }
                #expect(log.lastIndex == position.index || log.lastTerm == 3, comment)
            }
            node.settle()
            #expect(node.logFailure == nil && node.treeFailures.isEmpty, comment)
        }
        #expect(old > 10 && new > 5, "\(old) with old rows, \(new) with new ones")
    }

    @Test("A snapshot that is not newer is not taken")
    func older() throws {
        let disk = SimulatedFileSystem(seed: 5)
        let node = try Self.node(disk)
        defer { node.machine.kill() }
        node.store.replicator.receive(
            Self.shard, Self.append(after: 0, 0, 45, term: 1, commit: 45))
        node.settle()
        #expect(node.store.position(of: Self.shard)?.index == 45)
        let before = try rows(node)
        let ingest = try Self.ingest(node.store)
        #expect(!node.store.install(Self.snapshot, ingest) {})
        ingest.abandon()
        node.settle()
        #expect(try rows(node) == before && before == Self.rows(at: 0).with(1...45, Self.shard))
        #expect(node.store.position(of: Self.shard)?.index == 45)
    }

    @Test("Tables of a former incarnation are a start for the present one, and for nobody else")
    func formerIncarnation() throws {
        let disk = SimulatedFileSystem(seed: 6)
        let node = try StoreNode(disk, seed: 1, tiny: false)
        node.settle()
        for number in 1...9 as ClosedRange<UInt64> {
            _ = node.propose(number % 3 == 0 ? 0 : 1, number)
        }
        node.settle()
        node.store.cut()
        node.settle()
        let positions = StoreNode.shards.map { node.store.position(of: $0.shard) }
        let rows = try StoreModel.read(node.store.tree)
        node.machine.kill()
        disk.kill()
        disk.restart()
        for path in disk.paths where path.hasPrefix("data/log/") {
            try disk.unlink(path)
        }
        let fresh = StoreNode.shards.map {
            ShardPlacement(
                shard: $0.shard, replica: $0.replica + 10, configuration: Configuration(voters: []))
        }
        let failure = #expect(throws: ShardStoreError.self) {
            try StoreNode(disk.copy(), seed: 2, tiny: false, shards: fresh, hasPeers: true)
        }
        #expect(failure?.description.contains("which this node is not") == true)
        let again = try StoreNode(
            disk, seed: 2, tiny: false, shards: fresh, hasPeers: true,
            isOwn: { (11...13).contains($0) })
        defer { again.machine.kill() }
        #expect(try StoreModel.read(again.store.tree) == rows)
        for (place, shard) in fresh.enumerated() {
            let position = try #require(again.store.position(of: shard.shard))
            #expect(position.replica == shard.replica)
            #expect(position.index == positions[place]?.index)
            #expect(position.hash == positions[place]?.hash)
            let status = try #require(again.store.replicator.status(of: shard.shard))
            #expect(status.replica == shard.replica && status.role != .leader)
            #expect(status.baseIndex == position.index)
        }
    }
}

extension StoreModel {
    /// The model after further entries of a shard.
    fileprivate func with(_ entries: ClosedRange<UInt64>, _ shard: ShardID) -> StoreModel {
        var model = self
        for entry in entries { model.apply(Commands.batch(100 + entry, shard: shard)) }
        return model
    }
}
