import Testing

@testable import SearchIndex

@Suite("Highlighter")
struct HighlighterTests {
    /// The snippet with brackets around what is marked.
    private func marked(_ query: String, _ text: String) -> String {
        let (snippet, highlights) = Highlighter(expression(query)).snippet(of: text)
        let units = Array(snippet.utf16)
        var result = ""
        var at = 0
        for range in highlights {
            result += String(decoding: units[at..<range.lowerBound], as: UTF16.self)
            result += "[\(String(decoding: units[range], as: UTF16.self))]"
            at = range.upperBound
        }
        return result + String(decoding: units[at...], as: UTF16.self)
    }

    @Test(
        "marks what the search asks for",
        arguments: [
            ("tea", "Tea or coffee? TEA!", "[Tea] or coffee? [TEA]!"),
            ("te", "tea, tee, a tree", "[tea], [tee], a tree"),
            ("te ", "tea, te", "tea, [te]"),
            ("ete", "L’été et l'ÉTÉ", "L’[été] et l'[ÉTÉ]"),
            ("hot tea", "tea is hot, hot tea", "[tea] is [hot], [hot] [tea]"),
            ("\"hot tea\"", "tea is hot, hot tea", "tea is hot, [hot tea]"),
            ("\"hot tea\"", "hot -- tea", "[hot] -- [tea]"),
            ("sess.opts", "see sess.opts and opts", "see [sess.opts] and opts"),
            ("tea -milk", "tea with milk", "[tea] with milk"),
            ("tea OR milk", "tea with milk", "[tea] with [milk]"),
            ("from:ann in:x tea", "ann: x tea", "ann: x [tea]"),
            ("東京", "今日は東京タワー、東", "今日は[東京]タワー、東"),
            ("東京タワー", "今日は東京タワーに", "今日は[東京タワー]に"),
            ("京", "東京タワー京", "東[京]タワー[京]"),
            ("東", "東東京", "[東東]京"),
            ("第3回", "第3回目と第3", "[第3回]目と第3"),
            ("학교", "학교에서 LG학교", "[학교]에서 LG[학교]"),
            ("첫학교", "학교첫학", "학교첫학"),
            ("ก", "กินข้าว ก", "[กิ]นข้าว [ก]"),
            ("ดูหน", "ดูหนังที่", "[ดูหนั]งที่"), ("株式", "㍿です", "[㍿]です"),
            ("👍", "👍🏽 or 👎, 👍", "[👍🏽] or 👎, [👍]"),
            ("ＡＢ", "ab ﬁ", "[ab] ﬁ"),
            ("fi", "ab ﬁ", "ab [ﬁ]"),
            ("b", "a\nb\r\nc", "a [b] c"),
            ("", "a b", "a b"), ("x", "", ""), ("zzz", "a b", "a b"),
        ])
    func examples(query: String, text: String, expected: String) {
        #expect(marked(query, text) == expected)
    }

    @Test("counts in UTF-16")
    func units() {
        let (text, highlights) = Highlighter(expression("x y")).snippet(of: "🦜é x 𝒜 y")
        #expect(text == "🦜é x 𝒜 y" && highlights == [4..<5, 9..<10])
    }

    @Test("cuts long texts between words, around the best place")
    func windows() {
        let filler = String(repeating: "lorem ipsum ", count: 30)
        let late = marked("tea hot", "tea " + filler + "hot tea " + filler)
        #expect(late.hasPrefix("…lorem ipsum lorem ipsum lorem ipsum [hot] [tea] lorem"))
        #expect(late.hasSuffix(" lorem ipsum…") || late.hasSuffix(" ipsum lorem…"))
        let early = marked("tea", "tea " + filler + "tea " + filler)
        #expect(early.hasPrefix("[tea] lorem") && early.hasSuffix("…"))
        let last = marked("tea", filler + "tea")
        #expect(last.hasPrefix("…") && last.hasSuffix("ipsum [tea]"))
        #expect(marked("tea", filler).hasPrefix("lorem ipsum"))
        #expect(
            marked("\"tea\"", String(repeating: "x", count: 1000) + " tea").hasSuffix("x [tea]"))
        // A mark wider than a snippet is cut with it.
        let wide = String(repeating: "東京", count: 400)
        let (text, highlights) = Highlighter(expression(String(repeating: "東京", count: 300)))
            .snippet(of: "x" + wide)
        #expect(text.count <= Highlighter.charactersMax + 2 && highlights.count == 1)
    }

    @Test(
        "every mark is a part of the text that the search finds",
        arguments: 0..<150 as Range<UInt64>)
    func marksMatch(seed: UInt64) {
        var maker = TextMaker(seed: seed)
        for _ in 0..<15 {
            let text = maker.mixed(1 + maker.below(120))
            let query = maker.query(text)
            let expression = expression(query)
            let (snippet, highlights) = Highlighter(expression).snippet(of: text)
            check(snippet, of: text, seed)
            let units = Array(snippet.utf16)
            var last = 0
            for range in highlights {
                #expect(last <= range.lowerBound && range.lowerBound < range.upperBound)
                #expect(range.upperBound <= units.count, "seed \(seed)")
                last = range.upperBound + 1
                // At the ends of a snippet a phrase may be cut off.
                if range.lowerBound <= 1 || range.upperBound >= units.count - 1 { continue }
                let part = String(decoding: units[range], as: UTF16.self)
                let found = tokens(part).map(\.bytes)
                let isAsked = found.contains { term in
                    expression.asksFor { $0 ? term.starts(with: $1) : term == $1 }
                }
                #expect(isAsked, "seed \(seed): \(part) for \(query)")
            }
        }
    }

    @Test(
        "where the search finds a short text it marks something",
        arguments: 0..<100 as Range<UInt64>)
    func hitsAreMarked(seed: UInt64) {
        var maker = TextMaker(seed: seed)
        var hits = 0
        for _ in 0..<30 {
            let text = maker.mixed(1 + maker.below(30))
            let query = maker.query(text)
            let expression = expression(query)
            guard text.count <= Highlighter.charactersMax, TokenBrute(text).matches(expression),
                expression.asksFor({ _, _ in true })
            else { continue }
            hits += 1
            let (_, highlights) = Highlighter(expression).snippet(of: text)
            #expect(!highlights.isEmpty, "seed \(seed): \(query) in \(text)")
        }
        #expect(hits > 0, "seed \(seed)")
    }

    /// A snippet is a stretch of whole characters of its text, on one line.
    private func check(_ snippet: String, of text: String, _ seed: UInt64) {
        var parts = snippet.unicodeScalars.map(\.value)[...]
        let isWhole = text.count <= Highlighter.charactersMax
        if !isWhole {
            #expect(parts.first == 0x2026 || parts.last == 0x2026, "seed \(seed)")
            if parts.first == 0x2026 { parts = parts.dropFirst() }
            if parts.last == 0x2026 { parts = parts.dropLast() }
        }
        let characters = text.map { character in
            character.isNewline ? [0x20] : character.unicodeScalars.map(\.value)
        }
        let starts = isWhole ? 0...0 : 0...max(0, characters.count - 1)
        let isThere = starts.contains { start in
            var rest = parts
            for character in characters[start...] {
                if rest.isEmpty { return true }
                if !rest.starts(with: character) { return false }
                rest = rest.dropFirst(character.count)
            }
            return rest.isEmpty
        }
        #expect(isThere, "seed \(seed): \(snippet) of \(text)")
    }

    @Test("takes any text and any expression", arguments: 0..<40 as Range<UInt64>)
    func anything(seed: UInt64) {
        var maker = TextMaker(seed: seed)
        var words = MessageMaker(seed: seed)
        let scalars = (0..<40).compactMap { _ in Unicode.Scalar(UInt32(maker.below(0x11_0000))) }
        for _ in 0..<20 {
            let text =
                maker.below(2) == 0
                ? maker.text(of: scalars + ["\u{301}", "\r", "\n", "\u{200D}"], maker.below(900))
                : words.expressionText(maker.below(300))
            for expression in [expression(maker.query(text)), words.expression()] {
                let (snippet, highlights) = Highlighter(expression).snippet(of: text)
                #expect(snippet.utf16.count >= highlights.last?.upperBound ?? 0, "seed \(seed)")
            }
        }
    }

    @Test("words said over and over do not cost their product")
    func repetition() {
        let word = String(repeating: "a ", count: 4000)
        let query = "\"" + String(repeating: "a ", count: 1000) + "b\""
        let (snippet, highlights) = Highlighter(expression(query)).snippet(of: word)
        #expect(snippet.count <= Highlighter.charactersMax + 2 && highlights.isEmpty)
        let one = "x" + String(repeating: "\u{301}", count: 100_000)
        let whole = Highlighter(expression("x")).snippet(of: one)
        #expect(whole.text == one && whole.highlights == [0..<100_001])
    }
}
