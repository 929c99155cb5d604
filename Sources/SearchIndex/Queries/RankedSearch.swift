/// A way to the best documents of one segment.
protocol RankedSearch {
    /// True when documents were passed over.
    var hasSkipped: Bool { get }
    /// Work that no budget was charged with yet.
    var work: Int { get }
    /// True when rotten bytes were met.
    var isRotten: Bool { get }

    /// The next document, with its score, that may be better than `worst` and that the matcher
    /// accepts; nil at the end or when the budget is spent.
    mutating func next(
        _ matcher: inout SegmentMatcher, worst: TopHits.Entry?,
        _ budget: inout SegmentMatcher.Budget
    ) -> (document: UInt32, score: Double)?
}

/// The postings of one word of a union.
struct UnionList {
    var cursor: PostingsCursor
    /// The word's number.
    let word: Int
    /// The most that it can add.
    let most: Double

    /// The lists that a segment has, by the most that they can add, ascending; and the most that
    /// the lists up to each can add together.
    static func all(
        _ relevance: Relevance, _ part: Int, _ reader: SegmentReader
    ) -> (lists: [UnionList], sums: [Double]) {
        var lists: [UnionList] = []
        for (index, postings) in relevance.terms[part].postings.enumerated() {
            guard let postings else { continue }
            let cursor = PostingsCursor(postings, in: reader)
            lists.append(
                UnionList(
                    cursor: cursor, word: index, most: relevance.bound(index, cursor.bound())))
        }
        lists.sort { $0.most < $1.most }
        var sum = 0.0
        let sums = lists.map { list in
            sum += list.most
            return sum * Relevance.slack
        }
        return (lists, sums)
    }
}
