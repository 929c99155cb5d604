import SearchIndex

/// Cuts texts into numbered tokens, each text when it is asked for first.
struct TextCutter: ~Copyable {
    struct Cut {
        /// Places in ``TextCutter/tokens``.
        let tokens: Range<Int>
        /// What the text itself has.
        let flags: DocumentFlags
    }

    private let texts: [String]
    private var cuts: [Cut?]
    private var numbers: [String: UInt32] = [:]
    private var tokenizer = Tokenizer()
    /// Words in the order in which they came.
    private(set) var vocabulary: [String] = []
    /// Numbers of words.
    private(set) var tokens: [UInt32] = []

    init(_ texts: [String]) {
        self.texts = texts
        cuts = [Cut?](repeating: nil, count: texts.count)
    }

    /// The tokens of a text.
    mutating func cut(_ number: Int) -> Cut {
        if let cut = cuts[number] { return cut }
        let first = tokens.count
        var text = texts[number]
        text.withUTF8 { bytes in
            tokenizer.tokenize(UnsafeRawBufferPointer(bytes)) { token, _, _, _ in
                let word = String(decoding: token, as: UTF8.self)
                let number = numbers[word] ?? UInt32(vocabulary.count)
                if number == vocabulary.count {
                    numbers[word] = number
                    vocabulary.append(word)
                }
                tokens.append(number)
            }
        }
        let cut = Cut(tokens: first..<tokens.count, flags: Self.flags(text))
        cuts[number] = cut
        return cut
    }

    private static func flags(_ text: String) -> DocumentFlags {
        var flags: DocumentFlags = []
        if text.contains("http://") || text.contains("https://") || text.contains("www.") {
            flags.insert(.link)
        }
        if text.contains(" @") || text.hasPrefix("@") { flags.insert(.mention) }
        return flags
    }
}
