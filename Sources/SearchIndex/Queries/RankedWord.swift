/// The best documents that have one word.
///
/// The simple version scores every document of the list. Here the bounds in the skips tell which
/// blocks may hold a hit; the few that promise most are looked at first, so that the others are
/// measured by a worst hit that is nearly the final one, and most of them are never decoded. In a
/// block a document of a given frequency wins up to some length, which is a comparison of bytes.
/// Many documents have the same score: of those, and of the blocks of those, only newer ones win.
struct RankedWord: RankedSearch {
    private let relevance: Relevance
    private let reader: SegmentReader
    private var cursor: PostingsCursor
    /// What no document of a stretch exceeds; below 0 once it was looked at. From `firstStretch`
    /// on.
    private var bounds: [Double] = []
    private var firstStretch = 0
    /// Stretches that are looked at first, the best last.
    private var promising: [Int] = []
    /// The next of the others, which come in their order.
    private var following = 0
    private var lowest: UInt32 = 0
    /// Documents of the stretch from `place` on are to be looked at.
    private var place = 0
    private var count = 0
    /// The highest LengthCode with which a document that has the word once, or twice, may win.
    private var longestOnce = 255
    private var longestTwice = 255
    private var threshold = 0.0
    private var charged = 0
    private(set) var hasSkipped = false

    init(_ postings: TermPostings, _ relevance: Relevance, _ matcher: SegmentMatcher, limit: Int) {
        self.relevance = relevance
        reader = matcher.part.reader
        cursor = PostingsCursor(postings, in: reader)
        let hull = matcher.filter.hull
        firstStretch = cursor.stretch(reaching: hull.lowerBound)
        let promisingMax = 8 + limit / 16
        var stretch = firstStretch
        while stretch < cursor.stretches, cursor.lowest(of: stretch) < hull.upperBound {
            let bound = relevance.bound(0, cursor.bound(of: stretch))
            bounds.append(bound)
            note(stretch, bound, promisingMax)
            stretch += 1
        }
    }

    /// Keeps the stretches with the highest bounds, ascending.
    private mutating func note(_ stretch: Int, _ bound: Double, _ promisingMax: Int) {
        if promising.count == promisingMax {
            if bound <= bounds[promising[0] - firstStretch] { return }
            promising.removeFirst()
        }
        var place = promising.count
        while place > 0, bounds[promising[place - 1] - firstStretch] >= bound { place -= 1 }
        promising.insert(stretch, at: place)
    }

    var work: Int { cursor.work - charged }
    var isRotten: Bool { cursor.isRotten }

    mutating func next(
        _ matcher: inout SegmentMatcher, worst: TopHits.Entry?,
        _ budget: inout SegmentMatcher.Budget
    ) -> (document: UInt32, score: Double)? {
        if let worst, worst.value > threshold { raise(to: worst.value) }
        while true {
            while place < count, let found = candidate() {
                budget.left &-= 1
                if budget.isSpent { return nil }
                if matcher.filter.candidate(from: found.document) == found.document,
                    matcher.accepts(found.document)
                {
                    return found
                }
            }
            guard enter(&matcher, worst, &budget) else { return nil }
        }
    }

    /// The next document of the stretch that may win.
    private mutating func candidate() -> (document: UInt32, score: Double)? {
        let documents = cursor.loaded
        let frequencies = cursor.loadedFrequencies()
        let lengths = reader.lengths
        while place < count {
            let document = documents[place]
            let frequency = frequencies[place]
            let length = lengths[Int(document)]
            place &+= 1
            let longest = frequency == 1 ? longestOnce : frequency == 2 ? longestTwice : 255
            if Int(length) > longest { continue }
            let score = relevance.contribution(0, frequency: frequency, length: length)
            if score >= threshold { return (document, score) }
        }
        return nil
    }

    private mutating func raise(to score: Double) {
        threshold = score
        hasSkipped = true
        longestOnce = longest(1, longestOnce)
        longestTwice = longest(2, longestTwice)
    }

    /// The highest LengthCode up to `start` that reaches the threshold; mostly it is near.
    private func longest(_ frequency: UInt32, _ start: Int) -> Int {
        func wins(_ code: Int) -> Bool {
            relevance.contribution(0, frequency: frequency, length: UInt8(code)) >= threshold
        }
        if start < 0 || wins(start) { return start }
        if start > 0, wins(start - 1) { return start - 1 }
        var (low, high) = (-1, max(-1, start - 2))
        while low < high {
            let middle = (low + high + 1) / 2
            if wins(middle) { low = middle } else { high = middle - 1 }
        }
        return low
    }

    /// Decodes the next stretch that may hold a hit; false at the end.
    private mutating func enter(
        _ matcher: inout SegmentMatcher, _ worst: TopHits.Entry?,
        _ budget: inout SegmentMatcher.Budget
    ) -> Bool {
        while let index = nextStretch() {
            let bound = bounds[index]
            bounds[index] = -1
            if bound < threshold { continue }
            let stretch = firstStretch + index
            let first = cursor.lowest(of: stretch)
            let last = min(cursor.bound(of: stretch).last, UInt32(reader.documentCount - 1))
            if let worst, bound == threshold, isOlder(first, last, worst.time) { continue }
            if first < lowest { matcher.rewind(to: first) }
            lowest = first
            if matcher.filter.candidate(from: first) > last { continue }
            cursor.enter(stretch)
            place = 0
            count = cursor.loaded.count
            budget.left -= cursor.work - charged
            charged = cursor.work
            return !budget.isSpent
        }
        return false
    }

    private mutating func nextStretch() -> Int? {
        if let best = promising.popLast() { return best - firstStretch }
        while following < bounds.count {
            following &+= 1
            let bound = bounds[following &- 1]
            if bound >= threshold, bound >= 0 { return following &- 1 }
        }
        return nil
    }

    /// True when all documents of a stretch are older than `time`.
    private func isOlder(_ first: UInt32, _ last: UInt32, _ time: UInt64) -> Bool {
        var document = first
        while document <= last {
            if reader.blockMaxTime(of: document) >= time { return false }
            document = (document | 127) &+ 1
        }
        return true
    }
}
