import Testing

@testable import SearchIndex

struct QueryWordTests {
    private func term(_ text: String, _ offset: UInt32, prefix: Bool = false) -> QueryWord.Term {
        QueryWord.Term(bytes: Array(text.utf8), offset: offset, isPrefix: prefix)
    }

    @Test("asks for one term, for a phrase, or for nothing")
    func words() {
        #expect(query("Hello").terms == [term("hello", 0)])
        #expect(query("Hel", isLastPrefix: true).terms == [term("hel", 0, prefix: true)])
        #expect(
            query("foo.bar-ba", isLastPrefix: true).terms
                == [term("foo", 0), term("bar", 1), term("ba", 2, prefix: true)])
        #expect(query("...") == QueryWord())
        #expect(query("") == QueryWord())
    }

    @Test("asks for the pairs of a run, and for a prefix when it is one character")
    func runs() {
        #expect(query("東京都").terms == [term("東京", 0), term("京都", 1)])
        #expect(query("東").terms == [term("東", 0, prefix: true)])
        #expect(query("東京tower").terms == [term("東京", 0), term("tower", 2)])
        #expect(query("第3回").terms == [term("第", 0), term("3", 1), term("回", 2, prefix: true)])
        #expect(
            query("東京都", isLastPrefix: true).terms
                == [term("東京", 0), term("京都", 1, prefix: true)])
        #expect(query("한국어", isLastPrefix: true).terms == query("한국어").terms)
    }

    @Test("knows the spaced Korean word as another way")
    func korean() {
        let word = query("학교에", isLastPrefix: true)
        #expect(word.terms == [term("학교", 0), term("교에", 1)])
        #expect(word.alternatives == [[term("학교에", 0, prefix: true)]])
        #expect(query("학교에").alternatives == [[term("학교에", 0)]])
        #expect(query("학교").alternatives.isEmpty)
        #expect(query("LG학교에").alternatives.isEmpty)
        #expect(query("학교에.학교에").alternatives.isEmpty)
    }

    @Test("finds what the complaints about other products name")
    func complaints() {
        let rows: [(text: String, word: String)] = [
            ("今日は東京タワーに行きました", "東京"), ("我们明天去北京大学", "北京大学"), ("학교에서 만나요", "학교"),
            ("see sess.opts there", "sess.opts"), ("see sess.opts there", "opts"),
            ("the cat sat on the mat", "the"), ("call 10.0.0.1 now", "10.0.0.1"),
            ("mail ann@example.org", "example.org"), ("it’s ÉTÉ", "it's"), ("it’s ÉTÉ", "ete"),
            ("snake_case_name", "case_name"), ("ดูหนังที่บ้าน", "หนัง"), ("🤷🏽 whatever", "🤷"),
            ("a-b/c:d", "b/c"), ("ﾃｽﾄです", "テスト"),
        ]
        for (text, word) in rows {
            #expect(PlainIndex(text).holds(query(word).terms), "\(word) in \(text)")
            #expect(!PlainIndex("nothing else 無").holds(query(word).terms), "\(word)")
        }
        #expect(PlainIndex("unbelievable").holds(query("unbel", isLastPrefix: true).terms))
        #expect(!PlainIndex("unbelievable").holds(query("unbel").terms))
        #expect(!PlainIndex("京大").holds(query("東京").terms))
        #expect(!PlainIndex("東京 大阪").holds(query("京大").terms))
    }

    @Test("finds every text by each of its words", arguments: 0..<60 as Range<UInt64>)
    func isSymmetric(seed: UInt64) {
        var maker = TextMaker(seed: seed)
        for _ in 0..<20 {
            let text = maker.mixed(8)
            let index = PlainIndex(text)
            for part in text.split(separator: " ") {
                let word = query(String(part), isLastPrefix: maker.below(2) == 0)
                if word.terms.isEmpty { continue }
                #expect(index.holds(word.terms), "seed \(seed): \(part) in \(text)")
                for way in word.alternatives {
                    #expect(index.holds(way), "seed \(seed): \(part) in \(text)")
                }
            }
        }
    }

    @Test(
        "finds a run of characters exactly where a plain scan does",
        arguments: 0..<80 as Range<UInt64>)
    func substrings(seed: UInt64) {
        var maker = TextMaker(seed: seed)
        let alphabets = ["東京都大", "かがきカガ", "한국어가", "กขิ่า", "東かガ한ก"]
        let alphabet = Array(alphabets[maker.below(alphabets.count)].unicodeScalars)
        for _ in 0..<60 {
            let runs = (0..<1 + maker.below(3)).map { _ in
                maker.text(of: alphabet, 1 + maker.below(9))
            }
            let index = PlainIndex(runs.joined(separator: maker.below(2) == 0 ? "、" : " x "))
            let wanted = maker.text(of: alphabet, 1 + maker.below(4))
            let terms = query(wanted).terms
            if terms.isEmpty { continue }
            // A character with its marks is one; one alone is found with further marks as well.
            let needle = characters(wanted)
            let isThere = runs.contains { run in
                let units = characters(run)
                return units.indices.contains { start in
                    guard start + needle.count <= units.count else { return false }
                    let part = units[start..<start + needle.count]
                    return needle.count == 1
                        ? part.first?.starts(with: needle[0]) == true : Array(part) == needle
                }
            }
            #expect(index.holds(terms) == isThere, "seed \(seed): \(wanted) in \(runs)")
        }
    }

    /// The characters of a run: a scalar and the marks behind it. Marks at the beginning go.
    private func characters(_ run: String) -> [[Unicode.Scalar]] {
        var result: [[Unicode.Scalar]] = []
        for scalar in run.unicodeScalars {
            let isMark = scalar.properties.generalCategory == .nonspacingMark
            if !isMark {
                result.append([scalar])
            } else if !result.isEmpty {
                result[result.count - 1].append(scalar)
            }
        }
        return result
    }
}
