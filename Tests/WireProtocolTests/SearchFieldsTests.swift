import ChatModel
import Testing
import WireProtocol

@Suite("The fields of a search mean the same in frames and URLs")
struct SearchFieldsTests {
    @Test("empty fields are as good as none")
    func empty() throws {
        var fields = SearchFields()
        #expect(try fields.query() == SearchQuery(text: ""))
        fields.has = ["", ","]
        #expect(try fields.query() == SearchQuery(text: ""))
    }

    @Test("names come in any case, several in one field or each alone")
    func names() throws {
        var fields = SearchFields()
        fields.has = ["image,LINK", "Mention"]
        fields.sort = "RELEVANCE"
        let query = try fields.query()
        #expect(query.has == [.image, .link, .mention])
        #expect(query.sort == .relevance)
    }

    @Test("no text is refused: it is cut between characters")
    func cut() throws {
        var fields = SearchFields()
        let max = SearchFields.textBytesMax
        for (text, kept) in [
            (String(repeating: "x", count: max), max),
            (String(repeating: "x", count: max + 1), max),
            (String(repeating: "x", count: max - 1) + "🐦 more", max - 1),
            (String(repeating: "x", count: max - 4) + "🐦 more", max),
            (String(repeating: "x", count: max - 2) + "e\u{301}\u{301}", max - 1),
        ] {
            fields.text = text
            let query = try fields.query()
            #expect(query.text.utf8.count == kept)
            #expect(text.unicodeScalars.starts(with: query.text.unicodeScalars))
        }
    }

    @Test("a refusal says which field and what would be right")
    func refusals() {
        let rows: [(field: String, change: (inout SearchFields) -> Void, right: String)] = [
            ("conversation", { $0.conversation = "room" }, "UUID"),
            ("from", { $0.from = "ada" }, "UUID"),
            ("has", { $0.has = ["image", "sound"] }, "image, file, link, mention"),
            ("sort", { $0.sort = "oldest" }, "newest, relevance"),
            ("limit", { $0.limit = 0 }, "1…100"), ("limit", { $0.limit = 101 }, "1…100"),
            ("limit", { $0.limit = .max }, "1…100"),
            ("cursor", { $0.cursor = String(repeating: "c", count: 1_025) }, "1024"),
            ("utcOffsetMinutes", { $0.utcOffsetMinutes = 1_441 }, "-1440…1440"),
            ("utcOffsetMinutes", { $0.utcOffsetMinutes = .min }, "-1440…1440"),
        ]
        for row in rows {
            var fields = SearchFields()
            row.change(&fields)
            do throws(ServiceError) {
                _ = try fields.query(prefix: "search.")
                Issue.record("\(row.field): accepted")
            } catch {
                #expect(error.code == .invalidArgument)
                #expect(error.detail.hasPrefix("search.\(row.field):"), "\(error.detail)")
                #expect(error.detail.contains(row.right), "\(error.detail)")
            }
        }
    }

    @Test("the longest text that is read fits into a URL, and more is not sent")
    func longPath() {
        let path = HTTPBodyEncoder.searchPath(
            SearchQuery(text: String(repeating: "é", count: 5_000)))
        #expect(path == "/v1/search?q=" + String(repeating: "%C3%A9", count: 1_024))
    }

    @Test("a URL keeps what is asked: everything but letters, digits and -._~ as %XX")
    func path() {
        #expect(
            HTTPBodyEncoder.searchPath(SearchQuery(text: "a b+c&d=é"))
                == "/v1/search?q=a%20b%2Bc%26d%3D%C3%A9")
        #expect(
            HTTPBodyEncoder.searchPath(
                SearchQuery(
                    text: "", conversation: WireSamples.conversation, has: [.link, .image],
                    sort: .relevance, limit: 7, cursor: "a/b", utcOffsetMinutes: -60))
                == "/v1/search?q=&conversation=\(WireSamples.conversation)&has=image&has=link"
                + "&sort=relevance&limit=7&cursor=a%2Fb&utcOffsetMinutes=-60")
    }
}
