import Bytes
import Foundation
import Platform
import Simulation
import SortedTable
import Synchronization

@testable import LSMTree

/// True in the long run: more seeds, every crash point.
let isLong = ProcessInfo.processInfo.environment["MAGPIE_LONG"] == "1"

/// The tree's dumb twin: a dictionary per keyspace, sorted when asked.
struct Model: Equatable {
    var rows: [[[UInt8]: [UInt8]]]

    init(_ keyspaceCount: Int) {
        rows = Array(repeating: [:], count: keyspaceCount)
    }

    mutating func apply(_ batch: WriteBatch) {
        batch.forEach { row in
            let place = Int(row.keyspace.rawValue) - 1
            let key = [UInt8](row.key)
            let value = [UInt8](row.value)
            switch row.kind {
            case .put: rows[place][key] = value
            case .delete: rows[place][key] = nil
            case .rangeDelete:
                rows[place] = rows[place].filter { other in
                    other.key.lexicographicallyPrecedes(key)
                        || !other.key.lexicographicallyPrecedes(value)
                }
            }
        }
    }

    /// Live rows of `lower ..< upper`, ascending; expired ones are absent.
    func sorted(
        _ place: Int, lower: [UInt8] = [], upper: [UInt8]? = nil, horizon: UInt64 = 0
    ) -> [Row] {
        rows[place].map { Row(key: $0.key, value: $0.value) }
            .filter { row in
                !row.key.lexicographicallyPrecedes(lower)
                    && (upper.map { row.key.lexicographicallyPrecedes($0) } ?? true)
                    && !(place == Harness.expiringPlace && row.isExpired(horizon))
            }
            .sorted { $0.key.lexicographicallyPrecedes($1.key) }
    }
}

struct Row: Equatable, CustomStringConvertible {
    var key: [UInt8]
    var value: [UInt8]

    func isExpired(_ horizon: UInt64) -> Bool {
        let expiry = value.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return expiry > 0 && expiry <= horizon
    }

    var description: String { "\(Hex.encode(key))=\(Hex.encode(value.prefix(12)))" }
}

/// What went wrong in the background of a tree.
final class FailureBox: Sendable {
    private let errors = Mutex<[TreeError]>([])
    var all: [TreeError] { errors.withLock { $0 } }
    func add(_ error: TreeError) { errors.withLock { $0.append(error) } }
    func clear() { errors.withLock { $0 = [] } }
}

/// States of cuts whose installation was announced.
final class InstalledBox: Sendable {
    private let states = Mutex<[[UInt8]]>([])
    var all: [[UInt8]] { states.withLock { $0 } }
    func add(_ state: [UInt8]) { states.withLock { $0.append(state) } }
}

/// A tree on a simulated disk, with random batches to feed it.
enum Harness {
    static let messages = Keyspace(rawValue: 1)
    static let heads = Keyspace(rawValue: 2)
    static let dedup = Keyspace(rawValue: 3)
    static let expiringPlace = 2
    static let directory = "/data/tree"

    static let keyspaces = [
        KeyspaceOptions(messages, name: "messages", filterPrefixLength: 2, isNumbered: true),
        KeyspaceOptions(heads, name: "heads", isPointRead: true),
        KeyspaceOptions(dedup, name: "dedup", isExpiring: true, isPointRead: true),
    ]

    /// Options whose limits a few hundred rows already reach.
    static func options(_ generator: inout SplitMix64) -> TreeOptions {
        var options = TreeOptions(keyspaces: keyspaces)
        options.memtableBytes = 256 << Int(generator.next() % 6)
        options.frozenMemtablesMax = 1 + Int(generator.next() % 3)
        options.blockBytes = 1 << Int(generator.next() % 12)
        options.filterBitsPerKey = Int(generator.next() % 3) * 5
        options.tableBytes = 200 << Int(generator.next() % 6)
        options.levelZeroTables = 1 + Int(generator.next() % 5)
        options.levelBaseBytes = 400 << UInt64(generator.next() % 6)
        options.levelFanOut = 2 + generator.next() % 6
        options.grandparentTables = 1 + Int(generator.next() % 10)
        options.manifestBytes = 500 << UInt64(generator.next() % 5)
        options.blockCacheBytes = 1 << Int(10 + generator.next() % 10)
        options.isCompressed = generator.next() % 4 != 0
        return options
    }

    static func open(
        _ fileSystem: SimulatedFileSystem, _ options: TreeOptions, _ scheduler: any Scheduler,
        failures: FailureBox = FailureBox(), damages: FailureBox = FailureBox()
    ) throws -> Tree {
        try Tree.open(
            fileSystem: fileSystem, directory: directory, options: options, scheduler: scheduler,
            onFailure: { failures.add($0) }, onDamage: { damages.add($0) })
    }

    /// A key out of few, so that overwrites, deletes and ranges meet.
    static func key(_ generator: inout SplitMix64) -> [UInt8] {
        // Ten bytes are a prefix and a number: such keys stand in columns.
        let isNumbered = generator.next() % 3 == 0
        let length = Int(generator.next() % (isNumbered ? 3 : 5))
        if isNumbered, length == 2 {
            let prefix = (0..<2).map { _ in UInt8(generator.next() % 3) &* 21 }
            return prefix + [UInt8](repeating: 0, count: 7) + [UInt8(generator.next() % 8)]
        }
        return (0..<length).map { index in
            UInt8(generator.next() % (index < 2 ? 3 : 12)) &* 21
        }
    }

    static func value(_ generator: inout SplitMix64, _ keyspace: Keyspace) -> [UInt8] {
        var value: [UInt8] = []
        if keyspace == dedup {
            let expiry = generator.next() % 4 == 0 ? 0 : 1 + generator.next() % 1000
            value = withUnsafeBytes(of: expiry.littleEndian) { [UInt8]($0) }
        }
        let length =
            generator.next() % 20 == 0
            ? Int(generator.next() % 2000) : Int(generator.next() % 40)
        let isDull = generator.next() % 2 == 0
        for index in 0..<length {
            value.append(isDull ? UInt8(index & 7) : UInt8(truncatingIfNeeded: generator.next()))
        }
        return value
    }

    static func batch(_ generator: inout SplitMix64) -> WriteBatch {
        var batch = WriteBatch()
        for _ in 0..<(1 + generator.next() % 8) {
            let keyspace = keyspaces[Int(generator.next() % 3)].keyspace
            switch generator.next() % 20 {
            case 0..<11:
                batch.put(keyspace, key: key(&generator), value: value(&generator, keyspace))
            case 11..<13:
                append(&batch, keyspace, &generator)
            case 13..<18:
                batch.delete(keyspace, key: key(&generator))
            default:
                batch.deleteRange(keyspace, from: key(&generator), to: key(&generator))
            }
        }
        return batch
    }

    /// Rows whose numbers rise by one behind a prefix.
    private static func append(
        _ batch: inout WriteBatch, _ keyspace: Keyspace, _ generator: inout SplitMix64
    ) {
        let prefix = (0..<2).map { _ in UInt8(generator.next() % 3) &* 21 }
        let first = UInt8(generator.next() % 6)
        for number in first...(first + UInt8(generator.next() % 4)) {
            let key = prefix + [UInt8](repeating: 0, count: 7) + [number]
            batch.put(keyspace, key: key, value: value(&generator, keyspace))
        }
    }

    /// All rows as an iterator gives them, forward.
    static func rows(
        _ snapshot: Snapshot, _ keyspace: Keyspace, lower: [UInt8] = [], upper: [UInt8]? = nil,
        horizon: UInt64 = 0
    ) throws -> [Row] {
        let iterator = try snapshot.makeIterator(keyspace, lower: lower, upper: upper)
        var rows: [Row] = []
        try iterator.seekToFirst()
        while iterator.isValid {
            rows.append(Row(key: [UInt8](iterator.key), value: [UInt8](iterator.value)))
            try iterator.next()
        }
        return rows.filter { !(keyspace == dedup && $0.isExpired(horizon)) }
    }

    /// The same, collected backward.
    static func rowsBackward(
        _ snapshot: Snapshot, _ keyspace: Keyspace, lower: [UInt8] = [], upper: [UInt8]? = nil,
        horizon: UInt64 = 0
    ) throws -> [Row] {
        let iterator = try snapshot.makeIterator(keyspace, lower: lower, upper: upper)
        var rows: [Row] = []
        try iterator.seekToLast()
        while iterator.isValid {
            rows.append(Row(key: [UInt8](iterator.key), value: [UInt8](iterator.value)))
            try iterator.previous()
        }
        return rows.reversed().filter { !(keyspace == dedup && $0.isExpired(horizon)) }
    }

    /// Nil when the snapshot holds exactly the model's rows; otherwise what differs.
    static func difference(
        _ snapshot: Snapshot, _ model: Model, horizon: UInt64 = 0
    ) throws -> String? {
        for (place, options) in keyspaces.enumerated() {
            let expected = model.sorted(place, horizon: horizon)
            let found = try rows(snapshot, options.keyspace, horizon: horizon)
            if expected != found {
                let missing = expected.filter { !found.contains($0) }
                let extra = found.filter { !expected.contains($0) }
                return "\(options.name): missing \(missing.prefix(3)), extra \(extra.prefix(3))"
            }
        }
        return nil
    }

    /// A cut's state: its number.
    static func state(_ number: Int) -> [UInt8] {
        withUnsafeBytes(of: UInt64(number).littleEndian) { [UInt8]($0) }
    }

    static func number(_ state: [UInt8]) -> Int {
        Int(state.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
    }
}
