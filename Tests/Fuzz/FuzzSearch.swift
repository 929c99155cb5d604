import Bytes
import Platform
import SearchIndex

/// The search index: its files, and the texts that go into it and come to it.
enum FuzzSearch {
    private static let tokenVersion = TokenVersion(tokenizer: 1, unicode: 0x0F_0000)
    private static let directory = "/index"
    private static let fileID: UInt64 = 1

    /// Messages of several scripts; the last ones make lists with blocks.
    private static let texts: [String] =
        [
            "tea or tea", "see sess.opts, ann@example.org", "東京タワー、학교에서", "👍🏽 L’été", "tea",
            "\"hot tea\" -cold from:ann OR has:link", "กินข้าว ひらがな ﬁne", "",
        ] + (0..<150).map { "tea number \($0 % 7) \($0)" }

    private static func document(_ number: Int) -> SearchDocument {
        SearchDocument(
            key: DocumentKey(
                conversation: SearchID(high: UInt64(number / 60), low: 7), seq: UInt64(number)),
            time: 1_700_000_000_000 + UInt64(number) * 1000,
            sender: SearchID(high: 1, low: UInt64(number % 3)),
            flags: DocumentFlags(rawValue: UInt8(number % 16)))
    }

    private static func builder(_ texts: [String]) -> SegmentBuilder {
        var builder = SegmentBuilder(memoryMax: 1 << 20)
        var tokenizer = Tokenizer()
        for (number, text) in texts.enumerated() {
            builder.put(document(number)) { give in
                Array(text.utf8).withUnsafeBytes { bytes in
                    tokenizer.tokenize(bytes) { token, position, _, _ in give(token, position) }
                }
            }
        }
        return builder
    }

    /// An index of two segments with dead documents.
    private static let base: MemoryDisk = {
        let disk = MemoryDisk()
        _ = FuzzFormats.outcome {
            var store = try SearchStore.open(
                files: disk, directory: directory, tokens: tokenVersion)
            try store.commit(builder(texts), cursor: [1])
            try store.commit(builder(Array(texts.prefix(5))), cursor: [2])
        }
        return disk
    }()

    private static let snapshot = try? SearchStore.open(
        files: base.copy(), directory: directory, tokens: tokenVersion
    ).snapshot

    private static func file(_ ending: String) -> [UInt8] {
        base.paths.first { $0.hasSuffix(ending) }.flatMap { base[$0] } ?? []
    }

    // MARK: Segments

    static func segment(_ input: [UInt8]) -> FuzzTarget.Outcome {
        guard let bytes = sealedSegment(input),
            let reader = try? SegmentReader.open(
                file: MemoryFile("segment", bytes), fileID: fileID)
        else { return .refused }
        let isSound = (try? reader.verify()) != nil
        let none = DeadDocuments(documents: Int(reader.summary.documents))
        let isRead = FuzzFormats.outcome { try readAll(reader) } == .accepted
        let merged = MemoryFile("merged", [])
        let isMerged =
            FuzzFormats.outcome {
                _ = try SegmentMerger.merge(
                    [.init(reader: reader, dead: none)], to: merged, fileID: 2,
                    tokens: tokenVersion)
                try SegmentReader.open(file: merged, fileID: 2).verify()
            } == .accepted
        for query in ["tea or", "\"tea number\"", "t", "東", "-tea has:link"] {
            let request = SearchRequest(expression(query), limit: 3, workMax: 100_000)
            _ = try? IndexInspection.snapshot(of: [(reader, none)]).search(request)
        }
        if isSound { precondition(isRead && isMerged, "what is sound can be read and merged") }
        return isSound ? .accepted : .refused
    }

    private static func readAll(_ reader: SegmentReader) throws {
        var terms: [[UInt8]] = []
        try reader.terms(prefix: []) { term in
            terms.append(term.bytes)
            return terms.count < 2000
        }
        var left = 20_000
        for term in terms {
            let isThere = try reader.postings(of: term) { posting in
                left -= 1 + posting.positions.count
                return left > 0
            }
            precondition(isThere || (try? reader.verify()) == nil, "a term is found")
        }
    }

    /// The bytes with right checksums; nil when the footer's numbers allow none.
    private static func sealedSegment(_ input: [UInt8]) -> [UInt8]? {
        var bytes = input
        let footer = bytes.count - 160
        guard footer >= 0 else { return nil }
        let body = Int(clamping: word(bytes, footer + 56))
        let pieces = body <= footer ? (body + 65_535) / 65_536 : 0
        guard body <= footer, footer - body == pieces * 8 else { return nil }
        for piece in 0..<pieces {
            let range = (piece * 65_536)..<min(body, (piece + 1) * 65_536)
            let seed = Checksum.seed(file: fileID, offset: UInt64(range.lowerBound))
            put(Checksum.xxh3(Array(bytes[range]), seed: seed), &bytes, body + piece * 8)
        }
        let tableSeed = Checksum.seed(file: fileID, offset: UInt64(body))
        put(Checksum.xxh3(Array(bytes[body..<footer]), seed: tableSeed), &bytes, footer + 136)
        let seed = Checksum.seed(file: fileID, offset: UInt64(footer))
        put(Checksum.xxh3(Array(bytes[footer..<(footer + 144)]), seed: seed), &bytes, footer + 144)
        return bytes
    }

    private static func word(_ bytes: [UInt8], _ at: Int) -> UInt64 {
        bytes[at..<(at + 8)].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    private static func put(_ value: UInt64, _ bytes: inout [UInt8], _ at: Int) {
        for index in 0..<8 {
            bytes[at + index] = UInt8(truncatingIfNeeded: value >> UInt64(index * 8))
        }
    }

    static var segmentSeeds: [[UInt8]] {
        [texts, Array(texts.prefix(3))].map { texts in
            let file = MemoryFile("segment", [])
            _ = try? builder(texts).write(to: file, fileID: fileID, tokens: tokenVersion)
            return file.contents
        }
    }

    // MARK: Lists of the dead

    static func dead(_ input: [UInt8]) -> FuzzTarget.Outcome {
        // A list says of how many documents it is, and memory for so many is asked for.
        guard input.count >= 16, input[14] < 16, input[15] == 0 else { return .refused }
        let disk = MemoryDisk()
        disk["/list"] = sealed(input, Checksum.seed(file: fileID, offset: 2))
        return FuzzFormats.outcome {
            let dead = try IndexInspection.readDead(
                files: disk, path: "/list", segment: fileID, version: 2)
            let all = dead.all
            precondition(
                all.count == dead.count && all.allSatisfy { $0 < dead.documents },
                "the dead are documents of the segment")
        }
    }

    private static func sealed(_ body: [UInt8], _ seed: UInt64) -> [UInt8] {
        var writer = ByteWriter()
        writer.write(raw: body)
        writer.write(fixed: Checksum.xxh3(body, seed: seed))
        return writer.bytes
    }

    static var deadSeeds: [[UInt8]] { [Array(file(".dead").dropLast(8))] }

    // MARK: The manifest

    static func manifest(_ input: [UInt8]) -> FuzzTarget.Outcome {
        var input = FuzzInput(input)
        let path = "\(directory)/\(IndexInspection.manifestName)"
        let body = input.change(Array(file(IndexInspection.manifestName).dropLast(8)))
        let disk = base.copy()
        disk[path] = sealed(body, Checksum.seed(file: 0, offset: UInt64(body.count + 8)))
        return FuzzFormats.outcome {
            let store = try SearchStore.open(
                files: disk, directory: directory, tokens: tokenVersion)
            let cursor = store.cursor
            let documents = store.snapshot.documents
            // Of segments that cannot be opened the manifest may say anything.
            let all = SearchRequest(.all([]), limit: SearchRequest.limitMax)
            precondition(
                (try? store.snapshot.search(all)) == nil || documents <= texts.count + 5,
                "no more than there are")
            let again = try SearchStore.open(
                files: disk, directory: directory, tokens: tokenVersion)
            precondition(
                again.cursor == cursor && again.snapshot.documents == documents,
                "an index that opens opens again")
        }
    }

    static var manifestSeeds: [[UInt8]] {
        [
            [0], [0, 48, 0, 9], [1] + file(IndexInspection.manifestName).dropLast(8),
            [2, 0, 0, 0, 0],
        ]
    }

    // MARK: Texts

    private static func expression(_ query: String) -> SearchExpression {
        QueryCompiler(
            senders: { [SearchID(high: 1, low: UInt64($0.utf8.count))] },
            conversations: { [SearchID(high: UInt64($0.utf8.count), low: 7)] }, offset: 0
        ).expression(QueryParser.parse(query))
    }

    /// Input: a number of bytes, so many of a query, the rest is a text.
    static func text(_ input: [UInt8]) -> FuzzTarget.Outcome {
        var input = FuzzInput(input)
        let query = String(decoding: input.take(Int(input.byte())), as: UTF8.self)
        let text = String(decoding: input.rest(), as: UTF8.self)
        let expression = expression(query)
        precondition(expression == Self.expression(query), "a query says the same twice")
        let request = SearchRequest(expression, limit: 5, workMax: 1_000_000)
        let answer = try? snapshot?.search(request)
        precondition(answer.map { $0.hits.count <= 5 } ?? false, "any text is a search")
        let (snippet, highlights) = Highlighter(expression).snippet(of: text)
        let units = Array(snippet.utf16)
        var last = 0
        for range in highlights {
            precondition(
                last <= range.lowerBound && !range.isEmpty && range.upperBound <= units.count,
                "marks ascend and are within the snippet")
            for end in [range.lowerBound, range.upperBound] where end < units.count {
                precondition(units[end] & 0xFC00 != 0xDC00, "a mark cuts no pair of surrogates")
            }
            last = range.upperBound + 1
        }
        return highlights.isEmpty ? .refused : .accepted
    }

    static var textSeeds: [[UInt8]] {
        let rows = [
            ("tea", texts[0]), ("\"hot tea\" OR sess.opts -x", "hot tea, sess.opts"),
            ("東", texts[2]), ("학교", texts[2]), ("ete has:link", texts[3]),
            ("te on:2024-05-06", String(repeating: "long text 😀 ", count: 40) + "tea"),
        ]
        return rows.map { query, text in
            [UInt8(truncatingIfNeeded: query.utf8.count)] + Array(query.utf8) + Array(text.utf8)
        }
    }

    static func tokens(_ input: [UInt8]) -> FuzzTarget.Outcome {
        var tokenizer = Tokenizer()
        var seen: [[UInt8]] = []
        for round in 0..<2 {
            var next: UInt32 = 0
            var index = 0
            input.withUnsafeBytes { raw in
                tokenizer.tokenize(raw) { token, position, start, end in
                    precondition((1...Tokenizer.tokenBytesMax).contains(token.count), "a length")
                    precondition(start < end && end <= raw.count, "a place in the text")
                    precondition(position == next || position &+ 1 == next, "dense positions")
                    next = position + 1
                    if round == 0 { seen.append([UInt8](token)) }
                    precondition(index < seen.count, "as many tokens again")
                    precondition(token.elementsEqual(seen[index]), "the same tokens again")
                    index += 1
                }
            }
            precondition(index == seen.count, "as many tokens again")
        }
        for token in seen {
            precondition(String(validating: token, as: UTF8.self) != nil, "terms are text")
        }
        return seen.isEmpty ? .refused : .accepted
    }

    static var tokenSeeds: [[UInt8]] { texts.prefix(8).map { Array($0.utf8) } }
}
