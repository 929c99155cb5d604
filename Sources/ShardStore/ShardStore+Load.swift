import LSMTree

/// How much new work a store takes.
///
/// Refusing is a slope: from the first threshold on a growing share of the commands is refused, and
/// at the last all are. So writers slow down to what tables and compaction can take, instead of
/// stopping and starting.
extension ShardStore {
    /// The share of new commands to refuse, 0…1. By what waits: the memtable beyond its size, runs
    /// in level 0, which every read visits, and bytes of background work. The last alone never
    /// refuses more than half: a tree that took a large snapshot has much to do and is in no
    /// danger. Cheap; the apply lane.
    package var pressure: Double {
        let options = tree.options
        let memtable = Self.slope(
            Double(tree.memtableBytes) / Double(max(1, options.memtableBytes)), from: 1.25, to: 2)
        let zero = Self.slope(
            Double(tree.levelZeroTables) / Double(max(1, options.levelZeroTables)), from: 4, to: 8)
        let debt = Self.slope(tree.debtShare, from: 1, to: 2) / 2
        return max(memtable, zero, debt)
    }

    /// True when nothing new may come: writes come faster than tables.
    package var isBehind: Bool { pressure >= 1 }

    static func slope(_ value: Double, from lower: Double, to upper: Double) -> Double {
        min(1, max(0, (value - lower) / (upper - lower)))
    }
}
