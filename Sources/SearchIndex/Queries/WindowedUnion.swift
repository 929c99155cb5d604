/// The best documents that have at least one of some words, when the words are common.
///
/// ``RankedUnion`` looks at one document after the other and asks all lists which is next; of many
/// long lists, that asking is most of the work. Here each essential list (see there) is run through
/// by itself, a window of documents at a time, and adds to sums of the window, which stay in the
/// nearest cache. Only documents whose sum, with what the other lists can add, reaches the worst
/// hit kept are looked at further: first the other lists are asked, the most important first, then
/// the exact score is made. So sums may be rough, as long as they are never too low by more than
/// the slack: single precision, in any order.
struct WindowedUnion: RankedSearch {
    private static let windowDocuments = 4096
    /// Sums that are compared at once.
    private static let lanes = 16
    /// By what a sum of single precision may be too low: some hundred roundings of 2⁻²⁴.
    private static let slack: Float = 1.000_1

    /// Asking a list about a document costs about as much as running through so many.
    private static let askedCost = 8

    private let relevance: Relevance
    private let lengths: UnsafePointer<UInt8>
    private let end: UInt32
    /// By the most that they can add, ascending.
    private var lists: [UnionList]
    /// The most that lists up to this one can add together.
    private var most: [Double]
    /// Exact scores, with cursors of their own.
    private var scorer: SegmentScorer
    /// 1 / (1 + norm) of each LengthCode: what one occurrence adds, but for the weight.
    private let shares: [Float]
    /// Of the documents from `base` on; zeros from `filled` on.
    private var sums = [Float](repeating: 0, count: windowDocuments)
    private var base: UInt32 = 0
    private var filled = 0
    private var place = 0
    /// The first essential list, and that of the window.
    private var essential = 0
    private var windowEssential = 0
    private var charged = 0
    private(set) var hasSkipped = false

    /// Whether the words are common enough, in the documents that the filter leaves.
    static func isWorth(
        _ relevance: Relevance, _ part: Int, _ reader: SegmentReader, _ filter: DocumentFilter
    ) -> Bool {
        if filter.span < reader.documentCount / 2 || relevance.words.count > 256 { return false }
        let postings = relevance.terms[part].postings.reduce(0) { $0 + ($1?.documents ?? 0) }
        return relevance.words.count > 2 && postings > reader.documentCount / 4
    }

    init(_ relevance: Relevance, _ part: Int, _ reader: SegmentReader) {
        self.relevance = relevance
        lengths = reader.lengths
        end = UInt32(reader.documentCount)
        scorer = SegmentScorer(relevance, part, reader)
        shares = relevance.norms.map { Float(1 / (1 + $0)) }
        (lists, most) = UnionList.all(relevance, part, reader)
    }

    var work: Int { listWork - charged + scorer.work }
    var isRotten: Bool { scorer.isRotten || lists.contains { $0.cursor.isRotten } }
    private var listWork: Int { lists.reduce(0) { $0 + $1.cursor.work } }

    mutating func next(
        _ matcher: inout SegmentMatcher, worst: TopHits.Entry?,
        _ budget: inout SegmentMatcher.Budget
    ) -> (document: UInt32, score: Double)? {
        // What is passed over in a window is not counted.
        if worst != nil { hasSkipped = true }
        let threshold = worst?.value ?? 0
        while true {
            while let found = candidate(threshold) {
                budget.left &-= 1
                if budget.isSpent { return nil }
                let document = base &+ UInt32(found)
                guard mayReach(threshold, document, sum: sums[found]),
                    matcher.filter.candidate(from: document) == document,
                    matcher.accepts(document)
                else { continue }
                return (document, scorer.score(document))
            }
            guard fill(&matcher, threshold, &budget) else { return nil }
        }
    }

    /// The place in the window of the next sum that is high enough.
    private mutating func candidate(_ threshold: Double) -> Int? {
        let rest = windowEssential == 0 ? 0 : most[windowEssential - 1]
        // No document that has a word adds nothing.
        let wanted = max(Float(threshold - rest) / Self.slack, .leastNonzeroMagnitude)
        // Numbers that are not negative are ordered as their bits.
        let most = SIMD4(repeating: Int32(bitPattern: wanted.bitPattern) &- 1)
        let found = sums.withUnsafeBytes { bytes in
            while place < filled {
                if place % Self.lanes == 0, Self.areBelow(bytes, place, most) {
                    place &+= Self.lanes
                    continue
                }
                let sum = bytes.load(fromByteOffset: place &* 4, as: Float.self)
                place &+= 1
                if sum >= wanted { return place &- 1 }
            }
            return -1
        }
        return found < 0 ? nil : found
    }

    /// True when none of the next sums is above `most`: then no difference is negative.
    @inline(__always)
    private static func areBelow(
        _ bytes: UnsafeRawBufferPointer, _ place: Int, _ most: SIMD4<Int32>
    ) -> Bool {
        var signs = SIMD4<Int32>.zero
        for step in 0..<(lanes / 4) {
            signs |=
                most
                &- bytes.loadUnaligned(
                    fromByteOffset: place &* 4 &+ step &* 16, as: SIMD4<Int32>.self)
        }
        let halves = unsafeBitCast(signs, to: SIMD2<UInt64>.self)
        return (halves.x | halves.y) & 0x8000_0000_8000_0000 == 0
    }

    /// False when a document is below the threshold for certain.
    private mutating func mayReach(_ threshold: Double, _ document: UInt32, sum: Float) -> Bool {
        var known = Double(sum * Self.slack)
        let length = lengths[Int(document)]
        var index = windowEssential
        while index > 0 {
            if known + most[index - 1] < threshold { return false }
            index -= 1
            lists[index].cursor.advance(to: document)
            if lists[index].cursor.document == document {
                known += relevance.contribution(
                    lists[index].word, frequency: lists[index].cursor.frequency(), length: length)
            }
        }
        return known * Relevance.slack >= threshold
    }

    /// Sums up the next window in which an essential list has a document that the filter may let
    /// through; false at the end.
    private mutating func fill(
        _ matcher: inout SegmentMatcher, _ threshold: Double,
        _ budget: inout SegmentMatcher.Budget
    ) -> Bool {
        while essential < lists.count, most[essential] < threshold { essential += 1 }
        var start = PostingsCursor.end
        for index in essential..<lists.count { start = min(start, lists[index].cursor.document) }
        if start >= end { return false }
        start = matcher.filter.candidate(from: start)
        if start >= end { return false }
        let limit = min(end, start + UInt32(Self.windowDocuments))
        sums.withUnsafeMutableBufferPointer { $0.update(repeating: 0) }
        windowEssential = isCheap(essential) ? 0 : essential
        for index in windowEssential..<lists.count {
            lists[index].cursor.advance(to: start)
            add(index, start, limit)
        }
        base = start
        filled = Int(limit - start)
        place = 0
        let total = listWork
        budget.left -= total - charged
        charged = total
        return !budget.isSpent
    }

    /// True when running through the lists that are not essential costs less than asking them about
    /// the documents of the others.
    private func isCheap(_ essential: Int) -> Bool {
        var counts = (asked: 0, run: 0)
        for (index, list) in lists.enumerated() {
            if index < essential {
                counts.run += list.cursor.documents
            } else {
                counts.asked += list.cursor.documents
            }
        }
        return counts.run <= Self.askedCost * counts.asked
    }

    private mutating func add(_ index: Int, _ start: UInt32, _ limit: UInt32) {
        let weight = Float(relevance.weights[lists[index].word])
        let lengths = lengths
        let norms = relevance.norms
        shares.withUnsafeBufferPointer { shares in
            sums.withUnsafeMutableBufferPointer { sums in
                lists[index].cursor.drain(below: limit) { document, frequency in
                    let length = Int(lengths[Int(document)])
                    let place = Int(document &- start)
                    if frequency == 1 {
                        sums[place] += weight * shares[length]
                    } else {
                        let count = Float(frequency)
                        sums[place] += weight * count / (count + Float(norms[length]))
                    }
                }
            }
        }
    }
}
