/// A search in which one word alone decides the score: it, or a prefix that it spells, and what
/// else must not be or is filtered.
struct LoneWord {
    let word: [UInt8]
    /// True when words that begin so are enough.
    let isPrefix: Bool
    /// What is asked besides: exclusions and filters.
    private(set) var others: [SearchExpression] = []

    /// The word itself, also when a prefix is asked.
    var spelled: SearchExpression { .all([.word(word)] + others) }
    /// What matches without having the word, when it is a prefix.
    var otherwise: SearchExpression { .all([.prefix(word), .not(.word(word))] + others) }

    init?(_ expression: SearchExpression) {
        switch expression {
        case .word(let word):
            self.word = word
            isPrefix = false
        case .prefix(let prefix):
            word = prefix
            isPrefix = true
        case .phrase(let words) where words.count == 1:
            word = words[0].bytes
            isPrefix = words[0].isPrefix
        case .all(let parts):
            var rest: [SearchExpression] = []
            var found: LoneWord?
            for part in parts {
                switch part {
                case .not, .matching: rest.append(part)
                case .all, .any: return nil
                default:
                    guard found == nil, let lone = LoneWord(part) else { return nil }
                    found = lone
                }
            }
            guard let found else { return nil }
            word = found.word
            isPrefix = found.isPrefix
            others = rest
        default: return nil
        }
    }
}
