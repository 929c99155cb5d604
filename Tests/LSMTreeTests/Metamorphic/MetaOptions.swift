import Bytes

@testable import LSMTree

/// How one tree of a metamorphic test is laid out: another way in each of its lives.
struct MetaOptions: CustomStringConvertible {
    /// The number that all follows from.
    let seed: UInt64
    /// In the order of lives, then from the first again.
    let lives: [TreeOptions]

    init(seed: UInt64) {
        self.seed = seed
        var generator = SplitMix64(seed: seed ^ 0x6D65_7461)
        lives = (0..<(1 + generator.next() % 3)).map { _ in Self.options(&generator) }
    }

    func options(life: Int) -> TreeOptions { lives[life % lives.count] }

    /// From one byte a block to 16 MiB, from a memtable of 2 KiB to one that is never full, from no
    /// cache at all: nothing of it may be seen by a reader.
    private static func options(_ generator: inout SplitMix64) -> TreeOptions {
        func pick<Value>(_ values: [Value]) -> Value {
            values[Int(generator.next() % UInt64(values.count))]
        }
        let keyspaces = Harness.keyspaces.map { keyspace in
            let prefix = pick([nil, 1, 2, 3])
            return KeyspaceOptions(
                keyspace.keyspace, name: keyspace.name, filterPrefixLength: prefix,
                isNumbered: prefix != nil && pick([false, true]), isExpiring: keyspace.isExpiring,
                isPointRead: pick([false, true]))
        }
        var options = TreeOptions(keyspaces: keyspaces)
        options.memtableBytes = pick([2 << 10, 3000, 5000, 16 << 10, 64 << 20])
        options.frozenMemtablesMax = pick([1, 1, 2, 3, 8])
        options.blockCacheBytes = pick([0, 1 << 10, 30 << 10, 64 << 20])
        options.blockBytes = pick([1, 2, 60, 300, 1000, 4 << 10, 64 << 10, 16 << 20])
        options.filterBitsPerKey = pick([0, 1, 5, 10, 20])
        options.tableBytes = pick([1, 400, 2000, 10_000, 16 << 20])
        options.tablesMax = pick([4, 12, 2_000])
        options.levelZeroTables = pick([1, 2, 4, 12])
        options.levelBaseBytes = pick([1, 500, 3000, 20_000, 64 << 20])
        options.levelFanOut = pick([2, 3, 10])
        options.grandparentTables = pick([1, 3, 10])
        options.manifestBytes = pick([0, 300, 3000, 4 << 20])
        options.isCompressed = pick([false, true])
        return options
    }

    var description: String {
        lives.map { options in
            "memtable \(options.memtableBytes) × \(options.frozenMemtablesMax)"
                + ", cache \(options.blockCacheBytes), block \(options.blockBytes)"
                + ", filter \(options.filterBitsPerKey)"
                + " \(options.keyspaces.map { $0.filterPrefixLength ?? 0 })"
                + ", table \(options.tableBytes), level 0 \(options.levelZeroTables)"
                + ", base \(options.levelBaseBytes) × \(options.levelFanOut)"
                + ", grandparents \(options.grandparentTables)"
                + ", manifest \(options.manifestBytes), lz4 \(options.isCompressed)"
        }.joined(separator: "\n    ")
    }
}
