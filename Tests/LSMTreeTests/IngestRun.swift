import Bytes
import Platform
import Simulation
import SortedTable

@testable import LSMTree

extension Model {
    /// Replaces everything in `ranges` by the rows of `other`, which lie there.
    mutating func replace(_ ranges: [KeyRange], with other: Model) {
        for place in rows.indices {
            rows[place] = rows[place].filter { row in !ranges.contains { $0.holds(row.key) } }
            rows[place].merge(other.rows[place]) { _, new in new }
        }
    }

    /// The rows of a keyspace in packed form, ascending, in chunks of about `bytes`.
    func chunks(_ place: Int, bytes: Int) -> [[UInt8]] {
        var chunks: [[UInt8]] = []
        var writer = ByteWriter()
        for row in sorted(place) {
            writer.write(prefixed: row.key)
            writer.write(prefixed: row.value)
            if writer.count >= bytes {
                chunks.append(writer.bytes)
                writer.removeAll()
            }
        }
        return writer.count > 0 ? chunks + [writer.bytes] : chunks
    }
}

extension KeyRange {
    func holds(_ key: [UInt8]) -> Bool {
        !key.lexicographicallyPrecedes(lower) && key.lexicographicallyPrecedes(upper)
    }

    func overlaps(_ otherLower: [UInt8], _ otherUpper: [UInt8]) -> Bool {
        lower.lexicographicallyPrecedes(upper) && otherLower.lexicographicallyPrecedes(otherUpper)
            && lower.lexicographicallyPrecedes(otherUpper)
            && otherLower.lexicographicallyPrecedes(upper)
    }
}

extension Harness {
    static func ranges(_ generator: inout SplitMix64) -> [KeyRange] {
        (0..<(1 + generator.next() % 3)).map { _ in
            var bounds = [key(&generator), key(&generator)]
            bounds.sort { $0.lexicographicallyPrecedes($1) }
            return KeyRange(lower: bounds[0], upper: bounds[1])
        }
    }

    /// Random rows in `ranges`; in one of four none.
    static func rows(in ranges: [KeyRange], _ generator: inout SplitMix64) -> Model {
        var model = Model(3)
        if generator.next() % 4 == 0 { return model }
        for _ in 0..<(generator.next() % 200) {
            let place = Int(generator.next() % 3)
            let key = key(&generator)
            guard ranges.contains(where: { $0.holds(key) }) else { continue }
            model.rows[place][key] = value(&generator, keyspaces[place].keyspace)
        }
        return model
    }
}

/// An ingest that fills, in a test.
struct OpenIngest {
    let ingest: TreeIngest
    let ranges: [KeyRange]
    let rows: Model
    /// What is still to be added.
    var chunks: [(keyspace: Keyspace, packed: [UInt8])]
    var isSealed = false
}

/// Batches, cuts, ingests and background steps on one tree, and what a dictionary says to each.
struct IngestRun {
    enum Change {
        case batch(WriteBatch)
        case ingest(state: Int, ranges: [KeyRange], rows: Model)
    }

    let seed: UInt64
    let fileSystem: SimulatedFileSystem
    let scheduler: SimulatedScheduler
    let options: TreeOptions
    let failures = FailureBox()
    var generator: SplitMix64
    var machine: SimulatedMachine
    var tree: Tree
    var installed = InstalledBox()
    var open: OpenIngest?
    var installs = 0
    var ingestErrors: [TreeError] = []
    /// What a cut with this number would make durable.
    var cutModels: [Model] = []
    /// Everything before the oldest install that is still under way.
    private var base = Model(3)
    private var changes: [Change] = []

    init(seed: UInt64, _ fileSystem: SimulatedFileSystem, small: Bool = false) throws {
        self.seed = seed
        self.fileSystem = fileSystem
        generator = SplitMix64(seed: seed)
        scheduler = SimulatedScheduler(seed: seed)
        machine = scheduler.group()
        var options = Harness.options(&generator)
        if small {
            options.memtableBytes = 600
            options.frozenMemtablesMax = 3
            options.levelZeroTables = 2
            options.tableBytes = 500
            options.levelBaseBytes = 1000
            options.manifestBytes = 1500
        }
        self.options = options
        tree = try Harness.open(fileSystem, options, machine, failures: failures)
    }

    // MARK: Model

    /// What a reader must see now: an ingest as a whole once it is announced, and not before.
    mutating func visible() -> Model {
        let announced = Set(installed.all)
        while let first = changes.first {
            if case .ingest(let state, _, _) = first, !announced.contains(Harness.state(state)) {
                break
            }
            changes.removeFirst()
            Self.apply(first, &base)
        }
        var model = base
        for change in changes {
            if case .ingest(let state, _, _) = change, !announced.contains(Harness.state(state)) {
                continue
            }
            Self.apply(change, &model)
        }
        return model
    }

    /// What there is when everything under way is installed.
    private var complete: Model {
        changes.reduce(into: base) { Self.apply($1, &$0) }
    }

    private static func apply(_ change: Change, _ model: inout Model) {
        switch change {
        case .batch(let batch): model.apply(batch)
        case .ingest(_, let ranges, let rows): model.replace(ranges, with: rows)
        }
    }

    // MARK: Steps

    mutating func step() {
        switch generator.next() % 20 {
        case 0..<9: write()
        case 9..<15: for _ in 0..<(1 + generator.next() % 6) { ingest() }
        case 15..<18: for _ in 0..<(generator.next() % 4) { scheduler.step() }
        case 18: cut()
        default:
            tree.requestCompaction(
                Harness.keyspaces[Int(generator.next() % 3)].keyspace,
                lower: Harness.key(&generator))
        }
    }

    mutating func write() {
        let batch = Harness.batch(&generator)
        tree.apply(batch)
        changes.append(.batch(batch))
        if tree.shouldCut { cut() }
    }

    mutating func cut() {
        guard tree.canCut else { return }
        tree.cut(state: Harness.state(cutModels.count)) { [installed] in installed.add($0) }
        cutModels.append(complete)
    }

    /// Begins an ingest or takes the open one a step on.
    mutating func ingest() {
        guard var item = open else { return begin() }
        do {
            if !item.chunks.isEmpty {
                let chunk = item.chunks.removeFirst()
                try item.ingest.add(chunk.keyspace, packed: chunk.packed)
            } else if !item.isSealed {
                try item.ingest.seal()
                item.isSealed = true
            } else if tree.canCut {
                install(item)
                open = nil
                return
            }
            open = item
        } catch {
            ingestErrors.append((error as? TreeError) ?? Self.treeError(error))
            open = nil
            return
        }
        if generator.next() % 40 == 0 {
            if generator.next() % 2 == 0 { item.ingest.abandon() }
            open = nil
        }
    }

    private static func treeError(_ error: any Error) -> TreeError {
        guard case .tree(let error)? = error as? IngestError else {
            preconditionFailure("rows of a test are right: \(error)")
        }
        return error
    }

    private mutating func begin() {
        let ranges = Harness.ranges(&generator)
        let rows = Harness.rows(in: ranges, &generator)
        var chunks: [(Keyspace, [UInt8])] = []
        for (place, options) in Harness.keyspaces.enumerated() {
            let bytes = 16 << Int(generator.next() % 10)
            chunks += rows.chunks(place, bytes: bytes).map { (options.keyspace, $0) }
        }
        do {
            let ingest = try tree.beginIngest(ranges: ranges)
            open = OpenIngest(ingest: ingest, ranges: ranges, rows: rows, chunks: chunks)
        } catch {
            ingestErrors.append(error)
        }
    }

    private mutating func install(_ item: OpenIngest) {
        let state = cutModels.count
        cutModels.append(complete)
        changes.append(.ingest(state: state + 1, ranges: item.ranges, rows: item.rows))
        cutModels.append(complete)
        tree.install(
            item.ingest, state: Harness.state(state + 1), memtableState: Harness.state(state)
        ) { [installed] in installed.add($0) }
        installs += 1
    }

    /// Without a crash: what no cut made durable is gone.
    mutating func reopen() throws {
        tree.close()
        open = nil
        machine = scheduler.group()
        tree = try Harness.open(fileSystem, options, machine, failures: failures)
        installed = InstalledBox()
        changes = []
        base = tree.installedState.map { cutModels[Harness.number($0)] } ?? Model(3)
    }
}
