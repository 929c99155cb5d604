/// The best documents that have at least one of some words, without scoring them all.
///
/// The simple version scores every document of every list. Here (block-max MAXSCORE: Turtle and
/// Flood 1995; Dimopoulos, Nepomnyachiy and Suel 2013) lists are sorted by the most that their word
/// can add. Words whose bounds together stay below the worst hit kept cannot make a hit alone, so
/// only the other lists, the *essential* ones, say which documents to look at; the rest are asked
/// about those, and only as long as they could still matter. Where the bounds of all lists' current
/// blocks stay below the worst hit, the stretch up to the nearest end of a block is passed over.
struct RankedUnion: RankedSearch {
    private let relevance: Relevance
    private let lengths: UnsafePointer<UInt8>
    /// By the most that they can add, ascending.
    private var lists: [UnionList]
    /// The most that lists up to this one can add together.
    private var sums: [Double]
    private var contributions: [Double]
    private var essential = 0
    private var stretchLast: UInt32 = 0
    private var stretchBound = 0.0
    /// The most that the lists that are not essential can add in the stretch.
    private var stretchRest = 0.0
    private var hasStretch = false
    private(set) var hasSkipped = false

    init(_ relevance: Relevance, _ part: Int, _ reader: SegmentReader) {
        self.relevance = relevance
        lengths = reader.lengths
        contributions = [Double](repeating: 0, count: relevance.words.count)
        (lists, sums) = UnionList.all(relevance, part, reader)
    }

    var work: Int { lists.reduce(0) { $0 + $1.cursor.work } }
    var isRotten: Bool { lists.contains { $0.cursor.isRotten } }

    mutating func next(
        _ matcher: inout SegmentMatcher, worst: TopHits.Entry?,
        _ budget: inout SegmentMatcher.Budget
    ) -> (document: UInt32, score: Double)? {
        let threshold = worst?.value
        while true {
            if let threshold {
                while essential < lists.count, sums[essential] < threshold {
                    essential += 1
                    hasStretch = false
                    hasSkipped = true
                }
            }
            if essential == lists.count { return nil }
            if let threshold, hasStretch, essential == lists.count - 1 { pass(below: threshold) }
            var document = PostingsCursor.end
            for index in essential..<lists.count {
                document = min(document, lists[index].cursor.document)
            }
            if document == PostingsCursor.end { return nil }
            budget.left &-= 1
            if budget.isSpent { return nil }
            let allowed = matcher.filter.candidate(from: document)
            if allowed != document {
                if allowed == PostingsCursor.end { return nil }
                advance(to: allowed)
                continue
            }
            if let threshold, isStretchBelow(threshold, document) {
                hasSkipped = true
                if stretchLast == PostingsCursor.end { return nil }
                advance(to: stretchLast &+ 1)
                continue
            }
            let score = self.score(document, threshold)
            let isWanted = score != nil && matcher.accepts(document)
            for index in essential..<lists.count where lists[index].cursor.document == document {
                lists[index].cursor.next()
            }
            if score == nil { hasSkipped = true }
            if isWanted, let score { return (document, score) }
        }
    }

    /// With one essential list left: passes over its documents that cannot make up for what the
    /// others add at most in the stretch.
    private mutating func pass(below threshold: Double) {
        let documents = lists[essential].cursor.loaded
        guard let first = documents.first, first <= stretchLast else { return }
        let frequencies = lists[essential].cursor.loadedFrequencies()
        let word = lists[essential].word
        var place = 0
        while place < documents.count, documents[place] <= stretchLast {
            let known = relevance.contribution(
                word, frequency: frequencies[place], length: lengths[Int(documents[place])])
            if known * Relevance.slack + stretchRest >= threshold { break }
            place &+= 1
        }
        if place == 0 { return }
        hasSkipped = true
        lists[essential].cursor.skip(place)
    }

    private mutating func advance(to document: UInt32) {
        for index in essential..<lists.count { lists[index].cursor.advance(to: document) }
    }

    @inline(__always)
    private mutating func isStretchBelow(_ threshold: Double, _ document: UInt32) -> Bool {
        if !hasStretch || document > stretchLast {
            hasStretch = true
            stretchLast = PostingsCursor.end
            stretchBound = 0
            for index in lists.indices {
                if index == essential { stretchRest = stretchBound * Relevance.slack }
                let bound = lists[index].cursor.bound(at: document)
                stretchBound += relevance.bound(lists[index].word, bound)
                stretchLast = min(stretchLast, bound.last)
            }
            stretchBound *= Relevance.slack
        }
        return stretchBound < threshold
    }

    /// The score of a document; nil when it was found to be below the threshold on the way.
    private mutating func score(_ document: UInt32, _ threshold: Double?) -> Double? {
        let length = lengths[Int(document)]
        var known = 0.0
        for index in essential..<lists.count where lists[index].cursor.document == document {
            known += take(index, length)
        }
        var index = essential
        var isBelow = false
        if let threshold, known * Relevance.slack + stretchRest < threshold {
            isBelow = true
            index = 0
        }
        while index > 0 {
            if let threshold, known * Relevance.slack + sums[index - 1] < threshold {
                isBelow = true
                break
            }
            index -= 1
            lists[index].cursor.advance(to: document)
            if lists[index].cursor.document == document { known += take(index, length) }
        }
        // Added up in the order of the search, so that a document has one score everywhere.
        var sum = 0.0
        for word in contributions.indices {
            sum += contributions[word]
            contributions[word] = 0
        }
        return isBelow ? nil : sum
    }

    @inline(__always)
    private mutating func take(_ index: Int, _ length: UInt8) -> Double {
        let contribution = relevance.contribution(
            lists[index].word, frequency: lists[index].cursor.frequency(), length: length)
        contributions[lists[index].word] = contribution
        return contribution
    }
}
