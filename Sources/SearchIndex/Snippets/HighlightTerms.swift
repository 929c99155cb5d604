internal import Bytes

/// A stretch of a text that a part of the search asks for.
struct HighlightMark: Equatable {
    /// Bytes of the text's UTF-8.
    var range: Range<Int>
    /// The word, beginning or phrase of the search.
    var leaf: Int
}

/// What a search looks for, made ready for looking it up token by token.
struct HighlightTerms: Sendable {
    /// Terms at their offsets; the last of them may be a beginning.
    private struct Phrase {
        /// Numbers of `words`, by offset.
        var words: [(word: Int, offset: UInt32)]
        /// A number of `prefixes`.
        var ending: (prefix: Int, offset: UInt32)?
        var leaf: Int
    }

    /// Steps of looking for phrases that one token of the text allows on average. Phrases of words
    /// that are said over and over would otherwise cost their product with the text.
    private static let stepsPerToken = 64

    /// Terms that must be equal, ascending, and which part of the search each is by itself.
    private var words: [[UInt8]] = []
    private var wordLeaves: [Int?] = []
    /// Terms that begin so.
    private var prefixes: [[UInt8]] = []
    private var prefixLeaves: [Int?] = []
    /// True for a single character of a script without spaces: of a pair it asks for the first.
    private var prefixIsLone: [Bool] = []
    private var phrases: [Phrase] = []
    /// Parts of the search that can be marked.
    private(set) var leaves = 0

    init(_ expression: SearchExpression) {
        var asked: [SearchExpression] = []
        Self.collect(expression, into: &asked, depth: 0)
        words = Self.words(of: asked)
        wordLeaves = words.map { _ in nil }
        for (leaf, part) in asked.enumerated() { add(part, leaf) }
        leaves = asked.count
    }

    /// The words, beginnings and phrases that a message can have, each once. A phrase of one word
    /// is that word.
    private static func collect(
        _ expression: SearchExpression, into asked: inout [SearchExpression], depth: Int
    ) {
        if depth > SegmentPlanner.depthMax { return }
        switch expression {
        case .all(let parts), .any(let parts):
            for part in parts { collect(part, into: &asked, depth: depth + 1) }
        case .phrase(let words) where words.count == 1:
            let (bytes, isPrefix) = (words[0].bytes, words[0].isPrefix)
            collect(isPrefix ? .prefix(bytes) : .word(bytes), into: &asked, depth: depth + 1)
        case .word(let bytes), .prefix(let bytes):
            if !bytes.isEmpty, !asked.contains(expression) { asked.append(expression) }
        case .phrase(let words):
            if !words.isEmpty, !asked.contains(expression) { asked.append(expression) }
        case .not, .matching: return
        }
    }

    private static func words(of asked: [SearchExpression]) -> [[UInt8]] {
        var words: [[UInt8]] = []
        for part in asked {
            switch part {
            case .word(let bytes): words.append(bytes)
            case .phrase(let phrase):
                let ending = phrase.last?.isPrefix == true ? 1 : 0
                words += phrase.dropLast(ending).map(\.bytes)
            default: break
            }
        }
        words.sort { $0.lexicographicallyPrecedes($1) }
        return words.reduce(into: []) { if $0.last != $1 { $0.append($1) } }
    }

    private mutating func add(_ part: SearchExpression, _ leaf: Int) {
        switch part {
        case .word(let bytes):
            if let word = word(bytes) { wordLeaves[word] = leaf }
        case .prefix(let bytes):
            prefixLeaves[prefix(bytes)] = leaf
        case .phrase(let phrase):
            var made = Phrase(words: [], ending: nil, leaf: leaf)
            for (index, term) in phrase.enumerated() {
                if term.isPrefix, index == phrase.count - 1 {
                    made.ending = (prefix(term.bytes), term.offset)
                } else if let word = word(term.bytes) {
                    made.words.append((word, term.offset))
                }
            }
            made.words.sort { $0.offset < $1.offset }
            phrases.append(made)
        default: break
        }
    }

    private func word(_ bytes: [UInt8]) -> Int? { bytes.withUnsafeBytes { word($0) } }

    private func word(_ bytes: UnsafeRawBufferPointer) -> Int? {
        var low = 0
        var high = words.count
        while low < high {
            let middle = (low + high) / 2
            let order = words[middle].withUnsafeBytes { Bytewise.compare($0, bytes) }
            if order == 0 { return middle }
            if order < 0 { low = middle + 1 } else { high = middle }
        }
        return nil
    }

    private mutating func prefix(_ bytes: [UInt8]) -> Int {
        if let known = prefixes.firstIndex(of: bytes) { return known }
        prefixes.append(bytes)
        prefixLeaves.append(nil)
        var kinds: [TokenKind] = []
        var tokenizer = Tokenizer()
        bytes.withUnsafeBytes { tokenizer.scan($0) { kind, _, _, _, _ in kinds.append(kind) } }
        prefixIsLone.append(kinds == [.lone])
        return prefixes.count - 1
    }

    // MARK: Marking

    /// A token of the text.
    private struct Token {
        let word: Int?
        let position: UInt32
        let range: Range<Int>
    }

    /// What of the text is asked for.
    private struct Sightings {
        var tokens: [Token] = []
        /// The first token of each position.
        var first: [Int] = []
        /// Tokens of each word, ascending.
        var ofWord: [[Int]]
        /// Tokens of each beginning, ascending, and what of them is to be marked.
        var ofPrefix: [[(token: Int, range: Range<Int>)]]
    }

    /// All that the search finds in `text`, ordered by where it begins.
    func marks(in text: UnsafeRawBufferPointer) -> [HighlightMark] {
        if leaves == 0 { return [] }
        let sightings = look(text)
        var marks: [HighlightMark] = []
        for (word, leaf) in wordLeaves.enumerated() {
            guard let leaf else { continue }
            for token in sightings.ofWord[word] {
                marks.append(HighlightMark(range: sightings.tokens[token].range, leaf: leaf))
            }
        }
        for (prefix, leaf) in prefixLeaves.enumerated() {
            guard let leaf else { continue }
            for place in sightings.ofPrefix[prefix] {
                marks.append(HighlightMark(range: place.range, leaf: leaf))
            }
        }
        var steps = (sightings.tokens.count + 64) * Self.stepsPerToken
        for phrase in phrases { add(phrase, sightings, text, to: &marks, &steps) }
        marks.sort {
            ($0.range.lowerBound, $0.range.upperBound, $0.leaf)
                < ($1.range.lowerBound, $1.range.upperBound, $1.leaf)
        }
        return marks
    }

    private func look(_ text: UnsafeRawBufferPointer) -> Sightings {
        var sightings = Sightings(
            ofWord: words.map { _ in [] }, ofPrefix: prefixes.map { _ in [] })
        /// Single characters that begin the pair before: where the next token begins, the pair's
        /// first character ends.
        var waiting: [Int] = []
        var tokenizer = Tokenizer()
        tokenizer.scan(text) { kind, bytes, position, start, end in
            let number = sightings.tokens.count
            for prefix in waiting {
                let range = sightings.tokens[number - 1].range
                if start > range.lowerBound {
                    let last = sightings.ofPrefix[prefix].count - 1
                    sightings.ofPrefix[prefix][last].range = range.lowerBound..<start
                }
            }
            waiting.removeAll(keepingCapacity: true)
            let word = self.word(bytes)
            sightings.tokens.append(Token(word: word, position: position, range: start..<end))
            if sightings.first.count <= Int(position) { sightings.first.append(number) }
            if let word { sightings.ofWord[word].append(number) }
            // The pairs of a spaced word say where in it the beginning is.
            if kind == .whole { return }
            for (index, prefix) in prefixes.enumerated()
            where Bytewise.isPrefix(prefix, of: bytes) {
                sightings.ofPrefix[index].append((number, start..<end))
                if kind == .pair, prefixIsLone[index] { waiting.append(index) }
            }
        }
        return sightings
    }

    private func add(
        _ phrase: Phrase, _ sightings: Sightings, _ text: UnsafeRawBufferPointer,
        to marks: inout [HighlightMark], _ steps: inout Int
    ) {
        // The rarest word says where it is worth to look.
        guard
            let anchor = phrase.words.min(by: {
                sightings.ofWord[$0.word].count < sightings.ofWord[$1.word].count
            })
        else { return }
        for token in sightings.ofWord[anchor.word] where steps > 0 {
            let position = sightings.tokens[token].position
            guard position >= anchor.offset else { continue }
            let ranges = ranges(phrase, sightings, start: position - anchor.offset, &steps)
            for range in Self.joined(ranges, text) {
                marks.append(HighlightMark(range: range, leaf: phrase.leaf))
            }
        }
    }

    /// The tokens of a phrase that begins at position `start`; none when it does not stand there.
    private func ranges(
        _ phrase: Phrase, _ sightings: Sightings, start: UInt32, _ steps: inout Int
    ) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        for (word, offset) in phrase.words {
            steps -= 1
            guard let range = token(at: start, offset, sightings, where: { $0.word == word })
            else { return [] }
            ranges.append(range)
        }
        guard let ending = phrase.ending else { return ranges }
        let (wanted, wraps) = start.addingReportingOverflow(ending.offset)
        let places = sightings.ofPrefix[ending.prefix]
        var low = 0
        var high = places.count
        while low < high {
            let middle = (low + high) / 2
            let position = sightings.tokens[places[middle].token].position
            if position < wanted { low = middle + 1 } else { high = middle }
        }
        guard !wraps, low < places.count, sightings.tokens[places[low].token].position == wanted
        else { return [] }
        return ranges + [places[low].range]
    }

    private func token(
        at start: UInt32, _ offset: UInt32, _ sightings: Sightings, where holds: (Token) -> Bool
    ) -> Range<Int>? {
        let (position, wraps) = start.addingReportingOverflow(offset)
        guard !wraps, Int(position) < sightings.first.count else { return nil }
        let first = sightings.first[Int(position)]
        for token in sightings.tokens[first...].prefix(2)
        where token.position == position && holds(token) {
            return token.range
        }
        return nil
    }

    /// Joins what touches or has one scalar between.
    private static func joined(
        _ ranges: [Range<Int>], _ text: UnsafeRawBufferPointer
    ) -> [Range<Int>] {
        var result: [Range<Int>] = []
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = result.last {
                let gap = range.lowerBound - last.upperBound
                if gap <= 0 || ScalarDecoder.decode(text, at: last.upperBound).length == gap {
                    result[result.count - 1] =
                        last.lowerBound..<max(last.upperBound, range.upperBound)
                    continue
                }
            }
            result.append(range)
        }
        return result
    }
}
