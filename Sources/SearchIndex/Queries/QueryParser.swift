/// What a user wrote in the search box, as a tree of raw words.
package indirect enum QueryNode: Equatable, Sendable {
    /// A word; one that was perhaps not written to its end, when `isUnfinished`.
    case word(String, isUnfinished: Bool)
    /// What stood between quotes; when the second is missing, perhaps not written to its end.
    case phrase(String, isUnfinished: Bool)
    /// `from:` and the like, with a value that makes sense.
    case condition(QueryCondition)
    /// `-` before something.
    case not(QueryNode)
    /// Several with `OR` between.
    case any([QueryNode])
    /// All of these; of none: an empty search.
    case all([QueryNode])
}

/// An operator and its value.
package enum QueryCondition: Equatable, Sendable {
    /// Said by somebody.
    case from(String)
    /// Said somewhere.
    case inside(String)
    /// Said before a day begins.
    case before(CalendarDay)
    /// Said after a day ends.
    case after(CalendarDay)
    /// Said on a day.
    case on(CalendarDay)
    /// Has an image, a file, a link or a mention.
    case has(DocumentFlags)
}

/// Reads what users write. Every text is a search: an operator that is unknown or whose value makes
/// no sense is a word, a quote without a partner closes at the end, an `OR` without two sides is
/// nothing, or alone a word. `OR` binds tighter than the "and" between words.
package struct QueryParser {
    /// Characters that are read; the rest is ignored.
    package static let charactersMax = 2_048
    /// Words, phrases and conditions that are read; see ``isCut(_:)``.
    package static let itemsMax = 64

    private static let quotes: Set<Character> = ["\"", "\u{201C}", "\u{201D}", "\u{201E}"]

    private let text: [Character]
    private var at = 0

    /// The tree of a text: always ``QueryNode/all(_:)``.
    package static func parse(_ text: String) -> QueryNode {
        var parser = QueryParser(text: Array(text.prefix(charactersMax)))
        return .all(parser.sequence())
    }

    /// True when a text holds more than is read of it.
    package static func isCut(_ text: String) -> Bool {
        var parser = QueryParser(text: Array(text.prefix(charactersMax)))
        _ = parser.sequence()
        while let item = parser.item() { if case .node = item { return true } }
        return text.dropFirst(charactersMax).contains { !$0.isWhitespace }
    }

    private init(text: [Character]) { self.text = text }

    private enum Item {
        case node(QueryNode)
        case or
    }

    private mutating func sequence() -> [QueryNode] {
        var nodes: [QueryNode] = []
        var joins = false
        var isLast = false
        var count = 0
        while count < Self.itemsMax, let item = item() {
            guard case .node(let node) = item else {
                joins = !nodes.isEmpty
                isLast = false
                continue
            }
            count += 1
            isLast = true
            if joins, let left = nodes.popLast() {
                if case .any(let parts) = left {
                    nodes.append(.any(parts + [node]))
                } else {
                    nodes.append(.any([left, node]))
                }
                joins = false
            } else {
                nodes.append(node)
            }
        }
        let isOpen = at == text.count && text.last?.isWhitespace == false
        if nodes.isEmpty, !text.allSatisfy(\.isWhitespace) {
            return [.word("OR", isUnfinished: isOpen)]
        }
        return Self.unfinished(nodes, isOpen: isOpen && isLast)
    }

    /// Marks the last word or phrase when the text ends with it, or when only conditions and
    /// exclusions stand behind it: whoever adds those has not finished it.
    private static func unfinished(_ nodes: [QueryNode], isOpen: Bool) -> [QueryNode] {
        var nodes = nodes
        for index in nodes.indices.reversed() {
            let mayGoOn = isOpen || index < nodes.count - 1
            switch nodes[index] {
            case .condition, .not: continue
            case .word(let word, _): nodes[index] = .word(word, isUnfinished: mayGoOn)
            case .phrase(let phrase, let isUnfinished):
                nodes[index] = .phrase(phrase, isUnfinished: isUnfinished && mayGoOn)
            case .any(let parts):
                nodes[index] = .any(unfinished(parts, isOpen: mayGoOn))
            case .all: break
            }
            return nodes
        }
        return nodes
    }

    private mutating func item() -> Item? {
        while at < text.count, text[at].isWhitespace { at += 1 }
        guard at < text.count else { return nil }
        var isNegated = false
        if text[at] == "-", at + 1 < text.count, !text[at + 1].isWhitespace {
            isNegated = true
            at += 1
        }
        let node: QueryNode
        if Self.quotes.contains(text[at]) {
            let inside = quoted()
            node = .phrase(inside.text, isUnfinished: inside.isUnfinished && !isNegated)
        } else {
            let start = at
            while at < text.count, !text[at].isWhitespace, !Self.quotes.contains(text[at]) {
                at += 1
            }
            var word = String(text[start..<at])
            if !isNegated, word == "OR" { return .or }
            // The value of an operator may be quoted: from:"Ann Lee".
            if word.last == ":", at < text.count, Self.quotes.contains(text[at]),
                Self.names.contains(word.dropLast().lowercased())
            {
                word += quoted().text
            }
            node = Self.condition(word).map { .condition($0) } ?? .word(word, isUnfinished: false)
        }
        return .node(isNegated ? .not(node) : node)
    }

    /// What stands between the quote at `at` and the next, or the end.
    private mutating func quoted() -> (text: String, isUnfinished: Bool) {
        at += 1
        let start = at
        while at < text.count, !Self.quotes.contains(text[at]) { at += 1 }
        let inside = String(text[start..<at])
        if at == text.count { return (inside, inside.last?.isWhitespace == false) }
        at += 1
        return (inside, false)
    }

    private static let names: Set<String> = ["from", "in", "before", "after", "on", "has"]

    private static func condition(_ word: String) -> QueryCondition? {
        guard let colon = word.firstIndex(of: ":") else { return nil }
        let value = String(word[word.index(after: colon)...])
        if value.isEmpty { return nil }
        switch word[..<colon].lowercased() {
        case "from": return .from(value)
        case "in": return .inside(value)
        case "before": return CalendarDay(value).map { .before($0) }
        case "after": return CalendarDay(value).map { .after($0) }
        case "on": return CalendarDay(value).map { .on($0) }
        case "has": return flags[value.lowercased()].map { .has($0) }
        default: return nil
        }
    }

    private static let flags: [String: DocumentFlags] = [
        "image": .image, "file": .file, "link": .link, "mention": .mention,
    ]
}

/// A day of the Gregorian calendar.
package struct CalendarDay: Equatable, Sendable {
    /// Days since 1970-01-01.
    package let number: Int

    /// From `YYYY-MM-DD`, years 1970 to 9999; nil when it is no such day.
    package init?(_ text: String) {
        let fields = text.split(separator: "-", omittingEmptySubsequences: false)
        guard fields.count == 3, fields[0].utf8.count == 4, fields[1].utf8.count == 2,
            fields[2].utf8.count == 2,
            fields.allSatisfy({ $0.utf8.allSatisfy { (48...57).contains($0) } }),
            let year = Int(fields[0]), let month = Int(fields[1]), let day = Int(fields[2]),
            year >= 1970, (1...12).contains(month), day >= 1,
            day <= Self.days(ofMonth: month, year)
        else { return nil }
        var days = (1970..<year).reduce(0) { $0 + (Self.isLeap($1) ? 366 : 365) }
        for before in 1..<month { days += Self.days(ofMonth: before, year) }
        number = days + day - 1
    }

    private static func isLeap(_ year: Int) -> Bool {
        year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    }

    private static func days(ofMonth month: Int, _ year: Int) -> Int {
        switch month {
        case 2: isLeap(year) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// The milliseconds since 1970 at which the day begins where clocks are `offset` milliseconds
    /// ahead of UTC.
    package func start(offset: Int) -> UInt64 {
        UInt64(max(0, number * 86_400_000 - offset))
    }

    /// The milliseconds at which the next day begins.
    package func end(offset: Int) -> UInt64 {
        UInt64(max(0, (number + 1) * 86_400_000 - offset))
    }
}
