import Foundation
import Testing

@testable import SearchIndex

/// What the tokenizer makes of single scalars and of marks, against the Unicode character database.
struct FoldTests {
    @Test("gives equal tokens for the five forms of every line of NormalizationTest")
    func normalizationTest() throws {
        let rows = try UnicodeFiles.rows("NormalizationTest.txt.bz2").filter { $0.count >= 5 }
        #expect(rows.count > 19000)
        for fields in rows {
            let forms = fields.prefix(5).map { folded("x" + UnicodeFiles.text($0) + "y") }
            if Set(forms).count != 1 { Issue.record("\(fields.prefix(5)): \(forms)") }
        }
    }

    /// The iota below is a letter to NFKC_Casefold and a mark to the tokenizer.
    @Test("folds every scalar as NFKC_Casefold does before it strips")
    func everyMapping() throws {
        let rows = try UnicodeFiles.rows("DerivedNormalizationProps.txt")
        var seen = 0
        for fields in rows where fields.count == 3 && fields[1] == "NFKC_CF" {
            let target = UnicodeFiles.text(fields[2])
            for number in UnicodeFiles.scalars(fields[0]) {
                guard let text = UnicodeFiles.text(number) else { continue }
                seen += 1
                let parts = text.decomposedStringWithCompatibilityMapping.unicodeScalars
                if parts.contains("\u{345}") { continue }
                let probe = folded("x" + text + "y")
                if probe != folded("x" + target + "y") {
                    Issue.record("U+\(String(number, radix: 16)): \(probe)")
                }
            }
        }
        #expect(seen == 10491)
    }

    @Test("leaves what it folded as it is")
    func isIdempotent() {
        for number: UInt32 in 0..<0x3_2000 {
            guard let text = UnicodeFiles.text(number) else { continue }
            let once = folded("x" + text + "y " + text)
            if folded(once.joined(separator: " ")) != once {
                Issue.record("U+\(String(number, radix: 16)): \(once)")
            }
        }
    }

    @Test(
        "gives equal tokens for canonical equivalents, and leaves what it folded",
        arguments: 0..<60 as Range<UInt64>)
    func equivalents(seed: UInt64) {
        var maker = TextMaker(seed: seed)
        for _ in 0..<30 {
            let text = maker.mixed(6)
            let once = folded(text)
            #expect(
                folded(text.decomposedStringWithCanonicalMapping) == once,
                "seed \(seed): \(text.debugDescription)")
            #expect(
                folded(text.precomposedStringWithCanonicalMapping) == once,
                "seed \(seed): \(text.debugDescription)")
            #expect(
                folded(once.joined(separator: " ")) == once,
                "seed \(seed): \(text.debugDescription)")
        }
    }

    @Test(
        "composes only what the canonical composition does",
        arguments: [
            ("か\u{3099}\u{309A}", "が\u{309A}"), ("か\u{309A}\u{3099}", "か\u{309A}\u{3099}"),
            ("は\u{309A}\u{3099}", "ぱ\u{3099}"), ("か\u{301}\u{3099}", "が"),
            ("あ\u{3099}", "あ\u{3099}"), ("ワ\u{3099}わ\u{3099}", "ヷわ\u{3099}"),
            ("\u{1100}\u{1161}\u{11A8}", "각"), ("가\u{11A8}", "각"), ("각\u{11A8}", "각\u{11A8}"),
            ("\u{1100}\u{302E}\u{1161}", "\u{1100}\u{302E}\u{1161}"), ("ㅋㅋ", "\u{110F}\u{110F}"),
            ("\u{1161}\u{11A8}", "\u{1161}\u{11A8}"), ("и\u{301}\u{306}", "и"), ("у\u{306}", "у"),
        ])
    func compositions(text: String, expected: String) {
        // Strings compare by canonical equivalence; terms do not.
        let scalars = folded(text).joined(separator: " ").unicodeScalars
        #expect(Array(scalars) == Array(expected.unicodeScalars))
    }

    @Test(
        "strips the marks of Latin, Greek, Cyrillic, Arabic and Hebrew and keeps all others",
        arguments: [
            ("Éclair naïve Ångström", "eclair naive angstrom"), ("Straße ǅ ﬁn", "strasse dz fin"),
            ("Ødegård Łódź", "ødegard łodz"), ("Ὀδυσσεύς", "οδυσσευσ"), ("Всё ещё Ґ", "все еще ґ"),
            ("Мой и\u{306} \u{418}\u{323}\u{306} й", "мой й й й"),
            ("مُحَمَّد أنا كـتاب", "محمد انا كتاب"), ("שָׁלוֹם", "שלום"), ("हिन्दी", "हिन्दी"),
            ("가 \u{1100}\u{1161} ｶﾞ か\u{3099} ﾊﾟ", "가 가 ガ が パ"), ("ไทย", "ไทย"), ("ＡＢＣ１２", "abc12"),
            ("①½x²", "11 2x2"), ("soft\u{AD}hy\u{200B}phen", "softhyphen"),
            ("1\u{FE0F}\u{20E3}", "1"),
        ])
    func scripts(text: String, expected: String) {
        let scalars = folded(text).joined(separator: " ").unicodeScalars
        #expect(Array(scalars) == Array(expected.unicodeScalars))
    }
}
