import ChatModel
import Synchronization
import Testing
import WebSocketCodec

@testable import Gateway

@Suite(.timeLimit(.minutes(2)))
struct SocketTests {
    @Test("the upgrade answers the key and the subprotocol, then says hello")
    func upgrade() async throws {
        try await withGateway { gateway in
            for (offer, isText) in [
                (nil, true), ("magpie.v1.json", true), ("magpie.v1.proto", false),
            ]
                as [(String?, Bool)]
            {
                let connection = try await gateway.connect()
                let response = try await connection.upgrade(subprotocol: offer)
                #expect(response.status == 101)
                #expect(response["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
                #expect(response["sec-websocket-protocol"] == offer)
                switch try await connection.message() {
                case .text(let hello)?: #expect(isText && hello.contains("\"node\":\"node-1\""))
                case .binary(let hello)?: #expect(!isText && hello.count > 10)
                default: Issue.record("no hello")
                }
                connection.close()
            }
        }
    }

    @Test("a refused upgrade is a problem document and the end of the connection")
    func refusedUpgrade() async throws {
        try await withGateway { gateway in
            let connection = try await gateway.connect()
            let refused = try await connection.upgrade(headers: ["Origin: https://evil.example"])
            #expect(refused.status == 403)
            #expect(refused.text.contains("permission_denied"))
            #expect(await connection.readToEnd() == "")
            let badKey = try await gateway.connect()
            let response = try await badKey.upgrade(key: "short")
            #expect(response.status == 400)
            #expect(response["sec-websocket-version"] == "13")
        }
    }

    @Test("frames that arrive with the upgrade request are heard")
    func earlyFrames() async throws {
        try await withGateway { gateway in
            let connection = try await gateway.connect()
            let head =
                "GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            connection.send(
                [UInt8](head.utf8) + connection.frame(.ping, [7])
                    + connection.frame(.text, [UInt8](#"{"auth":{"token":"good-a"}}"#.utf8)))
            #expect(try await connection.response().status == 101)
            guard case .text? = try await connection.message() else {
                Issue.record("no hello")
                return
            }
            #expect(try await connection.message() == .pong([7]))
            _ = try await connection.text(containing: "\"ready\"")
            connection.close()
        }
    }

    @Test("a message goes from one socket to the others, and its answer to the sender")
    func send() async throws {
        try await withGateway { gateway in
            let ada = try await gateway.session("ada")
            let bob = try await gateway.session("bob")
            ada.say(
                #"{"id":"7","send":{"conversation":"\#(FakeNode.conversation)","#
                    + #""cid":"0a0b0c0d-0001-4002-8003-000000000001","text":"Grüße 🐦"}}"#)
            let sent = try await ada.text(containing: "\"sent\"")
            #expect(sent.contains(#""id":"7""#))
            #expect(sent.contains(#""seq":"1""#))
            let entry = try await bob.text(containing: "\"entry\"")
            #expect(entry.contains("Grüße 🐦"))
            #expect(!entry.contains("\"id\""))
            for connection in [ada, bob] { connection.close() }
        }
    }

    @Test("text in fragments, with pings between, is one message")
    func fragments() async throws {
        try await withGateway { gateway in
            let ada = try await gateway.session("ada")
            let text = [UInt8](#"{"id":"p","ping":{}}"#.utf8)
            for index in 0..<text.count {
                ada.send(
                    ada.frame(index == 0 ? .text : .continuation, [text[index]], isFinal: false))
            }
            ada.send(ada.frame(.ping, [1]))
            ada.send(ada.frame(.continuation, []))
            #expect(try await ada.message() == .pong([1]))
            #expect(try await ada.text(containing: "\"pong\"").contains(#""id":"p""#))
            ada.close()
        }
    }

    @Test("what is no frame of the protocol is answered or closed as the protocol says")
    func malformed() async throws {
        try await withGateway { gateway in
            let rows: [(String, (TestConnection) -> [UInt8], Int)] = [
                ("no object", { $0.frame(.text, [UInt8]("[1]".utf8)) }, 4503),
                ("nothing", { $0.frame(.text, []) }, 4503),
                ("binary for JSON", { $0.frame(.binary, [1, 2]) }, 4503),
                ("not UTF-8", { $0.frame(.text, [0x7B, 0xFF]) }, 4503),
                ("no mask", { _ in [0x81, 0x02, 0x7B, 0x7D] }, 4503),
                ("reserved bit", { _ in [0xC1, 0x80, 0, 0, 0, 0] }, 4503),
                ("unknown opcode", { _ in [0x83, 0x80, 0, 0, 0, 0] }, 4503),
                ("long ping", { _ in [0x89, 0xFE, 0, 126, 0, 0, 0, 0] }, 4503),
                ("continuation", { $0.frame(.continuation, [1]) }, 4503),
                (
                    "large frame",
                    { $0.frame(.text, [UInt8](repeating: 0x20, count: 65_537)) }, 4506
                ),
                (
                    "large message",
                    { connection in
                        let part = [UInt8](repeating: 0x20, count: 40_000)
                        return connection.frame(.text, part, isFinal: false)
                            + connection.frame(.continuation, part)
                    }, 4506
                ),
            ]
            for (name, bytes, code) in rows {
                let connection = try await gateway.session("ada")
                connection.send(bytes(connection))
                let (closing, closed) = try await connection.closing()
                #expect(closing.contains("\"code\":\(code)"), "\(name): \(closing)")
                #expect(closed == UInt16(code), "\(name)")
            }
        }
    }

    @Test("a frame with a wrong field is answered under its id and the socket lives on")
    func invalidFrames() async throws {
        try await withGateway { gateway in
            let ada = try await gateway.session("ada")
            for text in [
                #"{"id":"e","typing":{"conversation":"nope"}}"#,
                #"{"id":"e","send":{"conversation":7}}"#,
                #"{"id":"e","dance":{}}"#,
            ] {
                ada.say(text)
                let error = try await ada.text(containing: "\"error\"")
                #expect(error.contains(#""id":"e""#), "\(text): \(error)")
                #expect(error.contains("invalid_argument"), "\(text): \(error)")
            }
            ada.say(#"{"id":"p","ping":{}}"#)
            _ = try await ada.text(containing: "\"pong\"")
            ada.close()
        }
    }

    @Test("a bad token closes with 4500")
    func badToken() async throws {
        try await withGateway { gateway in
            let connection = try await gateway.socket()
            connection.say(#"{"auth":{"token":"bad"}}"#)
            let (_, code) = try await connection.closing()
            #expect(code == 4500)
        }
    }

    @Test("the close handshake ends in a clean detach, a lost connection in another")
    func detaches() async throws {
        try await withGateway { gateway in
            let ada = try await gateway.session("ada")
            ada.send(ada.frame(.close, [0x03, 0xE8]))
            #expect(try await ada.message() == .close(1000))
            #expect(try await ada.message() == nil)
            let bob = try await gateway.session("bob")
            bob.close()
            while gateway.node.seen({ $0.detaches }) < 2 { await Task.yield() }
            #expect(gateway.node.seen { $0.cleanDetaches } == 1)
            #expect(gateway.node.seen { $0.endpoints.isEmpty })
        }
    }

    @Test("a node that is not ready any more sends its sockets elsewhere, and takes no new ones")
    func shed() async throws {
        let isReady = Atomic<Bool>(true)
        let host = FakeHost(ready: { isReady.load(ordering: .relaxed) })
        try await withGateway(host: host) { gateway in
            var sockets: [TestConnection] = []
            for index in 0..<10 { sockets.append(try await gateway.session("user\(index)")) }
            isReady.store(false, ordering: .relaxed)
            for socket in sockets {
                let (closing, code) = try await socket.closing()
                #expect(code == 4001)
                #expect(closing.contains(#""resume":true"#))
                socket.close()
            }
            let late = try await gateway.connect()
            #expect(try await late.upgrade(subprotocol: "magpie.v1.json").status == 503)
            late.close()
            isReady.store(true, ordering: .relaxed)
            try await gateway.session("again").close()
        }
    }

    @Test("a stop tells every socket to come back, and ends")
    func shutdown() async throws {
        try await withGateway { gateway in
            var sockets: [TestConnection] = []
            for index in 0..<10 { sockets.append(try await gateway.session("user\(index)")) }
            let idle = try await gateway.connect()
            _ = try await idle.request("GET", "/healthz")
            await gateway.gateway.stop()
            for socket in sockets {
                let (closing, code) = try await socket.closing()
                #expect(code == 4000)
                #expect(closing.contains(#""resume":true"#))
                socket.send(socket.frame(.close, [0x0F, 0xA0]))
                #expect(try await socket.message() == nil)
            }
            #expect(await idle.readToEnd() == "")
        }
    }
}
