import ChatModel
import Testing
import WireProtocol

@testable import Gateway

@Suite(.timeLimit(.minutes(2)))
struct SearchRoutesTests {
    /// Two messages to be found.
    private func fill(_ gateway: Running) async throws {
        let cid = "0a0b0c0d-0001-4002-8003-00000000000"
        for number in 1...2 {
            let sent = try await gateway.request(
                "POST", "/v1/conversations/\(FakeNode.conversation)/entries", token: "good-a",
                json: #"{"text":"hi \#(number)","cid":"\#(cid)\#(number)"}"#
            )
            #expect(sent.status == 201)
        }
    }

    @Test("a search answers hits with snippets, and where the next part begins")
    func answer() async throws {
        try await withGateway { gateway in
            try await fill(gateway)
            let first = try await gateway.request(
                "GET", "/v1/search?q=hi&limit=1", token: "good-a")
            #expect(first.status == 200, "\(first)")
            #expect(first["content-type"] == "application/json")
            #expect(first["cache-control"] == "no-store")
            #expect(
                first.text.hasPrefix(
                    #"{"hits":[{"entry":{"conversation":"\#(FakeNode.conversation)","seq":"1""#))
            #expect(
                first.text.hasSuffix(
                    #"""
                    "snippet":"over here","highlights":[{"start":0,"length":4}]}],\#
                    "cursor":"next","atLeast":2,"partial":false,"indexing":true,\#
                    "sealedNotSearched":false}
                    """#), "\(first.text)")
            let all = try await gateway.request("GET", "/v1/search", token: "good-a")
            #expect(!all.text.contains("cursor"))
            let binary = try await gateway.request(
                "GET", "/v1/search?q=hi", token: "good-a",
                headers: ["Accept: application/x-protobuf"])
            #expect(try HTTPAnswerDecoder.results(binary.body, .binary).results.hits.count == 2)
        }
    }

    @Test("every parameter reaches the node as it was meant")
    func parameters() async throws {
        let room = FakeNode.conversation
        let user = FakeNode.user("ada")
        let whole = SearchQuery(
            text: "\"two words\" 你好 -a+b&c 100%", conversation: room, from: user, beforeMs: .max,
            afterMs: 0, has: [.image, .mention], sort: .relevance, limit: 100, cursor: "a+/= b",
            utcOffsetMinutes: -210)
        let rows: [(String, SearchQuery)] = [
            (HTTPBodyEncoder.searchPath(whole), whole),
            ("/v1/search?q=a+b%20c", SearchQuery(text: "a b c")),
            ("/v1/search?q=100%&q=second", SearchQuery(text: "100%")),
            ("/v1/search?q=%ff%41&x=1", SearchQuery(text: "\u{FFFD}A")),
            ("/v1/search?q", SearchQuery(text: "")),
            ("/v1/search?q=from:ada%20in:x", SearchQuery(text: "from:ada in:x")),
            (
                "/v1/search?q=&has=image,file&has=LINK&sort=Newest",
                SearchQuery(text: "", has: [.image, .file, .link])
            ),
            (
                "/v1/search?conversation=&from=&beforeMs=&afterMs=&has=&sort=&limit=&cursor="
                    + "&utcOffsetMinutes=", SearchQuery(text: "")
            ),
            ("/v1/search?utcOffsetMinutes=%2B90", SearchQuery(text: "", utcOffsetMinutes: 90)),
            (
                "/v1/search?q=" + String(repeating: "%C3%A9", count: 1_100),
                SearchQuery(text: String(repeating: "é", count: 1_024))
            ),
        ]
        try await withGateway { gateway in
            for (path, query) in rows {
                let response = try await gateway.request("GET", path, token: "good-a")
                #expect(response.status == 200, "\(path.prefix(200)): \(response)")
                #expect(gateway.node.seen { $0.searches.last } == query, "\(path.prefix(200))")
            }
        }
    }

    @Test(
        "a bad parameter is a problem that names it",
        arguments: [
            ("conversation=here", "conversation: is not a UUID"),
            ("from=ada", "from: is not a UUID"), ("beforeMs=-1", "beforeMs: "),
            ("afterMs=1e3", "afterMs: is not a whole number"),
            ("afterMs=18446744073709551616", "afterMs: "), ("has=sound", "has: must be of image"),
            ("has=image&has=x", "has: must be of image"),
            ("sort=oldest", "sort: must be one of newest"), ("limit=0", "limit: must be 1…100"),
            ("limit=101", "limit: must be 1…100"), ("limit=many", "limit: is not a whole number"),
            ("utcOffsetMinutes=1.5", "utcOffsetMinutes: is not a whole number"),
            ("utcOffsetMinutes=-1441", "utcOffsetMinutes: must be -1440…1440"),
            ("cursor=elsewhere", "cursor: "),
        ])
    func problems(parameter: String, detail: String) async throws {
        try await withGateway { gateway in
            let response = try await gateway.request(
                "GET", "/v1/search?q=hi&" + parameter, token: "good-a")
            #expect(response.status == 400)
            #expect(response["content-type"] == "application/problem+json")
            #expect(response.text.contains(#""code":"invalid_argument""#))
            #expect(response.text.contains(#""detail":"\#(detail)"#), "\(response.text)")
        }
    }

    @Test("only those who are signed in search, and only by GET")
    func access() async throws {
        try await withGateway { gateway in
            #expect(try await gateway.request("GET", "/v1/search?q=hi").status == 401)
            let posted = try await gateway.request(
                "POST", "/v1/search", token: "good-a", json: "{}")
            #expect(posted.status == 405)
            #expect(posted["allow"] == "GET")
            #expect(gateway.node.seen { $0.searches.isEmpty })
        }
    }

    @Test("a socket searches with the same fields and gets results")
    func socket() async throws {
        try await withGateway { gateway in
            try await fill(gateway)
            let socket = try await gateway.session("ada")
            socket.say(
                #"{"id":"s","search":{"q":"hi","has":["image","link"],"#
                    + #""sort":"RELEVANCE","limit":1}}"#
            )
            let results = try await socket.text(containing: #""id":"s""#)
            #expect(results.contains(#""results":{"hits":[{"entry":"#), "\(results)")
            #expect(results.contains(#""cursor":"next","atLeast":2"#), "\(results)")
            #expect(
                gateway.node.seen { $0.searches }
                    == [
                        SearchQuery(
                            text: "hi", has: [.image, .link], sort: .relevance, limit: 1)
                    ])
            socket.say(#"{"id":"t","search":{"q":"hi","sort":"oldest"}}"#)
            let refused = try await socket.text(containing: #""id":"t""#)
            #expect(refused.contains("search.sort: must be one of newest, relevance"))
            socket.close()
        }
    }

    @Test("a form's query can always be read")
    func forms() {
        let form = FormQuery("a=1&b=x+y%2Bz&a=2&&c&=d&e==%&f=%zz%4&g=%C3%A9%C3")
        #expect(form["a"] == "1")
        #expect(form.all("a") == ["1", "2"])
        #expect(form["b"] == "x y+z")
        #expect(form["c"] == "")
        #expect(form[""] == "d")
        #expect(form["e"] == "=%")
        #expect(form["f"] == "%zz%4")
        #expect(form["g"] == "é\u{FFFD}")
        #expect(form["h"] == nil)
        #expect(FormQuery(nil).all("a").isEmpty)
    }
}
