package import ChatModel

/// Some of the words that simulated people use. None is the beginning of another.
package struct SearchWords: OptionSet, Sendable {
    /// A bit for each word of ``all``.
    package let rawValue: UInt32

    /// Words by their bits.
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The vocabulary.
    package static let all = [
        "alder", "almond", "aspen", "beech", "birch", "cedar", "cherry", "chestnut", "hazel",
        "hickory", "larch", "laurel", "maple", "oak", "pine", "poplar",
    ]

    private static let bits: [Substring: UInt32] = Dictionary(
        uniqueKeysWithValues: all.enumerated().map { (Substring($1), 1 << UInt32($0)) })

    /// Those that stand in a text.
    package init(in text: String) {
        rawValue = text.split(separator: " ").reduce(0) { $0 | (Self.bits[$1] ?? 0) }
    }

    /// The word with a number below the count of ``all``.
    package init(number: Int) { rawValue = 1 << UInt32(number) }

    /// All that begin so.
    package init(beginning: String) {
        rawValue = Self.all.enumerated().reduce(0) { bits, word in
            word.1.hasPrefix(beginning) ? bits | 1 << UInt32(word.0) : bits
        }
    }
}

/// What a simulated search asks for, for the checker to judge by itself: it knows neither the
/// product's parser nor its tokens.
package struct SearchQuestion: Sendable {
    /// Of each of these sets the text has a word.
    package var required: [SearchWords] = []
    /// The text has none of these.
    package var excluded: SearchWords = []
    /// The text is that of the request with this number.
    package var number: UInt64?
    /// It is by this user.
    package var from: UserID?
    /// It was said here.
    package var conversation: ConversationID?
    /// The order of the answer.
    package var sort = SearchSort.newest
    /// Hits of an answer at most.
    package var limit = SearchQuery.limitDefault

    /// Everything that one may read.
    package init() {}

    func matches(_ words: SearchWords, number other: UInt64) -> Bool {
        if let number, number != other { return false }
        return excluded.isDisjoint(with: words) && !required.contains { $0.isDisjoint(with: words) }
    }
}
