/// What one typed word asks of the index.
package struct QueryWord: Equatable, Sendable {
    /// One term, or all terms that begin with it.
    package struct Term: Equatable, Sendable {
        /// The bytes as the tokenizer makes them.
        package var bytes: [UInt8]
        /// Where it stands, counted from the first term.
        package var offset: UInt32
        /// True when every term of the index that begins with these bytes will do.
        package var isPrefix: Bool

        /// A term of a query.
        package init(bytes: [UInt8], offset: UInt32, isPrefix: Bool) {
            self.bytes = bytes
            self.offset = offset
            self.isPrefix = isPrefix
        }
    }

    /// All that a message must hold, each at its offset from one common position; offsets ascend.
    /// Empty: the word holds nothing that is indexed. Only the last can be a prefix.
    package var terms: [Term] = []
    /// Other ways to say the same, each complete in itself and found only where `terms` are: a
    /// spaced Korean word. Nothing is missed without them; they tell better hits from others.
    package var alternatives: [[Term]] = []

    /// A word that asks for nothing.
    package init() {}
}

extension Tokenizer {
    /// The terms for one word as typed, that is for text without spaces. `isLastPrefix` says that
    /// the word may go on, if its end is a token's: `C++` does not. A single character of a script
    /// without spaces always may.
    ///
    /// The last pair may go on by marks. Not one of Hangul: spaced words begin like pairs and stand
    /// at other positions, so that characters would be found in another order.
    package mutating func query(
        _ word: UnsafeRawBufferPointer, isLastPrefix: Bool
    ) -> QueryWord {
        var pieces: [(kind: TokenKind, term: QueryWord.Term)] = []
        var last = 0
        scan(word) { kind, bytes, position, _, end in
            last = max(last, end)
            let term = QueryWord.Term(bytes: [UInt8](bytes), offset: position, isPrefix: false)
            pieces.append((kind, term))
        }
        let isLastPrefix = isLastPrefix && last == word.count
        var query = QueryWord()
        for index in pieces.indices {
            let (kind, term) = pieces[index]
            let isFinal = index == pieces.count - 1
            switch kind {
            case .word: query.terms.append(term.prefix(isFinal && isLastPrefix))
            case .lone: query.terms.append(term.prefix(isFinal))
            case .pair:
                let isLast = index + 2 == pieces.count && pieces[index + 1].kind == .last
                let mayGoOn = isLast && isLastPrefix && !pieces[index + 1].term.isHangul
                query.terms.append(term.prefix(mayGoOn))
            // The pair before says as much.
            case .last: continue
            case .whole:
                // All of the word is this run: its pairs, its last character, and this.
                guard isFinal, pieces.dropLast(2).allSatisfy({ $0.kind == .pair }) else { continue }
                var whole = term.prefix(isLastPrefix)
                whole.offset = 0
                query.alternatives.append([whole])
            }
        }
        return query
    }
}

extension QueryWord.Term {
    /// True when it begins with a unit of Hangul.
    fileprivate var isHangul: Bool {
        bytes.withUnsafeBytes {
            !$0.isEmpty && ScalarProfile(ScalarDecoder.decode($0, at: 0).scalar).action == .hangul
        }
    }

    fileprivate func prefix(_ isPrefix: Bool) -> Self {
        Self(bytes: bytes, offset: offset, isPrefix: isPrefix)
    }
}
