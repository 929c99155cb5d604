import ChatModel
import NIOHTTP1
import Testing
import WireProtocol

@testable import Gateway

struct ByteRangeTests {
    static let rows: [(String?, UInt64, ByteRange)] = [
        (nil, 10, .whole),
        ("bytes=0-0", 10, .part(0..<1)),
        ("bytes=2-5", 10, .part(2..<6)),
        ("Bytes=2-", 10, .part(2..<10)),
        ("bytes=2-99", 10, .part(2..<10)),
        ("bytes=-3", 10, .part(7..<10)),
        ("bytes=-99", 10, .part(0..<10)),
        ("bytes=9-9", 10, .part(9..<10)),
        ("bytes=10-", 10, .notSatisfiable),
        ("bytes=10-11", 10, .notSatisfiable),
        ("bytes=-0", 10, .notSatisfiable),
        ("bytes=0-", 0, .notSatisfiable),
        ("bytes=-5", 0, .notSatisfiable),
        ("bytes=5-2", 10, .whole),
        ("bytes=0-1,3-4", 10, .whole),
        ("items=0-1", 10, .whole),
        ("bytes=a-b", 10, .whole),
        ("bytes=+1-2", 10, .whole),
        ("bytes=-", 10, .whole),
        ("bytes", 10, .whole),
        ("bytes=0-18446744073709551615", 10, .part(0..<10)),
        ("bytes=0-18446744073709551616", 10, .whole),
        ("bytes=18446744073709551615-", 10, .notSatisfiable),
        ("bytes=-18446744073709551615", 10, .part(0..<10)),
    ]

    @Test("each form of Range is read as the RFC says", arguments: rows)
    func forms(header: String?, size: UInt64, expected: ByteRange) {
        #expect(ByteRange(header, size: size) == expected, "\(header ?? "none")")
    }

    @Test("If-None-Match compares weakly and takes lists")
    func entityTags() {
        #expect(EntityTag.matches("\"a\"", "\"a\""))
        #expect(EntityTag.matches("\"b\", W/\"a\"", "\"a\""))
        #expect(EntityTag.matches("*", "\"a\""))
        #expect(!EntityTag.matches("\"ab\"", "\"a\""))
        #expect(!EntityTag.matches(nil, "\"a\""))
    }
}

struct MediaDispositionTests {
    @Test(
        "only harmless types are shown inline",
        arguments: [
            ("image/png", "inline"), ("IMAGE/JPEG; q=1", "inline"), ("video/mp4", "inline"),
            ("image/svg+xml", "attachment"), ("text/html", "attachment"),
            ("application/pdf", "attachment"), ("application/xhtml+xml", "attachment"),
            ("", "attachment"),
        ])
    func disposition(type: String, expected: String) {
        #expect(MediaDisposition.of(type) == expected)
    }

    @Test(
        "a type that may not stand in a header is replaced",
        arguments: [
            ("image/png", "image/png"),
            ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
            ("image/png\r\nX-Evil: 1", "application/octet-stream"),
            ("png", "application/octet-stream"), ("a/b/c", "application/octet-stream"),
            ("bild/grün", "application/octet-stream"), ("/", "application/octet-stream"),
        ])
    func sanitized(type: String, expected: String) {
        #expect(MediaDisposition.sanitized(type) == expected)
        #expect(MediaDisposition.sanitized(nil) == "application/octet-stream")
    }
}

struct TimingWheelTests {
    @Test("every entry comes up at its tick, or at the far end of the ring")
    func everyEntryComesUp() {
        var wheel = TimingWheel(span: 8)
        for ticks in 0...20 { wheel.insert(UInt64(ticks), after: ticks) }
        var came: [UInt64: Int] = [:]
        for tick in 1...8 {
            for slot in wheel.advance() { came[slot] = tick }
        }
        for ticks in 0...20 {
            #expect(came[UInt64(ticks)] == min(max(1, ticks), 7), "entered for \(ticks)")
        }
        #expect(wheel.advance().isEmpty)
    }
}

struct UpgradeRulesTests {
    static let rules = UpgradeRules(
        allowedOrigins: ["https://app.example"], publicURL: "https://chat.example/")

    static func head(
        _ uri: String = "/v1/ws", method: HTTPMethod = .GET, version: HTTPVersion = .http1_1,
        change: (inout HTTPHeaders) -> Void = { _ in }
    ) -> HTTPRequestHead {
        var headers = HTTPHeaders([
            ("Host", "node:8080"), ("Connection", "Upgrade"), ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ])
        change(&headers)
        return HTTPRequestHead(version: version, method: method, uri: uri, headers: headers)
    }

    @Test("a good request is accepted in the encoding it names")
    func accepts() {
        let key = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        #expect(
            Self.rules.decide(Self.head("/v1/ws?x=1"))
                == .accept(.json, acceptKey: key, subprotocol: nil))
        let proto = Self.head {
            $0.add(name: "Sec-WebSocket-Protocol", value: "x, magpie.v1.proto, magpie.v1.json")
        }
        #expect(
            Self.rules.decide(proto)
                == .accept(.binary, acceptKey: key, subprotocol: "magpie.v1.proto"))
    }

    @Test("other paths are plain HTTP", arguments: ["/", "/v1/me", "/v1/wsx", "/v1/ws/"])
    func plain(path: String) {
        #expect(Self.rules.decide(Self.head(path)) == .plain)
    }

    @Test(
        "an Origin must be this node's, the public URL's or a configured one",
        arguments: [
            ("http://node:8080", true), ("https://node:8080", true), ("HTTP://NODE:8080", true),
            ("https://app.example", true), ("https://chat.example", true),
            ("https://evil.example", false), ("null", false), ("http://node", false),
            ("https://app.example.evil", false),
        ])
    func origins(origin: String, isAllowed: Bool) {
        let decision = Self.rules.decide(Self.head { $0.add(name: "Origin", value: origin) })
        if isAllowed {
            guard case .accept = decision else { Issue.record("refused \(origin)"); return }
        } else {
            #expect(decision.refusal == .permissionDenied, "\(origin)")
        }
    }

    @Test("each broken rule of the handshake is refused")
    func refusals() {
        let broken: [(String, HTTPRequestHead)] = [
            ("version", Self.head { $0.replaceOrAdd(name: "Sec-WebSocket-Version", value: "8") }),
            ("no version", Self.head { $0.remove(name: "Sec-WebSocket-Version") }),
            ("no key", Self.head { $0.remove(name: "Sec-WebSocket-Key") }),
            ("short key", Self.head { $0.replaceOrAdd(name: "Sec-WebSocket-Key", value: "abcd") }),
            (
                "two keys",
                Self.head { $0.add(name: "Sec-WebSocket-Key", value: "dGhlIHNhbXBsZSBub25jZQ==") }
            ),
            ("no upgrade", Self.head { $0.remove(name: "Upgrade") }),
            ("no connection", Self.head { $0.remove(name: "Connection") }),
            ("HTTP/1.0", Self.head(version: .http1_0)),
            (
                "subprotocol",
                Self.head { $0.add(name: "Sec-WebSocket-Protocol", value: "mqtt") }
            ),
        ]
        for (name, head) in broken {
            #expect(Self.rules.decide(head).refusal == .invalidArgument, "\(name)")
        }
        #expect(Self.rules.decide(Self.head(method: .POST)).refusal == .methodNotAllowed)
    }
}

extension UpgradeDecision {
    var refusal: ErrorCode? {
        if case .refuse(let error) = self { error.code } else { nil }
    }
}
