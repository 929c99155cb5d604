/// Looking into a segment: for tools.
extension SegmentReader {
    /// A term of the dictionary.
    package struct Term: Sendable {
        /// Its bytes: a word's, or those of a ``FilterTerm``.
        package let bytes: [UInt8]
        /// Documents that have it, dead ones too.
        package let documents: Int
        /// Bytes of its list.
        package let listBytes: Int
    }

    /// A document in the list of a term.
    package struct Posting: Sendable {
        /// Its number in the segment.
        package let number: UInt32
        /// What is known of it.
        package let document: SearchDocument
        /// Where the term stands in it, ascending; empty when it is no word.
        package let positions: [UInt32]
    }

    /// What the segment says of itself, in the order of the format.
    package var properties: [(name: String, value: UInt64)] {
        let rows: [(name: String, value: UInt64)] = [
            ("fileID", summary.fileID), ("bytes", summary.bytes),
            ("documents", UInt64(documentCount)), ("conversations", UInt64(conversationCount)),
            ("senders", UInt64(senderCount)), ("terms", UInt64(termCount)), ("words", words),
            ("minTime", summary.minTime), ("maxTime", summary.maxTime), ("timeUnit", timeUnit),
            ("tokenizer", UInt64(tokens.tokenizer)), ("unicode", UInt64(tokens.unicode)),
        ]
        return rows
            + SegmentFormat.Section.allCases.map { ("\($0)Bytes", UInt64(section($0).count)) }
    }

    /// Calls `body` for each term that begins with `prefix`, ascending, until it gives false. All
    /// terms that are no words come first.
    package func terms(
        prefix: [UInt8], _ body: (Term) -> Bool
    ) throws(SearchError) {
        var iterator = TermIterator(self)
        var isThere = try Self.seek(&iterator, prefix)
        while isThere, Bytewise.isPrefix(prefix, of: iterator.term) {
            let term = Term(
                bytes: iterator.term, documents: iterator.postings.documents,
                listBytes: iterator.postings.bytes)
            guard body(term) else { return }
            isThere = try iterator.advance()
        }
    }

    /// Calls `body` for each document that has `term`, ascending, until it gives false. False when
    /// the segment does not have the term.
    package func postings(
        of term: [UInt8], _ body: (Posting) -> Bool
    ) throws(SearchError) -> Bool {
        guard let found = try find(entry: term) else { return false }
        var cursor = PostingsCursor(found, in: self)
        while cursor.document != PostingsCursor.end {
            let posting = Posting(
                number: cursor.document, document: document(cursor.document),
                positions: Array(cursor.positions()))
            guard body(posting) else { return true }
            cursor.next()
        }
        if cursor.isRotten {
            throw Rot(offset(found.list), "a list as the format says", "a rotten one")
                .error(in: path)
        }
        return true
    }
}
