import Foundation

/// Kinds of queries, in the order of the tables.
enum SearchClass: String, CaseIterable, Codable, Sendable {
    case rare
    case middle
    case top
    case and2 = "and-2"
    case and3 = "and-3"
    case or = "or-2..5"
    case phrase2 = "phrase-2"
    case phrase3 = "phrase-3"
    case phraseNone = "phrase-none"
    case prefix1 = "prefix-1"
    case prefix2 = "prefix-2"
    case prefix3 = "prefix-3"
    case prefix4 = "prefix-4"
    case not
    case noHit = "no-hit"
    case twenty = "or-20"
    case identifier
    case cjk1 = "cjk-1"
    case cjk2 = "cjk-2"
    case cjk4 = "cjk-4"
}

/// What narrows a query besides its words.
enum FilterKind: String, CaseIterable, Codable, Sendable {
    case none
    case small = "in:small"
    case large = "in:large"
    case members50 = "members-50"
    case members500 = "members-500"
    case members5000 = "members-5000"
    case sender = "from:"
    case date
    case has = "has:"

    /// How many conversations one is a member of.
    var members: Int? {
        switch self {
        case .members50: 50
        case .members500: 500
        case .members5000: 5_000
        default: nil
        }
    }
}

/// Which hits are asked for.
enum HitOrder: String, CaseIterable, Codable, Sendable {
    case newest10 = "newest-10"
    case newest50 = "newest-50"
    case page10 = "page-10"
    case relevance10 = "bm25-10"

    /// Filtered queries are asked in two orders, others in all.
    static func all(for filter: FilterKind) -> [HitOrder] {
        filter == .none ? allCases : [.newest10, .relevance10]
    }
}

/// How the words of a query belong together.
enum WordOperator: String, Codable, Sendable {
    case word
    case all
    case any
    /// The first but not the second.
    case not
    case phrase
    case prefix
}

/// Words that are looked for.
struct WordQuery: Codable, Hashable, Sendable {
    let op: WordOperator
    let words: [String]
}

/// A filter in numbers of the corpus; absent fields let everything through.
struct BenchFilter: Codable, Equatable, Sendable {
    var kind: FilterKind
    var conversations: [Int]?
    var sender: Int?
    var low: UInt64?
    var high: UInt64?
    var flags: UInt8?

    /// Whether a document passes; `members` is `conversations` as a set.
    func passes(_ document: TokenCorpus.Document, members: Set<Int>) -> Bool {
        if conversations != nil, !members.contains(document.conversation) { return false }
        if let sender, document.sender != sender { return false }
        if let low, document.timeMs < low { return false }
        if let high, document.timeMs > high { return false }
        if let flags, document.flags & flags != flags { return false }
        return true
    }
}

/// One query with one filter.
struct BenchQuery: Codable, Sendable {
    let id: Int
    let `class`: SearchClass
    let query: WordQuery
    /// Number in ``QuerySet/filters``.
    let filter: Int
    let filterKind: FilterKind
    let orders: [HitOrder]
    /// Its hits are compared with the scan's.
    var isChecked = true
}

/// All queries of a run.
struct QuerySet: Codable, Sendable {
    var filters: [BenchFilter] = []
    var queries: [BenchQuery] = []

    /// Writes it: a line `{"filters": [...], "queries": [...]}`.
    func write(to path: String) throws {
        try TextFile.write(path, 0..<1) { $1 += try JSONLine.of(self).utf8 }
    }
}
