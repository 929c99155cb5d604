import Foundation

/// Answers queries by looking at every message: what engines are held against.
struct SearchOracle {
    let corpus: TokenCorpus
    /// Documents that have each word; removed ones are not counted.
    let documentCounts: [Int]
    let conversationSizes: [Int: Int]
    /// Two characters of a script without spaces, in the order of the vocabulary.
    let unspacedWords: [String]
    private let numbers: [String: UInt32]
    private let averageLength: Double

    init(_ corpus: TokenCorpus) {
        self.corpus = corpus
        numbers = Dictionary(
            uniqueKeysWithValues: corpus.vocabulary.enumerated().map { ($1, UInt32($0)) })
        var counts = [Int](repeating: 0, count: corpus.vocabulary.count)
        var lastSeen = [Int](repeating: -1, count: corpus.vocabulary.count)
        var sizes: [Int: Int] = [:]
        var length = 0
        for document in corpus.documents.indices where corpus.isAlive[document] {
            sizes[corpus.documents[document].conversation, default: 0] += 1
            let own = corpus.tokens(of: document)
            length += Self.length(own.count)
            for token in own where lastSeen[Int(token)] != document {
                lastSeen[Int(token)] = document
                counts[Int(token)] += 1
            }
        }
        documentCounts = counts
        conversationSizes = sizes
        averageLength = Double(length) / Double(max(1, sizes.values.reduce(0, +)))
        unspacedWords = corpus.vocabulary.filter(Self.isPair)
    }

    /// The number of a word of the corpus.
    func number(_ word: String) -> UInt32? { numbers[word] }

    /// The conversation with most messages; of several the one with the lowest number.
    var largestConversation: Int {
        conversationSizes.max { ($0.value, -$0.key) < ($1.value, -$1.key) }?.key ?? 0
    }

    func isUnspaced(_ word: String) -> Bool { Self.isPair(word) }

    private static func isPair(_ word: String) -> Bool {
        word.unicodeScalars.count == 2
            && word.unicodeScalars.allSatisfy { scalar in
                (0x3040...0x30FF).contains(scalar.value) || (0x3400...0x9FFF).contains(scalar.value)
                    || (0xAC00...0xD7A3).contains(scalar.value)
            }
    }

    // MARK: Hits

    /// Numbers of the documents that match, ascending.
    func matches(_ query: WordQuery) -> [UInt32] {
        let ids = query.words.map { numbers[$0] }
        var marks = [UInt32](repeating: 0, count: corpus.vocabulary.count)
        if query.op == .prefix {
            let prefix = Array(query.words[0].utf8)
            for (number, word) in corpus.vocabulary.enumerated()
            where word.utf8.starts(with: prefix) {
                marks[number] = 1
            }
        } else {
            for (bit, id) in ids.enumerated() { if let id { marks[Int(id)] |= 1 << bit } }
        }
        let full = UInt32(truncatingIfNeeded: (UInt64(1) << query.words.count) - 1)
        var found: [UInt32] = []
        for document in corpus.documents.indices where corpus.isAlive[document] {
            let own = corpus.tokens(of: document)
            let seen = own.reduce(0) { $0 | marks[Int($1)] }
            let isMatch =
                switch query.op {
                case .word, .all: seen == full
                case .any, .prefix: seen != 0
                case .not: seen == 1
                case .phrase: seen == full && Self.holds(own, ids)
                }
            if isMatch { found.append(UInt32(document)) }
        }
        return found
    }

    private static func holds(_ tokens: ArraySlice<UInt32>, _ phrase: [UInt32?]) -> Bool {
        guard tokens.count >= phrase.count else { return false }
        return (tokens.startIndex...(tokens.endIndex - phrase.count)).contains { start in
            phrase.indices.allSatisfy { tokens[start + $0] == phrase[$0] }
        }
    }

    /// Those of `matches` that a filter lets through, newest first.
    func newest(_ matches: [UInt32], _ filter: BenchFilter) -> [UInt32] {
        let members = Set(filter.conversations ?? [])
        return matches.reversed().filter {
            filter.passes(corpus.documents[Int($0)], members: members)
        }
    }

    // MARK: Relevance

    /// BM25 with k1 = 1.2 and b = 0.75; right for an index in which nothing is dead.
    func scores(_ query: WordQuery, _ documents: [UInt32]) -> [Double] {
        let words = query.op == .not ? Array(query.words.prefix(1)) : query.words
        let ids = Set(words.compactMap { numbers[$0] }).sorted()
        let alive = Double(conversationSizes.values.reduce(0, +))
        let weights = ids.map { id in
            let count = Double(documentCounts[Int(id)])
            return log(1 + (alive - count + 0.5) / (count + 0.5)) * 2.2
        }
        return documents.map { document in
            let own = corpus.tokens(of: Int(document))
            let length = Double(Self.length(own.count)) / averageLength
            return zip(ids, weights).reduce(0.0) { sum, word in
                let frequency = Double(own.reduce(0) { $0 + ($1 == word.0 ? 1 : 0) })
                return sum + word.1 * frequency / (frequency + 1.2 * (0.25 + 0.75 * length))
            }
        }
    }

    /// A length as one byte keeps it: exact up to 40 words, then in steps of a sixteenth.
    static func length(_ words: Int) -> Int {
        if words <= 40 { return words }
        var kept = 40
        while kept + max(1, kept / 16) <= words { kept += max(1, kept / 16) }
        return kept
    }
}

/// A number for a list of hits, which all drivers reckon alike (zlib's CRC-32 of the documents'
/// numbers as little-endian 32-bit integers).
struct HitChecksum {
    private static let table: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { value, _ in
            value & 1 == 1 ? 0xEDB8_8320 ^ (value >> 1) : value >> 1
        }
    }
    private var state: UInt32 = .max

    init(_ documents: some Sequence<UInt32>) {
        for document in documents { add(document) }
    }

    mutating func add(_ document: UInt32) {
        for shift in stride(from: UInt32(0), to: 32, by: 8) {
            let byte = UInt8(truncatingIfNeeded: document >> shift)
            state = Self.table[Int(UInt8(truncatingIfNeeded: state) ^ byte)] ^ (state >> 8)
        }
    }

    var value: UInt32 { state ^ .max }
}
