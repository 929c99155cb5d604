import Bytes
import ChatModel
import Testing

@testable import Gateway

@Suite(.timeLimit(.minutes(2)))
struct MediaRoutesTests {
    static func blobURL(_ response: TestResponse) throws -> String {
        guard let start = response.text.firstRange(of: #""url":""#)?.upperBound,
            let end = response.text[start...].firstIndex(of: "\"")
        else { throw TestFailure("no url in \(response)") }
        return String(response.text[start..<end])
    }

    static func content(_ count: Int) -> [UInt8] {
        var random = SplitMix64(seed: UInt64(count))
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
    }

    @Test(
        "media comes back whole, in parts, and not at all when it is known",
        arguments: [1, 70_000, 1_000_000])
    func roundTrip(count: Int) async throws {
        let content = Self.content(count)
        try await withGateway { gateway in
            let upload = try await gateway.request(
                "POST", "/v1/media", token: "good-a",
                headers: ["Content-Type: image/png", "Expect: 100-continue"], body: content)
            #expect(upload.status == 201, "\(upload)")
            #expect(upload.text.contains(#""sha256":"abab"#))
            let url = try Self.blobURL(upload)
            let whole = try await gateway.request("GET", url)
            #expect(whole.status == 200)
            #expect(whole.body == content)
            #expect(whole["content-type"] == "image/png")
            #expect(whole["content-disposition"] == "inline")
            #expect(whole["x-content-type-options"] == "nosniff")
            #expect(whole["accept-ranges"] == "bytes")
            #expect(whole["cache-control"] == "private, max-age=7200, immutable")
            let etag = try #require(whole["etag"])
            let part = try await gateway.request("GET", url, headers: ["Range: bytes=0-2"])
            #expect(part.status == 206)
            #expect(part.body == Array(content.prefix(3)))
            #expect(part["content-range"] == "bytes 0-\(min(count, 3) - 1)/\(count)")
            let other = try await gateway.request(
                "GET", url, headers: ["Range: bytes=0-0", "If-Range: \"other\""])
            #expect(other.status == 200)
            let beyond = try await gateway.request(
                "GET", url, headers: ["Range: bytes=\(count)-"])
            #expect(beyond.status == 416)
            #expect(beyond["content-range"] == "bytes */\(count)")
            let known = try await gateway.request(
                "GET", url, headers: ["If-None-Match: \(etag)"])
            #expect(known.status == 304)
            let head = try await gateway.request("HEAD", url)
            #expect(head.status == 200)
            #expect(head["content-length"] == "\(count)")
        }
    }

    @Test("without a signature only a signed-in user reads, and a bad one is refused")
    func access() async throws {
        try await withGateway { gateway in
            let upload = try await gateway.request(
                "POST", "/v1/media", token: "good-a",
                headers: ["Content-Type: text/html"], body: [1, 2, 3])
            let path = String(try Self.blobURL(upload).prefix { $0 != "?" })
            #expect(try await gateway.request("GET", path).status == 401)
            let own = try await gateway.request("GET", path, token: "good-a")
            #expect(own.status == 200)
            #expect(own["content-disposition"] == "attachment")
            #expect(own["cache-control"] == "private, no-cache")
            #expect(try await gateway.request("GET", path + "?e=1&s=forged").status == 403)
            #expect(try await gateway.request("GET", "/media/nothing").status == 404)
            let unknown = "/media/00000000-0000-8000-8000-000000000000"
            #expect(try await gateway.request("GET", unknown, token: "good-a").status == 404)
        }
    }

    @Test("an upload above the limit is refused and forgotten")
    func tooLarge() async throws {
        let node = FakeNode { $0.mediaBytes = 100_000 }
        try await withGateway(node: node) { gateway in
            let announced = try await gateway.request(
                "POST", "/v1/media", token: "good-a", body: Self.content(100_001))
            #expect(announced.status == 413)
            let connection = try await gateway.connect()
            connection.send(
                "POST /v1/media HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good-a\r\n"
                    + "Transfer-Encoding: chunked\r\n\r\n")
            for _ in 0..<3 {
                connection.send("c350\r\n" + String(repeating: "x", count: 50_000) + "\r\n")
            }
            connection.send("0\r\n\r\n")
            #expect(try await connection.response(to: "POST").status == 413)
            #expect(node.seen { $0.abandoned } == 1)
            let hash = try await gateway.request(
                "POST", "/v1/media", token: "good-a", headers: ["X-Content-SHA256: zz"],
                body: [1])
            #expect(hash.status == 400)
            connection.close()
        }
    }
}
