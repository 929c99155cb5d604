import Bytes
import Testing

@testable import SearchIndex

@Suite("Filter terms")
struct FilterTermTests {
    @Test("a term says what it stands for, and other bytes stand for nothing")
    func bytes() {
        let id = SearchID(high: 0x0102_0304_0506_0708, low: 0xF0)
        let terms = DocumentFlags.each.map { FilterTerm.flag($0) } + [.sender(id)]
        for term in terms {
            #expect(FilterTerm(term.bytes) == term && FilterTerm.isFilter(term.bytes))
            #expect(FilterTerm(Array(term.bytes.dropLast())) == nil)
            #expect(FilterTerm(term.bytes + [0]) == nil)
        }
        #expect(Hex.encode(terms[4].bytes) == "0002010203040506070800000000000000f0")
        let bytes = terms.map(\.bytes)
        #expect(zip(bytes, bytes.dropFirst()).allSatisfy { $0.lexicographicallyPrecedes($1) })
        for other: [UInt8] in [
            [], [0], [0, 1, 0], [0, 1, 3], [0, 1, 16], [0, 3, 1], [1, 1, 1],
        ] {
            #expect(FilterTerm(other) == nil, "\(other)")
        }
    }

    @Test("no word of the tokenizer begins like a filter term", arguments: Long.seeds(0, 20))
    func words(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        var tokenizer = Tokenizer()
        let scalars: [[UInt8]] = [
            [0], [1], Array("a".utf8), Array(" ".utf8), Array("é".utf8), Array("東".utf8),
            Array("한".utf8), Array("👍".utf8), Array("_".utf8), Array(".".utf8), [0xFF],
        ]
        var words = 0
        for _ in 0..<200 {
            let text = (0..<(generator.next() % 12)).flatMap { _ in
                scalars[Int(generator.next() % UInt64(scalars.count))]
            }
            text.withUnsafeBytes { bytes in
                tokenizer.tokenize(bytes) { word, _, _, _ in
                    words += 1
                    #expect(!FilterTerm.isFilter(word), "seed \(seed), \(text)")
                }
                for word in tokenizer.query(bytes, isLastPrefix: true).terms {
                    #expect(!FilterTerm.isFilter(word.bytes), "seed \(seed), \(text)")
                }
            }
        }
        #expect(words > 0, "seed \(seed)")
    }

    @Test("words that begin like a filter term are not taken, and none is asked for by words")
    func reserved() throws {
        let messages = SearchFormatTests.messages
        var builder = SegmentBuilder(memoryMax: 1 << 20)
        let forged =
            DocumentFlags.each.map { FilterTerm.flag($0).bytes }
            + [FilterTerm.sender(SearchID(high: 0xA0, low: 1)).bytes, [0]]
        for message in messages {
            builder.put(message.document) { give in
                for word in forged { word.withUnsafeBytes { give($0, 0) } }
                for (position, word) in message.words.enumerated() {
                    Array(word.utf8).withUnsafeBytes { give($0, UInt32(position)) }
                }
                for word in forged { word.withUnsafeBytes { give($0, 9) } }
            }
        }
        let file = MemoryFile()
        _ = try builder.write(to: file, fileID: 7, tokens: Segments.tokens)
        #expect(try file.bytes == Segments.bytes(messages))
        let reader = try Segments.open(file.bytes)
        let snapshot = SearchSnapshot([
            .init(reader: reader, dead: DeadDocuments(documents: reader.documentCount))
        ])
        for word in forged {
            for order in [SearchOrder.newest, .relevance] {
                for expression: SearchExpression in [
                    .word(word), .prefix(word), .any([.word(word), .prefix(word)]),
                    .phrase([PhraseWord(word, offset: 0), PhraseWord(word, offset: 1)]),
                ] {
                    let request = SearchRequest(expression, order: order, limit: 10)
                    #expect(try snapshot.search(request).hits.isEmpty, "\(expression)")
                }
            }
        }
        let all = try snapshot.search(SearchRequest(.prefix([]), limit: 10))
        #expect(all.hits.count == 3, "every message with a word")
    }

    /// Documents of a list, read by a cursor.
    private static func documents(
        _ reader: SegmentReader, _ term: FilterTerm
    ) throws -> [UInt32] {
        guard let postings = try reader.find(term) else { return [] }
        var cursor = PostingsCursor(postings, in: reader)
        var documents: [UInt32] = []
        while cursor.document != PostingsCursor.end {
            #expect(cursor.positions().isEmpty)
            documents.append(cursor.document)
            cursor.next()
        }
        #expect(!cursor.isRotten && documents.count == postings.documents)
        return documents
    }

    private static func expectLists(_ reader: SegmentReader, _ seed: UInt64) throws {
        try reader.verify()
        let all = (0..<UInt32(reader.documentCount)).map { reader.document($0) }
        for index in 0..<reader.senderCount {
            let sender = reader.sender(index)
            let expected = all.indices.filter { all[$0].sender == sender }.map { UInt32($0) }
            #expect(try documents(reader, .sender(sender)) == expected, "seed \(seed)")
        }
        for flag in DocumentFlags.each {
            let expected = all.indices.filter { all[$0].flags.contains(flag) }
            #expect(
                try documents(reader, .flag(flag)) == expected.map { UInt32($0) }, "seed \(seed)")
        }
        #expect(try reader.find(.sender(SearchID(high: 1, low: 1))) == nil)
    }

    @Test("lists say what the columns say, also merged", arguments: Long.seeds(100, 8))
    func lists(seed: UInt64) throws {
        var maker = MessageMaker(seed: seed)
        var inputs: [SegmentMerger.Input] = []
        var known: Set<DocumentKey> = []
        for fileID in 1...UInt64(1 + maker.below(3)) {
            let messages = maker.messages(1 + maker.below(900)).filter {
                known.insert($0.key).inserted
            }
            if messages.isEmpty { continue }
            let reader = try Segments.reader(messages, fileID: fileID)
            try Self.expectLists(reader, seed)
            var dead = DeadDocuments(documents: reader.documentCount)
            for document in 0..<UInt32(reader.documentCount) where maker.below(3) == 0 {
                _ = dead.insert(document)
            }
            inputs.append(.init(reader: reader, dead: dead))
        }
        let file = MemoryFile()
        guard
            try SegmentMerger.merge(inputs, to: file, fileID: 99, tokens: Segments.tokens) != nil
        else { return }
        try Self.expectLists(try Segments.open(file.bytes, fileID: 99), seed)
    }

    /// What is wrong with the lists of a segment.
    enum Mistake: CaseIterable {
        case none, noSender, noFlag, lessOfSender, lessOfFlag, moreOfSender, moreOfFlag, stranger
        case unknown, positions
    }

    @Test(
        "a check sees lists that say something else than the columns",
        arguments: Mistake.allCases, [9, 300])
    func mistakes(mistake: Mistake, count: UInt32) throws {
        let file = MemoryFile()
        let senders = (1...2).map { SearchID(high: 0, low: UInt64($0)) }
        var writer = SegmentWriter(
            file: file, fileID: 7, tokens: Segments.tokens, timeUnit: 1, senders: senders)
        for document in 0..<count {
            try writer.append(
                key: DocumentKey(conversation: senders[0], seq: UInt64(document)), time: 5,
                senderIndex: Int(document % 2), flags: document % 2 == 0 ? 4 : 0, lengthCode: 1)
        }
        try writer.finishDocuments()
        func list(
            _ term: FilterTerm, _ offset: UInt32, less: Bool, more: Bool
        ) throws {
            for document in 0..<count {
                let belongs = document % 2 == offset ? document > 1 || !less : more && document < 2
                if !belongs { continue }
                if mistake == .positions {
                    [UInt32(0)].withUnsafeBufferPointer {
                        writer.append(document: document, positions: $0)
                    }
                } else {
                    writer.append(document: document)
                }
            }
            try writer.endTerm(term)
        }
        if mistake != .noFlag {
            try list(
                .flag(.link), 0, less: mistake == .lessOfFlag, more: mistake == .moreOfFlag)
        }
        for (offset, sender) in senders.enumerated() where mistake != .noSender || offset == 0 {
            try list(
                .sender(sender), UInt32(offset), less: mistake == .lessOfSender,
                more: mistake == .moreOfSender)
        }
        if mistake == .stranger {
            try list(.sender(SearchID(high: 0, low: 3)), 0, less: false, more: false)
        }
        if mistake == .unknown {
            writer.append(document: 0)
            try [0, 3, 3].withUnsafeBytes { try writer.endTerm($0) }
        }
        _ = try writer.finish()
        let reader = try Segments.open(file.bytes)
        if mistake == .none {
            try reader.verify()
        } else {
            #expect(throws: SearchError.self) { try reader.verify() }
        }
    }
}
