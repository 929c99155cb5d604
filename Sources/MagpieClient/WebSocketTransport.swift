internal import Bytes
internal import NIOCore
internal import WebSocketCodec

/// A client's end of a WebSocket on one channel: opening handshake, framing, closing handshake.
/// Messages are handed on whole; pings are answered here.
final class WebSocketTransport: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// What the transport tells its owner, on the event loop.
    enum Report {
        /// The handshake is done.
        case opened
        /// A whole message.
        case message([UInt8])
        /// The connection is over; said once. `code` is that of the server's close frame.
        case closed(reason: String, code: UInt16?)
    }

    private enum Phase {
        case opening
        case open
        case closed
    }

    /// Most bytes of the server's answer to the handshake.
    private static let headBytesMax = 16 << 10

    private let address: ServerAddress
    private let subprotocol: String
    private let key: String
    private let report: (Report) -> Void
    private var phase = Phase.opening
    private var input = ByteBuffer()
    private var decoder: WebSocketDecoder
    private var handshake = WebSocketCloseHandshake()
    private var masks: SplitMix64
    private var needsFlush = false
    private var closeCode: UInt16?

    /// A transport for a fresh channel; `seed` is chance for key and masks.
    init(
        address: ServerAddress, subprotocol: String, messageBytesMax: Int, seed: UInt64,
        report: @escaping (Report) -> Void
    ) {
        self.address = address
        self.subprotocol = subprotocol
        self.report = report
        masks = SplitMix64(seed: seed)
        key = WebSocketHandshake.makeKey(masks.next(), masks.next())
        decoder = WebSocketDecoder(
            role: .client, limits: .init(frameBytesMax: messageBytesMax))
    }

    func channelActive(context: ChannelHandlerContext) {
        let request = """
            GET /v1/ws HTTP/1.1\r
            Host: \(address.authority)\r
            Connection: Upgrade\r
            Upgrade: websocket\r
            Sec-WebSocket-Version: \(WebSocketHandshake.version)\r
            Sec-WebSocket-Key: \(key)\r
            Sec-WebSocket-Protocol: \(subprotocol)\r
            \r

            """
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: request)), promise: nil)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        guard phase != .closed else { return }
        input.writeBuffer(&bytes)
        if phase == .opening { readAnswer(context) }
        if phase == .open { readFrames(context) }
        if input.readableBytes == 0 { input.clear() }
    }

    func channelInactive(context: ChannelHandlerContext) {
        end("the connection closed")
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end("\(error)")
        context.close(promise: nil)
    }

    // MARK: Opening

    private func readAnswer(_ context: ChannelHandlerContext) {
        let view = input.readableBytesView
        let mark = [UInt8]("\r\n\r\n".utf8)
        var found: Int?
        var index = view.startIndex
        while index + mark.count <= view.endIndex {
            if view[index..<index + mark.count].elementsEqual(mark) {
                found = index
                break
            }
            index += 1
        }
        guard let found else {
            if input.readableBytes > Self.headBytesMax { fail(context, "an endless answer") }
            return
        }
        let head = String(decoding: view[view.startIndex..<found], as: UTF8.self)
        input.moveReaderIndex(to: found + mark.count)
        let lines = head.split(separator: "\r\n", omittingEmptySubsequences: false)
        let status = lines.first?.split(separator: " ").dropFirst().first ?? ""
        guard status == "101" else {
            fail(context, "the server answered the upgrade with status \(status)")
            return
        }
        var headers: [String: [String]] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
            headers[line[..<colon].lowercased(), default: []].append(String(value))
        }
        let accept = headers["sec-websocket-accept"]?.first ?? ""
        let chosen = headers["sec-websocket-protocol"] ?? []
        guard WebSocketHandshake.names(headers["upgrade"] ?? [], "websocket"),
            accept == WebSocketHandshake.accept(forKey: key), chosen == [subprotocol]
        else {
            fail(context, "the server's answer to the upgrade doesn't fit")
            return
        }
        phase = .open
        report(.opened)
    }

    // MARK: Frames

    private func readFrames(_ context: ChannelHandlerContext) {
        do throws(WebSocketViolation) {
            while phase == .open, let event = try decoder.next(from: &input) {
                switch event {
                case .text(let message), .binary(let message):
                    report(.message(Array(buffer: message)))
                case .ping(let payload):
                    if handshake.maySend { write(.pong, payload, context) }
                case .pong: break
                case .close(let code, _):
                    closeCode = code?.rawValue
                    if case .reply(let code) = handshake.received(code) {
                        let frame = WebSocketFrame.encodeClose(code, mask: nextMask())
                        context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
                    }
                    end("the server closed")
                    context.close(promise: nil)
                }
            }
        } catch {
            if handshake.close() {
                let frame = WebSocketFrame.encodeClose(error.closeCode, mask: nextMask())
                context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
            }
            fail(context, "the server broke the framing: \(error)")
        }
    }

    /// Sends a message; frames of one turn of the loop leave in one flush.
    func send(_ payload: [UInt8], isText: Bool, _ context: ChannelHandlerContext) {
        guard phase == .open, handshake.maySend else { return }
        write(isText ? .text : .binary, ByteBuffer(bytes: payload), context)
    }

    private func write(
        _ opcode: WebSocketOpcode, _ payload: ByteBuffer, _ context: ChannelHandlerContext
    ) {
        let frame = WebSocketFrame.encode(opcode, payload, mask: nextMask())
        context.write(wrapOutboundOut(frame), promise: nil)
        guard !needsFlush else { return }
        needsFlush = true
        context.eventLoop.assumeIsolated().execute {
            self.needsFlush = false
            context.flush()
        }
    }

    private func nextMask() -> WebSocketMask {
        WebSocketMask(UInt32(truncatingIfNeeded: masks.next()))
    }

    /// Ends the connection from this side; `isClean` says goodbye first.
    func close(isClean: Bool, _ context: ChannelHandlerContext) {
        guard phase != .closed else { return }
        if isClean, phase == .open, handshake.close() {
            let frame = WebSocketFrame.encodeClose(.normal, mask: nextMask())
            context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
        }
        end("closed by the client")
        context.close(promise: nil)
    }

    private func fail(_ context: ChannelHandlerContext, _ reason: String) {
        end(reason)
        context.close(promise: nil)
    }

    private func end(_ reason: String) {
        guard phase != .closed else { return }
        phase = .closed
        report(.closed(reason: reason, code: closeCode))
    }
}
