/// A way to the best documents of one segment that have at least one of some words.
protocol UnionSearch {
    /// True when documents were passed over.
    var hasSkipped: Bool { get }
    /// Work that no budget was charged with yet.
    var work: Int { get }
    /// True when rotten bytes were met.
    var isRotten: Bool { get }

    /// The next document, with its score, that may be better than `threshold` and that the matcher
    /// accepts; nil at the end or when the budget is spent.
    mutating func next(
        _ matcher: inout SegmentMatcher, threshold: Double?,
        _ budget: inout SegmentMatcher.Budget
    ) -> (document: UInt32, score: Double)?
}
