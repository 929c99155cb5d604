import ChatModel
import HTTPTypes
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1

/// A connection whose nature its first request decides. For HTTP it becomes Hummingbird's channel;
/// a WebSocket leaves Hummingbird at once, so it costs neither a task nor an asynchronous channel.
struct GatewayChannel: ServerChildChannel, HTTPChannelHandler {
    typealias HTTP = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>

    /// A connection before its nature is known.
    struct Value: ServerChildChannelValue {
        let channel: any Channel
        /// Nil: it became a WebSocket, or went away.
        let http: EventLoopFuture<HTTP?>
    }

    let responder: HTTPChannelHandler.Responder
    let configuration: GatewayConfiguration
    let rules: UpgradeRules
    let loops: SocketLoops

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            let http = channel.eventLoop.makePromise(of: HTTP?.self)
            do {
                try assemble(channel, logger, http)
            } catch {
                http.succeed(nil)
                throw error
            }
            return Value(channel: channel, http: http.futureResult)
        }
    }

    func handle(value: Value, logger: Logger) async {
        // The promise is kept on every path; a failure means that the channel is gone.
        guard let http = try? await value.http.get() else { return }
        await handleHTTP(asyncChannel: http, logger: logger)
    }

    private func assemble(
        _ channel: any Channel, _ logger: Logger, _ http: EventLoopPromise<HTTP?>
    ) throws {
        let pipeline = channel.pipeline.syncOperations
        try channel.syncOptions?.setOption(.tcpOption(.tcp_nodelay), value: 1)
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = configuration.headerFieldBytesMax
        limits.maxHeaderListSize = configuration.headerBytesMax
        limits.maxHeaderFieldCount = configuration.headerFieldsMax
        let encoder = HTTPResponseEncoder()
        let decoder = ByteToMessageHandler(
            HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes, limitConfiguration: limits))
        try pipeline.addHandlers([encoder, decoder])
        let idle = configuration.idleTimeout
        let loops = loops
        let entrance = EntranceHandler(
            rules: rules, configuration: configuration,
            codec: EntranceHandler.HTTPCodec(encoder: encoder, decoder: decoder),
            makeSocket: { request, channel in
                try loops.loop(of: channel.eventLoop).makeSocket(request, channel)
            },
            become: { outcome in
                guard outcome == .http else {
                    http.succeed(nil)
                    return
                }
                do {
                    http.succeed(try Self.addHTTP(channel, logger, idle))
                } catch {
                    http.succeed(nil)
                    throw error
                }
            })
        try pipeline.addHandler(entrance)
    }

    private static func addHTTP(
        _ channel: any Channel, _ logger: Logger, _ idle: TimeAmount
    ) throws -> HTTP {
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(HTTP1ToHTTPServerCodec(secure: false))
        try pipeline.addHandler(
            HTTPConnectionStateHandler(
                idleTimeout: .nanoseconds(idle.nanoseconds), logger: logger))
        return try NIOAsyncChannel(
            wrappingChannelSynchronously: channel,
            configuration: .init(isOutboundHalfClosureEnabled: true))
    }
}
