import ArgumentParser
import Bytes
import Foundation
import LSMTree
import Platform
import ShardStore
import Synchronization

/// The process that is killed: opens the store, shows all of it, then writes until it is no more.
struct Worker: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker", abstract: "The process that is killed.", shouldDisplay: false)

    /// Batches between looks at a snapshot.
    private static let snapshotInterval: UInt64 = 150

    // Other names than those of the program itself, which would take them.
    @Option(name: .customLong("store"))
    var directory: String
    @Option(name: .customLong("workload"))
    var seed: UInt64
    @Option(help: "Number of this process; never used twice on a store.")
    var life: UInt64
    @Option(help: "What the sizes of the store are drawn from.")
    var sizes: UInt64
    @Option(help: "The first batch to be written; none: show the rows and end.")
    var first: UInt64?
    @Option(help: "Batches after which a checkpoint is made.")
    var checkpointAfter: UInt64?
    @Option(help: "Show the checkpoint that an earlier life may have made.")
    var checkpoint: String?
    @Option(name: .customLong("tell"))
    var lie: Lie?

    func run() throws {
        let reporter = Reporter()
        reporter.say(.started)
        do {
            try work(reporter)
        } catch {
            reporter.refuse("\(error)")
        }
    }

    private func work(_ reporter: Reporter) throws {
        if let checkpoint, first == nil { return try show(checkpoint, reporter) }
        let (workload, lie) = (Workload(seed: seed), lie)
        let store = try WorkerStore(
            directory: directory, options: StoreSizes.draw(sizes), life: life, reporter: reporter,
            makeBatch: { number in
                let batch = workload.batch(number)
                return lie?.change(batch, number) ?? batch
            })
        let newest = store.awaitRecovery()
        do {
            try StoreReading(store.store.tree, seed: seed, horizon: newest).show(reporter, .store)
        } catch {
            // Here, not where it is caught otherwise: the lanes run on and need the store.
            reporter.refuse("\(error)")
        }
        guard let first else { return store.close() }
        write(from: first, store, reporter)
    }

    private func write(from first: UInt64, _ store: WorkerStore, _ reporter: Reporter) -> Never {
        let looker = Looker(store.store.tree, seed: seed, reporter)
        var number = first
        while true {
            store.submit(number)
            number += 1
            if number % Self.snapshotInterval == 0 { looker.lookAgain() }
            if let checkpointAfter, number == first + checkpointAfter, let checkpoint {
                store.drain()
                store.checkpoint(to: checkpoint) { looker.look(at: checkpoint, $0) }
            }
        }
    }

    /// Shows a checkpoint, if there is one.
    private func show(_ checkpoint: String, _ reporter: Reporter) throws {
        let isMade = FileManager.default.fileExists(atPath: checkpoint + "/tree/CURRENT")
        if isMade { try Looker.read(checkpoint, seed: seed).show(reporter, .checkpoint) }
    }
}

/// Reads beside the writing: snapshots that must not change, and checkpoints.
// `snapshot` and `looks` are confined to the lane.
final class Looker: @unchecked Sendable {
    private let tree: Tree
    private let seed: UInt64
    private let reporter: Reporter
    private let lane = ThreadScheduler().lane("looker")
    private let isLooking = Atomic<Bool>(false)
    private var snapshot: SnapshotRows?
    private var looks = 0

    /// All rows of a snapshot as they were when it was taken.
    private struct SnapshotRows {
        let snapshot: Snapshot
        let digest: UInt64
    }

    init(_ tree: Tree, seed: UInt64, _ reporter: Reporter) {
        self.tree = tree
        self.seed = seed
        self.reporter = reporter
    }

    /// Reads the snapshot again that was taken a while ago, unless that is under way.
    func lookAgain() {
        if isLooking.exchange(true, ordering: .acquiring) { return }
        lane.submit { [self] in
            defer { isLooking.store(false, ordering: .releasing) }
            do {
                try compare()
            } catch {
                reporter.refuse("\(error)")
            }
        }
    }

    private func compare() throws {
        if let old = snapshot, try Self.digest(old.snapshot) != old.digest {
            reporter.say(.problem("a snapshot changed while it was open"))
        }
        looks += 1
        if snapshot != nil, looks % 4 != 0 { return }
        let fresh = tree.snapshot()
        snapshot = SnapshotRows(snapshot: fresh, digest: try Self.digest(fresh))
    }

    private static func digest(_ snapshot: Snapshot) throws -> UInt64 {
        var digest: UInt64 = 0
        for options in Workload.keyspaces {
            let iterator = try snapshot.makeIterator(options.keyspace)
            try iterator.seekToFirst()
            while iterator.isValid {
                digest = Checksum.xxh3(iterator.key, seed: digest)
                digest = Checksum.xxh3(iterator.value, seed: digest)
                try iterator.next()
            }
        }
        return digest
    }

    /// Opens a checkpoint that was made and shows its rows.
    func look(at directory: String, _ result: Result<Checkpoint, TreeError>) {
        lane.submit { [self] in
            do {
                _ = try result.get()
                try Self.read(directory, seed: seed).show(reporter, .checkpoint)
            } catch {
                reporter.refuse("checkpoint: \(error)")
            }
        }
    }

    /// The rows of the store in a checkpoint.
    static func read(_ directory: String, seed: UInt64) throws -> StoreReading {
        let store = try ShardStore.open(
            fileSystem: LinuxFileSystem(), directory: directory, scheduler: ThreadScheduler(),
            options: StoreSizes.draw(0), shards: [WorkerStore.placement],
            isOwn: { _ in true }, isCheckpoint: true, completed: { _ in }, installed: { _ in },
            onTreeFailure: { _ in })
        defer { store.close() }
        // A tree that was just opened has no horizon.
        return try StoreReading(store.tree, seed: seed, horizon: 0)
    }
}

/// A promise that a worker breaks on purpose, so that it can be seen that it is found out.
enum Lie: String, ExpressibleByArgument, CaseIterable {
    /// An acknowledged batch is not written.
    case drop
    /// A keyspace of a batch is left out.
    case half
    /// Deleted rows stay.
    case undelete

    /// Batches in which it is told.
    private static let interval: UInt64 = 97

    func change(_ batch: WriteBatch, _ number: UInt64) -> WriteBatch {
        guard number % Self.interval == 0 || self == .undelete else { return batch }
        var other = WriteBatch()
        batch.forEach { row in
            switch (self, row.kind) {
            case (.drop, _), (.undelete, .delete): break
            case (.half, _) where row.keyspace == Workload.heads: break
            case (_, .put): other.put(row.keyspace, key: row.key, value: row.value)
            case (_, .delete): other.delete(row.keyspace, key: row.key)
            case (_, .rangeDelete):
                other.deleteRange(row.keyspace, from: row.key, to: row.value)
            }
        }
        return other
    }
}
