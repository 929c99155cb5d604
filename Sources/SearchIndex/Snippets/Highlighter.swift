/// Marks the words of a search in the text of a message, and cuts out the part that has most of
/// them.
///
/// The text goes through the tokenizer again, so that whatever the index took for equal (case,
/// accents, width, pairs of characters) is marked. A word of the search is marked wherever it
/// stands, a beginning marks the word that begins so, a phrase is marked only where it stands
/// whole; what the search excludes and its conditions mark nothing. The work grows with the text,
/// and no text or search makes it more.
package struct Highlighter: Sendable {
    /// Characters of a snippet, without the ellipses.
    package static let charactersMax = 200
    /// Of them, those before the first mark.
    static let leadMax = 40

    private let terms: HighlightTerms

    /// A highlighter for the words of `expression`.
    package init(_ expression: SearchExpression) {
        terms = HighlightTerms(expression)
    }

    /// A part of `text` on one line, and the words found in it: ranges of the part's UTF-16 code
    /// units, ascending, apart from each other, never empty.
    ///
    /// A text of at most ``charactersMax`` characters is its own snippet. Of a longer one it is the
    /// first of those parts that have most different words of the search, cut between words where
    /// that is near, always between characters, with "…" where something is left out. Each line
    /// break becomes a space.
    package func snippet(of text: String) -> (text: String, highlights: [Range<Int>]) {
        var text = text
        text.makeContiguousUTF8()
        let marks = text.withUTF8 { terms.marks(in: UnsafeRawBufferPointer($0)) }
        let starts = Self.characterStarts(text)
        return text.withUTF8 { bytes in
            var cutter = SnippetCutter(
                text: UnsafeRawBufferPointer(bytes), starts: starts, leaves: terms.leaves)
            return cutter.snippet(marks)
        }
    }

    /// Where each character begins in the text's UTF-8, and where the last one ends.
    private static func characterStarts(_ text: String) -> [Int] {
        let bytes = text.utf8
        var starts: [Int] = []
        starts.reserveCapacity(bytes.count + 1)
        for index in text.indices {
            starts.append(bytes.distance(from: bytes.startIndex, to: index))
        }
        starts.append(bytes.count)
        return starts
    }
}
