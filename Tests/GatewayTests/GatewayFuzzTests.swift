import Bytes
import ChatModel
import Testing
import WebSocketCodec

@testable import Gateway

/// Damaged input over real sockets: whatever arrives, the gateway goes on serving others.
@Suite(.timeLimit(.minutes(4)))
struct GatewayFuzzTests {
    static let frames = [
        #"{"id":"1","auth":{"token":"good-a","resume":{"epoch":"7","feed":"3","have":{}}}}"#,
        #"{"id":"2","send":{"conversation":"12345678-9abc-8def-8000-000000000001","#
            + #""cid":"0a0b0c0d-0001-4002-8003-000000000001","text":"hi \u00e4"}}"#,
        #"{"id":"3","pull":{"conversation":"12345678-9abc-8def-8000-000000000001","before":"9"}}"#,
        #"{"mark":{"marks":[{"conversation":"12345678-9abc-8def-8000-000000000001","read":"1"}]}}"#,
        #"{"id":"4","watch":{"conversations":[],"users":[]}}"#, #"{"ping":{"feed":"0"}}"#,
        #"{"typing":{"conversation":"12345678-9abc-8def-8000-000000000001"}}"#,
        #"{"id":"5","search":{"q":"\"hi\" -x","has":["image"],"sort":"newest","limit":5,"#
            + #""beforeMs":"9","utcOffsetMinutes":-60,"cursor":"c"}}"#,
    ]

    static func damage(_ bytes: inout [UInt8], _ random: inout SplitMix64) {
        for _ in 0..<Int.random(in: 1...3, using: &random) where !bytes.isEmpty {
            let at = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 1: bytes[at] = UInt8.random(in: 0...255, using: &random)
            case 2: bytes.remove(at: at)
            default: bytes.insert(UInt8.random(in: 0...255, using: &random), at: at)
            }
        }
    }

    @Test(
        "10,000 mutated frames: each connection ends or goes on, none harms another",
        arguments: [1, 2] as [UInt64])
    func mutatedFrames(seed: UInt64) async throws {
        try await withGateway(node: FakeNode { $0.isRateLimited = false }) { gateway in
            var random = SplitMix64(seed: seed)
            let witness = try await gateway.session("witness")
            for _ in 0..<100 {
                let connection = try await gateway.session("ada")
                var bytes: [UInt8] = []
                for _ in 0..<50 {
                    var payload = [UInt8](
                        Self.frames[Int.random(in: 0..<Self.frames.count, using: &random)].utf8)
                    // Mostly damage inside frames, so that the parsers behind the codec see it.
                    if Int.random(in: 0..<10, using: &random) > 0 {
                        Self.damage(&payload, &random)
                        bytes += connection.frame(.text, payload.filter { $0 < 0x80 })
                    } else {
                        var frame = connection.frame(.text, payload)
                        if Int.random(in: 0..<4, using: &random) == 0 {
                            Self.damage(&frame, &random)
                        }
                        bytes += frame
                    }
                }
                connection.send(bytes + connection.frame(.close, [0x03, 0xE8]))
                while let message = try await connection.message() {
                    if case .close = message { break }
                }
                connection.close()
            }
            witness.say(#"{"id":"w","ping":{}}"#)
            _ = try await witness.text(containing: #""id":"w""#)
            witness.close()
        }
    }

    @Test(
        "mutated requests are answered or cut off, and the next one is served",
        arguments: [3, 4] as [UInt64])
    func mutatedRequests(seed: UInt64) async throws {
        let requests: [String] = [
            "POST /v1/accounts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                + "Content-Length: 40\r\n\r\n{\"username\":\"ada\",\"password\":\"123456789\"}",
            "GET /v1/conversations?limit=5 HTTP/1.1\r\nHost: x\r\n"
                + "Authorization: Bearer good-a\r\n\r\n",
            "GET /v1/search?q=%22hi+there%22&has=image,link&limit=5&beforeMs=9&cursor=c HTTP/1.1"
                + "\r\nHost: x\r\nAuthorization: Bearer good-a\r\n\r\n",
            "GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                + "Sec-WebSocket-Version: 13\r\n"
                + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            "GET /media/00000000-0000-8000-8000-000000000000?e=1&s=signed HTTP/1.1\r\nHost: x\r\n"
                + "Range: bytes=0-5\r\n\r\n",
            "POST /v1/media HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good-a\r\n"
                + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ]
        try await withGateway { gateway in
            var random = SplitMix64(seed: seed)
            for round in 0..<400 {
                var bytes = [UInt8](
                    requests[Int.random(in: 0..<requests.count, using: &random)].utf8)
                Self.damage(&bytes, &random)
                let connection = try await gateway.connect()
                connection.send(bytes)
                // Not every damaged request is whole, so no answer is waited for.
                connection.close()
                if round % 50 == 49 {
                    #expect(
                        try await gateway.request("GET", "/healthz").status == 200,
                        "seed \(seed), round \(round)")
                }
            }
        }
    }

    @Test(
        "bytes that are no HTTP get 400 and the end of the connection",
        arguments: [
            "\u{0}\u{1}\u{2}\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "*3\r\n$3\r\nSET\r\n\r\n",
            "GET /\r\n\r\n",
        ])
    func noHTTP(text: String) async throws {
        try await withGateway { gateway in
            let connection = try await gateway.connect()
            connection.send(text)
            let answer = await connection.readToEnd()
            #expect(answer.isEmpty || answer.contains(" 400 "), "\(answer)")
        }
    }

    @Test("headers above the limits are refused")
    func headerLimits() async throws {
        try await withGateway { gateway in
            let long = String(repeating: "a", count: 9_000)
            let many = (0..<200).map { "X-\($0): 1\r\n" }.joined()
            let large = (0..<8).map { "X-\($0): " + String(repeating: "a", count: 5_000) + "\r\n" }
                .joined()
            for header in ["X: \(long)\r\n", many, large] {
                let connection = try await gateway.connect()
                connection.send("GET /healthz HTTP/1.1\r\nHost: x\r\n" + header + "\r\n")
                let answer = await connection.readToEnd()
                #expect(!answer.contains(" 200 "), "\(header.prefix(20))")
            }
            #expect(try await gateway.request("GET", "/healthz").status == 200)
        }
    }
}
