import Bytes
import Platform
import Simulation
import SortedTable
import Testing

@testable import LSMTree

/// Key ranges whose content is replaced as a whole.
@Suite struct TreeIngestTests {
    @Test(
        "a tree with ingests answers as a dictionary does after every step",
        arguments: 0..<(isLong ? 600 : 30))
    func answersAsModel(seed: Int) throws {
        let fileSystem = SimulatedFileSystem(seed: UInt64(seed))
        var run = try IngestRun(
            seed: UInt64(seed), fileSystem, small: seed % 2 == 0)
        var snapshots: [(Snapshot, Model)] = []
        for index in 0..<400 {
            run.step()
            let model = run.visible()
            let difference = try Harness.difference(run.tree.snapshot(), model)
            try #require(difference == nil, "seed \(seed), step \(index)")
            try checkGets(run, model, "seed \(seed), step \(index)")
            if index % 16 == 0 { snapshots.append((run.tree.snapshot(), model)) }
            if index % 150 == 149 {
                try check(&snapshots, seed)
                try run.reopen()
            }
        }
        try check(&snapshots, seed)
        run.scheduler.runUntilIdle()
        run.open?.ingest.abandon()
        run.cut()
        run.scheduler.runUntilIdle()
        #expect(try Harness.difference(run.tree.snapshot(), run.visible()) == nil, "seed \(seed)")
        try run.reopen()
        run.scheduler.runUntilIdle()
        #expect(try Harness.difference(run.tree.snapshot(), run.visible()) == nil, "seed \(seed)")
        #expect(run.failures.all == [], "seed \(seed)")
        #expect(run.ingestErrors == [], "seed \(seed)")
        #expect(run.installs > 3, "seed \(seed)")
        checkFiles(run)
    }

    /// Point reads stop at the first hit, so they depend on the order of the tables.
    private func checkGets(_ run: IngestRun, _ model: Model, _ comment: String) throws {
        let snapshot = run.tree.snapshot()
        var generator = run.generator
        for _ in 0..<8 {
            let place = Int(generator.next() % 3)
            let key = Harness.key(&generator)
            let found = try snapshot.get(Harness.keyspaces[place].keyspace, key: key)
            #expect(found == model.rows[place][key], "\(comment), key \(Hex.encode(key))")
        }
    }

    private func check(_ snapshots: inout [(Snapshot, Model)], _ seed: Int) throws {
        for (snapshot, then) in snapshots {
            let difference = try Harness.difference(snapshot, then)
            #expect(difference == nil, "seed \(seed), old snapshot")
        }
        snapshots = []
    }

    /// Nothing is left of ingests that were dropped.
    private func checkFiles(_ run: IngestRun) {
        let listed = run.tree.statistics.keyspaces.flatMap(\.levels).reduce(0) { $0 + $1.tables }
        let names = run.fileSystem.paths.filter { $0.hasSuffix(".sst") }
        #expect(names.count == listed, "seed \(run.seed)")
    }

    @Test("what one tree exports another takes in", arguments: 0..<(isLong ? 100 : 12))
    func roundTrip(seed: Int) throws {
        var generator = SplitMix64(seed: UInt64(seed) &+ 1000)
        let source = try filled(&generator)
        let target = try filled(&generator)
        source.tree.expiryHorizon = generator.next() % 500
        source.scheduler.runUntilIdle()
        let ranges = Harness.ranges(&generator)
        let ingest = try target.tree.beginIngest(ranges: ranges)
        let snapshot = source.tree.snapshot()
        // Written later, so not part of what is exported.
        source.tree.apply(Harness.batch(&generator))
        // Overlapping ranges are one; chunks come range by range, ascending.
        let joined = RangeTombstoneSet(
            ranges.map { RangeTombstone(lower: $0.lower, upper: $0.upper, sequence: 1) })
        var expected = target.model
        expected.replace(ranges, with: Model(3))
        for (place, options) in Harness.keyspaces.enumerated() {
            for range in joined.newestTombstones {
                let exported = try export(
                    snapshot, options.keyspace, range, bytesMax: Int(generator.next() % 300)
                ) { try ingest.add(options.keyspace, packed: $0) }
                let rows = try Harness.rows(
                    snapshot, options.keyspace, lower: range.lower, upper: range.upper)
                #expect(exported == rows, "seed \(seed)")
                for row in rows { expected.rows[place][row.key] = row.value }
            }
        }
        try ingest.seal()
        while !target.tree.canCut { target.scheduler.step() }
        target.tree.install(ingest, state: [9], memtableState: [8]) { _ in }
        #expect(try Harness.difference(target.tree.snapshot(), target.model) == nil)
        target.scheduler.runUntilIdle()
        #expect(target.tree.installedState == [9])
        let difference = try Harness.difference(target.tree.snapshot(), expected)
        #expect(difference == nil, "seed \(seed)")
    }

    private func filled(
        _ generator: inout SplitMix64
    ) throws -> (tree: Tree, scheduler: SimulatedScheduler, model: Model) {
        let scheduler = SimulatedScheduler(seed: generator.next())
        let options = Harness.options(&generator)
        let tree = try Harness.open(
            SimulatedFileSystem(seed: generator.next()), options, scheduler)
        var model = Model(3)
        for _ in 0..<120 {
            let batch = Harness.batch(&generator)
            tree.apply(batch)
            model.apply(batch)
            if tree.shouldCut, tree.canCut { tree.cut(state: [1]) { _ in } }
            scheduler.step()
        }
        return (tree, scheduler, model)
    }

    /// All rows of a range, chunk by chunk.
    private func export(
        _ snapshot: Snapshot, _ keyspace: Keyspace, _ range: RangeTombstone, bytesMax: Int,
        _ take: ([UInt8]) throws -> Void
    ) throws -> [Row] {
        var rows: [Row] = []
        var lower = range.lower
        while true {
            let chunk = try snapshot.rows(
                keyspace, from: lower, to: range.upper, bytesMax: bytesMax)
            let own = try unpack(chunk.packed)
            #expect(own.count == chunk.count)
            #expect(own.last?.key == chunk.lastKey)
            #expect(chunk.count <= 1 || chunk.packed.count <= bytesMax)
            #expect(chunk.count > 0 || chunk.isFinished)
            rows += own
            try take(chunk.packed)
            guard let next = chunk.next else { return rows }
            lower = next
        }
    }

    private func unpack(_ packed: [UInt8]) throws -> [Row] {
        try packed.withUnsafeBytes { raw in
            var rows: [Row] = []
            var reader = PackedRowReader(raw)
            while let row = try reader.next() {
                rows.append(Row(key: [UInt8](row.key), value: [UInt8](row.value)))
            }
            return rows
        }
    }

    @Test("an ingest without rows drops its ranges in every keyspace")
    func drop() throws {
        var generator = SplitMix64(seed: 3)
        let (tree, scheduler, model) = try filled(&generator)
        var expected = model
        let ranges = [KeyRange(lower: [], upper: [21]), KeyRange(lower: [21, 21], upper: [42])]
        let ingest = try tree.beginIngest(ranges: ranges)
        try ingest.seal()
        while !tree.canCut { scheduler.step() }
        tree.install(ingest, state: [2], memtableState: [1]) { _ in }
        scheduler.runUntilIdle()
        expected.replace(ranges, with: Model(3))
        #expect(expected.rows.contains { !$0.isEmpty })
        #expect(expected != model)
        #expect(try Harness.difference(tree.snapshot(), expected) == nil)
    }

    @Test("the tables of one ingest count as one run of level 0")
    func runs() throws {
        var options = TreeOptions(keyspaces: Harness.keyspaces)
        options.tableBytes = 100
        options.levelZeroTables = 1000
        let scheduler = SimulatedScheduler(seed: 1)
        let tree = try Harness.open(SimulatedFileSystem(seed: 1), options, scheduler)
        let ranges = [KeyRange(lower: [0], upper: [200])]
        let ingest = try tree.beginIngest(ranges: ranges)
        for key in UInt8(0)..<200 {
            try ingest.add(
                Harness.heads, packed: [1, key, 60] + [UInt8](repeating: key, count: 60))
        }
        try ingest.seal()
        tree.install(ingest, state: [2], memtableState: [1]) { _ in }
        scheduler.runUntilIdle()
        #expect(tree.statistics.keyspaces[1].levels[0].tables > 20)
        #expect(tree.levelZeroTables == 1)
        var batch = WriteBatch()
        batch.put(Harness.heads, key: [7], value: [])
        tree.apply(batch)
        tree.cut(state: [3]) { _ in }
        scheduler.runUntilIdle()
        #expect(tree.levelZeroTables == 2)
        #expect(try tree.snapshot().get(Harness.heads, key: [7]) == [])
        #expect(try tree.snapshot().get(Harness.heads, key: [8])?.count == 60)
    }
}

/// Rows that are not what they should be.
@Suite struct TreeIngestRefusalTests {
    private let scheduler = SimulatedScheduler(seed: 1)
    private let fileSystem = SimulatedFileSystem(seed: 1)
    private let tree: Tree
    private static let ranges = [
        KeyRange(lower: [10], upper: [20]), KeyRange(lower: [30], upper: [40]),
    ]

    init() throws {
        let options = TreeOptions(keyspaces: Harness.keyspaces)
        tree = try Harness.open(fileSystem, options, scheduler)
    }

    private func packed(_ keys: [[UInt8]]) -> [UInt8] {
        var writer = ByteWriter()
        for key in keys {
            writer.write(prefixed: key)
            writer.write(prefixed: [7, 7])
        }
        return writer.bytes
    }

    private func isRefused(
        _ ingest: TreeIngest, _ keyspace: Keyspace, _ bytes: [UInt8]
    ) throws -> Bool {
        do {
            try ingest.add(keyspace, packed: bytes)
            return false
        } catch IngestError.invalid {
            return true
        }
    }

    @Test("rows out of place are refused, and the ingest goes on as if they had not come")
    func misplaced() throws {
        let ingest = try tree.beginIngest(ranges: Self.ranges)
        try ingest.add(Harness.heads, packed: packed([[10], [12], [12, 0]]))
        let refused: [(Keyspace, [[UInt8]])] = [
            (Harness.heads, [[12, 0]]), (Harness.heads, [[11]]), (Harness.heads, [[13], [13]]),
            (Harness.heads, [[14], [13]]), (Harness.heads, [[20]]), (Harness.heads, [[13], [25]]),
            (Harness.heads, [[30], [40]]), (Harness.messages, [[13]]),
            (Harness.dedup, [[9]]), (Harness.dedup, [[]]),
            (Keyspace(rawValue: 0), [[13]]), (Keyspace(rawValue: 99), [[13]]),
        ]
        for (keyspace, keys) in refused {
            #expect(try isRefused(ingest, keyspace, packed(keys)), "\(keyspace) \(keys)")
        }
        let long = [UInt8](repeating: 11, count: TreeOptions.keyBytesMax + 1)
        #expect(try isRefused(ingest, Harness.dedup, packed([long])))
        try ingest.add(Harness.heads, packed: packed([[13], [39, 255]]))
        try ingest.add(Harness.dedup, packed: packed([[10]]))
        try ingest.seal()
        tree.install(ingest, state: [1], memtableState: [0]) { _ in }
        scheduler.runUntilIdle()
        var model = Model(3)
        for key in [[10], [12], [12, 0], [13], [39, 255]] as [[UInt8]] {
            model.rows[1][key] = [7, 7]
        }
        model.rows[2][[10]] = [7, 7]
        #expect(try Harness.difference(tree.snapshot(), model) == nil)
    }

    @Test("bytes with a flipped bit or a lost end are refused or are other rows; nothing traps")
    func hostile() throws {
        let bytes = packed([[10], [11, 1], [11, 2, 3], [19], [30], [31, 255, 255]])
        var refused = 0
        for bit in 0..<(bytes.count * 8) {
            var wrong = bytes
            wrong[bit / 8] ^= 1 << UInt8(bit % 8)
            let ingest = try tree.beginIngest(ranges: Self.ranges)
            if try isRefused(ingest, Harness.heads, wrong) {
                refused += 1
                try ingest.add(Harness.heads, packed: bytes)
            }
            ingest.abandon()
        }
        #expect(refused > bytes.count)
        let starts = [0, 5, 11, 18, 23, 28]
        for count in 0..<bytes.count {
            let ingest = try tree.beginIngest(ranges: Self.ranges)
            let isCut = try isRefused(ingest, Harness.heads, Array(bytes[..<count]))
            #expect(isCut == !starts.contains(count), "\(count) bytes")
        }
        var generator = SplitMix64(seed: 8)
        for _ in 0..<2000 {
            let ingest = try tree.beginIngest(ranges: Self.ranges)
            let noise = (0..<(generator.next() % 40)).map { _ in
                generator.next() % 3 == 0
                    ? UInt8(truncatingIfNeeded: generator.next()) : UInt8(generator.next() % 16)
            }
            _ = try isRefused(ingest, Harness.messages, noise)
        }
        #expect(!fileSystem.paths.contains { $0.hasSuffix(".sst") }, "nothing is left of them")
        #expect(try Harness.difference(tree.snapshot(), Model(3)) == nil)
    }

    @Test("a full disk ends the ingest and leaves the tree as it was")
    func fullDisk() throws {
        let ingest = try tree.beginIngest(ranges: Self.ranges)
        fileSystem.inject(DiskFault([.write], .noSpace, on: ".sst", .always))
        try ingest.add(Harness.messages, packed: packed([[10]]))
        #expect(throws: TreeError.self) { try ingest.seal() }
        #expect(throws: IngestError.self) {
            try ingest.add(Harness.heads, packed: packed([[11]]))
        }
        fileSystem.clearFaults()
        #expect(!fileSystem.paths.contains { $0.hasSuffix(".sst") })
        // The ranges are free again.
        var batch = WriteBatch()
        batch.put(Harness.heads, key: [10], value: [1])
        tree.apply(batch)
        let again = try tree.beginIngest(ranges: Self.ranges)
        try again.add(Harness.heads, packed: packed([[11]]))
        try again.seal()
        tree.install(again, state: [1], memtableState: [0]) { _ in }
        scheduler.runUntilIdle()
        var model = Model(3)
        model.rows[1][[11]] = [7, 7]
        #expect(try Harness.difference(tree.snapshot(), model) == nil)
    }

    @Test("a closed tree takes no ingest, and one that was open ends")
    func closed() throws {
        let ingest = try tree.beginIngest(ranges: Self.ranges)
        tree.close()
        #expect(throws: TreeError.self) { try tree.beginIngest(ranges: Self.ranges) }
        #expect(throws: IngestError.self) {
            try ingest.add(Harness.heads, packed: packed([[11]]))
        }
    }
}
