import Bytes

@testable import SearchIndex

/// Searches by looking at every message.
struct BruteForce {
    let messages: [Message]

    static func matches(_ message: Message, _ expression: SearchExpression) -> Bool {
        switch expression {
        case .word(let word): message.words.contains { Array($0.utf8) == word }
        case .prefix(let prefix): message.words.contains { Array($0.utf8).starts(with: prefix) }
        case .phrase(let phrase): hasPhrase(message, phrase)
        case .all(let parts): parts.allSatisfy { matches(message, $0) }
        case .any(let parts): parts.contains { matches(message, $0) }
        case .not(let inner): !matches(message, inner)
        case .matching(let filter): passes(message, filter)
        }
    }

    private static func hasPhrase(_ message: Message, _ phrase: [PhraseWord]) -> Bool {
        message.words.indices.contains { start in
            phrase.enumerated().allSatisfy { index, word in
                let at = start + Int(word.offset)
                guard at < message.words.count else { return false }
                let bytes = Array(message.words[at].utf8)
                let mayBegin = word.isPrefix && index == phrase.count - 1
                return mayBegin ? bytes.starts(with: word.bytes) : bytes == word.bytes
            }
        }
    }

    static func passes(_ message: Message, _ filter: SearchFilter) -> Bool {
        let document = message.document
        return filter.conversations?.contains(document.key.conversation) ?? true
            && filter.senders?.contains(document.sender) ?? true
            && filter.times.contains(document.time) && document.flags.isSuperset(of: filter.flags)
            && isIn(filter.spans, document.key)
    }

    static func isIn(_ spans: [SearchSpan]?, _ key: DocumentKey) -> Bool {
        spans?.contains { $0.conversation == key.conversation && $0.seqs.contains(key.seq) }
            ?? true
    }

    func matches(_ request: SearchRequest) -> [Message] {
        messages.filter {
            Self.passes($0, request.filter) && Self.matches($0, request.expression)
        }
    }

    /// The order of hits at one score.
    static func isNewer(_ left: Message, _ right: Message) -> Bool {
        let (a, b) = (left.document, right.document)
        if a.time != b.time { return a.time > b.time }
        if a.key.conversation != b.key.conversation {
            return a.key.conversation < b.key.conversation
        }
        return a.key.seq > b.key.seq
    }

    /// BM25 as written in the books; right when nothing is dead.
    func score(_ message: Message, _ words: [[UInt8]]) -> Double {
        let average =
            Double(messages.reduce(0) { $0 + $1.length }) / Double(messages.count)
        var sum = 0.0
        for word in words {
            let text = String(decoding: word, as: UTF8.self)
            let frequency = Double(message.positions(of: text).count)
            if frequency == 0 { continue }
            let count = Double(messages.filter { $0.words.contains(text) }.count)
            let rarity = NaturalLogarithm.of(
                1 + (Double(messages.count) - count + 0.5) / (count + 0.5))
            let length = Double(message.length) / (average > 0 ? average : 1)
            sum += rarity * 2.2 * frequency / (frequency + 1.2 * (0.25 + 0.75 * length))
        }
        return sum
    }
}

/// Random expressions and filters.
extension MessageMaker {
    mutating func someWord() -> [UInt8] { Array(word().utf8) }

    mutating func expression(depth: Int = 0) -> SearchExpression {
        switch below(depth > 2 ? 5 : 11) {
        case 0, 1: return .word(someWord())
        case 2: return .prefix(Array(someWord().prefix(1 + below(2))))
        case 3, 4:
            let count = 1 + below(3)
            return .phrase(
                (0..<count).map { index in
                    PhraseWord(
                        someWord(), offset: UInt32(index + (index == 2 ? below(2) : 0)),
                        isPrefix: below(3) == 0)
                })
        case 5, 6:
            return .all((0..<below(4)).map { _ in expression(depth: depth + 1) })
        case 7, 8:
            return .any((0..<below(4)).map { _ in expression(depth: depth + 1) })
        case 9: return .not(expression(depth: depth + 1))
        default: return .matching(filter())
        }
    }

    /// Stretches of some conversations, and of some that are not there.
    mutating func spans() -> [SearchSpan] {
        let ids = (0..<(conversations + 2)).filter { _ in below(2) == 0 }.map { Self.id($0) }
        return ids.sorted().map { id in
            let first = UInt64(below(60))
            let last = below(3) == 0 ? UInt64.max : first + UInt64(below(60))
            return SearchSpan(conversation: id, seqs: first...last)
        }
    }

    mutating func filter() -> SearchFilter {
        var filter = SearchFilter()
        if below(3) == 0 { filter.spans = spans() }
        if below(2) == 0 {
            filter.conversations = (0..<below(5)).map { _ in Self.id(below(conversations + 2)) }
        }
        if below(4) == 0 {
            filter.senders = (0..<below(3)).map { _ in Self.id(100 + below(senders + 1)) }
        }
        if below(4) == 0 {
            let start = 1_700_000_000_000 + UInt64(below(4000)) * 1000
            filter.times = start...(start + UInt64(below(3000)) * 1000)
        }
        if below(8) == 0 { filter.flags = DocumentFlags(rawValue: UInt8(below(16))) }
        return filter
    }
}
