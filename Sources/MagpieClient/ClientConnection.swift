internal import Bytes
package import ChatModel
package import NIOCore
internal import NIOPosix
package import Platform
internal import WireProtocol

/// A user's live connection: sends what the outbox holds, tells what happens, and comes back by
/// itself. All of it runs on one event loop; nothing blocks.
///
/// All stored variables are touched on `loop` only; the constants are Sendable.
package final class ClientConnection: @unchecked Sendable {
    private let loop: any EventLoop
    private let addresses: [ServerAddress]
    private let options: ClientOptions
    private let random: any RandomSource
    private let onEvent: @Sendable (ClientEvent) -> Void
    private var core: ClientCore
    private var socket: Socket?
    private var changes: [UInt64: EventLoopPromise<Sent>] = [:]
    private var questions: [UInt64: EventLoopPromise<ServerFrame>] = [:]

    /// The socket of the moment. `number` tells late reports of an old one apart.
    private struct Socket {
        let number: UInt64
        var transport: WebSocketTransport?
        var context: ChannelHandlerContext?
        var channel: (any Channel)?
    }

    /// A connection that stays idle until ``start()``. `onEvent` is called on the event loop, in
    /// order, and must not block.
    package init(
        addresses: [ServerAddress], token: String, options: ClientOptions = ClientOptions(),
        on loop: any EventLoop, random: any RandomSource,
        onEvent: @escaping @Sendable (ClientEvent) -> Void
    ) {
        self.loop = loop
        self.addresses = addresses
        self.options = options
        self.random = random
        self.onEvent = onEvent
        core = ClientCore(
            token: token, addressCount: addresses.count, options: options, seed: random.word())
    }

    // MARK: What an owner asks for

    /// Connects, and stays connected until ``close()`` or a refusal that waiting can't cure.
    package func start() {
        loop.execute { self.perform(self.core.start()) }
    }

    /// Ends it: waiting changes fail with `unavailable`.
    package func close() -> EventLoopFuture<Void> {
        loop.submit { self.perform(self.core.close()) }
    }

    /// A fresh token, after ``ClientEvent/tokenExpired``.
    package func setToken(_ token: String) {
        loop.execute { self.perform(self.core.setToken(token)) }
    }

    /// Makes a change: a send, an edit or an erase. It is repeated under its cid, over as many
    /// sockets as it takes, until the server answers; the future fails with a ``ServiceError`` when
    /// the server refuses it for good.
    package func submit(_ change: ClientFrameBody) -> EventLoopFuture<Sent> {
        let promise = loop.makePromise(of: Sent.self)
        loop.execute {
            let (number, actions) = self.core.submit(change)
            self.changes[number] = promise
            self.perform(actions)
        }
        return promise.futureResult
    }

    /// Sends a message. `cid` is made once per message and repeated by retries.
    package func send(
        _ content: MessageContent, to target: SendTarget, cid: ClientMessageID
    ) async throws -> Sent {
        try await submit(.send(target, cid: cid, content: content)).get()
    }

    /// A page of entries. Fails with `unavailable` when the connection is lost meanwhile.
    package func pull(
        _ conversation: ConversationID, _ anchor: PageAnchor, limit: Int? = nil
    ) async throws -> PageView {
        let frame = try await ask(.pull(conversation, anchor, limit: limit)).get()
        guard case .page(let page) = frame else {
            throw ServiceError(.internal, "a pull was answered by something else")
        }
        return page
    }

    /// Messages that are as asked. Fails with `unavailable` when the connection is lost meanwhile.
    package func search(_ query: SearchQuery) async throws -> SearchView {
        let frame = try await ask(.search(query)).get()
        guard case .results(let results) = frame else {
            throw ServiceError(.internal, "a search was answered by something else")
        }
        return results
    }

    /// A frame that wants an answer other than `sent`.
    package func ask(_ body: ClientFrameBody) -> EventLoopFuture<ServerFrame> {
        let promise = loop.makePromise(of: ServerFrame.self)
        loop.execute {
            let (number, actions) = self.core.question(body)
            self.questions[number] = promise
            self.perform(actions)
        }
        return promise.futureResult
    }

    /// A frame without an answer (marks, typing, activity); dropped while there is no socket.
    package func notify(_ body: ClientFrameBody) {
        loop.execute { self.perform(self.core.notify(body)) }
    }

    /// Delivers the entries above `seq` without holes from now on.
    package func follow(_ conversation: ConversationID, from seq: EntrySequence) {
        loop.execute { self.core.follow(conversation, from: seq) }
    }

    // MARK: What the core wants done

    private func perform(_ actions: [ClientCore.Action]) {
        for action in actions {
            switch action {
            case .open(let index): open(addresses[index])
            case .transmit(let frame): transmit(frame)
            case .close(let isClean): dropSocket(isClean: isClean)
            case .schedule(let timer, let delay):
                let amount = TimeAmount(delay)
                loop.assumeIsolated().scheduleTask(in: amount) { [weak self] in
                    guard let self else { return }
                    self.perform(self.core.timerFired(timer))
                }
            case .emit(let event): onEvent(event)
            case .resolve(let number, let result):
                changes.removeValue(forKey: number)?.completeWith(result.widened)
            case .answer(let number, let result):
                questions.removeValue(forKey: number)?.completeWith(result.widened)
            }
        }
    }

    private func transmit(_ frame: ClientFrame) {
        guard let transport = socket?.transport, let context = socket?.context else { return }
        let encoding: WireEncoding = options.isBinary ? .binary : .json
        transport.send(
            ClientFrameEncoder.encode(frame, encoding), isText: !options.isBinary, context)
    }

    private func dropSocket(isClean: Bool) {
        guard let old = socket else { return }
        socket = nil
        if let transport = old.transport, let context = old.context {
            transport.close(isClean: isClean, context)
        } else {
            old.channel?.close(promise: nil)
        }
    }

    // MARK: Sockets

    private func open(_ address: ServerAddress) {
        let number = core.socketEpoch
        let seed = random.word()
        let encoding: WireEncoding = options.isBinary ? .binary : .json
        let limit = options.messageBytesMax
        socket = Socket(number: number)
        let box = NIOLoopBound(self, eventLoop: loop)
        ClientBootstrap(group: loop)
            .connectTimeout(TimeAmount(options.connectTimeout))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let owner = box.value
                    let transport = WebSocketTransport(
                        address: address, subprotocol: encoding.subprotocol,
                        messageBytesMax: limit, seed: seed
                    ) { [weak owner] report in
                        owner?.heard(report, from: number)
                    }
                    try channel.pipeline.syncOperations.addHandler(transport)
                    guard owner.socket?.number == number else { throw ChannelError.alreadyClosed }
                    owner.socket?.transport = transport
                    owner.socket?.context = try channel.pipeline.syncOperations.context(
                        handler: transport)
                    owner.socket?.channel = channel
                }
            }
            .connect(host: address.host, port: address.port)
            .whenFailure { error in
                box.value.heard(.closed(reason: "\(error)", code: nil), from: number)
            }
    }

    private func heard(_ report: WebSocketTransport.Report, from number: UInt64) {
        guard let current = socket, current.number == number else { return }
        switch report {
        case .opened: break
        case .message(let bytes):
            do throws(ServiceError) {
                let encoding: WireEncoding = options.isBinary ? .binary : .json
                let received = try ServerFrameDecoder.decode(bytes, encoding)
                guard let frame = received.frame else { return }
                perform(core.received(frame, id: received.id))
            } catch {
                // A frame that can't be read is as good as lost, and so is the order after it.
                dropSocket(isClean: true)
                perform(core.socketLost(reason: error.detail, closeCode: nil))
            }
        case .closed(let reason, let code):
            socket = nil
            perform(core.socketLost(reason: reason, closeCode: code))
        }
    }
}

extension Result where Failure == ServiceError {
    /// The same with any kind of failure.
    fileprivate var widened: Result<Success, any Error> { mapError { $0 } }
}
