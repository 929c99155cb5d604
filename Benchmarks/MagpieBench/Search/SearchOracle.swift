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
    private let alive: Int

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
        alive = sizes.values.reduce(0, +)
        averageLength = Double(length) / Double(max(1, alive))
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

    /// Numbers of the documents that match, ascending. Looks at every token of every document.
    func matches(_ query: WordQuery) -> [UInt32] {
        let test = WordTest(query, numbers, corpus.vocabulary)
        var found: [UInt32] = []
        corpus.tokens.withUnsafeBufferPointer { tokens in
            for document in corpus.documents.indices where corpus.isAlive[document] {
                let own = corpus.starts[document]..<corpus.starts[document + 1]
                if test.holds(UnsafeBufferPointer(rebasing: tokens[own])) {
                    found.append(UInt32(document))
                }
            }
        }
        return found
    }

    /// Whether some documents all match, and pass a filter.
    func match(_ documents: [UInt32], _ query: WordQuery, _ filter: BenchFilter) -> Bool {
        let test = WordTest(query, numbers, corpus.vocabulary)
        let members = Set(filter.conversations ?? [])
        return corpus.tokens.withUnsafeBufferPointer { tokens in
            documents.allSatisfy { number in
                let document = Int(number)
                guard corpus.documents.indices.contains(document), corpus.isAlive[document],
                    filter.passes(corpus.documents[document], members: members)
                else { return false }
                let own = corpus.starts[document]..<corpus.starts[document + 1]
                return test.holds(UnsafeBufferPointer(rebasing: tokens[own]))
            }
        }
    }

    /// The words of a query, made ready to be looked for.
    private struct WordTest {
        private let op: WordOperator
        private let ids: [UInt32?]
        /// For each word of the vocabulary, which words of the query it is, as bits.
        private let marks: [UInt32]
        private let full: UInt32

        init(_ query: WordQuery, _ numbers: [String: UInt32], _ vocabulary: [String]) {
            op = query.op
            ids = query.words.map { numbers[$0] }
            var marks = [UInt32](repeating: 0, count: vocabulary.count)
            if op == .prefix {
                let prefix = Array(query.words[0].utf8)
                for (number, word) in vocabulary.enumerated()
                where word.utf8.starts(with: prefix) {
                    marks[number] = 1
                }
            } else {
                for (bit, id) in ids.enumerated() { if let id { marks[Int(id)] |= 1 << bit } }
            }
            self.marks = marks
            full = UInt32(truncatingIfNeeded: (UInt64(1) << query.words.count) - 1)
        }

        func holds(_ tokens: UnsafeBufferPointer<UInt32>) -> Bool {
            var seen: UInt32 = 0
            for token in tokens { seen |= marks[Int(token)] }
            return switch op {
            case .word, .all: seen == full
            case .any, .prefix: seen != 0
            case .not: seen == 1
            case .phrase: seen == full && holdsPhrase(tokens)
            }
        }

        private func holdsPhrase(_ tokens: UnsafeBufferPointer<UInt32>) -> Bool {
            guard tokens.count >= ids.count else { return false }
            return (0...(tokens.count - ids.count)).contains { start in
                ids.indices.allSatisfy { tokens[start + $0] == ids[$0] }
            }
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
        let alive = Double(alive)
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
