import ChatModel
import NIOCore
import NIOHTTP1
import WebSocketCodec

/// The first handler behind the HTTP codec: it reads the first request's head and decides what the
/// connection becomes.
///
/// ```text
///                      ┌─ /v1/ws, good ──▶ 101, HTTP handlers out, SocketHandler in
/// first request's head ┼─ /v1/ws, bad ───▶ an error, connection closed
///                      └─ anything else ─▶ HTTP handlers added behind; this one stays and passes
/// ```
///
/// It stays in HTTP pipelines for three small duties: the interim answer to `Expect:
/// 100-continue`, the end of connections whose client asked for an unknown upgrade (the decoder
/// reads nothing behind such a request), and a bound on how long a graceful stop waits.
final class EntranceHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    /// The handlers before this one, which a WebSocket does without.
    struct HTTPCodec {
        let encoder: any RemovableChannelHandler
        let decoder: any RemovableChannelHandler
    }

    /// What the connection became.
    enum Outcome {
        case http
        case socket
        case closed
    }

    private enum State {
        case waiting
        case accepting(SocketHandler, head: HTTPHeaders)
        case refused
        case http
        case socket
    }

    private let rules: UpgradeRules
    private let configuration: GatewayConfiguration
    private let codec: HTTPCodec
    private let makeSocket: (UpgradeRequest, any Channel) throws -> SocketHandler
    /// Adds the HTTP handlers behind this one, or reports the other outcomes.
    private let become: (Outcome) throws -> Void
    private var state = State.waiting
    private var hasReported = false
    private var timeout: Scheduled<Void>?

    init(
        rules: UpgradeRules, configuration: GatewayConfiguration,
        codec: HTTPCodec,
        makeSocket: @escaping (UpgradeRequest, any Channel) throws -> SocketHandler,
        become: @escaping (Outcome) throws -> Void
    ) {
        self.rules = rules
        self.configuration = configuration
        self.codec = codec
        self.makeSocket = makeSocket
        self.become = become
    }

    func handlerAdded(context: ChannelHandlerContext) {
        closeLater(context, after: configuration.headerTimeout)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timeout?.cancel()
        report(.closed)
    }

    func channelInactive(context: ChannelHandlerContext) {
        timeout?.cancel()
        report(.closed)
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch state {
        case .waiting:
            guard case .head(let head) = unwrapInboundIn(data) else { return }
            timeout?.cancel()
            timeout = nil
            decide(context, head, data)
        case .accepting(let socket, let fields):
            switch unwrapInboundIn(data) {
            case .head: break
            case .body: refuse(context, ServiceError(.invalidArgument, "an upgrade has no body"))
            case .end: upgrade(context, socket, fields)
            }
        case .refused:
            break
        case .http:
            if case .head(let head) = unwrapInboundIn(data) {
                pass(context, head)
            } else {
                context.fireChannelRead(data)
            }
        case .socket:
            context.fireChannelRead(data)
        }
    }

    private func decide(_ context: ChannelHandlerContext, _ head: HTTPRequestHead, _ data: NIOAny) {
        switch rules.decide(head) {
        case .plain:
            state = .http
            do {
                hasReported = true
                try become(.http)
                pass(context, head)
            } catch {
                context.close(promise: nil)
            }
        case .accept(let encoding, let acceptKey, let subprotocol):
            var fields = HTTPHeaders([
                ("Upgrade", "websocket"), ("Connection", "Upgrade"),
                ("Sec-WebSocket-Accept", acceptKey),
            ])
            if let subprotocol { fields.add(name: "Sec-WebSocket-Protocol", value: subprotocol) }
            do {
                let request = UpgradeRequest(
                    encoding: encoding, host: head.headers.first(name: "host"))
                state = .accepting(try makeSocket(request, context.channel), head: fields)
            } catch {
                let shown =
                    error as? ServiceError ?? ServiceError(.unavailable, "no more sockets here")
                refuse(context, shown)
            }
        case .refuse(let error):
            refuse(context, error)
        }
    }

    /// Hands a head to the HTTP handlers, after the interim answer it may wait for.
    private func pass(_ context: ChannelHandlerContext, _ head: HTTPRequestHead) {
        var head = head
        if WebSocketHandshake.names(head.headers["expect"], "100-continue") {
            context.writeAndFlush(
                wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: .continue))),
                promise: nil)
        }
        if head.headers.contains(name: "upgrade") {
            head.headers.replaceOrAdd(name: "connection", value: "close")
        }
        context.fireChannelRead(wrapInboundOut(.head(head)))
    }

    private func refuse(_ context: ChannelHandlerContext, _ error: ServiceError) {
        state = .refused
        let body = Problem.body(of: error)
        var fields = HTTPHeaders([
            ("Content-Type", Problem.contentType), ("Content-Length", "\(body.readableBytes)"),
            ("Connection", "close"), ("Sec-WebSocket-Version", WebSocketHandshake.version),
        ])
        if let seconds = Problem.retryAfterSeconds(error) {
            fields.add(name: "Retry-After", value: seconds)
        }
        let head = HTTPResponseHead(
            version: .http1_1, status: HTTPResponseStatus(statusCode: error.code.status),
            headers: fields)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        let channel = context.channel
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in
            channel.close(promise: nil)
        }
    }

    /// Answers 101 and turns the pipeline around. Bytes that arrived behind the request come out
    /// of the decoder when it is removed, and reach the socket through this handler.
    private func upgrade(
        _ context: ChannelHandlerContext, _ socket: SocketHandler, _ fields: HTTPHeaders
    ) {
        state = .socket
        hasReported = true
        let head = HTTPResponseHead(
            version: .http1_1, status: .switchingProtocols, headers: fields)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        do {
            try become(.socket)
        } catch {
            context.close(promise: nil)
            return
        }
        // The encoder goes first, since the socket greets at once; the decoder only when the
        // socket is there to take what it held back.
        let pipeline = context.pipeline.syncOperations
        let turn = NIOLoopBound(
            (self, socket, pipeline, codec.decoder), eventLoop: context.eventLoop)
        let channel = context.channel
        pipeline.removeHandler(codec.encoder).flatMap {
            let (entrance, socket, pipeline, decoder) = turn.value
            do {
                try pipeline.addHandler(socket, position: .after(entrance))
            } catch {
                return channel.eventLoop.makeFailedFuture(error)
            }
            return pipeline.removeHandler(decoder)
        }.flatMap {
            let (entrance, _, pipeline, _) = turn.value
            return pipeline.removeHandler(entrance)
        }.whenFailure { _ in channel.close(promise: nil) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent {
            switch state {
            case .waiting: context.close(promise: nil)
            case .http: closeLater(context, after: configuration.shutdownTimeout)
            case .accepting:
                refuse(context, ServiceError(.unavailable, "this node is stopping"))
            case .refused, .socket: break
            }
        }
        context.fireUserInboundEventTriggered(event)
    }

    /// Bytes that are not HTTP, before anyone else could answer.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch state {
        case .waiting, .accepting:
            guard error is HTTPParserError || error is NIOHTTPDecoderError else {
                context.close(promise: nil)
                return
            }
            refuse(context, ServiceError(.invalidArgument, "the request is not HTTP/1.1"))
        case .refused:
            context.close(promise: nil)
        case .http, .socket:
            context.fireErrorCaught(error)
        }
    }

    private func closeLater(_ context: ChannelHandlerContext, after delay: TimeAmount) {
        timeout?.cancel()
        let channel = context.channel
        timeout = context.eventLoop.scheduleTask(in: delay) { channel.close(promise: nil) }
    }

    private func report(_ outcome: Outcome) {
        guard !hasReported else { return }
        hasReported = true
        // Nothing is added for these outcomes, so nothing can fail.
        try? become(outcome)
    }
}
