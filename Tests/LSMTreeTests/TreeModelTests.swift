import Bytes
import Simulation
import SortedTable
import Testing

@testable import LSMTree

/// The tree against its dumb twin, over random operations and random options.
@Suite struct TreeModelTests {
    @Test("a tree answers as a sorted dictionary does", arguments: 0..<(isLong ? 200 : 10))
    func answersAsModel(seed: Int) throws {
        var run = try ModelRun(seed: UInt64(seed))
        for _ in 0..<300 { try run.step() }
        try run.finish()
    }
}

/// One random run.
private struct ModelRun {
    var generator: SplitMix64
    let fileSystem: SimulatedFileSystem
    let scheduler: SimulatedScheduler
    let options: TreeOptions
    let failures = FailureBox()
    let seed: UInt64
    var tree: Tree
    var model = Model(3)
    var cutModels: [Model] = []
    var snapshots: [(Snapshot, Model)] = []
    var horizon: UInt64 = 0

    init(seed: UInt64) throws {
        self.seed = seed
        generator = SplitMix64(seed: seed)
        fileSystem = SimulatedFileSystem(seed: seed)
        scheduler = SimulatedScheduler(seed: seed)
        options = Harness.options(&generator)
        tree = try Harness.open(fileSystem, options, scheduler, failures: failures)
    }

    mutating func step() throws {
        switch generator.next() % 100 {
        case 0..<45: write()
        case 45..<55: try checkGets()
        case 55..<65: try checkWalk()
        case 65..<70: try checkScans()
        case 70..<75: snapshots.append((tree.snapshot(), model))
        case 75..<80: try checkSnapshot()
        case 80..<90: for _ in 0..<(generator.next() % 6) { scheduler.step() }
        case 90..<95: cut()
        case 95..<96:
            tree.requestCompaction(
                Harness.keyspaces[Int(generator.next() % 3)].keyspace,
                lower: Harness.key(&generator))
        case 96..<97:
            // Snapshots taken before may show rows that are expired by then; both sides filter.
            horizon += generator.next() % 100
            tree.expiryHorizon = horizon
        case 97..<98: try reopen()
        default: scheduler.runUntilIdle()
        }
    }

    mutating func write() {
        let batch = Harness.batch(&generator)
        tree.apply(batch)
        model.apply(batch)
        if tree.shouldCut { cut() }
    }

    mutating func cut() {
        guard tree.canCut else { return }
        tree.cut(state: Harness.state(cutModels.count)) { _ in }
        cutModels.append(model)
    }

    func checkGets() throws {
        var generator = generator
        let snapshot = tree.snapshot()
        for _ in 0..<10 {
            let place = Int(generator.next() % 3)
            let key = Harness.key(&generator)
            let found = try snapshot.get(Harness.keyspaces[place].keyspace, key: key)
            let expected = model.rows[place][key]
            let isExpired =
                place == Harness.expiringPlace
                && (expected.map { Row(key: key, value: $0).isExpired(horizon) } ?? false)
            if isExpired && found == nil { continue }
            #expect(found == expected, "seed \(seed), key \(Hex.encode(key))")
            let isThere = try snapshot.contains(Harness.keyspaces[place].keyspace, key: key)
            #expect(isThere == (found != nil), "seed \(seed)")
        }
    }

    /// Random moves inside random bounds, each compared with an index into the sorted rows.
    func checkWalk() throws {
        var generator = generator
        let place = Int(generator.next() % 2)
        var bounds = [Harness.key(&generator), Harness.key(&generator)]
        bounds.sort { $0.lexicographicallyPrecedes($1) }
        let upper = generator.next() % 3 == 0 ? nil : bounds[1]
        let rows = model.sorted(place, lower: bounds[0], upper: upper)
        let iterator = try tree.snapshot().makeIterator(
            Harness.keyspaces[place].keyspace, lower: bounds[0], upper: upper)
        var index = -1
        for move in 0..<30 {
            let choice = generator.next() % 12
            if choice < 4 || !iterator.isValid {
                let key = Harness.key(&generator)
                switch choice % 4 {
                case 0:
                    try iterator.seekToFirst()
                    index = rows.isEmpty ? -1 : 0
                case 1:
                    try iterator.seekToLast()
                    index = rows.count - 1
                case 2:
                    try iterator.seek(key)
                    index = rows.firstIndex { !$0.key.lexicographicallyPrecedes(key) } ?? -1
                default:
                    try iterator.seekForPrevious(key)
                    index = rows.lastIndex { !key.lexicographicallyPrecedes($0.key) } ?? -1
                }
            } else if choice < 8 {
                try iterator.next()
                index = index + 1 < rows.count ? index + 1 : -1
            } else {
                try iterator.previous()
                index -= 1
            }
            let found =
                iterator.isValid
                ? Row(key: [UInt8](iterator.key), value: [UInt8](iterator.value)) : nil
            let expected = index >= 0 ? rows[index] : nil
            #expect(found == expected, "seed \(seed), move \(move)")
        }
    }

    func checkScans() throws {
        let snapshot = tree.snapshot()
        for (place, options) in Harness.keyspaces.enumerated() {
            let expected = model.sorted(place, horizon: horizon)
            let forward = try Harness.rows(snapshot, options.keyspace, horizon: horizon)
            let backward = try Harness.rowsBackward(snapshot, options.keyspace, horizon: horizon)
            #expect(forward == expected, "seed \(seed), \(options.name)")
            #expect(backward == expected, "seed \(seed), \(options.name)")
        }
    }

    mutating func checkSnapshot() throws {
        guard !snapshots.isEmpty else { return }
        let index = Int(generator.next() % UInt64(snapshots.count))
        let (snapshot, then) = snapshots[index]
        let difference = try Harness.difference(snapshot, then, horizon: horizon)
        #expect(difference == nil, "seed \(seed), snapshot")
        if generator.next() % 2 == 0 { snapshots.remove(at: index) }
    }

    /// Without a crash: rows that no cut made durable are gone, as the owner's log has them.
    mutating func reopen() throws {
        tree.close()
        snapshots = []
        tree = try Harness.open(fileSystem, options, scheduler, failures: failures)
        tree.expiryHorizon = horizon
        model = tree.installedState.map { cutModels[Harness.number($0)] } ?? Model(3)
        try checkScans()
    }

    mutating func finish() throws {
        scheduler.runUntilIdle()
        #expect(tree.isQuiet, "seed \(seed)")
        try checkScans()
        for (snapshot, then) in snapshots {
            let difference = try Harness.difference(snapshot, then, horizon: horizon)
            #expect(difference == nil, "seed \(seed), snapshot at the end")
        }
        snapshots = []
        cut()
        scheduler.runUntilIdle()
        #expect(tree.installedState == cutModels.indices.last.map { Harness.state($0) })
        try checkScans()
        try reopen()
        scheduler.runUntilIdle()
        #expect(failures.all == [], "seed \(seed)")
        checkFiles()
    }

    /// With no snapshot open, the directory holds exactly what the manifest lists.
    func checkFiles() {
        let listed = tree.statistics.keyspaces.flatMap(\.levels).reduce(0) { $0 + $1.tables }
        let names = fileSystem.paths.filter { $0.contains("data/tree/") }
        #expect(names.filter { $0.hasSuffix(".sst") }.count == listed, "seed \(seed)")
        #expect(names.count == listed + 2, "seed \(seed): \(names)")
    }
}
