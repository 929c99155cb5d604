import Bytes
import Platform
import Simulation
import SortedTable

@testable import LSMTree

/// What the runs of a metamorphic test did, to show that it was something.
struct MetaCounts {
    var optionSets = 0
    var operations = 0
    var reads = 0
    var cuts: UInt64 = 0
    var merges: UInt64 = 0
    var ingests = 0
    var crashes = 0
    var restarts = 0
    /// Changes that a start took from the owner's log again.
    var replayed = 0
    var verifiedTables = 0

    func report() {
        Trust.report(optionSets, "option sets")
        Trust.report(operations, "metamorphic operations")
        Trust.report(reads, "metamorphic reads compared")
        Trust.report(crashes, "simulated crashes")
    }

    mutating func add(_ other: MetaCounts) {
        optionSets += other.optionSets
        operations += other.operations
        reads += other.reads
        cuts += other.cuts
        merges += other.merges
        ingests += other.ingests
        crashes += other.crashes
        restarts += other.restarts
        replayed += other.replayed
        verifiedTables += other.verifiedTables
    }
}

/// Carries out a metamorphic list on a tree and plays the owner: it keeps all changes, as a log
/// does, cuts when the tree wants it, and after a start does again what the cut does not have.
struct MetaRun {
    /// Why a run ended early.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private enum Change {
        case batch(WriteBatch)
        case ingest([KeyRange], Model, chunkBytes: Int)
    }

    private struct OpenIngest {
        let ingest: TreeIngest
        let ranges: [KeyRange]
        let rows: Model
        let chunkBytes: Int
    }

    private let setup: MetaOptions
    /// A bug to plant: range deletes of the given keyspace are dropped on the way to the tree.
    private let forgetsRangeDeletes: Bool
    private let fileSystem: SimulatedFileSystem
    private let scheduler: SimulatedScheduler
    private let failures = FailureBox()
    private var machine: SimulatedMachine
    private var tree: Tree
    private var life = 0
    private var changes: [Change] = []
    private var installed = InstalledBox()
    private var snapshots: [Snapshot?] = Array(repeating: nil, count: MetaOperation.slots)
    private var cursors: [MetaCursor?] = Array(repeating: nil, count: MetaOperation.slots)
    private var ingests: [OpenIngest?] = Array(repeating: nil, count: MetaOperation.slots)
    private var horizon: UInt64 = 0
    private(set) var counts = MetaCounts()

    init(_ setup: MetaOptions, forgetsRangeDeletes: Bool = false) throws {
        self.setup = setup
        self.forgetsRangeDeletes = forgetsRangeDeletes
        fileSystem = SimulatedFileSystem(seed: setup.seed)
        scheduler = SimulatedScheduler(seed: setup.seed)
        machine = scheduler.group()
        tree = try Harness.open(
            fileSystem, setup.options(life: 0), machine, failures: failures)
        counts.optionSets = 1
    }

    // MARK: Operations

    mutating func perform(_ operation: MetaOperation) throws -> MetaObservation {
        counts.operations += 1
        switch operation {
        case .batch(let batch): try write(batch)
        case .get(let view, let keyspace, let key): return try get(view, keyspace, key)
        case .scan(let place, let isReversed, let limit):
            return try scan(place, isReversed: isReversed, limit: limit)
        case .page(let place, let bytesMax): return try page(place, bytesMax: bytesMax)
        case .takeSnapshot(let slot): snapshots[slot] = tree.snapshot()
        case .dropSnapshot(let slot): snapshots[slot] = nil
        case .openCursor(let slot, let place): cursors[slot] = try cursor(place)
        case .moveCursor(let slot, let moves):
            guard let cursor = cursors[slot] else { return .nothing }
            counts.reads += moves.count
            return .moves(try moves.map { try cursor.move($0, horizon: horizon) })
        case .openIngest(let slot, let ranges, let rows, let chunkBytes):
            if ingests.allSatisfy({ $0 == nil }) {
                ingests[slot] = try fill(ranges, rows, chunkBytes: chunkBytes)
            }
        case .installIngest(let slot):
            if let ingest = ingests[slot] {
                ingests[slot] = nil
                changes.append(
                    .ingest(ingest.ranges, ingest.rows, chunkBytes: ingest.chunkBytes))
                try install(ingest, position: changes.count)
            }
        case .abandonIngest(let slot):
            ingests[slot]?.ingest.abandon()
            ingests[slot] = nil
        case .cut: try cut(position: changes.count)
        case .steps(let count): for _ in 0..<count { scheduler.step() }
        case .settle: scheduler.runUntilIdle()
        case .compact(let keyspace, let lower, let upper):
            tree.requestCompaction(
                Harness.keyspaces[keyspace].keyspace, lower: lower, upper: upper)
        case .raiseHorizon(let step):
            horizon += step
            tree.expiryHorizon = horizon
        case .restart(let isFlushing): try restart(isFlushing: isFlushing)
        case .crash(let ahead, let moment, let seed, let again, let batches):
            let plan = CrashPlan(
                index: fileSystem.operationCount + ahead, moment: moment, seed: seed)
            try crash(plan, again: again, batches)
        }
        if let failure = failures.all.first { throw Failure(description: "tree: \(failure)") }
        return .nothing
    }

    /// All of it once more at the end, table by table.
    mutating func finish() throws {
        scheduler.runUntilIdle()
        guard tree.isQuiet else { throw Failure(description: "work goes on for ever") }
        forgetSlots()
        try cut(position: changes.count)
        scheduler.runUntilIdle()
        countWork()
        let listed = tree.statistics.keyspaces.flatMap(\.levels).reduce(0) { $0 + $1.tables }
        tree.close()
        let names = fileSystem.paths.filter { $0.hasSuffix(TableName.ending) }
        guard names.count == listed else {
            throw Failure(description: "\(listed) tables are listed, \(names.count) are there")
        }
        for path in names {
            let name = path.split(separator: "/").last ?? ""
            let reader = try TableReader.open(
                file: try fileSystem.open(path, .read), fileID: TableName.fileID(name) ?? 0,
                cache: BlockCache(budgetBytes: 0))
            try reader.verify()
            counts.verifiedTables += 1
        }
    }

    // MARK: Reads

    private func seen(_ view: Int?) -> Snapshot? {
        guard let view else { return tree.snapshot() }
        return snapshots[view]
    }

    private mutating func get(
        _ view: Int?, _ keyspace: Int, _ key: [UInt8]
    ) throws -> MetaObservation {
        guard let seen = seen(view) else { return .nothing }
        counts.reads += 1
        let number = Harness.keyspaces[keyspace].keyspace
        let value = try seen.get(number, key: key)
        guard try seen.contains(number, key: key) == (value != nil) else {
            throw Failure(description: "contains and get differ on \(Hex.encode(key))")
        }
        let isExpired =
            keyspace == Harness.expiringPlace
            && (value.map { Row(key: key, value: $0).isExpired(horizon) } ?? false)
        return .value(isExpired ? nil : value)
    }

    private func cursor(_ place: MetaOperation.Place) throws -> MetaCursor? {
        guard let seen = seen(place.view) else { return nil }
        let iterator = try seen.makeIterator(
            Harness.keyspaces[place.keyspace].keyspace, lower: place.lower, upper: place.upper)
        return MetaCursor(iterator, isExpiring: place.keyspace == Harness.expiringPlace)
    }

    private mutating func scan(
        _ place: MetaOperation.Place, isReversed: Bool, limit: Int
    ) throws -> MetaObservation {
        guard let cursor = try cursor(place) else { return .nothing }
        counts.reads += 1
        var rows: [Row] = []
        var row = try cursor.move(isReversed ? .last : .first, horizon: horizon)
        while let found = row, rows.count < limit {
            rows.append(found)
            row = try cursor.move(isReversed ? .previous : .next, horizon: horizon)
        }
        return .rows(rows)
    }

    private mutating func page(
        _ place: MetaOperation.Place, bytesMax: Int
    ) throws -> MetaObservation {
        guard let seen = seen(place.view) else { return .nothing }
        counts.reads += 1
        var rows: [Row] = []
        var lower: [UInt8]? = place.lower
        while let from = lower {
            let chunk = try seen.rows(
                Harness.keyspaces[place.keyspace].keyspace, from: from,
                to: place.upper ?? [UInt8](repeating: 0xFF, count: 8), bytesMax: bytesMax)
            try chunk.packed.withUnsafeBytes { raw in
                var reader = PackedRowReader(raw)
                while let row = try reader.next() {
                    rows.append(Row(key: [UInt8](row.key), value: [UInt8](row.value)))
                }
            }
            lower = chunk.next
        }
        let isExpiring = place.keyspace == Harness.expiringPlace
        return .rows(rows.filter { !(isExpiring && $0.isExpired(horizon)) })
    }

    // MARK: Changes

    private mutating func write(_ batch: WriteBatch) throws {
        changes.append(.batch(batch))
        try apply(batch, position: changes.count)
    }

    private mutating func apply(_ batch: WriteBatch, position: Int) throws {
        tree.apply(forgetsRangeDeletes ? Self.withoutRangeDeletes(batch) : batch)
        if tree.shouldCut { try cut(position: position) }
    }

    private static func withoutRangeDeletes(_ batch: WriteBatch) -> WriteBatch {
        var rest = WriteBatch()
        batch.forEach { row in
            switch row.kind {
            case .put: rest.put(row.keyspace, key: row.key, value: row.value)
            case .delete: rest.delete(row.keyspace, key: row.key)
            case .rangeDelete: break
            }
        }
        return rest
    }

    /// Has the background work until the tree takes a cut; false when the power went.
    private func waitUntilReady() throws -> Bool {
        while !tree.canCut, !fileSystem.isDown {
            guard scheduler.step() else { throw Failure(description: "no cut is ever taken") }
        }
        return !fileSystem.isDown
    }

    private mutating func cut(position: Int) throws {
        guard try waitUntilReady() else { return }
        tree.cut(state: Harness.state(position)) { [installed] in installed.add($0) }
    }

    private func fill(
        _ ranges: [KeyRange], _ rows: Model, chunkBytes: Int
    ) throws -> OpenIngest {
        let ingest = try tree.beginIngest(ranges: ranges)
        for (place, keyspace) in Harness.keyspaces.enumerated() {
            for chunk in rows.chunks(place, bytes: chunkBytes) {
                try ingest.add(keyspace.keyspace, packed: chunk)
                scheduler.step()
            }
        }
        try ingest.seal()
        return OpenIngest(ingest: ingest, ranges: ranges, rows: rows, chunkBytes: chunkBytes)
    }

    private mutating func install(_ open: OpenIngest, position: Int) throws {
        guard try waitUntilReady() else { return }
        counts.ingests += 1
        let state = Harness.state(position)
        tree.install(
            open.ingest, state: state, memtableState: Harness.state(position - 1)
        ) { [installed] in installed.add($0) }
        while !installed.all.contains(state), !fileSystem.isDown {
            guard scheduler.step() else { throw Failure(description: "an ingest never came") }
        }
    }

    // MARK: Ends of lives

    private mutating func forgetSlots() {
        for slot in 0..<MetaOperation.slots {
            snapshots[slot] = nil
            cursors[slot] = nil
            ingests[slot] = nil
        }
    }

    private mutating func countWork() {
        counts.cuts += tree.statistics.counters.cuts
        counts.merges += tree.statistics.counters.merges
    }

    private mutating func restart(isFlushing: Bool) throws {
        forgetSlots()
        countWork()
        tree.close(isFlushing: isFlushing)
        machine.kill()
        counts.restarts += 1
        try start(again: nil, seed: 0)
    }

    private mutating func crash(
        _ plan: CrashPlan, again: Int?, _ batches: [WriteBatch]
    ) throws {
        fileSystem.plan(plan)
        for batch in batches {
            changes.append(.batch(batch))
            if fileSystem.isDown { continue }
            try apply(batch, position: changes.count)
            scheduler.step()
        }
        if !fileSystem.isDown { try cut(position: changes.count) }
        scheduler.runUntilIdle()
        if !fileSystem.isDown { fileSystem.crash(seed: plan.seed) }
        countWork()
        // While the disk is down: what the old life lets go of removes no file.
        forgetSlots()
        machine.kill()
        failures.clear()
        counts.crashes += 1
        fileSystem.restart()
        try start(again: again, seed: plan.seed)
    }

    /// A start, with a second power cut in it when one is planned, and then all that the newest cut
    /// does not have.
    private mutating func start(again: Int?, seed: UInt64) throws {
        life += 1
        installed = InstalledBox()
        if let again {
            fileSystem.plan(
                CrashPlan(
                    index: fileSystem.operationCount + again, moment: .during, seed: seed &+ 1))
            machine = scheduler.group()
            let half = try? Harness.open(
                fileSystem, setup.options(life: life), machine, failures: failures)
            scheduler.runUntilIdle()
            if !fileSystem.isDown { fileSystem.crash(seed: seed &+ 2) }
            half?.close()
            machine.kill()
            failures.clear()
            counts.crashes += 1
            fileSystem.restart()
        }
        machine = scheduler.group()
        tree = try Harness.open(
            fileSystem, setup.options(life: life), machine, failures: failures)
        tree.expiryHorizon = horizon
        let first = tree.installedState.map { Harness.number($0) } ?? 0
        guard first <= changes.count else { throw Failure(description: "a cut of the future") }
        for index in first..<changes.count {
            counts.replayed += 1
            switch changes[index] {
            case .batch(let batch): try apply(batch, position: index + 1)
            case .ingest(let ranges, let rows, let chunkBytes):
                try install(
                    try fill(ranges, rows, chunkBytes: chunkBytes), position: index + 1)
            }
        }
    }
}

/// An iterator that hides what is expired, as an owner does.
final class MetaCursor {
    private let iterator: TreeIterator
    private let isExpiring: Bool

    init(_ iterator: TreeIterator, isExpiring: Bool) {
        self.iterator = iterator
        self.isExpiring = isExpiring
    }

    /// The row it stands on after a move; nil: none, and a step from nowhere leads nowhere.
    func move(_ move: MetaOperation.Move, horizon: UInt64) throws -> Row? {
        var isForward = true
        switch move {
        case .first: try iterator.seekToFirst()
        case .seek(let key): try iterator.seek(key)
        case .next:
            guard iterator.isValid else { return nil }
            try iterator.next()
        case .last:
            isForward = false
            try iterator.seekToLast()
        case .seekForPrevious(let key):
            isForward = false
            try iterator.seekForPrevious(key)
        case .previous:
            guard iterator.isValid else { return nil }
            isForward = false
            try iterator.previous()
        }
        while iterator.isValid {
            let row = Row(key: [UInt8](iterator.key), value: [UInt8](iterator.value))
            if !isExpiring || !row.isExpired(horizon) { return row }
            if isForward { try iterator.next() } else { try iterator.previous() }
        }
        return nil
    }
}
