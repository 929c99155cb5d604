/// Looks whether the words of a phrase stand where they should in a document that has them all.
struct PhraseMatcher {
    private var words: [PostingsCursor]
    private let offsets: [UInt32]
    /// Words of which one is the last of the phrase; empty when it has no such.
    private var endings: [PostingsCursor]
    private let endingOffset: UInt32

    /// A phrase of words and, at its end, one of several. Offsets are ascending in no order.
    init(
        words: [PostingsCursor], offsets: [UInt32], endings: [PostingsCursor],
        endingOffset: UInt32
    ) {
        self.words = words
        self.offsets = offsets
        self.endings = endings
        self.endingOffset = endingOffset
    }

    var work: Int { (words + endings).reduce(0) { $0 + $1.work } }
    var isRotten: Bool { (words + endings).contains { $0.isRotten } }

    mutating func rewind(to document: UInt32) {
        for index in words.indices { words[index].rewind(to: document) }
        for index in endings.indices { endings[index].rewind(to: document) }
    }

    /// True when the phrase stands in the document. Documents ascend.
    mutating func matches(_ document: UInt32) -> Bool {
        for index in words.indices {
            words[index].advance(to: document)
            if words[index].document != document { return false }
        }
        guard !words.isEmpty else { return endsWith(document, starts: nil) }
        // Starts of the phrase that all words so far allow, ascending.
        var starts: [UInt32] = []
        for position in words[0].positions() where position >= offsets[0] {
            starts.append(position &- offsets[0])
        }
        for index in words.indices.dropFirst() {
            keep(&starts, words[index].positions(), offsets[index])
            if starts.isEmpty { return false }
        }
        return endings.isEmpty ? !starts.isEmpty : endsWith(document, starts: starts)
    }

    private mutating func endsWith(_ document: UInt32, starts: [UInt32]?) -> Bool {
        for index in endings.indices {
            endings[index].advance(to: document)
            if endings[index].document != document { continue }
            guard var left = starts else { return true }
            keep(&left, endings[index].positions(), endingOffset)
            if !left.isEmpty { return true }
        }
        return false
    }

    /// Keeps the starts for which the word stands `offset` behind; both are ascending.
    private func keep(
        _ starts: inout [UInt32], _ positions: UnsafeBufferPointer<UInt32>, _ offset: UInt32
    ) {
        var at = 0
        starts.removeAll { start in
            let (wanted, wraps) = start.addingReportingOverflow(offset)
            if wraps { return true }
            while at < positions.count, positions[at] < wanted { at += 1 }
            return at >= positions.count || positions[at] != wanted
        }
    }
}
