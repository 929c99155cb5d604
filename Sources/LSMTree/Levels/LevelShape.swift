import SortedTable

/// One keyspace's levels as values: what compaction picking looks at.
///
/// A tree has up to some thousand tables and is asked after every change: questions about a sorted
/// level are binary searches, and sizes are kept.
struct LevelShape: Sendable, Equatable {
    /// Level 0: newest first. Below: ascending and disjoint.
    private(set) var levels: [[TableMetadata]]
    private var sizes: [UInt64]

    static let last = TreeOptions.levelCount - 1

    /// No tables.
    init() {
        levels = Array(repeating: [], count: TreeOptions.levelCount)
        sizes = Array(repeating: 0, count: TreeOptions.levelCount)
    }

    init(levels: [[TableMetadata]]) {
        self.init()
        for (level, tables) in levels.enumerated() { set(level, tables) }
    }

    /// Changes what a level holds.
    mutating func set(_ level: Int, _ tables: [TableMetadata]) {
        sizes[level] = tables.reduce(0) { $0 + $1.bytes }
        levels[level] = tables
    }

    /// Bytes of all tables of a level.
    func bytes(_ level: Int) -> UInt64 { sizes[level] }

    /// Bytes of all tables.
    var bytes: UInt64 { sizes.reduce(0, +) }

    /// How many tables there are.
    var tableCount: Int { levels.reduce(0) { $0 + $1.count } }

    /// The tables of a level that may concern keys of `span`.
    func tables(_ level: Int, overlapping span: KeySpan) -> [TableMetadata] {
        if level == 0 { return levels[0].filter { span.overlaps($0) } }
        return Array(levels[level][range(level, overlapping: span)])
    }

    /// Bytes of the tables of a sorted level that may concern keys of `span`.
    func bytes(_ level: Int, overlapping span: KeySpan) -> UInt64 {
        range(level, overlapping: span).reduce(0) { $0 + levels[level][$1].bytes }
    }

    /// True when a table below `level` may hold rows that `table`, which stands there, hides.
    func hasDeeper(than level: Int, overlapping table: TableMetadata) -> Bool {
        let span = KeySpan(table)
        return levels.indices.dropFirst(level + 1).contains { deeper in
            !range(deeper, overlapping: span).isEmpty
        }
    }

    /// In a sorted level: the first table that starts at or after `key`.
    func firstIndex(_ level: Int, startingAtOrAfter key: [UInt8]) -> Int {
        search(level) { KeyOrder.less($0.smallest, key) }
    }

    private func range(_ level: Int, overlapping span: KeySpan) -> Range<Int> {
        let first = search(level) { $0.endsBefore(span.lower) }
        let end = search(level) { !span.endsBefore($0) }
        return first..<max(first, end)
    }

    /// The number of tables at the head of a sorted level of which `isBefore` is true.
    private func search(_ level: Int, _ isBefore: (borrowing TableMetadata) -> Bool) -> Int {
        var low = 0
        var high = levels[level].count
        while low < high {
            let middle = (low + high) / 2
            if isBefore(levels[level][middle]) { low = middle + 1 } else { high = middle }
        }
        return low
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

    /// - Parameter ceiling: level 0 is compacted into a level above this one, if there is any: a
    ///   table there must not be touched.
    init(_ shape: LevelShape, _ options: TreeOptions, ceiling: Int = .max) {
        let last = LevelShape.last
        var sizes = [UInt64](repeating: 0, count: last + 1)
        var size = (1...last).map { shape.bytes($0) }.max() ?? 0
        var level = last
        sizes[last] = .max
        let firstFilled = (1...last).first { !shape.levels[$0].isEmpty } ?? last
        while level > 1
            && (size > options.levelBaseBytes || level > firstFilled || level >= ceiling)
        {
            level -= 1
            size /= max(2, options.levelFanOut)
            sizes[level] = max(size, options.levelBaseBytes)
        }
        base = level
        bytes = sizes
    }
}
