@testable import SearchIndex

/// The expression of what a user typed.
func expression(_ query: String) -> SearchExpression {
    QueryCompiler(senders: { _ in [] }, conversations: { _ in [] }, offset: 0)
        .expression(QueryParser.parse(query))
}

extension SearchExpression {
    /// True when `holds` is for one of the terms asked for: whether a beginning is, and the term.
    func asksFor(_ holds: (_ isPrefix: Bool, _ term: [UInt8]) -> Bool) -> Bool {
        switch self {
        case .word(let bytes): holds(false, bytes)
        case .prefix(let bytes): holds(true, bytes)
        case .phrase(let words): words.contains { holds($0.isPrefix, $0.bytes) }
        case .all(let parts), .any(let parts): parts.contains { $0.asksFor(holds) }
        case .not, .matching: false
        }
    }
}

/// Searches one text by looking at all its tokens.
struct TokenBrute {
    private let at: [UInt32: [[UInt8]]]

    init(_ text: String) {
        var at: [UInt32: [[UInt8]]] = [:]
        for token in tokens(text) { at[token.position, default: []].append(token.bytes) }
        self.at = at
    }

    func matches(_ expression: SearchExpression) -> Bool {
        switch expression {
        case .word(let bytes): at.values.contains { $0.contains(bytes) }
        case .prefix(let bytes):
            at.values.contains { $0.contains { $0.starts(with: bytes) } }
        case .phrase(let words):
            words.isEmpty
                || at.keys.contains { start in
                    let base = words[0].offset
                    return start >= base
                        && words.enumerated().allSatisfy { index, word in
                            let isPrefix = word.isPrefix && index == words.count - 1
                            return at[start - base + word.offset, default: []].contains {
                                isPrefix ? $0.starts(with: word.bytes) : $0 == word.bytes
                            }
                        }
                }
        case .all(let parts): parts.allSatisfy { matches($0) }
        case .any(let parts): parts.contains { matches($0) }
        case .not(let inner): !matches(inner)
        case .matching: true
        }
    }
}

extension TextMaker {
    /// What somebody might type who wants to find `text`, or nearly.
    mutating func query(_ text: String) -> String {
        let words = text.split { $0.isWhitespace }.map(String.init)
        var items: [String] = []
        for _ in 0...below(3) {
            var item = words.isEmpty || below(8) == 0 ? mixed(1) : words[below(words.count)]
            if below(3) == 0 { item = part(of: item) }
            if below(5) == 0, words.count > 1 {
                let start = below(words.count - 1)
                item = "\"" + words[start...(start + 1)].joined(separator: " ") + "\""
            }
            if below(10) == 0 { item = "-" + item }
            if below(10) == 0 { items.append("OR") }
            items.append(item)
        }
        return items.joined(separator: " ") + (below(2) == 0 ? " " : "")
    }

    /// Some characters of a word.
    mutating func part(of word: String) -> String {
        let characters = Array(word)
        if characters.isEmpty { return word }
        let start = below(characters.count)
        return String(characters[start...(start + below(characters.count - start))])
    }
}

extension MessageMaker {
    /// Words of the vocabulary that expressions are made of.
    mutating func expressionText(_ count: Int) -> String {
        (0..<count).map { _ in word() }.joined(separator: " ")
    }
}
