import Bytes
import LSMTree
import Platform
import RaftCore
import RecordLog
import Replication
import Simulation
import Synchronization

@testable import ShardStore

/// The rows that a command stands for: a pure function of the command's number and shard, over two
/// keyspaces, each shard under its own first byte.
enum Commands {
    static let first = Keyspace(rawValue: 1)
    static let second = Keyspace(rawValue: 2)
    static let keyspaces = [
        KeyspaceOptions(first, name: "first"), KeyspaceOptions(second, name: "second"),
    ]

    /// The number, and padding that lets the log fill its segments.
    static func payload(_ number: UInt64) -> [UInt8] {
        bytes(number) + [UInt8](repeating: 0x55, count: Int(SplitMix64.mix(number) % 400))
    }

    static func number(_ payload: [UInt8]) -> UInt64 {
        payload.prefix(8).reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    private static func bytes(_ number: UInt64) -> [UInt8] {
        withUnsafeBytes(of: number.littleEndian) { [UInt8]($0) }
    }

    static func batch(_ number: UInt64, shard: ShardID) -> WriteBatch {
        var generator = SplitMix64(seed: number)
        var batch = WriteBatch()
        for keyspace in [first, second] {
            // A row that tells which command came last, so that prefixes differ.
            batch.put(keyspace, key: [UInt8(shard), 0xFF], value: bytes(number))
            for _ in 0..<(1 + generator.next() % 3) {
                let key = [UInt8(shard), UInt8(generator.next() % 20)]
                switch generator.next() % 8 {
                case 0: batch.delete(keyspace, key: key)
                case 1:
                    let end = [UInt8(shard), UInt8(generator.next() % 20)]
                    batch.deleteRange(keyspace, from: key, to: end)
                default:
                    let count = Int(generator.next() % 30)
                    let tail = [UInt8](repeating: 7, count: count)
                    batch.put(keyspace, key: key, value: bytes(number) + tail)
                }
            }
        }
        return batch
    }
}

/// All rows of both keyspaces, as the dumb twin keeps them.
struct StoreModel: Equatable {
    var rows: [[[UInt8]: [UInt8]]] = [[:], [:]]

    mutating func apply(_ batch: WriteBatch) {
        batch.forEach { row in
            let place = Int(row.keyspace.rawValue) - 1
            let key = [UInt8](row.key)
            let value = [UInt8](row.value)
            switch row.kind {
            case .put: rows[place][key] = value
            case .delete: rows[place][key] = nil
            case .rangeDelete:
                rows[place] = rows[place].filter {
                    $0.key.lexicographicallyPrecedes(key)
                        || !$0.key.lexicographicallyPrecedes(value)
                }
            }
        }
    }

    /// What a tree holds.
    static func read(_ tree: Tree) throws -> StoreModel {
        var model = StoreModel()
        let snapshot = tree.snapshot()
        for (place, keyspace) in [Commands.first, Commands.second].enumerated() {
            let iterator = try snapshot.makeIterator(keyspace)
            try iterator.seekToFirst()
            while iterator.isValid {
                model.rows[place][[UInt8](iterator.key)] = [UInt8](iterator.value)
                try iterator.next()
            }
        }
        return model
    }
}

/// A node of one: a store on a simulated disk, its owner's lanes played by the test.
final class StoreNode {
    private final class Mail: Sendable {
        struct Content {
            var completions: [LogCompletion] = []
            var installed: [InstalledCut] = []
            var failures: [TreeError] = []
        }
        let content = Mutex(Content())
    }

    static let shards: [ShardPlacement] = [(0, 11), (1, 12), (2, 13)].map {
        ShardPlacement(
            shard: $0.0, replica: $0.1, configuration: Configuration(voters: [$0.1]))
    }

    let store: ShardStore
    let scheduler: SimulatedScheduler
    let machine: SimulatedMachine
    private let mail = Mail()
    /// Called for every decided entry before it is applied.
    var onCommitted: (CommittedEntry) -> Void = { _ in }
    private(set) var installed: [InstalledCut] = []
    private(set) var treeFailures: [TreeError] = []
    private(set) var logFailure: LogError?
    var nowMs: UInt64 = 0
    /// The rows of a command.
    var makeBatch: (UInt64, ShardID) -> WriteBatch = { Commands.batch($0, shard: $1) }
    /// Commands that erase something.
    var erasing: Set<UInt64> = []

    init(
        _ disk: SimulatedFileSystem, seed: UInt64, tiny: Bool = true,
        segmentBytes: Int? = nil, shards: [ShardPlacement] = StoreNode.shards,
        hasPeers: Bool = false,
        isOwn: (ReplicaID) -> Bool = { _ in false }
    ) throws(ShardStoreError) {
        scheduler = SimulatedScheduler(seed: seed)
        machine = scheduler.group()
        var tree = TreeOptions(keyspaces: Commands.keyspaces)
        if tiny {
            tree.memtableBytes = 1500
            tree.blockBytes = 128
            tree.tableBytes = 800
            tree.levelZeroTables = 2
            tree.levelBaseBytes = 1500
            tree.manifestBytes = 2000
        }
        var options = ShardStoreOptions(tree: tree)
        options.replication.log = SegmentLogOptions(
            segmentBytes: segmentBytes ?? (tiny ? 4096 : 1 << 20))
        options.replication.raft.cacheBytesMax = 0
        options.replication.pinnedSegmentsMax = 1
        options.replication.hasPeers = hasPeers
        options.logBytesMax = tiny ? 2500 : 1 << 20
        options.dirtyMsMax = 1000
        let mail = mail
        store = try ShardStore.open(
            fileSystem: disk, directory: "/data", scheduler: machine, options: options,
            shards: shards, isOwn: isOwn,
            completed: { done in mail.content.withLock { $0.completions.append(done) } },
            installed: { cut in mail.content.withLock { $0.installed.append(cut) } },
            onTreeFailure: { error in mail.content.withLock { $0.failures.append(error) } })
    }

    func propose(_ shard: ShardID, _ number: UInt64) -> Bool {
        let result = store.replicator.propose(group: shard, payload: Commands.payload(number))
        if case .accepted = result { return true }
        return false
    }

    /// One turn of both owner lanes.
    func turn() {
        let content = mail.content.withLock { content in
            defer { content = Mail.Content() }
            return content
        }
        for completion in content.completions { store.replicator.completed(completion) }
        for cut in content.installed {
            installed.append(cut)
            store.release(cut)
        }
        treeFailures += content.failures
        var output: ReplicatorOutput
        repeat {
            output = store.replicator.drain()
            if let failure = output.failure { logFailure = failure }
            for committed in output.committed { apply(committed) }
        } while output.hasMore
        store.cutIfNeeded(nowMs: nowMs)
    }

    private func apply(_ committed: CommittedEntry) {
        onCommitted(committed)
        let entry = committed.entry
        let batch =
            entry.kind == .command
            ? makeBatch(Commands.number(entry.payload), committed.group) : WriteBatch()
        store.apply(
            shard: committed.group, index: entry.index, term: entry.term,
            payloadBytes: entry.payload.count, batch,
            isErasing: entry.kind == .command && erasing.contains(Commands.number(entry.payload)))
        store.replicator.applied(group: committed.group, through: entry.index)
    }

    /// Turns and background work until nothing moves.
    func settle() {
        for _ in 0..<1000 {
            turn()
            scheduler.runUntilIdle()
            if mail.content.withLock({ $0.completions.isEmpty && $0.installed.isEmpty }) { break }
        }
        turn()
    }
}
