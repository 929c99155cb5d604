import Foundation
import Testing

@testable import SearchIndex

struct WordBoundariesTests {
    private func boundaries(_ text: String) -> [Int] {
        var result: [Int] = []
        Array(text.utf8).withUnsafeBytes { bytes in
            WordBoundaries.visit(bytes) { result.append($0) }
        }
        return result
    }

    @Test("holds all 1,823 lines of Unicode's WordBreakTest")
    func official() throws {
        let rows = try UnicodeFiles.rows("auxiliary/WordBreakTest.txt")
        #expect(rows.count == 1823)
        for fields in rows {
            var text = ""
            var expected: [Int] = []
            for part in fields[0].split(whereSeparator: { $0 == " " || $0 == "\t" }) {
                if part == "÷" { expected.append(text.utf8.count) }
                if part != "÷", part != "×" { text += UnicodeFiles.text(String(part)) }
            }
            #expect(boundaries(text) == expected, "\(fields[0])")
        }
    }

    /// What joins a scalar of each class to equals on both sides.
    private static let joins: [(both: String, classes: Set<String>)] = [
        ("a", ["ALetter", "Hebrew_Letter", "Numeric", "ExtendNumLet", "MidLetter"]),
        ("1", ["ALetter", "Hebrew_Letter", "Numeric", "ExtendNumLet", "MidNum"]),
        ("カ", ["Katakana", "ExtendNumLet"]),
    ]
    private static let joinsAll: Set<String> = ["Extend", "Format", "ZWJ"]
    private static let joinsWords: Set<String> = ["MidNumLet", "Single_Quote"]
    private static let joinsItself: Set<String> = [
        "ALetter", "Hebrew_Letter", "Numeric", "Katakana", "ExtendNumLet", "Regional_Indicator",
        "WSegSpace", "Extend", "Format", "ZWJ",
    ]

    @Test("joins and splits every scalar as its class demands")
    func everyScalar() throws {
        let classes = try UnicodeFiles.property("auxiliary/WordBreakProperty.txt")
        #expect(classes.count > 33000)
        var seen = 0
        for number: UInt32 in 0..<0x11_0000 {
            guard let text = UnicodeFiles.text(number) else { continue }
            let name = classes[number] ?? "Other"
            // Of the hundreds of thousands that have no class, some will do.
            if name == "Other", number >= 0x1_0000, number % 97 != 0 { continue }
            seen += 1
            for (both, joining) in Self.joins {
                let probe = both + text + both
                let whole = [0, probe.utf8.count]
                let inner = both.utf8.count
                let split = [0, inner, inner + text.utf8.count, probe.utf8.count]
                let isJoined =
                    joining.contains(name) || Self.joinsAll.contains(name)
                    || both != "カ" && Self.joinsWords.contains(name)
                if boundaries(probe) != (isJoined ? whole : split) {
                    Issue.record("U+\(String(number, radix: 16)) \(name) between \(both)")
                }
            }
            let isTwo = boundaries(text + text).count == 3
            if isTwo == Self.joinsItself.contains(name) {
                Issue.record("U+\(String(number, radix: 16)) \(name) beside itself")
            }
        }
        #expect(seen > 60000)
    }

    /// Foundation's ICU has newer tables (Unicode 16 took ":" out of MidLetter) and looks words of
    /// Han, kana, Hangul and the South-East Asian scripts up in dictionaries: none of these here.
    @Test("agrees with ICU on random text of many scripts", arguments: 0..<40 as Range<UInt64>)
    func agreesWithICU(seed: UInt64) throws {
        let letters = "abZ019éÀß\u{301}\u{308}ЖйλάΣאב\u{5B0}ابت\u{64B}कखा्ქართ\u{16A0}"
        let others = "_.,'\"’;-/@ \n\r\u{AD}\u{200D}😀👍🏽❤\u{FE0F}🇩🇪🇫"
        let alphabet = Array((letters + others).unicodeScalars)
        var maker = TextMaker(seed: seed)
        let expression = try NSRegularExpression(
            pattern: "\\b", options: .useUnicodeWordBoundaries)
        for _ in 0..<40 {
            let text = maker.text(of: alphabet, 1 + maker.below(20))
            let range = NSRange(location: 0, length: text.utf16.count)
            var expected = expression.matches(in: text, range: range).map { match in
                let index = text.utf16.index(text.utf16.startIndex, offsetBy: match.range.location)
                return text.utf8.distance(from: text.utf8.startIndex, to: index)
            }
            if expected.last != text.utf8.count { expected.append(text.utf8.count) }
            #expect(boundaries(text) == expected, "seed \(seed): \(text.debugDescription)")
        }
    }

    @Test("takes any bytes, and its boundaries ascend from the beginning to the end")
    func anyBytes() {
        var maker = TextMaker(seed: 11)
        for _ in 0..<500 {
            let bytes = (0..<maker.below(40)).map { _ in UInt8(maker.below(256)) }
            var seen: [Int] = []
            bytes.withUnsafeBytes { text in WordBoundaries.visit(text) { seen.append($0) } }
            #expect(seen == Array(Set(seen)).sorted())
            #expect(bytes.isEmpty ? seen.isEmpty : seen.first == 0 && seen.last == bytes.count)
        }
    }
}
