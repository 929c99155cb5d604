import Bytes
import Testing

@testable import SearchIndex

@Suite("Query parser")
struct QueryParserTests {
    private static func word(_ text: String, _ isUnfinished: Bool = false) -> QueryNode {
        .word(text, isUnfinished: isUnfinished)
    }

    private static let rows: [(String, [QueryNode])] = [
        ("", []),
        ("  ", []),
        ("hello", [word("hello", true)]),
        ("hello ", [word("hello")]),
        ("hello world", [word("hello"), word("world", true)]),
        ("\"hello world\"", [.phrase("hello world", isUnfinished: false)]),
        ("\"hello wor", [.phrase("hello wor", isUnfinished: true)]),
        ("\"hello ", [.phrase("hello ", isUnfinished: false)]),
        ("say\"hello\"", [word("say"), .phrase("hello", isUnfinished: false)]),
        ("\u{201C}a b\u{201D} c", [.phrase("a b", isUnfinished: false), word("c", true)]),
        ("-spam ham", [.not(word("spam")), word("ham", true)]),
        ("ham -spam", [word("ham", true), .not(word("spam"))]),
        ("ham has:link ", [word("ham", true), .condition(.has(.link))]),
        ("- x", [word("-"), word("x", true)]),
        ("-\"a b\"", [.not(.phrase("a b", isUnfinished: false))]),
        ("x -\"a b", [word("x", true), .not(.phrase("a b", isUnfinished: false))]),
        ("--x", [.not(word("-x"))]),
        ("cat OR dog", [.any([word("cat"), word("dog", true)])]),
        ("a OR b OR c d", [.any([word("a"), word("b"), word("c")]), word("d", true)]),
        ("OR", [word("OR", true)]),
        ("a OR", [word("a")]),
        ("OR a", [word("a", true)]),
        ("OR ", [word("OR")]),
        ("a OR OR b", [.any([word("a"), word("b", true)])]),
        ("a OR OR", [word("a")]),
        ("a or b", [word("a"), word("or"), word("b", true)]),
        ("from:ann hi", [.condition(.from("ann")), word("hi", true)]),
        ("FROM:ann", [.condition(.from("ann"))]),
        ("from:\"Ann Lee\" x", [.condition(.from("Ann Lee")), word("x", true)]),
        ("from:", [word("from:", true)]),
        ("from: ann", [word("from:"), word("ann", true)]),
        ("-in:general", [.not(.condition(.inside("general")))]),
        ("has:link", [.condition(.has(.link))]),
        ("has:Image has:soul", [.condition(.has(.image)), word("has:soul", true)]),
        ("x:y http://a.b/c", [word("x:y"), word("http://a.b/c", true)]),
        ("before:soon", [word("before:soon", true)]),
        ("before:2024-02-30", [word("before:2024-02-30", true)]),
    ]

    @Test("reads what users write", arguments: rows.indices)
    func reads(row: Int) {
        let (text, expected) = Self.rows[row]
        #expect(QueryParser.parse(text) == .all(expected), "\(text)")
    }

    @Test("days are those of the calendar")
    func days() throws {
        #expect(try #require(CalendarDay("1970-01-01")).number == 0)
        #expect(try #require(CalendarDay("2000-02-29")).number == 11_016)
        #expect(try #require(CalendarDay("2024-12-31")).number == 20_088)
        for text in [
            "2023-02-29", "1969-12-31", "2024-1-01", "2024-13-01", "+024-01-01", "2024-01",
        ] {
            #expect(CalendarDay(text) == nil, "\(text)")
        }
        let day = try #require(CalendarDay("1970-01-02"))
        #expect(day.start(offset: 3_600_000) == 82_800_000 && day.end(offset: 0) == 172_800_000)
    }

    private static var compiler: QueryCompiler {
        QueryCompiler(
            senders: { $0 == "ann" ? [MessageMaker.id(1)] : [] },
            conversations: { $0 == "general" ? [MessageMaker.id(2)] : [] }, offset: 0)
    }

    @Test("words become words, several in one become a phrase, the last a prefix")
    func compiles() {
        func compile(_ text: String) -> SearchExpression {
            Self.compiler.expression(QueryParser.parse(text))
        }
        func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
        #expect(compile("") == .all([]))
        #expect(compile("--- !") == .all([.any([])]))
        #expect(compile("C++") == .all([.word(bytes("c"))]))
        #expect(compile("Hi ") == .all([.word(bytes("hi"))]))
        #expect(compile("hi yo") == .all([.word(bytes("hi")), .prefix(bytes("yo"))]))
        #expect(
            compile("foo.bar")
                == .all([
                    .phrase([
                        PhraseWord(bytes("foo"), offset: 0),
                        PhraseWord(bytes("bar"), offset: 1, isPrefix: true),
                    ])
                ]))
        #expect(
            compile("from:ann from:bob -in:general ")
                == .all([
                    .not(.matching(SearchFilter(conversations: [MessageMaker.id(2)]))),
                    .matching(SearchFilter(senders: [MessageMaker.id(1)])),
                ]))
        #expect(
            compile("on:1970-01-02 ")
                == .all([.matching(SearchFilter(times: 86_400_000...172_799_999))]))
        #expect(compile("before:1970-01-01 ") == .all([.any([])]))
        #expect(
            compile("after:1970-01-01 ")
                == .all([.matching(SearchFilter(times: 86_400_000...UInt64.max))]))
    }

    @Test("any text is a search", arguments: Long.seeds(0, 10))
    func fuzz(seed: UInt64) throws {
        var maker = MessageMaker(seed: seed)
        let pieces = [
            "\"", "-", "OR", " ", " ", "from:", "in:", "has:", "before:", "2024-05-06", "a", "b",
            "\u{201D}", ":", "link", "é", "🦜", "\u{0}", "\n", "(", ")", "*", "\\", "aa",
        ]
        let reader = try Segments.reader(maker.messages(50))
        let snapshot = SearchSnapshot([
            .init(reader: reader, dead: DeadDocuments(documents: reader.documentCount))
        ])
        for _ in 0..<100 {
            let text = (0..<maker.below(80)).map { _ in pieces[maker.below(pieces.count)] }.joined()
            let node = QueryParser.parse(text)
            #expect(node == QueryParser.parse(text))
            let expression = Self.compiler.expression(node)
            let answer = try snapshot.search(SearchRequest(expression, limit: 5))
            #expect(answer.hits.count <= 5, "seed \(seed), \(text)")
        }
        let long = String(repeating: "-\"x ", count: 10_000)
        guard case .all(let nodes) = QueryParser.parse(long) else {
            Issue.record("not all")
            return
        }
        #expect(nodes.count <= QueryParser.itemsMax && QueryParser.isCut(long))
        // The words of one OR are one node.
        let many = String(repeating: "x OR ", count: QueryParser.itemsMax)
        #expect(!QueryParser.isCut(many) && QueryParser.isCut(many + "x"))
        #expect(QueryParser.isCut("x" + String(repeating: " ", count: 2_048) + "x"))
    }
}
