import ChatModel

/// Where a search goes on: opaque text for clients.
///
///     n TIME CONVERSATION SEQ    newest first, behind this message: 16, 32, 16 hexadecimal digits
///     r RANK                     by relevance, behind so many hits: decimal
///
/// Scores stay inside: they tell of words in conversations that the asker may not read.
enum SearchCursor: Equatable {
    case message(atMs: Milliseconds, ConversationID, EntrySequence)
    case rank(Int)

    /// Nil: not one of ours, or of another order.
    init?(_ text: String, _ sort: SearchSort) {
        let rest = text.dropFirst()
        switch (text.first, sort) {
        case ("n", .newest):
            let digits = Array(rest.utf8)
            guard digits.count == 64, let time = Self.number(digits[..<16]),
                let high = Self.number(digits[16..<32]), let low = Self.number(digits[32..<48]),
                let seq = Self.number(digits[48...])
            else { return nil }
            self = .message(atMs: time, ConversationID(high: high, low: low), seq)
        case ("r", .relevance):
            guard rest.utf8.count <= 6, let rank = Int(rest), rank > 0 else { return nil }
            self = .rank(rank)
        default: return nil
        }
    }

    var text: String {
        switch self {
        case .message(let time, let conversation, let seq):
            return "n"
                + [time, conversation.high, conversation.low, seq].map { number in
                    let digits = String(number, radix: 16)
                    return String(repeating: "0", count: 16 - digits.count) + digits
                }.joined()
        case .rank(let rank): return "r\(rank)"
        }
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> UInt64? {
        let isPlain = digits.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
        return isPlain ? UInt64(String(decoding: digits, as: UTF8.self), radix: 16) : nil
    }
}
