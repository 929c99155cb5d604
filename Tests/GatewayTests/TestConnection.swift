import Bytes
import NIOCore
import NIOPosix
import WebSocketCodec

struct TestResponse: CustomStringConvertible {
    var status = 0
    var headers: [(name: String, value: String)] = []
    var body: [UInt8] = []

    var text: String { String(decoding: body, as: UTF8.self) }
    var description: String { "\(status) \(text)" }

    subscript(name: String) -> String? { headers.first { $0.name == name.lowercased() }?.value }
}

/// What a WebSocket heard.
enum TestMessage: Equatable {
    case text(String)
    case binary([UInt8])
    case pong([UInt8])
    case close(UInt16?)
}

/// A plain TCP connection that speaks whatever a test wants, right or wrong.
final class TestConnection {
    private let channel: any Channel
    private var incoming: AsyncStream<ByteBuffer>.AsyncIterator
    private var buffer = ByteBuffer()
    private var decoder = WebSocketDecoder(
        role: .client, limits: WebSocketDecoder.Limits(frameBytesMax: 16 << 20))
    private var mask = SplitMix64(seed: 99)

    init(port: Int) async throws {
        let (stream, source) = AsyncStream.makeStream(of: ByteBuffer.self)
        channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Collector(source))
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        incoming = stream.makeAsyncIterator()
    }

    func close() { channel.close(promise: nil) }

    /// Reads nothing more from the system until `resume`.
    func pause() async throws { try await channel.setOption(.autoRead, value: false).get() }
    func resume() async throws { try await channel.setOption(.autoRead, value: true).get() }

    func send(_ bytes: [UInt8]) { channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil) }
    func send(_ text: String) { send([UInt8](text.utf8)) }

    /// False: the peer closed.
    private func more() async -> Bool {
        guard var next = await incoming.next() else { return false }
        buffer.writeBuffer(&next)
        return true
    }

    /// Everything until the peer closes.
    func readToEnd() async -> String {
        while await more() {}
        return String(buffer: buffer)
    }

    // MARK: HTTP

    func request(
        _ method: String, _ path: String, token: String? = nil, headers: [String] = [],
        body: [UInt8] = []
    ) async throws -> TestResponse {
        var lines = ["\(method) \(path) HTTP/1.1", "Host: test.local"] + headers
        if let token { lines.append("Authorization: Bearer \(token)") }
        if !body.isEmpty || method == "POST" { lines.append("Content-Length: \(body.count)") }
        send([UInt8]((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + body)
        return try await response(to: method)
    }

    func response(to method: String = "GET") async throws -> TestResponse {
        var head = try await readHead()
        while head.status == 100 { head = try await readHead() }
        if head.status == 101 || head.status == 204 || head.status == 304 || method == "HEAD" {
            return head
        }
        if head["transfer-encoding"] == "chunked" {
            throw TestFailure("chunked answers are not expected")
        }
        let count = head["content-length"].flatMap { Int($0) } ?? 0
        while buffer.readableBytes < count {
            guard await more() else { throw TestFailure("the body ended early") }
        }
        head.body = buffer.readBytes(length: count) ?? []
        return head
    }

    private func readHead() async throws -> TestResponse {
        while true {
            let view = buffer.readableBytesView
            if let end = view.firstRange(of: [13, 10, 13, 10]) {
                let text = String(decoding: view[view.startIndex..<end.lowerBound], as: UTF8.self)
                buffer.moveReaderIndex(forwardBy: end.upperBound - view.startIndex)
                return try Self.parse(text)
            }
            guard await more() else {
                throw TestFailure("no answer, got: \(String(buffer: buffer))")
            }
        }
    }

    private static func parse(_ text: String) throws -> TestResponse {
        var response = TestResponse()
        let lines = text.split(separator: "\r\n")
        let parts = (lines.first ?? "").split(separator: " ")
        guard parts.count >= 2, let status = Int(parts[1]) else {
            throw TestFailure("no status line: \(text)")
        }
        response.status = status
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            response.headers.append((line[..<colon].lowercased(), String(value)))
        }
        return response
    }

    // MARK: WebSocket

    func upgrade(
        subprotocol: String? = nil, headers: [String] = [],
        key: String = "dGhlIHNhbXBsZSBub25jZQ=="
    ) async throws -> TestResponse {
        var lines = [
            "GET /v1/ws HTTP/1.1", "Host: test.local", "Connection: keep-alive, Upgrade",
            "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: \(key)",
        ]
        if let subprotocol { lines.append("Sec-WebSocket-Protocol: \(subprotocol)") }
        send((lines + headers).joined(separator: "\r\n") + "\r\n\r\n")
        return try await response()
    }

    func frame(
        _ opcode: WebSocketOpcode, _ payload: [UInt8], isFinal: Bool = true
    ) -> [UInt8] {
        let key = WebSocketMask(UInt32(truncatingIfNeeded: mask.next()))
        return [UInt8](
            buffer: WebSocketFrame.encode(
                opcode, ByteBuffer(bytes: payload), isFinal: isFinal, mask: key))
    }

    func say(_ text: String) { send(frame(.text, [UInt8](text.utf8))) }

    /// The next message; nil when the connection ended without a close frame.
    func message() async throws -> TestMessage? {
        while true {
            if let event = try decoder.next(from: &buffer) {
                switch event {
                case .text(let text): return .text(String(buffer: text))
                case .binary(let bytes): return .binary([UInt8](buffer: bytes))
                case .pong(let bytes): return .pong([UInt8](buffer: bytes))
                case .ping: continue
                case .close(let code, _): return .close(code?.rawValue)
                }
            }
            guard await more() else { return nil }
        }
    }

    /// Reads texts until one contains `part`.
    func text(containing part: String) async throws -> String {
        while let message = try await message() {
            if case .text(let text) = message, text.contains(part) { return text }
        }
        throw TestFailure("the connection ended before \(part)")
    }

    /// The code of `closing` and that of the close frame, reading over everything before.
    func closing() async throws -> (closing: String, code: UInt16?) {
        let closing = try await text(containing: "\"closing\"")
        while let message = try await message() {
            if case .close(let code) = message { return (closing, code) }
        }
        return (closing, nil)
    }
}

private final class Collector: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let source: AsyncStream<ByteBuffer>.Continuation

    init(_ source: AsyncStream<ByteBuffer>.Continuation) { self.source = source }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        source.yield(unwrapInboundIn(data))
    }

    func channelInactive(context: ChannelHandlerContext) { source.finish() }
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
