import Bytes
import ChatEngine
import ChatModel
import LSMTree
import Platform
import RaftCore
import Replication
import Session
import ShardStore
import Simulation
import Testing

@testable import ChatNode

/// A place where jobs wait while a test wants them to.
final class Gate: Sendable {
    private let state = Box<(isOpen: Bool, waiting: [@Sendable () -> Void])>((true, []))
    private let passed = Box(0)

    /// Jobs that came, those that wait included.
    var count: Int { passed.value }
    /// Jobs that wait.
    var waiting: Int { state.value.waiting.count }

    func pass(_ job: @escaping @Sendable () -> Void) {
        passed.change { $0 += 1 }
        if state.value.isOpen { return job() }
        state.change { $0.waiting.append(job) }
    }

    func close() { state.change { $0.isOpen = false } }

    func open() {
        let jobs = state.value.waiting
        state.change { $0 = (true, []) }
        for job in jobs { job() }
    }
}

/// A node that sends a shard, and the parts of a node that fetch and install one, with gates in
/// between: everything runs on the sender's scheduler.
final class FetchBench {
    /// What the parts said to each other.
    private struct Record {
        var asked: [SnapshotCursor] = []
        var said: [PeerFrame] = []
        var notices: [String] = []
        var failures: [String] = []
    }

    static let shard: GroupID = 1

    let sender: SimulatedNode
    let node: ChatNode
    let ann: Identity
    let bob: Identity
    let files: SimulatedFileSystem
    let store: ShardStore
    let loop: ApplyLoop
    let source: SnapshotSource
    let fetcher: SnapshotFetcher
    let pins = Gate()
    let answers = Gate()
    let installs = Gate()
    private let applyLane: any Lane
    private let record = Box(Record())
    private var sent: UInt64 = 0

    init(seed: UInt64) throws {
        let sender = SimulatedNode(seed: seed)
        sender.configure = { $0.dataShards = 1 }
        #expect(sender.boot(), "seed \(seed): \(sender.startFailure ?? "")")
        self.sender = sender
        let node = try #require(sender.node)
        self.node = node
        ann = try #require(sender.register("ann"))
        bob = try #require(sender.register("bob"))
        files = SimulatedFileSystem(seed: seed &+ 1)
        let (record, pins, answers, installs) = (record, pins, answers, installs)
        store = try Self.open(files, sender.scheduler)
        applyLane = sender.scheduler.lane("apply")
        let box = InputBox<ApplyLoop.Input>(limit: 1_000, lane: applyLane)
        loop = Self.loop(store, node.shards, sender.clock, box)
        box.open { [loop] in loop.take($0) }
        let receiver = Box<SnapshotFetcher?>(nil)
        let source = SnapshotSource(
            shards: node.shards, clock: sender.clock, lane: sender.scheduler.lane("source"),
            firstExport: 7,
            pin: { shard, answer in
                pins.pass { node.apply.putCompletion(.pin(shard, answer: answer)) }
            },
            send: { frame, _ in
                record.change { $0.said.append(frame) }
                answers.pass { receiver.value?.take(frame, from: 1) }
            },
            failed: { failure in record.change { $0.failures.append(failure.description) } })
        fetcher = SnapshotFetcher(
            store: store, shards: node.shards, clock: sender.clock,
            lane: sender.scheduler.lane("fetcher"),
            ask: { cursor, _ in
                record.change { $0.asked.append(cursor) }
                source.ask(cursor, from: 2)
            },
            install: { position, ingest, answer in
                installs.pass { box.putCompletion(.install(position, ingest, answer: answer)) }
            },
            notice: { text in record.change { $0.notices.append(text) } },
            failed: { failure in record.change { $0.failures.append(failure.description) } })
        self.source = source
        receiver.change { [fetcher] in $0 = fetcher }
    }

    private static func open(
        _ files: SimulatedFileSystem, _ scheduler: SimulatedScheduler
    ) throws -> ShardStore {
        var tree = TreeOptions(keyspaces: KeySchema.all)
        tree.memtableBytes = 64 << 10
        let options = ShardStoreOptions(tree: tree)
        return try ShardStore.open(
            fileSystem: files, directory: "/receiver", scheduler: scheduler, options: options,
            shards: [0, shard].map {
                ShardPlacement(
                    shard: $0, replica: 20 + UInt64($0),
                    configuration: Configuration(voters: [20 + UInt64($0)]))
            },
            completed: { _ in }, installed: { _ in }, onTreeFailure: { _ in })
    }

    private static func loop(
        _ store: ShardStore, _ shards: ShardMap, _ clock: SimulatedClock,
        _ box: InputBox<ApplyLoop.Input>
    ) -> ApplyLoop {
        ApplyLoop(
            store: store, shards: shards, leadership: Leadership(), tails: TailCache(),
            touches: SearchTouches(shards: 2), node: 2, limits: Limits(), clock: clock,
            meters: NodeMeters(),
            outlets: ApplyLoop.Outlets(
                applied: { _ in }, hasWork: { _ in }, writeLastSeen: { _ in },
                checkLastSeen: { _ in }, checkWatch: { _, _ in }, failed: { _ in },
                installed: { box.putCompletion(.resume($0.shard)) }, tellPresence: { _ in },
                tellMarks: { _ in }, verified: { _ in }, mapChanged: { _ in }, readMap: {}))
    }

    // MARK: What happens

    var asked: [SnapshotCursor] { record.value.asked }
    var said: [PeerFrame] { record.value.said }
    var notices: [String] { record.value.notices }
    var failures: [String] { record.value.failures }

    var isHere: Bool { notices.contains { $0.contains("is here") } }
    var hasGivenUp: Bool { notices.contains { $0.contains("offered again") } }

    /// Where the shard is on the sender.
    var position: ShardPosition? { node.store.position(of: Self.shard) }

    /// The leader's offer.
    func offer() { fetcher.want(Self.shard, from: 1, upTo: position?.index ?? 0) }

    func run(until condition: () -> Bool) { sender.run(until: condition) }

    /// Messages of `bytes` each, as text that does not repeat; then the sender has nothing to do.
    func write(_ count: Int, bytes: Int = 40) {
        var random = SplitMix64(seed: sender.seed &+ sent)
        for _ in 0..<count {
            sent += 1
            var text = ""
            while text.utf8.count < bytes { text += String(random.next(), radix: 36) }
            let isSent =
                sender.send(text, to: .user(bob.user), by: ann, cid: sent)?.isDuplicate == false
            #expect(isSent, "seed \(sender.seed): message \(sent)")
        }
        sender.pass(.seconds(3))
    }

    /// The sender's rows go into tables; with `andMerges` older tables become obsolete. No time
    /// passes.
    func cut(andMerges: Bool = false) {
        node.store.cut()
        sender.scheduler.runUntilIdle()
        if andMerges {
            for options in KeySchema.all {
                node.store.tree.requestCompaction(options.keyspace)
            }
            sender.scheduler.runUntilIdle()
        }
    }

    // MARK: What there is

    /// The tables' files on a disk.
    static func tables(_ files: SimulatedFileSystem) -> Set<String> {
        Set(files.paths.filter { $0.hasSuffix(".sst") })
    }

    /// Tables that a tree lists.
    static func listed(_ tree: Tree) -> Int {
        tree.statistics.keyspaces.reduce(0) { sum, keyspace in
            sum + keyspace.levels.reduce(0) { $0 + $1.tables }
        }
    }

    /// The shard's rows, packed, range after range in each keyspace.
    func rows(_ snapshot: Snapshot) throws -> [[UInt8]] {
        try KeySchema.all.flatMap { options in
            try SnapshotRanges.of(Self.shard, node.shards).map { range in
                try snapshot.rows(
                    options.keyspace, from: range.lower, to: range.upper, bytesMax: .max
                ).packed
            }
        }
    }

    /// What the sender has now.
    func state() throws -> (ShardPosition, rows: [[UInt8]]) {
        (try #require(position), try rows(node.store.tree.snapshot()))
    }

    /// A sender's state as a sealed ingest of the receiver.
    func ingest(_ rows: [[UInt8]]) throws -> TreeIngest {
        let ranges = SnapshotRanges.of(Self.shard, node.shards)
        let ingest = try store.tree.beginIngest(ranges: ranges)
        for (place, rows) in rows.enumerated() {
            try ingest.add(KeySchema.all[place / ranges.count].keyspace, packed: rows)
        }
        try ingest.seal()
        return ingest
    }

    /// The receiver has the sender's shard as it is now.
    func expectEqual() throws {
        sender.scheduler.runUntilIdle()
        let seed: Comment = "seed \(sender.seed)"
        try expectRows(of: store, try rows(node.store.tree.snapshot()))
        #expect(store.position(of: Self.shard)?.index == position?.index, seed)
        #expect(store.position(of: Self.shard)?.hash == position?.hash, seed)
    }

    func expectRows(of store: ShardStore, _ expected: [[UInt8]]) throws {
        let isEqual = try rows(store.tree.snapshot()) == expected
        #expect(isEqual, "seed \(sender.seed)")
        #expect(expected.reduce(0) { $0 + $1.count } > 1_000, "seed \(sender.seed): hardly a row")
    }

    /// Stops the receiver in a node's order: the fetcher, what is in the apply lane's box, the
    /// store. Opens its directory again.
    func restartReceiver() throws -> ShardStore {
        fetcher.stop()
        installs.open()
        applyLane.stop()
        store.close()
        return try Self.open(files, sender.scheduler)
    }

    func stop() {
        source.stop()
        fetcher.stop()
        sender.stop()
    }
}
