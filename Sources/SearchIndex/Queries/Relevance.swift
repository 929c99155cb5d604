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
struct Relevance {
    static let k1 = 1.2
    static let b = 0.75
    /// Bounds are sums in another order than scores: this covers what rounding may differ.
    static let slack = 1.000_000_001

    /// Different words, in the order of the search.
    let words: [[UInt8]]
    /// Of each word, all of its factor that is the same for all documents.
    let weights: [Double]
    /// k1 * (1 - b + b * length / average) for each LengthCode.
    let norms: [Double]

    /// - Parameters:
    ///   - spans: what may be read; nil: everything.
    ///   - budget: pays for counting where less than a segment may be read.
    init(
        _ expression: SearchExpression, _ parts: [SearchSnapshot.Part], _ spans: [SearchSpan]?,
        _ budget: inout SegmentMatcher.Budget
    ) throws(SearchError) {
        var words: [[UInt8]] = []
        Self.collect(expression, into: &words, depth: 0)
        var counts = [Double](repeating: 0, count: words.count)
        var documents = 0.0
        var length = 0.0
        for part in parts {
            let reader = part.reader
            let all = 0..<UInt32(reader.documentCount)
            let ranges = spans.map { reader.ranges(of: $0) } ?? [all]
            let isWhole = ranges == [all]
            documents += Double(ranges.reduce(0) { $0 + $1.count })
            length += Double(isWhole ? reader.words : Self.words(of: ranges, reader, &budget))
            for (index, word) in words.enumerated() where !ranges.isEmpty {
                guard let postings = try reader.find(term: word) else { continue }
                let count =
                    isWhole
                    ? postings.documents
                    : Self.count(PostingsCursor(postings, in: reader), ranges, &budget)
                counts[index] += Double(count)
            }
        }
        let average = length > 0 ? length / documents : 1
        norms = LengthCode.lengths.map {
            Self.k1 * (1 - Self.b + Self.b * Double($0) / average)
        }
        weights = counts.map { count in
            let ratio = (documents - count + 0.5) / (count + 0.5)
            return NaturalLogarithm.of(1 + ratio) * (Self.k1 + 1)
        }
        self.words = words
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
        for range in ranges where cursor.document < PostingsCursor.end {
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

    /// What a word adds at most.
    @inline(__always)
    func bound(_ word: Int, _ bound: PostingsCursor.Bound) -> Double {
        if bound.frequency == 255 { return weights[word] }
        return contribution(word, frequency: UInt32(bound.frequency), length: bound.length)
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

/// Scores documents of one segment, in ascending order.
struct SegmentScorer {
    private let relevance: Relevance
    private let lengths: UnsafePointer<UInt8>
    /// The words that the segment has, in the order of the search.
    private(set) var cursors: [PostingsCursor] = []
    private(set) var words: [Int] = []

    init(_ relevance: Relevance, _ reader: SegmentReader) throws(SearchError) {
        self.relevance = relevance
        lengths = reader.lengths
        for (index, word) in relevance.words.enumerated() {
            guard let postings = try reader.find(term: word) else { continue }
            cursors.append(PostingsCursor(postings, in: reader))
            words.append(index)
        }
    }

    /// The score of a document.
    mutating func score(_ document: UInt32) -> Double {
        var sum = 0.0
        for index in cursors.indices {
            cursors[index].advance(to: document)
            if cursors[index].document == document {
                sum += relevance.contribution(
                    words[index], frequency: cursors[index].frequency(),
                    length: lengths[Int(document)])
            }
        }
        return sum
    }

    /// What no document from `document` to the one given back exceeds.
    mutating func bound(at document: UInt32) -> (score: Double, last: UInt32) {
        var sum = 0.0
        var last = PostingsCursor.end
        for index in cursors.indices {
            let bound = cursors[index].bound(at: document)
            sum += relevance.bound(words[index], bound)
            last = min(last, bound.last)
        }
        return (sum * Relevance.slack, last)
    }

    var work: Int { cursors.reduce(0) { $0 + $1.work } }
    var isRotten: Bool { cursors.contains { $0.isRotten } }
}
