import Testing

@testable import SearchIndex

/// From what is typed to what is found: tokenizer, segment, parser, compiler, search.
@Suite("Typed search")
struct TypedSearchTests {
    /// Messages of one conversation, in an index of two segments.
    private struct World {
        let texts: [String]
        let snapshot: SearchSnapshot

        init(_ texts: [String]) throws {
            self.texts = texts
            var parts: [SearchSnapshot.Part] = []
            let half = texts.count / 2
            for (number, range) in [0..<half, half..<texts.count].enumerated() where !range.isEmpty
            {
                var builder = SegmentBuilder(memoryMax: 1 << 24)
                for index in range { builder.put(text: texts[index], seq: index) }
                let file = MemoryFile()
                let fileID = UInt64(number) + 1
                _ = try builder.write(to: file, fileID: fileID, tokens: Segments.tokens)
                let reader = try Segments.open(file.bytes, fileID: fileID)
                parts.append(
                    .init(reader: reader, dead: DeadDocuments(documents: reader.documentCount)))
            }
            snapshot = SearchSnapshot(parts)
        }

        /// Numbers of the texts that are found, ascending.
        func found(_ query: String, _ order: SearchOrder = .newest) throws -> [Int] {
            let answer = try snapshot.search(
                SearchRequest(expression(query), order: order, limit: 1_000))
            return answer.hits.map { Int($0.document.key.seq) }.sorted()
        }
    }

    @Test("a message is found by each of its words and parts", arguments: Long.seeds(0, 40))
    func findsItself(seed: UInt64) throws {
        var maker = TextMaker(seed: seed)
        let world = try World((0..<60).map { _ in maker.chat() })
        for (number, text) in world.texts.enumerated() {
            for word in text.split(whereSeparator: \.isWhitespace).map(String.init) {
                // Operators and what excludes are not words.
                if word.contains(where: { "\"\u{201C}\u{201D}\u{201E}:".contains($0) }) { continue }
                if word.hasPrefix("-") || word == "OR" { continue }
                for typed in [word + " ", word, maker.beginning(of: word)]
                where !tokens(typed).isEmpty {
                    #expect(
                        try world.found(typed).contains(number),
                        "seed \(seed): \(typed) in \(text)")
                }
            }
        }
    }

    @Test(
        "what is found is what a look at all tokens finds, for anything typed",
        arguments: Long.seeds(100, 40))
    func equalsBruteForce(seed: UInt64) throws {
        var maker = TextMaker(seed: seed)
        let world = try World((0..<80).map { _ in maker.chat() })
        let brutes = world.texts.map { TokenBrute($0) }
        var hits = 0
        for _ in 0..<60 {
            let query = maker.query(world.texts[maker.below(world.texts.count)])
            let expression = expression(query)
            let expected = brutes.indices.filter { brutes[$0].matches(expression) }
            #expect(try world.found(query) == expected, "seed \(seed): \(query)")
            #expect(try world.found(query, .relevance) == expected, "seed \(seed): \(query)")
            hits += expected.count
        }
        #expect(hits > 0, "seed \(seed)")
    }

    @Test(
        "some characters of a script without spaces are found exactly where they stand",
        arguments: Long.seeds(200, 40))
    func substrings(seed: UInt64) throws {
        var maker = TextMaker(seed: seed)
        let alphabets = ["東京都大", "かがきカガ", "한국어가", "東かガ한国"]
        let alphabet = Array(alphabets[maker.below(alphabets.count)].unicodeScalars)
        let world = try World(
            (0..<60).map { _ in
                let runs = (0...maker.below(3)).map { _ in
                    maker.text(of: alphabet, 1 + maker.below(9))
                }
                return runs.joined(separator: maker.below(2) == 0 ? "、" : " x ")
            })
        for length in [1, 2, 3, 4] {
            for _ in 0..<12 {
                let wanted = maker.text(of: alphabet, length)
                let expected = world.texts.indices.filter { world.texts[$0].contains(wanted) }
                for query in [wanted, wanted + " ", "\"\(wanted)\""] {
                    #expect(try world.found(query) == expected, "seed \(seed): \(query)")
                }
                if expected.count == world.texts.count { continue }
                let others = world.texts.indices.filter { !expected.contains($0) }
                #expect(try world.found("-\(wanted)") == others, "seed \(seed): -\(wanted)")
            }
        }
    }

    @Test("pairs of an unfinished word are no beginnings: the order of characters counts")
    func pairsStay() throws {
        let world = try World(["학교첫학", "첫학교에", "학교에서 첫", "첫 학교"])
        #expect(try world.found("첫학교") == [1])
        #expect(try world.found("학교") == [0, 1, 2, 3])
        #expect(try world.found("첫 학교") == [0, 1, 2, 3])
        #expect(try world.found("\"첫 학교\"") == [3])
    }

    @Test(
        "finds what users of other products missed",
        arguments: [
            ("今日は東京タワーに行きました", "東京"), ("今日は東京タワーに行きました", "タ"), ("我们明天去北京大学", "北京大学"),
            ("학교에서 만나요", "학교"), ("see sess.opts there", "sess.opts"), ("see sess.opts", "sess.op"),
            ("the cat sat", "the "), ("call 10.0.0.1 now", "10.0.0.1"), ("a/b-c_d", "b-c_d"),
            ("mail ann@example.org", "example.org"), ("https://x.io/a?b=c", "https://x.io/a?b=c"),
            ("https://x.io/a?b=c", "x.io/a"), ("it’s ÉTÉ", "it's"), ("it’s ÉTÉ", "ete"),
            ("ดูหนังที่บ้าน", "หนัง"), ("ดูหนังที่บ้าน", "ดูหน"),
            ("မနာ", "မန"), ("🤷🏽 whatever", "🤷"), ("ﾃｽﾄです", "テスト"), ("ЁЛКА", "елка"),
            ("مُحَمَّد", "محمد"), ("foo.bar, C:\\Temp\\größe.txt", "temp\\grosse"),
            ("unbelievable", "unbel"), ("snake_case_name", "case_name"), ("OR else", "OR"),
        ])
    func complaints(text: String, query: String) throws {
        let world = try World(["nothing else 無", text])
        #expect(try world.found(query) == [1], "\(query) in \(text)")
    }
}

extension SegmentBuilder {
    /// Adds a message of one conversation as a node does.
    fileprivate mutating func put(text: String, seq: Int) {
        let document = SearchDocument(
            key: DocumentKey(conversation: SearchID(high: 1, low: 1), seq: UInt64(seq)),
            time: 1_700_000_000_000 + UInt64(seq) * 1000, sender: SearchID(high: 2, low: 2),
            flags: [])
        var tokenizer = Tokenizer()
        put(document) { give in
            Array(text.utf8).withUnsafeBytes { bytes in
                tokenizer.tokenize(bytes) { token, position, _, _ in give(token, position) }
            }
        }
    }
}

extension TextMaker {
    private static let chatWords = [
        "hello", "Hello", "the", "on", "sess.opts", "foo_bar-baz", "10.0.0.1", "ann@example.org",
        "https://example.org/a/b?c=d&e=f#g", "C:\\Temp\\x.txt", "it's", "naïve", "Straße", "привет",
        "ещё", "мир", "東京都", "東京タワー", "北京大学", "ひらがな", "학교에서", "한국어", "만나요", "👍🏽", "👨‍👩‍👧",
        "🇩🇪🇫🇷", "مرحبا", "مُحَمَّد", "שָׁלוֹם", "हिन्दी", "กินข้าว", "ﬁne", "ＡＢＣ", "v1.2.3", "#1234", "@ann",
        "x=y+z;", "don’t", "1,000.50", "㍿", "½",
    ]

    /// A message as people write it, or something stranger.
    mutating func chat() -> String {
        if below(3) == 0 { return mixed(1 + below(10)) }
        return (0...below(8)).map { _ in Self.chatWords[below(Self.chatWords.count)] }
            .joined(separator: [" ", "  ", "\n", ", "][below(4)])
    }

    /// The first characters of a word, never cut off from what the fold joins to the last of them:
    /// marks, be they of another script, and vowels and finals of Hangul.
    mutating func beginning(of word: String) -> String {
        let characters = Array(word)
        var count = 1 + below(characters.count)
        while count < characters.count, Self.joins(characters[count]) { count += 1 }
        return String(characters[..<count])
    }

    private static func joins(_ character: Character) -> Bool {
        guard let first = character.unicodeScalars.first else { return false }
        switch first.properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark, .format: return true
        default: break
        }
        let joining: [ClosedRange<UInt32>] = [0x1160...0x11FF, 0x314F...0x3163, 0xFF9E...0xFFDC]
        return joining.contains { $0.contains(first.value) }
    }
}
