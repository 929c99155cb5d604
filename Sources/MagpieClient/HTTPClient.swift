internal import ChatModel
package import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// One HTTP request.
package struct HTTPCall: Sendable {
    /// GET, POST, …
    package var method: String
    /// Path and query.
    package var path: String
    /// Bearer token, when the call needs one.
    package var token: String?
    /// The body's media type, also asked for in the answer.
    package var contentType: String
    /// The body; empty for none.
    package var body: [UInt8]
    /// From sending to the whole answer.
    package var timeout: Duration

    /// A request.
    package init(
        _ method: String, _ path: String, token: String? = nil,
        contentType: String = "application/json", body: [UInt8] = [],
        timeout: Duration = .seconds(30)
    ) {
        self.method = method
        self.path = path
        self.token = token
        self.contentType = contentType
        self.body = body
        self.timeout = timeout
    }
}

/// One HTTP answer, whole.
package struct HTTPReply: Sendable {
    /// The status.
    package let status: Int
    /// The body.
    package let body: [UInt8]
}

/// A small HTTP/1.1 client for one server: kept-alive connections, one call at a time on each, at
/// most `connectionsMax`; further calls wait their turn. Failures of the network are
/// ``ServiceError``s of code `unavailable`.
///
/// All stored variables are touched on `loop` only; the constants are Sendable.
package final class HTTPClient: @unchecked Sendable {
    private let address: ServerAddress
    private let loop: any EventLoop
    private let connectionsMax: Int
    private var idle: [(any Channel, HTTPExchange)] = []
    private var connectionCount = 0
    private var waiting: [(HTTPCall, EventLoopPromise<HTTPReply>)] = []
    private var isClosed = false

    /// A client without connections.
    package init(_ address: ServerAddress, on loop: any EventLoop, connectionsMax: Int = 8) {
        precondition(connectionsMax > 0, "a client needs a connection")
        self.address = address
        self.loop = loop
        self.connectionsMax = connectionsMax
    }

    /// Makes a call.
    package func call(_ call: HTTPCall) async throws -> HTTPReply {
        let promise = loop.makePromise(of: HTTPReply.self)
        loop.execute {
            self.waiting.append((call, promise))
            self.pump()
        }
        return try await promise.futureResult.get()
    }

    /// Closes all connections; calls under way fail.
    package func close() -> EventLoopFuture<Void> {
        loop.submit {
            self.isClosed = true
            for (channel, _) in self.idle { channel.close(promise: nil) }
            self.idle = []
            let error = ServiceError(.unavailable, "the client was closed")
            for (_, promise) in self.waiting { promise.fail(error) }
            self.waiting = []
        }
    }

    private func pump() {
        while !waiting.isEmpty {
            if let (channel, exchange) = idle.popLast() {
                guard channel.isActive else { continue }
                let (call, promise) = waiting.removeFirst()
                start(call, promise, channel, exchange)
            } else if connectionCount < connectionsMax {
                let (call, promise) = waiting.removeFirst()
                connect(for: call, promise)
            } else {
                return
            }
        }
    }

    private func connect(for call: HTTPCall, _ promise: EventLoopPromise<HTTPReply>) {
        connectionCount += 1
        let box = NIOLoopBound(self, eventLoop: loop)
        ClientBootstrap(group: loop)
            .connectTimeout(.seconds(10))
            .connect(host: address.host, port: address.port)
            .flatMapThrowing { channel -> NIOLoopBound<(any Channel, HTTPExchange)> in
                let exchange = HTTPExchange()
                try channel.pipeline.syncOperations.addHTTPClientHandlers()
                try channel.pipeline.syncOperations.addHandler(exchange)
                return NIOLoopBound((channel, exchange), eventLoop: channel.eventLoop)
            }
            .whenComplete { result in
                switch result {
                case .success(let pair):
                    let (channel, exchange) = pair.value
                    let identity = ObjectIdentifier(exchange)
                    channel.closeFuture.whenComplete { _ in
                        let owner = box.value
                        owner.connectionCount -= 1
                        owner.idle.removeAll { ObjectIdentifier($0.1) == identity }
                        owner.pump()
                    }
                    box.value.start(call, promise, channel, exchange)
                case .failure(let error):
                    box.value.connectionCount -= 1
                    promise.fail(ServiceError(.unavailable, "\(error)"))
                    box.value.pump()
                }
            }
    }

    private func start(
        _ call: HTTPCall, _ promise: EventLoopPromise<HTTPReply>, _ channel: any Channel,
        _ exchange: HTTPExchange
    ) {
        let box = NIOLoopBound((self, exchange), eventLoop: loop)
        let limit = loop.scheduleTask(in: TimeAmount(call.timeout)) {
            promise.fail(ServiceError(.unavailable, "no answer in time"))
            channel.close(promise: nil)
        }
        exchange.begin(call, host: address.authority, on: channel).whenComplete { result in
            limit.cancel()
            let (owner, exchange) = box.value
            switch result {
            case .success(let (reply, keepsAlive)):
                promise.succeed(reply)
                if keepsAlive, channel.isActive, !owner.isClosed {
                    owner.idle.append((channel, exchange))
                } else {
                    channel.close(promise: nil)
                }
            case .failure(let error):
                promise.fail(error as? ServiceError ?? ServiceError(.unavailable, "\(error)"))
                channel.close(promise: nil)
            }
            owner.pump()
        }
    }
}

/// The calls on one connection, one after the other.
private final class HTTPExchange: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    /// Most bytes of an answer.
    private static let bodyBytesMax = 64 << 20

    private var promise: EventLoopPromise<(HTTPReply, Bool)>?
    private var head: HTTPResponseHead?
    private var body: [UInt8] = []

    func begin(
        _ call: HTTPCall, host: String, on channel: any Channel
    ) -> EventLoopFuture<(HTTPReply, Bool)> {
        let promise = channel.eventLoop.makePromise(of: (HTTPReply, Bool).self)
        self.promise = promise
        head = nil
        body = []
        var headers = HTTPHeaders([("Host", host), ("Accept", call.contentType)])
        if let token = call.token { headers.add(name: "Authorization", value: "Bearer \(token)") }
        if !call.body.isEmpty { headers.add(name: "Content-Type", value: call.contentType) }
        if !call.body.isEmpty || call.method != "GET" {
            headers.add(name: "Content-Length", value: String(call.body.count))
        }
        let request = HTTPRequestHead(
            version: .http1_1, method: HTTPMethod(rawValue: call.method), uri: call.path,
            headers: headers)
        channel.write(HTTPClientRequestPart.head(request), promise: nil)
        if !call.body.isEmpty {
            let buffer = ByteBuffer(bytes: call.body)
            channel.write(HTTPClientRequestPart.body(.byteBuffer(buffer)), promise: nil)
        }
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
        return promise.futureResult
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): self.head = head
        case .body(let buffer):
            guard body.count + buffer.readableBytes <= Self.bodyBytesMax else {
                finish(.failure(ServiceError(.tooLarge, "the answer is too large")))
                context.close(promise: nil)
                return
            }
            body.append(contentsOf: buffer.readableBytesView)
        case .end:
            guard let head else { return }
            // An interim answer (1xx) is not the answer.
            if head.status.code < 200 {
                self.head = nil
                return
            }
            finish(
                .success(
                    (HTTPReply(status: Int(head.status.code), body: body), head.isKeepAlive)))
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        finish(.failure(ServiceError(.unavailable, "the connection closed")))
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        finish(.failure(ServiceError(.unavailable, "\(error)")))
        context.close(promise: nil)
    }

    private func finish(_ result: Result<(HTTPReply, Bool), any Error>) {
        // Whoever hears of it may begin the next call at once, on this exchange.
        let done = promise
        promise = nil
        done?.completeWith(result)
    }
}
