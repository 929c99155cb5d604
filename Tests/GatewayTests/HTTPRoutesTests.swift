import ChatModel
import Testing

@testable import Gateway

@Suite(.timeLimit(.minutes(2)))
struct HTTPRoutesTests {
    @Test("accounts and sessions answer 201 with a token and where to go")
    func signIn() async throws {
        try await withGateway { gateway in
            let account = try await gateway.request(
                "POST", "/v1/accounts", json: #"{"username":"ada","password":"12345678"}"#)
            #expect(account.status == 201)
            #expect(account.text.contains(#""token":"good-ada""#))
            #expect(account.text.contains(#""websocketUrl":"ws://test.local/v1/ws""#))
            #expect(account["content-type"] == "application/json")
            #expect(account["cache-control"] == "no-store")
            let session = try await gateway.request(
                "POST", "/v1/sessions", json: #"{"username":"ada","password":"right"}"#)
            #expect(session.status == 201)
            #expect(gateway.node.seen { $0.addresses } == ["127.0.0.1"])
        }
    }

    @Test("the public URL decides the WebSocket's")
    func publicURL() async throws {
        try await withGateway(node: FakeNode(publicURL: "https://chat.example")) { gateway in
            let me = try await gateway.request("GET", "/v1/me", token: "good-ada")
            #expect(me.status == 200)
            #expect(me.text.contains(#""websocketUrl":"wss://chat.example/v1/ws""#))
            #expect(me.text.contains(#""textBytes":16384"#))
        }
    }

    @Test("errors are problem documents with the code's status")
    func problems() async throws {
        try await withGateway { gateway in
            let rows: [(TestResponse, Int, String)] = [
                (
                    try await gateway.request(
                        "POST", "/v1/accounts", json: #"{"username":"taken","password":"x"}"#),
                    409, "conflict"
                ),
                (
                    try await gateway.request(
                        "POST", "/v1/sessions", json: #"{"username":"ada","password":"wrong"}"#),
                    429, "rate_limited"
                ),
                (
                    try await gateway.request("POST", "/v1/accounts", json: #"{"username":7}"#),
                    400, "invalid_argument"
                ),
                (
                    try await gateway.request("POST", "/v1/accounts", json: "{"), 400,
                    "invalid_argument"
                ),
                (
                    try await gateway.request(
                        "POST", "/v1/accounts", headers: ["Content-Type: text/csv"],
                        body: [1]), 415, "unsupported_media_type"
                ),
                (try await gateway.request("GET", "/v1/me"), 401, "unauthenticated"),
                (try await gateway.request("GET", "/v1/me", token: "bad"), 401, "unauthenticated"),
                (try await gateway.request("GET", "/v1/none", token: "good-a"), 404, "not_found"),
                (try await gateway.request("GET", "/nothing"), 404, "not_found"),
                (try await gateway.request("GET", "/v1/friends"), 404, "not_found"),
                (
                    try await gateway.request("GET", "/v1/conversations/nope", token: "good-a"),
                    404, "not_found"
                ),
                (
                    try await gateway.request("DELETE", "/v1/conversations", token: "good-a"),
                    405, "method_not_allowed"
                ),
                (
                    try await gateway.request(
                        "GET", "/v1/conversations?limit=0", token: "good-a"), 400,
                    "invalid_argument"
                ),
                (try await gateway.request("GET", "/v1/ws"), 400, "invalid_argument"),
            ]
            for (response, status, code) in rows {
                #expect(response.status == status, "\(response)")
                #expect(response.text.contains(#""code":"\#(code)""#), "\(response)")
                #expect(response["content-type"] == "application/problem+json", "\(response)")
            }
            #expect(rows[1].0["retry-after"] == "2")
            #expect(rows[11].0["allow"] == "GET, POST")
        }
    }

    @Test("a body above the limit is refused, announced or not")
    func bodyLimit() async throws {
        try await withGateway(configure: { $0.bodyBytesMax = 1_000 }) { gateway in
            let announced = try await gateway.request(
                "POST", "/v1/accounts", json: String(repeating: " ", count: 1_001))
            #expect(announced.status == 413)
            let connection = try await gateway.connect()
            connection.send(
                "POST /v1/accounts HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in 0..<3 {
                connection.send("1f4\r\n" + String(repeating: " ", count: 500) + "\r\n")
            }
            connection.send("0\r\n\r\n")
            #expect(try await connection.response(to: "POST").status == 413)
            connection.close()
        }
    }

    @Test("conversations, members, marks and entries answer what the node says")
    func conversations() async throws {
        try await withGateway { gateway in
            let id = FakeNode.conversation
            let made = try await gateway.request(
                "POST", "/v1/conversations", token: "good-a",
                json: #"{"kind":"GROUP","members":[],"title":"three"}"#)
            #expect(made.status == 201)
            #expect(made.text.contains(id.description))
            let paths = [
                ("/v1/conversations?limit=7", "next-7"), ("/v1/conversations/\(id)", "OWNER"),
                ("/v1/conversations/\(id)/members", "joinedSeq"),
                ("/v1/conversations/\(id)/marks", #""read":"1""#),
                ("/v1/users?ids=\(FakeNode.user("x"))", "Some One"),
                ("/v1/users?username=x", "someone"), ("/v1/users/\(id)", "Some One"),
                ("/v1/devices", "phone"), ("/v1/presence?users=\(id)", "ONLINE"),
            ]
            for (path, part) in paths {
                let response = try await gateway.request("GET", path, token: "good-a")
                #expect(response.status == 200, "\(path): \(response)")
                #expect(response.text.contains(part), "\(path): \(response)")
            }
            let member = "/v1/conversations/\(id)/members/\(FakeNode.user("x"))"
            let put = try await gateway.request(
                "PUT", member, token: "good-a", json: #"{"role":"ADMIN"}"#)
            #expect(put.status == 204)
            #expect(try await gateway.request("DELETE", member, token: "good-a").status == 204)
            let patch = try await gateway.request(
                "PATCH", "/v1/conversations/\(id)", token: "good-a", json: #"{"title":"new"}"#)
            #expect(patch.status == 200)
        }
    }

    @Test("a message sent over HTTP takes its id from the header and is read back")
    func entries() async throws {
        try await withGateway { gateway in
            let path = "/v1/conversations/\(FakeNode.conversation)/entries"
            let cid = "0a0b0c0d-0001-4002-8003-000000000001"
            let sent = try await gateway.request(
                "POST", path, token: "good-a", headers: ["Idempotency-Key: \(cid)"],
                json: #"{"text":"over HTTP"}"#)
            #expect(sent.status == 201, "\(sent)")
            #expect(sent.text.contains(cid))
            let page = try await gateway.request("GET", path + "?after=0", token: "good-a")
            #expect(page.text.contains("over HTTP"))
            let both = try await gateway.request(
                "GET", path + "?after=0&before=3", token: "good-a")
            #expect(both.status == 400)
        }
    }

    @Test("binary bodies get binary answers")
    func binary() async throws {
        try await withGateway { gateway in
            // NewAccount {username: "ada", password: "12345678"}
            let body: [UInt8] =
                [0x0A, 3] + [UInt8]("ada".utf8) + [0x12, 8] + [UInt8]("12345678".utf8)
            let response = try await gateway.request(
                "POST", "/v1/accounts", headers: ["Content-Type: application/x-protobuf"],
                body: body)
            #expect(response.status == 201)
            #expect(response["content-type"] == "application/x-protobuf")
            #expect(response.text.contains("good-ada"))
        }
    }

    @Test("one connection serves many requests")
    func keepAlive() async throws {
        try await withGateway { gateway in
            let connection = try await gateway.connect()
            for round in 0..<20 {
                let response = try await connection.request(
                    "GET", round % 2 == 0 ? "/healthz" : "/nothing")
                #expect(response.status == (round % 2 == 0 ? 200 : 404))
            }
            connection.close()
        }
    }

    @Test("health, figures and the web client are served")
    func operations() async throws {
        try await withGateway { gateway in
            #expect(try await gateway.request("GET", "/healthz").status == 200)
            #expect(try await gateway.request("GET", "/readyz").status == 200)
            #expect(try await gateway.request("GET", "/status").text.contains("node-1"))
            #expect(try await gateway.request("GET", "/metrics").text.contains("magpie_up 1"))
            let page = try await gateway.request("GET", "/")
            #expect(page.text == "<!doctype html>")
            #expect(page["etag"] == "\"v1\"")
            #expect(page["content-security-policy"]?.contains("frame-ancestors 'none'") == true)
            let same = try await gateway.request(
                "GET", "/index.html", headers: ["If-None-Match: \"v1\""])
            #expect(same.status == 304)
            let head = try await gateway.request("HEAD", "/index.html")
            #expect(head["content-length"] == "15")
        }
        try await withGateway(host: FakeHost(ready: { false })) { gateway in
            let ready = try await gateway.request("GET", "/readyz")
            #expect(ready.status == 503)
            #expect(ready["retry-after"] == "1")
        }
    }
}
