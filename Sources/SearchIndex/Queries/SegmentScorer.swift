/// Scores documents of one segment, in ascending order.
struct SegmentScorer {
    private let relevance: Relevance
    private let lengths: UnsafePointer<UInt8>
    /// The words that the segment has, in the order of the search.
    private var cursors: [PostingsCursor] = []
    private var words: [Int] = []

    init(_ relevance: Relevance, _ part: Int, _ reader: SegmentReader) {
        self.relevance = relevance
        lengths = reader.lengths
        for (index, postings) in relevance.terms[part].postings.enumerated() {
            guard let postings else { continue }
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

    var work: Int { cursors.reduce(0) { $0 + $1.work } }
    var isRotten: Bool { cursors.contains { $0.isRotten } }
}
