import Bytes
import Foundation
import SearchIndex

/// Draws the queries of a run from what is in the corpus: the same for the same seed.
struct QueryDrawer {
    private let corpus: TokenCorpus
    private let oracle: SearchOracle
    private var generator: SplitMix64
    /// Numbers of words, the commonest first.
    private let common: [Int]
    private let identifiers: [[String]]
    private let count: Int
    private let checked: Int

    /// Queries for `oracle`, `count` of each class; `texts` are where identifiers are looked for.
    /// Hits are compared of all without a filter, and of the first `checked` of a class and filter.
    init(
        _ oracle: SearchOracle, texts: [String], count: Int, checked: Int = .max, seed: UInt64
    ) {
        self.checked = checked
        self.oracle = oracle
        corpus = oracle.corpus
        self.count = count
        generator = SplitMix64(seed: seed ^ 0x5EA7C4)
        common = corpus.vocabulary.indices.sorted {
            (oracle.documentCounts[$1], $0) < (oracle.documentCounts[$0], $1)
        }
        identifiers = Self.identifiers(texts)
    }

    /// Draws. Classes of which the corpus has nothing are left out.
    mutating func draw(_ begins: (SearchClass) -> Void = { _ in }) -> QuerySet {
        var set = QuerySet()
        let members = Dictionary(
            uniqueKeysWithValues: FilterKind.allCases.filter { $0.members != nil }
                .map { kind in (kind, (0..<3).map { _ in membership(kind) }) })
        var places: [FilterKind: [Int]] = [:]
        set.filters.append(BenchFilter(kind: .none))
        for (kind, filters) in members.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            places[kind] = Array(set.filters.count..<(set.filters.count + filters.count))
            set.filters += filters
        }
        for wanted in SearchClass.allCases {
            begins(wanted)
            for (number, query) in distinct(wanted).enumerated() {
                let matches = oracle.matches(query)
                for kind in FilterKind.allCases {
                    let filter: Int
                    if kind == .none {
                        filter = 0
                    } else if let own = places[kind] {
                        filter = own[number % own.count]
                    } else {
                        filter = set.filters.count
                        set.filters.append(self.filter(kind, like: matches))
                    }
                    set.queries.append(
                        BenchQuery(
                            id: set.queries.count, class: wanted, query: query, filter: filter,
                            filterKind: kind, orders: HitOrder.all(for: kind),
                            isChecked: kind == .none || number < checked))
                }
            }
        }
        return set
    }

    private mutating func distinct(_ wanted: SearchClass) -> [WordQuery] {
        var seen: Set<WordQuery> = []
        var found: [WordQuery] = []
        for _ in 0..<(count * 30) where found.count < count {
            guard let query = query(wanted), seen.insert(query).inserted else { continue }
            found.append(query)
        }
        return found
    }

    // MARK: Words

    private mutating func below(_ limit: Int) -> Int {
        Int(generator.next() % UInt64(max(1, limit)))
    }

    private func word(_ number: UInt32) -> String { corpus.vocabulary[Int(number)] }

    private mutating func query(_ wanted: SearchClass) -> WordQuery? {
        switch wanted {
        case .rare: return banded(1...10)
        case .middle: return banded(100...1_000)
        case .top:
            let number = common[below(min(100, common.count))]
            return WordQuery(op: .word, words: [corpus.vocabulary[number]])
        case .and2: return together(2).map { WordQuery(op: .all, words: $0) }
        case .and3: return together(3).map { WordQuery(op: .all, words: $0) }
        case .or: return WordQuery(op: .any, words: words(2 + below(4)))
        case .twenty: return WordQuery(op: .any, words: words(20))
        case .phrase2: return adjacent(2).map { WordQuery(op: .phrase, words: $0) }
        case .phrase3: return adjacent(3).map { WordQuery(op: .phrase, words: $0) }
        case .phraseNone: return apart()
        case .prefix1: return prefix(1)
        case .prefix2: return prefix(2)
        case .prefix3: return prefix(3)
        case .prefix4: return prefix(4)
        case .not: return together(2).map { WordQuery(op: .not, words: $0) }
        case .noHit:
            let letters = (0..<9).map { _ in UInt8(ascii: "a") + UInt8(below(26)) }
            let text = "zq" + String(decoding: letters, as: UTF8.self)
            return oracle.number(text) == nil ? WordQuery(op: .word, words: [text]) : nil
        case .identifier:
            if identifiers.isEmpty { return nil }
            return WordQuery(op: .phrase, words: identifiers[below(identifiers.count)])
        case .cjk1: return unspaced(1)
        case .cjk2: return unspaced(2)
        case .cjk4: return unspaced(4)
        }
    }

    private mutating func banded(_ band: ClosedRange<Int>) -> WordQuery? {
        // Words are sorted by their documents: the band is a stretch.
        let start = common.partitioningIndex { oracle.documentCounts[$0] <= band.upperBound }
        let end = common.partitioningIndex { oracle.documentCounts[$0] < band.lowerBound }
        if start >= end { return nil }
        return WordQuery(
            op: .word, words: [corpus.vocabulary[common[start + below(end - start)]]])
    }

    /// Words as often as they occur, each once.
    private mutating func words(_ wanted: Int) -> [String] {
        var found: [String] = []
        for _ in 0..<(wanted * 100) where found.count < wanted {
            let word = self.word(corpus.tokens[below(corpus.tokens.count)])
            if !found.contains(word) { found.append(word) }
        }
        return found
    }

    /// Words of one document, none rare.
    private mutating func together(_ wanted: Int) -> [String]? {
        let own = Set(corpus.tokens(of: below(corpus.documents.count))).sorted()
            .filter { oracle.documentCounts[Int($0)] >= 20 }
        if own.count < wanted { return nil }
        return own.shuffled(using: &generator).prefix(wanted).map(word)
    }

    private mutating func adjacent(_ wanted: Int) -> [String]? {
        let own = corpus.tokens(of: below(corpus.documents.count))
        if own.count < wanted { return nil }
        let start = own.startIndex + below(own.count - wanted + 1)
        return own[start..<(start + wanted)].map(word)
    }

    /// Two words of one document that never follow each other.
    private mutating func apart() -> WordQuery? {
        guard let words = together(2) else { return nil }
        let query = WordQuery(op: .phrase, words: words)
        return oracle.matches(query).isEmpty ? query : nil
    }

    private mutating func prefix(_ letters: Int) -> WordQuery? {
        let word = self.word(corpus.tokens[below(corpus.tokens.count)])
        if word.unicodeScalars.count <= letters { return nil }
        let scalars = String.UnicodeScalarView(word.unicodeScalars.prefix(letters))
        return WordQuery(op: .prefix, words: [String(scalars)])
    }

    /// What stands in a text without blanks and has several parts, as the tokenizer cuts it.
    private static func identifiers(_ texts: [String]) -> [[String]] {
        let joiners: Set<UInt8> = Set("._/@:-".utf8)
        var found: [[String]] = []
        var tokenizer = Tokenizer()
        for text in texts {
            for piece in text.utf8.split(separator: 0x20) {
                guard piece.dropFirst().dropLast().contains(where: joiners.contains) else {
                    continue
                }
                let query = Array(piece).withUnsafeBytes {
                    tokenizer.query($0, isLastPrefix: false)
                }
                if (2...6).contains(query.terms.count), !query.terms.contains(where: \.isPrefix) {
                    found.append(query.terms.map { String(decoding: $0.bytes, as: UTF8.self) })
                }
            }
        }
        return found
    }

    /// So many characters of Chinese, Japanese or Korean as they are asked of the index.
    private mutating func unspaced(_ characters: Int) -> WordQuery? {
        let pairs = oracle.unspacedWords
        if pairs.isEmpty { return nil }
        let pair = pairs[below(pairs.count)]
        if characters == 1 { return WordQuery(op: .prefix, words: [String(pair.prefix(1))]) }
        if characters == 2 { return WordQuery(op: .word, words: [pair]) }
        // Three pairs in a row are four characters.
        for _ in 0..<200 {
            guard let words = adjacent(3) else { continue }
            if words.allSatisfy({ oracle.isUnspaced($0) }) {
                return WordQuery(op: .phrase, words: words)
            }
        }
        return nil
    }

    // MARK: Filters

    private mutating func membership(_ kind: FilterKind) -> BenchFilter {
        let all = oracle.conversationSizes.keys.sorted()
        let own = all.shuffled(using: &generator).prefix(kind.members ?? 0)
        return BenchFilter(kind: kind, conversations: own.sorted())
    }

    /// A filter that lets one of the matches through, if there is one of the kind.
    private mutating func filter(_ kind: FilterKind, like matches: [UInt32]) -> BenchFilter {
        let number =
            matches.isEmpty
            ? below(corpus.documents.count) : Int(matches[below(matches.count)])
        let document = corpus.documents[number]
        var filter = BenchFilter(kind: kind)
        switch kind {
        case .small: filter.conversations = [document.conversation]
        case .large: filter.conversations = [oracle.largestConversation]
        case .sender: filter.sender = document.sender
        case .date:
            let first = corpus.documents.first?.timeMs ?? 0
            let tenth = ((corpus.documents.last?.timeMs ?? 0) - first) / 10
            filter.low = max(first, document.timeMs - min(document.timeMs, tenth / 2))
            filter.high = document.timeMs + tenth / 2
        case .has: filter.flags = DocumentFlags.image.rawValue
        case .none, .members50, .members500, .members5000: break
        }
        return filter
    }
}

extension Array {
    /// The first index for whose element `holds`, which is false up to some index.
    fileprivate func partitioningIndex(_ holds: (Element) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if holds(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
