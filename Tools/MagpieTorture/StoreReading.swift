import Bytes
import LSMTree
import Platform
import ShardStore

/// Reads a whole tree in every way there is, and says so when two ways differ.
struct StoreReading {
    /// Rows by the place of their keyspace, ascending.
    var rows: [[(key: [UInt8], value: [UInt8])]] = []
    /// Where two ways of reading differ.
    var problems: [String] = []

    /// Reads `tree`: forward and backward over a snapshot, and every key one by one from the
    /// snapshot and from the tree itself, with keys that may not be there. Nothing is applied
    /// meanwhile; rows that expire by `horizon`, which is the tree's or later, may go.
    init(_ tree: Tree, seed: UInt64, horizon: UInt64) throws {
        let snapshot = tree.snapshot()
        var generator = SplitMix64(seed: seed)
        for options in Workload.keyspaces {
            let forward = try Self.forward(snapshot, options.keyspace)
            let backward = try Self.backward(snapshot, options.keyspace)
            if !Self.areEqual(forward, backward) {
                problems.append(
                    "\(options.name): \(forward.count) rows forward, \(backward.count) backward")
            }
            for (left, right) in zip(forward, forward.dropFirst())
            where !left.key.lexicographicallyPrecedes(right.key) {
                problems.append("\(options.name): \(Hex.encode(right.key)) is out of order")
            }
            try compare(forward, snapshot, tree, options, horizon, &generator)
            rows.append(forward)
        }
    }

    private mutating func compare(
        _ forward: [(key: [UInt8], value: [UInt8])], _ snapshot: Snapshot, _ tree: Tree,
        _ options: KeyspaceOptions, _ horizon: UInt64, _ generator: inout SplitMix64
    ) throws {
        let known = Dictionary(forward.map { ($0.key, $0.value) }) { first, _ in first }
        let samples = Workload.sampleKeys(options.keyspace, &generator)
        for key in forward.map(\.key) + samples {
            let expected = known[key]
            let found = try snapshot.get(options.keyspace, key: key)
            let direct = try key.withUnsafeBytes { raw in
                let reader = tree.reader()
                return try reader.value(of: raw, in: options.keyspace).map { [UInt8]($0) }
            }
            // Of a row that expired, a scan may pass by the block, and compaction may drop it.
            let mayGo =
                options.isExpiring && found.map { Workload.isExpired($0, horizon) } == true
            let isSame = [expected, direct].allSatisfy { $0 == found || ($0 == nil && mayGo) }
            if !isSame {
                problems.append(
                    "\(options.name): the scan and the look-up of \(Hex.encode(key)) differ")
            }
        }
    }

    /// Tells who started this process, all of it.
    func show(_ reporter: Reporter, _ place: Message.Place) {
        for problem in problems { reporter.say(.problem(problem)) }
        for (options, rows) in zip(Workload.keyspaces, rows) {
            var first = 0
            while first < rows.count {
                let part = rows[first..<min(first + 100, rows.count)]
                reporter.say(.rows(place, keyspace: options.keyspace.rawValue, Array(part)))
                first += part.count
            }
        }
        reporter.say(.shown(place))
    }

    private static func areEqual(
        _ left: [(key: [UInt8], value: [UInt8])], _ right: [(key: [UInt8], value: [UInt8])]
    ) -> Bool {
        left.count == right.count
            && zip(left, right).allSatisfy { $0.key == $1.key && $0.value == $1.value }
    }

    private static func forward(
        _ snapshot: Snapshot, _ keyspace: Keyspace
    ) throws -> [(key: [UInt8], value: [UInt8])] {
        let iterator = try snapshot.makeIterator(keyspace)
        var rows: [(key: [UInt8], value: [UInt8])] = []
        try iterator.seekToFirst()
        while iterator.isValid {
            rows.append(([UInt8](iterator.key), [UInt8](iterator.value)))
            try iterator.next()
        }
        return rows
    }

    private static func backward(
        _ snapshot: Snapshot, _ keyspace: Keyspace
    ) throws -> [(key: [UInt8], value: [UInt8])] {
        let iterator = try snapshot.makeIterator(keyspace)
        var rows: [(key: [UInt8], value: [UInt8])] = []
        try iterator.seekToLast()
        while iterator.isValid {
            rows.append(([UInt8](iterator.key), [UInt8](iterator.value)))
            try iterator.previous()
        }
        return rows.reversed()
    }
}
