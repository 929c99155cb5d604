import Foundation
import Testing

@testable import SearchIndex

struct TokenizerTests {
    @Test(
        "cuts text into terms at positions",
        arguments: [
            ("", ""), ("  \n...", ""), ("Hello, World", "hello@0 world@1"),
            ("sess.opts", "sess@0 opts@1"), ("foo.bar-baz_qux", "foo@0 bar@1 baz@2 qux@3"),
            ("it's L’été", "it@0 s@1 l@2 ete@3"), ("a:b 3.14 1,000", "a@0 b@1 3@2 14@3 1@4 000@5"),
            ("ann@example.org", "ann@0 example@1 org@2"), ("@ann #Release42", "ann@0 release42@1"),
            ("https://x.io/a?b=c&d", "https@0 x@1 io@2 a@3 b@4 c@5 d@6"),
            ("C:\\Temp\\größe.txt", "c@0 temp@1 grosse@2 txt@3"), ("10.0.0.1", "10@0 0@1 0@2 1@3"),
            ("東京都", "東京@0 京都@1 都@2"), ("東", "東@0"), ("東京tower3階", "東京@0 京@1 tower3@2 階@3"),
            ("東京、大阪", "東京@0 京@1 大阪@2 阪@3"), ("カタカナ", "カタ@0 タカ@1 カナ@2 ナ@3"),
            ("학교에서 LG전자", "학교@0 교에@1 에서@2 서@3 학교에서@3 lg@4 전자@5 자@6"),
            ("한 집 나라", "한@0 집@1 나라@2 라@3"), ("กินข้าว", "กิน@0 นข้@1 ข้า@2 าว@3 ว@4"),
            ("हिन्दी में", "हिन्दी@0 में@1"), ("привет, мир!", "привет@0 мир@1"),
        ])
    func examples(text: String, expected: String) {
        #expect(line(text) == expected)
    }

    @Test(
        "makes one token of an emoji, without selectors and skin tones",
        arguments: [
            ("hi😀you", "hi@0 😀@1 you@2"), ("👍🏽👍", "👍@0 👍@1"), ("❤️ ❤", "❤@0 ❤@1"),
            ("👨‍👩‍👧", "👨‍👩‍👧@0"), ("👩🏽‍🚀", "👩‍🚀@0"), ("🇩🇪🇫🇷🇬", "🇩🇪@0 🇫🇷@1 🇬@2"),
            ("🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🏴󠁧󠁢󠁥󠁮󠁧󠁿@0"), ("😀\u{200D}x", "😀@0 x@1"), ("😀😀", "😀@0 😀@1"), ("#️⃣ 5️⃣", "5@0"),
        ])
    func emoji(text: String, expected: String) {
        // Compared as scalars: a String that differs in joiners alone is not equal either.
        #expect(Array(line(text).unicodeScalars) == Array(expected.unicodeScalars))
    }

    @Test("does with the example of docs/formats/search-tokens.md what the page says")
    func workedExample() {
        let seen = tokens("Zoë's 東京Café, 학교에서 👍🏽").map { "\($0) \($0.start)-\($0.end)" }
        #expect(
            seen == [
                "zoe@0 0-4", "s@1 5-6", "東京@2 7-13", "京@3 10-13", "cafe@4 13-18", "학교@5 20-26",
                "교에@6 23-29", "에서@7 26-32", "서@8 29-32", "학교에서@8 20-32", "👍@9 33-41",
            ])
    }

    @Test("says where in the text each token comes from")
    func offsets() {
        let text = "Der é\u{301}té ㍿ 👍🏽! 한국어"
        let bytes = Array(text.utf8)
        let sources = tokens(text).map { String(decoding: bytes[$0.start..<$0.end], as: UTF8.self) }
        #expect(
            sources == [
                "Der", "é\u{301}té", "㍿", "㍿", "㍿", "㍿", "👍🏽", "한국", "국어", "어", "한국어",
            ])
    }

    @Test("finds each token again in the bytes that it names", arguments: 0..<60 as Range<UInt64>)
    func offsetsAreTrue(seed: UInt64) {
        var maker = TextMaker(seed: seed)
        for _ in 0..<20 {
            let text = Array(maker.mixed(8).utf8)
            var next: UInt32 = 0
            for token in tokens(text) {
                #expect(token.position == (token.kind == .whole ? next - 1 : next), "seed \(seed)")
                next = token.position + 1
                #expect(0 <= token.start && token.start < token.end && token.end <= text.count)
                #expect((1...Tokenizer.tokenBytesMax).contains(token.bytes.count))
                let again = tokens(text[token.start..<token.end]).map(\.bytes)
                #expect(again.contains(token.bytes), "seed \(seed): \(token)")
            }
        }
    }

    @Test("treats ASCII alike on its short way and among other scripts")
    func bothWays() {
        var maker = TextMaker(seed: 5)
        let alphabet = (0..<128).compactMap { Unicode.Scalar($0) }
        for _ in 0..<300 {
            let text = maker.text(of: alphabet, maker.below(60))
            // Joined by an ignored scalar, each word takes the long way.
            let slow = text.unicodeScalars.map { "\($0)\u{2060}" }.joined()
            #expect(tokens(text).map(\.bytes) == tokens(slow).map(\.bytes))
        }
    }

    @Test("takes bytes that are no UTF-8 as separators")
    func invalid() {
        #expect(tokens([0x61, 0xFF, 0x62]).map(\.text) == ["a", "b"])
        #expect(tokens([0x61, 0xC3]).map(\.text) == ["a"])
        #expect(tokens([0xC3, 0x61]).map(\.text) == ["a"])
        #expect(tokens([0xC0, 0xAF, 0xED, 0xA0, 0x80, 0xF5, 0x80, 0xE6, 0x9D]).isEmpty)
        #expect(tokens([0xE6, 0x9D, 0xB1, 0xE6, 0x9D]).map(\.text) == ["東"])
        #expect(tokens([0xF4, 0x90, 0x80, 0x80, 0x78]).map(\.text) == ["x"])
    }

    @Test("takes any bytes and mutated text", arguments: 0..<60 as Range<UInt64>)
    func anyBytes(seed: UInt64) {
        var maker = TextMaker(seed: seed)
        for round in 0..<30 {
            var bytes = Array(maker.mixed(6).utf8)
            if round % 2 == 0 { bytes = bytes.map { _ in UInt8(maker.below(256)) } }
            for _ in 0..<3 where !bytes.isEmpty {
                bytes[maker.below(bytes.count)] = UInt8(maker.below(256))
            }
            for token in tokens(bytes) {
                #expect(String(validating: token.bytes, as: UTF8.self) != nil, "seed \(seed)")
                #expect((1...Tokenizer.tokenBytesMax).contains(token.bytes.count))
                #expect(token.start < token.end && token.end <= bytes.count, "seed \(seed)")
            }
        }
    }

    @Test("cuts tokens of more than 64 bytes to their beginning and a hash")
    func longTokens() {
        let longest = String(repeating: "A", count: 64)
        #expect(tokens(longest).map(\.text) == [longest.lowercased()])
        let cut = tokens(longest + "b").map(\.text)
        #expect(cut.count == 1 && cut[0].utf8.count == 64)
        #expect(cut[0].hasPrefix(String(repeating: "a", count: 47) + "~"))
        #expect(tokens(longest + "c").map(\.text) != cut)
        #expect(tokens(longest + "\u{2060}B").map(\.text) == cut)
        for (text, size) in [
            ("x" + String(repeating: "ж", count: 40), 47), (String(repeating: "ж", count: 40), 46),
        ] {
            let wide = tokens(text)[0].bytes
            #expect(wide.count == size + 17)
            let expected = String(decoding: Array(text.utf8).prefix(size), as: UTF8.self) + "~"
            #expect(String(decoding: wide.prefix(size + 1), as: UTF8.self) == expected)
        }
    }

    @Test("bounds words without end, characters of many marks and runs without end")
    func endless() {
        let word = String(repeating: "ы", count: 5000)
        #expect(tokens(word).map(\.bytes) == tokens(word + word).map(\.bytes))
        let stack = "ก" + String(repeating: "็", count: 5000)
        #expect(
            tokens(stack).map(\.bytes)
                == tokens("ก" + String(repeating: "็", count: 16)).map(\.bytes))
        let stacks = tokens(String(repeating: stack, count: 30))
        #expect(stacks.count == 30 && Set(stacks.dropLast().map(\.bytes)).count == 1)
        let units = "一二三四五六七八九十"
        let run = tokens(String(repeating: units, count: 200))
        #expect(run.count == 2000)
        for (index, token) in run.enumerated().dropLast() {
            let pair = Array((units + "一").unicodeScalars)[index % 10...index % 10 + 1]
            #expect(Array(token.text.unicodeScalars) == Array(pair))
        }
        #expect(tokens(String(repeating: "가", count: 21)).last?.kind == .whole)
        #expect(tokens(String(repeating: "가", count: 22)).last?.kind == .last)
    }

    @Test("stops after 4,096 tokens")
    func manyTokens() {
        let text = String(repeating: "a ", count: 5000)
        #expect(tokens(text).count == Tokenizer.tokensMax)
        #expect(tokens(String(repeating: "字", count: 5000)).count == Tokenizer.tokensMax)
        #expect(tokens(String(repeating: "é ", count: 5000)).count == Tokenizer.tokensMax)
    }

    @Test("starts every text anew")
    func isReusable() {
        var tokenizer = Tokenizer()
        for text in ["東京", "é", "x", "한국어"] {
            var seen: [String] = []
            Array(text.utf8).withUnsafeBytes { bytes in
                tokenizer.tokenize(bytes) { token, position, _, _ in
                    seen.append("\(String(decoding: token, as: UTF8.self))@\(position)")
                }
            }
            #expect(seen.joined(separator: " ") == line(text))
        }
    }

    @Test("joins or splits every scalar of WordBreakProperty as its class and script demand")
    func everyScalar() throws {
        let classes = try UnicodeFiles.property("auxiliary/WordBreakProperty.txt")
        let scripts = try UnicodeFiles.property("Scripts.txt")
        let unspaced: Set = ["Han", "Hiragana", "Katakana", "Hangul", "Bopomofo"]
        var lineBreaks: [UInt32: String] = [:]
        for fields in try UnicodeFiles.rows("LineBreak.txt") where fields[1] == "SA" {
            for scalar in UnicodeFiles.scalars(fields[0]) { lineBreaks[scalar] = "SA" }
        }
        var seen = 0
        for (number, name) in classes {
            guard let text = UnicodeFiles.text(number), !isSeveral(text) else { continue }
            let count = tokens("x" + text + "x").count
            let isUnit =
                unspaced.contains(scripts[number] ?? "") || lineBreaks[number] != nil
                || name == "Katakana"
            let expected =
                switch name {
                case "Extend", "Format", "ZWJ": 1
                case "ALetter", "Hebrew_Letter", "Numeric": isUnit ? 3 : 1
                case "Katakana", "Regional_Indicator": 3
                default: 2
                }
            seen += 1
            if count != expected {
                Issue.record("U+\(String(number, radix: 16)) \(name): \(count)")
            }
        }
        #expect(seen > 32000)
    }

    /// True for ligatures and squared words, some of which hold spaces, and for fillers, which are
    /// as if they were not there: `FoldTests` holds them against what they stand for.
    private func isSeveral(_ text: String) -> Bool {
        let parts = text.decomposedStringWithCompatibilityMapping.unicodeScalars
        let isCanonical = parts.elementsEqual(
            text.decomposedStringWithCanonicalMapping.unicodeScalars)
        return !isCanonical && parts.count > 1
            || parts.first?.properties.isDefaultIgnorableCodePoint == true && parts.count == 1
                && parts.first?.properties.generalCategory == .otherLetter
    }
}
