import Bytes

@testable import SearchIndex

/// A token as a test looks at it.
struct SeenToken: Equatable, CustomStringConvertible {
    var kind: TokenKind
    var bytes: [UInt8]
    var position: UInt32
    var start: Int
    var end: Int

    var text: String { String(decoding: bytes, as: UTF8.self) }
    var description: String { "\(text)@\(position)" }
}

/// All tokens of a text.
func tokens(_ text: some Collection<UInt8>) -> [SeenToken] {
    var tokenizer = Tokenizer()
    var seen: [SeenToken] = []
    [UInt8](text).withUnsafeBytes { bytes in
        tokenizer.scan(bytes) { kind, token, position, start, end in
            seen.append(
                SeenToken(
                    kind: kind, bytes: [UInt8](token), position: position, start: start, end: end))
        }
    }
    return seen
}

func tokens(_ text: String) -> [SeenToken] { tokens(text.utf8) }

/// "term@position term@position".
func line(_ text: String) -> String {
    tokens(text).map(\.description).joined(separator: " ")
}

/// The text that the tokens were made of: words, and runs put together from their pairs.
func folded(_ text: String) -> [String] {
    let seen = tokens(text).filter { $0.kind != .whole }
    var result: [String] = []
    var run: [[UInt8]] = []
    for token in seen.reversed() {
        switch token.kind {
        case .pair: run.append([UInt8](token.bytes.dropLast(run.last?.count ?? 0)))
        case .last, .lone, .word, .whole:
            if !run.isEmpty { result.append(joined(run)) }
            run = []
            if token.kind == .last { run = [token.bytes] } else { result.append(token.text) }
        }
    }
    if !run.isEmpty { result.append(joined(run)) }
    return result.reversed()
}

private func joined(_ run: [[UInt8]]) -> String {
    String(decoding: run.reversed().joined(), as: UTF8.self)
}

func query(_ word: String, isLastPrefix: Bool = false) -> QueryWord {
    var tokenizer = Tokenizer()
    return Array(word.utf8).withUnsafeBytes {
        tokenizer.query($0, isLastPrefix: isLastPrefix)
    }
}

/// What an index does with a query, done for one message without an index.
struct PlainIndex {
    private var terms: [UInt32: [[UInt8]]] = [:]

    init(_ text: String) {
        for token in tokens(text) { terms[token.position, default: []].append(token.bytes) }
    }

    func holds(_ query: [QueryWord.Term]) -> Bool {
        terms.keys.contains { base in
            query.allSatisfy { wanted in
                terms[base &+ wanted.offset, default: []].contains {
                    wanted.isPrefix ? $0.starts(with: wanted.bytes) : $0 == wanted.bytes
                }
            }
        }
    }
}

/// Random texts of many scripts.
struct TextMaker {
    var random: SplitMix64

    init(seed: UInt64) {
        random = SplitMix64(seed: seed)
    }

    mutating func below(_ limit: Int) -> Int { Int(random.next() % UInt64(limit)) }

    mutating func text(of alphabet: [Unicode.Scalar], _ count: Int) -> String {
        var result = ""
        for _ in 0..<count { result.unicodeScalars.append(alphabet[below(alphabet.count)]) }
        return result
    }

    static let scripts: [String] = [
        "abcXYZ019", "éÀßÑøŁžİ\u{301}\u{308}\u{323}", "ЖжЙйИиЁё\u{306}\u{301}", "ΑάΣςσΩῇ\u{342}",
        "אבגשׁ\u{5B0}\u{5BC}", "ابتأآئ\u{640}\u{64B}\u{654}", "कखगक़ि्ा\u{93C}\u{951}", "漢字日本語々",
        "かがはばぱへべヘベ\u{3099}\u{309A}ー", "한국어각\u{1112}\u{1161}\u{11AB}ㅋ", "ไทยกิ็ำ", "ລາວຂໍ", "ខ្មែរ",
        "မြန်မာ",
        "😀👍🏽❤\u{FE0F}\u{200D}🔥🇩🇪", "  .,:;'’_-/@#\n", "\u{200B}\u{200C}\u{AD}\u{FEFF}",
        "ＡｂｶﾞﾊﾟﬁⅧ①½㍿㈱ﷺ", "𝒜𝟘𐐀𠮷",
    ]

    /// Words of one script each, mixed with separators.
    mutating func mixed(_ parts: Int) -> String {
        var result = ""
        for _ in 0..<parts {
            let script = Self.scripts[below(Self.scripts.count)]
            result += text(of: Array(script.unicodeScalars), 1 + below(6))
            if below(2) == 0 { result += " " }
        }
        return result
    }
}
