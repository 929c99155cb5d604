import SortedTable

/// One keyspace's levels as values: what compaction picking looks at.
struct LevelShape: Sendable, Equatable {
    /// Level 0: newest first. Below: ascending and disjoint.
    var levels: [[TableMetadata]]

    static let last = TreeOptions.levelCount - 1

    /// Bytes of all tables of a level.
    func bytes(_ level: Int) -> UInt64 {
        levels[level].reduce(0) { $0 + $1.bytes }
    }

    /// The tables of a level that may concern keys of `span`.
    func tables(_ level: Int, overlapping span: KeySpan) -> [TableMetadata] {
        levels[level].filter { span.overlaps($0) }
    }

    /// True when a table below `level` may hold rows that `table`, which stands there, hides.
    func hasDeeper(than level: Int, overlapping table: TableMetadata) -> Bool {
        guard let span = KeySpan([table]) else { return false }
        return levels[(level + 1)...].contains { $0.contains { span.overlaps($0) } }
    }
}

/// How many bytes each level should hold, from the last level upward (RocksDB's dynamic levels):
/// the last level holds what it holds, each level above a fan-out less, and level 0 is compacted
/// into the first level whose share is not below the base size. So about 1/(fan-out − 1) of the
/// data lies above the last level, and space in use stays near 1.1 times the live bytes.
struct LevelTargets: Sendable, Equatable {
    /// The level that level 0 is compacted into; levels between are empty.
    let base: Int
    /// Bytes per level; `UInt64.max` for the last, 0 above the base.
    let bytes: [UInt64]

    init(_ shape: LevelShape, _ options: TreeOptions) {
        let last = LevelShape.last
        var sizes = [UInt64](repeating: 0, count: last + 1)
        var size = (1...last).map { shape.bytes($0) }.max() ?? 0
        var level = last
        sizes[last] = .max
        let firstFilled = (1...last).first { !shape.levels[$0].isEmpty } ?? last
        while level > 1 && (size > options.levelBaseBytes || level > firstFilled) {
            level -= 1
            size /= max(2, options.levelFanOut)
            sizes[level] = max(size, options.levelBaseBytes)
        }
        base = level
        bytes = sizes
    }
}
