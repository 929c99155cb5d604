/// Looks whether the words of a phrase stand where they should in a document that has them all.
struct PhraseMatcher {
    /// A word of the phrase that leads the matcher.
    struct Word {
        let list: UnsafeRawPointer
        let offset: UInt32
        /// Its place among the leaders.
        var leader = 0
    }

    private var words: [Word]
    /// Words of which one is the last of the phrase; empty when it has no such.
    private(set) var endings: [PostingsCursor]
    private let endingOffset: UInt32
    /// Where the phrase may start in a document.
    private var starts: [UInt32] = []
    private var left: [UInt32] = []

    /// A phrase of words and, at its end, one of several.
    init(words: [Word], endings: [PostingsCursor], endingOffset: UInt32) {
        self.words = words
        self.endings = endings
        self.endingOffset = endingOffset
    }

    /// Finds its words among the leaders of the matcher.
    mutating func resolve(_ leaders: [PostingsCursor]) {
        for index in words.indices {
            let list = words[index].list
            words[index].leader = leaders.firstIndex { $0.list == list } ?? 0
        }
    }

    mutating func rewind(to document: UInt32) {
        for index in endings.indices { endings[index].rewind(to: document) }
    }

    /// True when the phrase stands in the document that the leaders stand at. Documents ascend.
    mutating func matches(_ document: UInt32, _ leaders: inout [PostingsCursor]) -> Bool {
        starts.removeAll(keepingCapacity: true)
        let first = words[0].offset
        for position in leaders[words[0].leader].positions() where position >= first {
            starts.append(position &- first)
        }
        for index in 1..<words.count {
            let positions = leaders[words[index].leader].positions()
            Self.keep(&starts, positions, words[index].offset)
            if starts.isEmpty { return false }
        }
        return endings.isEmpty ? !starts.isEmpty : endsWith(document)
    }

    private mutating func endsWith(_ document: UInt32) -> Bool {
        for index in endings.indices {
            endings[index].advance(to: document)
            if endings[index].document != document { continue }
            left.removeAll(keepingCapacity: true)
            left.append(contentsOf: starts)
            Self.keep(&left, endings[index].positions(), endingOffset)
            if !left.isEmpty { return true }
        }
        return false
    }

    /// Keeps the starts for which the word stands `offset` behind; both are ascending.
    private static func keep(
        _ starts: inout [UInt32], _ positions: UnsafeBufferPointer<UInt32>, _ offset: UInt32
    ) {
        var at = 0
        var kept = 0
        for index in starts.indices {
            let (wanted, wraps) = starts[index].addingReportingOverflow(offset)
            if wraps { break }
            while at < positions.count, positions[at] < wanted { at &+= 1 }
            if at == positions.count { break }
            if positions[at] == wanted {
                starts[kept] = starts[index]
                kept &+= 1
            }
        }
        starts.removeLast(starts.count &- kept)
    }
}
