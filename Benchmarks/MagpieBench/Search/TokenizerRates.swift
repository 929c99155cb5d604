import SearchIndex

/// How fast texts are cut into tokens.
enum TokenizerRates {
    static let ascii = "tokenizer MB/s, ASCII"
    static let mixed = "tokenizer MB/s, mixed scripts"

    /// Megabytes a second of the texts that are ASCII alone, and of those that are not; each kind
    /// that there is.
    static func of(_ texts: [String]) -> [(name: String, rate: Double)] {
        var ascii: [[UInt8]] = []
        var mixed: [[UInt8]] = []
        for text in texts.prefix(300_000) {
            let bytes = Array(text.utf8)
            if bytes.allSatisfy({ $0 < 0x80 }) { ascii.append(bytes) } else { mixed.append(bytes) }
        }
        return [(Self.ascii, ascii), (Self.mixed, mixed)].compactMap { name, texts in
            rate(texts).map { (name, $0) }
        }
    }

    /// The best of three times.
    private static func rate(_ texts: [[UInt8]]) -> Double? {
        let bytes = texts.reduce(0) { $0 + $1.count }
        var tokenizer = Tokenizer()
        var best = UInt64.max
        var count = 0
        for _ in 0..<3 {
            let start = Meter.now()
            for text in texts {
                text.withUnsafeBytes { tokenizer.tokenize($0) { _, _, _, _ in count &+= 1 } }
            }
            best = min(best, Meter.now() - start)
        }
        return count == 0 ? nil : Double(bytes) * 1_000 / Double(max(1, best))
    }
}
