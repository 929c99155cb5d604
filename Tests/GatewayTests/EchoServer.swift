import NIOCore
import NIOPosix
import WebSocketCodec

/// A WebSocket server that says what it hears, on the codec alone: what Autobahn's client talks
/// to. Violations close with the RFC's codes here, not with the client protocol's.
final class EchoHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var head = ByteBuffer()
    private var isOpen = false
    private var isBroken = false
    private var handshake = WebSocketCloseHandshake()
    private var decoder = WebSocketDecoder(
        role: .server,
        limits: WebSocketDecoder.Limits(frameBytesMax: 64 << 20, fragmentsMax: 1 << 20))

    /// Listens on `port` of this machine; the channel's close ends it.
    static func listen(port: Int, group: any EventLoopGroup) async throws -> any Channel {
        try await ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(EchoHandler())
                }
            }
            .bind(host: "127.0.0.1", port: port).get()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isBroken else { return }
        var input = unwrapInboundIn(data)
        if !isOpen {
            head.writeBuffer(&input)
            guard open(context) else { return }
            input = head
            head = ByteBuffer()
        }
        do {
            while let event = try decoder.next(from: &input) { echo(context, event) }
        } catch {
            isBroken = true
            guard handshake.close() else { return }
            context.writeAndFlush(
                wrapOutboundOut(WebSocketFrame.encodeClose(error.closeCode)), promise: nil)
            context.close(mode: .output, promise: nil)
        }
        context.flush()
    }

    /// Answers the upgrade once its head is whole.
    private func open(_ context: ChannelHandlerContext) -> Bool {
        let view = head.readableBytesView
        guard let end = view.firstRange(of: [13, 10, 13, 10]) else { return false }
        let lines = String(decoding: view[view.startIndex..<end.lowerBound], as: UTF8.self)
            .split(separator: "\r\n")
        let name = "sec-websocket-key:"
        guard let line = lines.first(where: { $0.lowercased().hasPrefix(name) }) else {
            context.close(promise: nil)
            return false
        }
        let key = String(line.dropFirst(name.count).drop { $0 == " " })
        head.moveReaderIndex(to: end.upperBound)
        context.writeAndFlush(
            wrapOutboundOut(
                ByteBuffer(
                    string: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                        + "Connection: Upgrade\r\nSec-WebSocket-Accept: "
                        + WebSocketHandshake.accept(forKey: key) + "\r\n\r\n")), promise: nil)
        isOpen = true
        return true
    }

    private func echo(_ context: ChannelHandlerContext, _ event: WebSocketEvent) {
        switch event {
        case .text(let payload):
            context.write(wrapOutboundOut(WebSocketFrame.encode(.text, payload)), promise: nil)
        case .binary(let payload):
            context.write(wrapOutboundOut(WebSocketFrame.encode(.binary, payload)), promise: nil)
        case .ping(let payload):
            context.write(wrapOutboundOut(WebSocketFrame.encode(.pong, payload)), promise: nil)
        case .pong:
            break
        case .close(let code, _):
            guard case .reply(let code) = handshake.received(code) else {
                context.close(promise: nil)
                return
            }
            let channel = context.channel
            context.writeAndFlush(wrapOutboundOut(WebSocketFrame.encodeClose(code)))
                .whenComplete { _ in channel.close(promise: nil) }
        }
    }
}
