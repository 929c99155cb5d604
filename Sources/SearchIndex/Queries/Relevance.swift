/// BM25 (Robertson and Zaragoza, "The probabilistic relevance framework", 2009) with k1 = 1.2 and
/// b = 0.75 over all segments: every word of the search adds
///
///     ln(1 + (N - n + 0.5) / (n + 0.5)) * (k1 + 1) * f / (f + k1 * (1 - b + b * length / average))
///
/// for f occurrences in a document of `length` words (LengthCode), n documents of N with the word.
/// Only the documents of the stretches that the asker may read count in N, n and the average: an
/// order in which others' words counted would tell of them. Dead documents count until their
/// segment is merged. A phrase counts as its words, a prefix as the word that it spells, an
/// exclusion as nothing.
final class Relevance {
    static let k1 = 1.2
    static let b = 0.75
    /// Bounds are sums in another order than scores: this covers what rounding may differ.
    static let slack = 1.000_000_001

    /// Different words, in the order of the search.
    let words: [[UInt8]]
    /// Where the words are, of each part.
    let terms: [SegmentTerms]
    /// Of each word, all of its factor that is the same for all documents.
    let weights: [Double]
    /// True when nobody has any of the words: all scores are 0.
    let isEmpty: Bool
    /// k1 * (1 - b + b * length / average) for each LengthCode; none when ``isEmpty``.
    let norms: [Double]
    /// Documents that the words have, each word's by itself.
    let postings: Int

    /// - Parameters:
    ///   - spans: what may be read; nil: everything.
    ///   - budget: pays for counting where less than a segment may be read.
    init(
        _ expression: SearchExpression, _ parts: [SearchSnapshot.Part], _ spans: [SearchSpan]?,
        _ budget: inout SegmentMatcher.Budget
    ) throws(SearchError) {
        var words: [[UInt8]] = []
        Self.collect(expression, into: &words, depth: 0)
        var terms: [SegmentTerms] = []
        var counts = [Double](repeating: 0, count: words.count)
        var documents = 0.0
        var length = 0.0
        for part in parts {
            let reader = part.reader
            let all = 0..<UInt32(reader.documentCount)
            let ranges = spans.map { reader.ranges(of: $0) } ?? [all]
            let isWhole = ranges.count == 1 && ranges[0] == all
            documents += Double(ranges.reduce(0) { $0 + $1.count })
            length += Double(isWhole ? reader.words : Self.words(of: ranges, reader, &budget))
            let found = try SegmentTerms(ranges.isEmpty ? [] : words, in: reader)
            terms.append(found)
            for (index, postings) in found.postings.enumerated() where !budget.isSpent {
                guard let postings else { continue }
                let count =
                    isWhole
                    ? postings.documents
                    : Self.count(PostingsCursor(postings, in: reader), ranges, &budget)
                counts[index] += Double(count)
            }
        }
        let average = length > 0 ? length / documents : 1
        let share = Self.k1 * Self.b / average
        isEmpty = terms.allSatisfy { $0.isEmpty }
        norms =
            isEmpty
            ? []
            : LengthCode.lengths.map { Self.k1 * (1 - Self.b) + share * Double($0) }
        weights = counts.map { count in
            let ratio = (documents - count + 0.5) / (count + 0.5)
            return NaturalLogarithm.of(1 + ratio) * (Self.k1 + 1)
        }
        self.words = words
        postings = Int(counts.reduce(0, +))
        self.terms = terms
    }

    private static func words(
        of ranges: [Range<UInt32>], _ reader: SegmentReader,
        _ budget: inout SegmentMatcher.Budget
    ) -> UInt64 {
        var sum: UInt64 = 0
        for range in ranges where !budget.isSpent {
            for document in range {
                sum += UInt64(LengthCode.lengths[Int(reader.lengths[Int(document)])])
            }
            budget.left -= range.count
        }
        return sum
    }

    private static func count(
        _ cursor: consuming PostingsCursor, _ ranges: [Range<UInt32>],
        _ budget: inout SegmentMatcher.Budget
    ) -> Int {
        var count = 0
        for range in ranges where cursor.document < PostingsCursor.end && !budget.isSpent {
            cursor.advance(to: range.lowerBound)
            count += cursor.pass(below: range.upperBound)
        }
        budget.left -= cursor.work
        return count
    }

    private static func collect(
        _ expression: SearchExpression, into words: inout [[UInt8]], depth: Int
    ) {
        if depth > SegmentPlanner.depthMax { return }
        func add(_ word: [UInt8]) {
            if !words.contains(word) { words.append(word) }
        }
        switch expression {
        case .word(let word), .prefix(let word): add(word)
        case .phrase(let phrase): for word in phrase { add(word.bytes) }
        case .all(let parts), .any(let parts):
            for part in parts { collect(part, into: &words, depth: depth + 1) }
        case .not, .matching: break
        }
    }

    /// What a word adds.
    @inline(__always)
    func contribution(_ word: Int, frequency: UInt32, length: UInt8) -> Double {
        let frequency = Double(frequency)
        return weights[word] * frequency / (frequency + norms[Int(length)])
    }

    /// What a word adds at most, in documents of at least a length.
    @inline(__always)
    func bound(_ word: Int, _ bound: PostingsCursor.Bound, shortest: UInt8 = 0) -> Double {
        if bound.frequency == 255 { return weights[word] }
        let once = contribution(word, frequency: 1, length: max(shortest, bound.once))
        if bound.frequency == 1 { return once }
        let twice = contribution(word, frequency: 2, length: max(shortest, bound.twice))
        // Rounding cannot turn round the order of two frequencies: they differ by far more.
        let more = contribution(
            word, frequency: UInt32(bound.frequency), length: max(shortest, bound.more))
        return max(once, max(twice, more))
    }
}

/// Where the words of a search are in one segment.
struct SegmentTerms {
    let words: [[UInt8]]
    /// Of each word its list, if the segment has one.
    let postings: [TermPostings?]

    init(_ words: [[UInt8]], in reader: SegmentReader) throws(SearchError) {
        self.words = words
        var postings: [TermPostings?] = []
        for word in words { postings.append(try reader.find(term: word)) }
        self.postings = postings
    }

    /// True when the segment has none of the words.
    var isEmpty: Bool { postings.allSatisfy { $0 == nil } }

    /// The list of a word, looked up when it is none of these.
    func find(_ word: [UInt8], in reader: SegmentReader) throws(SearchError) -> TermPostings? {
        for index in words.indices where words[index] == word { return postings[index] }
        return try reader.find(term: word)
    }
}

/// ln, which the standard library does not have.
enum NaturalLogarithm {
    /// ln of a positive finite number: the exponent's part, and for the rest m in 0.7…1.5 the
    /// series 2 (z + z³/3 + z⁵/5 + …) with z = (m − 1) / (m + 1).
    static func of(_ value: Double) -> Double {
        var exponent = Double(value.exponent)
        var rest = value.significand
        if rest > 1.414_213_562_373_095_1 {
            rest /= 2
            exponent += 1
        }
        let z = (rest - 1) / (rest + 1)
        let square = z * z
        var sum = 0.0
        for odd in stride(from: 25, through: 1, by: -2) { sum = sum * square + 1 / Double(odd) }
        return exponent * 0.693_147_180_559_945_309_417 + 2 * z * sum
    }
}
