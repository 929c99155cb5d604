/// The best documents of those that a matcher walks.
///
/// Cursors of words that lead the matcher are also those that score. Stretches whose bounds stay
/// below the worst hit kept are passed over before anything of them is decoded, and what the
/// matcher asks last, phrases above all, is asked only of documents that would be hits.
struct RankedMatches: RankedSearch {
    /// A word that the segment has.
    private struct Word {
        let number: Int
        /// Its place among the leaders of the matcher, or, from `leaders` on, among `own`.
        let cursor: Int
    }

    private let relevance: Relevance
    private let reader: SegmentReader
    private let end: UInt32
    private var words: [Word] = []
    private var own: [PostingsCursor] = []
    private let leaders: Int
    /// Leaders that are words: a document is at least as long.
    private let leadingWords: Int
    /// The filter lets most documents through: elsewhere most stretches hold no match at all, and
    /// are not worth a bound.
    private let isWide: Bool
    private var document: UInt32 = 0
    private var stretchLast: UInt32 = 0
    private var stretchBound = 0.0
    private var hasStretch = false
    private(set) var hasSkipped = false

    init(_ relevance: Relevance, _ part: Int, _ matcher: SegmentMatcher) {
        self.relevance = relevance
        reader = matcher.part.reader
        end = UInt32(reader.documentCount)
        leaders = matcher.cursors.count
        leadingWords = matcher.cursors.count { $0.hasPositions }
        isWide = matcher.filter.span > reader.documentCount / 4
        for (number, postings) in relevance.terms[part].postings.enumerated() {
            guard let postings else { continue }
            if let leader = matcher.cursors.firstIndex(where: { $0.list == postings.list }) {
                words.append(Word(number: number, cursor: leader))
            } else {
                words.append(Word(number: number, cursor: leaders + own.count))
                own.append(PostingsCursor(postings, in: reader))
            }
        }
    }

    var work: Int { own.reduce(0) { $0 + $1.work } }
    var isRotten: Bool { own.contains { $0.isRotten } }

    mutating func next(
        _ matcher: inout SegmentMatcher, worst: TopHits.Entry?,
        _ budget: inout SegmentMatcher.Budget
    ) -> (document: UInt32, score: Double)? {
        let threshold = worst?.value ?? 0
        while true {
            if threshold > 0, isWide { passStretches(&matcher, threshold, &budget) }
            if budget.isSpent { return nil }
            if document >= end { return nil }
            document = matcher.agreed(from: document, below: end, &budget)
            if document >= end { return nil }
            if threshold > 0, !hasStretch || document > stretchLast {
                if isWide { continue }
                bound(&matcher)
            }
            if threshold > 0, stretchBound < threshold {
                hasSkipped = true
                document = stretchLast < end ? stretchLast &+ 1 : end
                continue
            }
            let found = document
            document &+= 1
            let score = score(found, &matcher)
            if let worst, score < threshold || score == threshold && isOlder(found, worst) {
                hasSkipped = true
                continue
            }
            if matcher.accepts(found) { return (found, score) }
        }
    }

    private func isOlder(_ document: UInt32, _ worst: TopHits.Entry) -> Bool {
        reader.time(document) < worst.time
    }

    /// Goes on to the first stretch that may hold a hit.
    @inline(__always)
    private mutating func passStretches(
        _ matcher: inout SegmentMatcher, _ threshold: Double,
        _ budget: inout SegmentMatcher.Budget
    ) {
        while !budget.isSpent {
            budget.left &-= 1
            document = matcher.filter.candidate(from: document)
            if document >= end { return }
            if !hasStretch || document > stretchLast { bound(&matcher) }
            if stretchBound >= threshold { return }
            hasSkipped = true
            document = stretchLast < end ? stretchLast &+ 1 : end
        }
    }

    /// Finds the stretch of the document, and what no document of it exceeds. A document is at
    /// least as long as the shortest of each word that it must have, and as they are together.
    private mutating func bound(_ matcher: inout SegmentMatcher) {
        hasStretch = true
        stretchLast = PostingsCursor.end
        stretchBound = 0
        var shortest = UInt8(clamping: min(leadingWords, LengthCode.exactMax))
        for leader in 0..<leaders {
            let bound = matcher.cursors[leader].bound(at: document)
            shortest = max(shortest, bound.shortest)
            stretchLast = min(stretchLast, bound.last)
        }
        for word in words {
            let bound =
                word.cursor < leaders
                ? matcher.cursors[word.cursor].bound(at: document)
                : own[word.cursor - leaders].bound(at: document)
            stretchBound += relevance.bound(word.number, bound, shortest: shortest)
            stretchLast = min(stretchLast, bound.last)
        }
        stretchBound *= Relevance.slack
    }

    /// The score of a document that the leaders stand at.
    private mutating func score(_ document: UInt32, _ matcher: inout SegmentMatcher) -> Double {
        let length = reader.lengths[Int(document)]
        var sum = 0.0
        for word in words {
            let frequency: UInt32
            if word.cursor < leaders {
                frequency = matcher.cursors[word.cursor].frequency()
            } else {
                let index = word.cursor - leaders
                own[index].advance(to: document)
                if own[index].document != document { continue }
                frequency = own[index].frequency()
            }
            sum += relevance.contribution(word.number, frequency: frequency, length: length)
        }
        return sum
    }
}
