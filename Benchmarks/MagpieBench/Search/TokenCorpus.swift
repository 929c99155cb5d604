import Bytes
import Foundation
import SearchIndex

/// Messages cut into tokens once, which every engine gets as they are. A document's number is its
/// place in the order of time; newest first is the highest number first.
struct TokenCorpus {
    struct Document: Equatable {
        var conversation: Int
        var seq: Int
        var sender: Int
        var timeMs: UInt64
        var flags: UInt8
    }

    private(set) var vocabulary: [String] = []
    private(set) var documents: [Document] = []
    /// Numbers in `vocabulary`; those of document d are `tokens[starts[d]..<starts[d + 1]]`.
    private(set) var tokens: [UInt32] = []
    private(set) var starts = [0]
    /// False for documents that were removed.
    private(set) var isAlive: [Bool] = []

    /// Share of messages that get a picture: the corpora have none.
    static let imagesPerThousand: UInt64 = 50

    /// Cuts all texts, each once. A token's position is its number in the text.
    init(_ corpus: SearchCorpus, seed: UInt64) {
        var cutter = TextCutter(corpus.texts)
        var generator = SplitMix64(seed: seed ^ 0xF1A6)
        var seqs: [Int: Int] = [:]
        documents.reserveCapacity(corpus.messages.count)
        starts.reserveCapacity(corpus.messages.count + 1)
        for place in Self.order(corpus.messages) {
            let message = corpus.messages[place]
            let seq = (seqs[message.conversation] ?? 0) + 1
            seqs[message.conversation] = seq
            let cut = cutter.cut(message.text)
            tokens.append(contentsOf: cutter.tokens[cut.tokens])
            starts.append(tokens.count)
            let hasImage = generator.next() % 1_000 < Self.imagesPerThousand
            documents.append(
                Document(
                    conversation: message.conversation, seq: seq, sender: message.sender,
                    timeMs: message.timeMs,
                    flags: cut.flags.union(hasImage ? [.image] : []).rawValue))
        }
        vocabulary = cutter.vocabulary
        isAlive = [Bool](repeating: true, count: documents.count)
    }

    /// By time; of one time so that Magpie's order, newest first, is the reverse.
    private static func order(_ messages: [SearchCorpus.Message]) -> [Int] {
        messages.indices.sorted { left, right in
            let (a, b) = (messages[left], messages[right])
            if a.timeMs != b.timeMs { return a.timeMs < b.timeMs }
            if a.conversation != b.conversation {
                return SearchNames.conversation(b.conversation)
                    < SearchNames.conversation(a.conversation)
            }
            return left < right
        }
    }

    /// The tokens of a document.
    func tokens(of document: Int) -> ArraySlice<UInt32> {
        tokens[starts[document]..<starts[document + 1]]
    }

    /// Writes a line per document: number, conversation, seq, sender, time, flags, tokens.
    func write(to path: String) throws {
        let words = vocabulary.map { Array($0.utf8) }
        try TextFile.write(path, documents.indices) { document, line in
            fields(document, to: &line)
            text(document, words, to: &line)
        }
    }

    /// All fields of a document but its tokens, each with a tabulator behind it.
    private func fields(_ document: Int, to line: inout [UInt8]) {
        let row = documents[document]
        for field in [
            document, row.conversation, row.seq, row.sender, Int(row.timeMs), Int(row.flags),
        ] {
            line += String(field).utf8
            line.append(UInt8(ascii: "\t"))
        }
    }

    private func text(_ document: Int, _ words: [[UInt8]], to line: inout [UInt8]) {
        for token in tokens(of: document) {
            line += words[Int(token)]
            line.append(UInt8(ascii: " "))
        }
        if !tokens(of: document).isEmpty { line.removeLast() }
    }

    // MARK: Changes

    /// What happens to a document while others arrive.
    struct Change: Equatable {
        /// Behind which commit.
        let batch: Int
        let document: Int
        /// Whose tokens it gets; nil: it is removed.
        let source: Int?
    }

    /// One document of twenty is edited or removed, half each, in the batch in which it comes or
    /// in a later one.
    func changes(batch size: Int, seed: UInt64) -> [Change] {
        var generator = SplitMix64(seed: seed ^ 0xC4A6)
        let batches = (documents.count + size - 1) / size
        var changes: [Change] = []
        for document in documents.indices where generator.next() % 20 == 0 {
            let first = document / size
            let batch = first + Int(generator.next() % UInt64(batches - first))
            let source = Int(generator.next() % UInt64(documents.count))
            changes.append(
                Change(
                    batch: batch, document: document,
                    source: generator.next() % 2 == 0 ? source : nil))
        }
        return changes.sorted { ($0.batch, $0.document) < ($1.batch, $1.document) }
    }

    /// Writes a line per change: batch, edit or delete, the document as in ``write(to:)`` with its
    /// old tokens, its new tokens.
    func write(_ changes: [Change], to path: String) throws {
        let words = vocabulary.map { Array($0.utf8) }
        try TextFile.write(path, changes.indices) { index, line in
            let change = changes[index]
            line += "\(change.batch)\t\(change.source == nil ? "delete" : "edit")\t".utf8
            fields(change.document, to: &line)
            text(change.document, words, to: &line)
            line.append(UInt8(ascii: "\t"))
            if let source = change.source { text(source, words, to: &line) }
        }
    }

    /// The corpus after all changes.
    func changed(by changes: [Change]) -> TokenCorpus {
        var result = self
        var sources = Array(documents.indices)
        for change in changes {
            if let source = change.source {
                sources[change.document] = source
            } else {
                result.isAlive[change.document] = false
            }
        }
        result.tokens = []
        result.starts = [0]
        for document in documents.indices {
            if result.isAlive[document] { result.tokens += tokens(of: sources[document]) }
            result.starts.append(result.tokens.count)
        }
        return result
    }
}

/// Identifiers of the index for numbers of the corpus.
enum SearchNames {
    static func conversation(_ number: Int) -> SearchID {
        SearchID(high: SplitMix64.mix(UInt64(number) + 1), low: UInt64(number))
    }

    static func sender(_ number: Int) -> SearchID {
        SearchID(high: SplitMix64.mix(UInt64(number) + 1), low: ~UInt64(number))
    }
}

/// Files of many lines.
enum TextFile {
    /// Writes a line for each index.
    static func write(
        _ path: String, _ indices: Range<Int>,
        _ appendLine: (Int, inout [UInt8]) throws -> Void
    ) throws {
        guard FileManager.default.createFile(atPath: path, contents: nil),
            let file = FileHandle(forWritingAtPath: path)
        else { throw UsageError("cannot write \(path)") }
        var bytes: [UInt8] = []
        for index in indices {
            try appendLine(index, &bytes)
            bytes.append(UInt8(ascii: "\n"))
            if bytes.count > 1 << 20 {
                try file.write(contentsOf: Data(bytes))
                bytes.removeAll(keepingCapacity: true)
            }
        }
        try file.write(contentsOf: Data(bytes))
        try file.close()
    }
}
