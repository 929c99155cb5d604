import Bytes
import ChatEngine
import ChatModel
import LSMTree
import Platform
import RaftCore
import RecordLog
import ShardStore
import Simulation
import Testing

@testable import MagpieDump

/// A tree with many small tables on several levels, and a model of what its rows must be after each
/// cut. The position of shard 3 after cut n is n.
struct RepairFixture {
    typealias Rows = [UInt8: [[UInt8]: [UInt8]]]

    static let directory = "/data/tree"
    static let keyspaces: [Keyspace] = [.entries, .accounts]

    let disk: SimulatedFileSystem
    /// After cut n, the rows at n - 1.
    private(set) var cuts: [Rows] = []

    /// - Parameters:
    ///   - deletes: whether rows are deleted too.
    ///   - merges: whether tables are merged as they come.
    ///   - look: called after every step of the tree's lanes.
    init(
        seed: UInt64, cuts count: Int = 30, deletes: Bool = true, merges: Bool = true,
        on disk: SimulatedFileSystem? = nil, _ look: () -> Void = {}
    ) throws {
        self.disk = disk ?? SimulatedFileSystem(seed: seed)
        var generator = SplitMix64(seed: seed)
        let scheduler = SimulatedScheduler(seed: seed)
        let tree = try Self.open(self.disk, scheduler, merges: merges)
        var rows: Rows = [1: [:], 3: [:]]
        for cut in 1...count {
            for _ in 0..<(10 + generator.next() % 40) {
                var batch = WriteBatch()
                Self.change(&batch, &rows, &generator, deletes: deletes)
                tree.apply(batch)
            }
            while !tree.canCut {
                _ = scheduler.step()
                look()
            }
            tree.cut(state: Self.state(UInt64(cut)), installed: { _ in })
            cuts.append(rows)
            if generator.next() % 3 != 0 { while scheduler.step() { look() } }
        }
        while scheduler.step() { look() }
        tree.close()
        _ = scheduler.runUntilIdle()
    }

    private static func change(
        _ batch: inout WriteBatch, _ rows: inout Rows, _ generator: inout SplitMix64, deletes: Bool
    ) {
        let keyspace = keyspaces[Int(generator.next() % 2)]
        let key = Self.key(generator.next() % 300)
        switch generator.next() % 20 {
        case 0 where deletes:
            let upper = Self.key(generator.next() % 300)
            batch.deleteRange(keyspace, from: key, to: upper)
            for other in rows[keyspace.rawValue, default: [:]].keys
            where !other.lexicographicallyPrecedes(key) && other.lexicographicallyPrecedes(upper) {
                rows[keyspace.rawValue]?[other] = nil
            }
        case 1...5 where deletes:
            batch.delete(keyspace, key: key)
            rows[keyspace.rawValue]?[key] = nil
        default:
            let value = (0..<(4 + generator.next() % 60)).map { _ in
                UInt8(truncatingIfNeeded: generator.next())
            }
            batch.put(keyspace, key: key, value: value)
            rows[keyspace.rawValue]?[key] = value
        }
    }

    /// Partitions of ten rows.
    private static func key(_ number: UInt64) -> [UInt8] {
        let conversation = ConversationID(high: (number / 10) << 40, low: 0x8000_0000_0000_0000)
        return KeySchema.entry(conversation, number % 10 + 1)
    }

    static func state(_ cut: UInt64) -> [UInt8] {
        CutStateFormat.encode([
            ShardPosition(
                shard: 3, replica: 7, index: cut, term: 1, hash: cut,
                configuration: Configuration(voters: [7]))
        ])
    }

    private static func open(
        _ disk: SimulatedFileSystem, _ scheduler: SimulatedScheduler, merges: Bool = true
    ) throws -> Tree {
        var options = TreeOptions(keyspaces: KeySchema.all)
        options.blockBytes = 256
        options.tableBytes = 2000
        options.levelZeroTables = merges ? 3 : 1000
        options.levelBaseBytes = merges ? 4000 : 1 << 40
        options.levelFanOut = 3
        return try Tree.open(
            fileSystem: disk, directory: directory, options: options, scheduler: scheduler,
            onFailure: { Issue.record("the tree failed: \($0)") })
    }

    /// Opens the tree, reads all rows, has it compact everything, and reads them again.
    static func read(_ disk: SimulatedFileSystem) throws -> (rows: Rows, cut: UInt64) {
        let scheduler = SimulatedScheduler(seed: 1)
        let tree = try open(disk, scheduler)
        let rows = try read(tree)
        // Points are looked up another way than ranges are.
        let snapshot = tree.snapshot()
        for keyspace in keyspaces {
            for number in UInt64(0)..<300 {
                let key = key(number)
                let value = try snapshot.get(keyspace, key: key)
                #expect(value == rows[keyspace.rawValue]?[key], "key \(number)")
            }
        }
        for keyspace in keyspaces { tree.requestCompaction(keyspace, lower: [], upper: nil) }
        _ = scheduler.runUntilIdle()
        #expect(try read(tree) == rows, "compaction changed what is there")
        let positions = try tree.installedState.map { try CutStateFormat.decode($0) } ?? []
        tree.close()
        _ = scheduler.runUntilIdle()
        return (rows, positions.first?.index ?? 0)
    }

    private static func read(_ tree: Tree) throws -> Rows {
        var rows: Rows = [:]
        for keyspace in keyspaces {
            rows[keyspace.rawValue] = [:]
            let iterator = try tree.snapshot().makeIterator(keyspace)
            try iterator.seekToFirst()
            while iterator.isValid {
                rows[keyspace.rawValue]?[[UInt8](iterator.key)] = [UInt8](iterator.value)
                try iterator.next()
            }
        }
        return rows
    }

    /// Writes a log with entries of group 3, whose header says that the tables have everything up
    /// to `base`.
    func writeLog(_ entries: ClosedRange<UInt8>, base: UInt8) throws {
        // Version 1, one group: 3, replica 7, term 1, vote 7, base, its term, one voter.
        let header: [UInt8] = [1, 1, 3, 7, 1, 7, base, base == 0 ? 0 : 1, 1, 7]
        let log = try SegmentLog.recover(
            fileSystem: disk, directory: "/data/log", segmentHeader: { header },
            visit: { (_, _, _) throws(LogError) in })
        for index in entries {
            _ = try log.append([LogRecord(type: 1, payload: [3, 7, index, 1, 1, 2, 1, index])])
        }
        try log.sync()
        try log.mark()
        try log.sync()
        log.close()
    }

    /// Runs `db repair`.
    func repair(
        _ wishes: RepairInspector.Wishes = .init(writes: true), json: Bool = false
    ) throws -> (lines: [String], problems: Int) {
        let collected = Collected()
        let report = Report(isJSON: json) { collected.lines.append($0) }
        try RepairInspector(places: Places(disk), report: report).repair("/data", wishes)
        return (collected.lines, report.problems)
    }

    /// Files of one ending, without what was set aside.
    func files(_ ending: String) -> [String] {
        disk.paths.map { "/" + $0 }.filter { $0.hasSuffix(ending) && !$0.contains("damaged-") }
    }
}

/// Remembers every table that there ever was.
final class KeptTables {
    private let disk: SimulatedFileSystem
    private(set) var tables: [String: [UInt8]] = [:]

    init(_ disk: SimulatedFileSystem) { self.disk = disk }

    /// Looks at the disk. Tables of a merge under way are seen when they are whole.
    func look() {
        for path in disk.paths where path.hasSuffix(".sst") {
            tables["/" + path] = disk.contents("/" + path) ?? tables["/" + path]
        }
    }
}
