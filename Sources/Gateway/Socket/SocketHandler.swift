import ChatModel
import FanOut
import NIOCore
import Session
import WebSocketCodec
import WireProtocol

/// What the upgrade request settled.
struct UpgradeRequest: Equatable {
    let encoding: WireEncoding
    let host: String?
}

/// One WebSocket: bytes to session inputs, session actions to bytes. It decides nothing; the
/// session does, and the codec says what is a frame.
///
/// ```text
/// bytes ─▶ WebSocketDecoder ─▶ ClientFrameDecoder ─▶ SessionMachine ─▶ actions
/// actions ─▶ frames (made here, or shared by all receivers) ─▶ write … flush once a turn
/// ```
///
/// It lives on its event loop; what comes from other threads comes through ``SocketLoop``.
final class SocketHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let slot: UInt64
    private let loop: SocketLoop
    private let channel: any Channel
    private let encoding: WireEncoding
    private let driver: SessionDriver
    private var context: ChannelHandlerContext?
    private var machine: SessionMachine
    private var decoder: WebSocketDecoder
    private var handshake = WebSocketCloseHandshake()

    /// Set once this side has said close: when the connection is cut.
    private var cutMs: Milliseconds?
    private var armedTick: UInt64?
    private var isDirty = false
    private var isGone = false
    /// The stream broke a rule of framing: nothing more is read from it.
    private var isBroken = false

    /// Bytes handed to the channel, and how many of them the system has taken.
    private var writtenBytes = 0
    private var takenBytes = 0
    private var progressMs: Milliseconds = 0
    private var measuredTurn: UInt64 = 0

    init(slot: UInt64, loop: SocketLoop, request: UpgradeRequest, channel: any Channel) {
        self.slot = slot
        self.loop = loop
        self.channel = channel
        encoding = request.encoding
        driver = SessionDriver(
            node: loop.node, endpoint: SessionEndpoint(loop: loop, slot: slot))
        machine = SessionMachine(facts: loop.node.facts)
        decoder = WebSocketDecoder(
            role: .server,
            limits: WebSocketDecoder.Limits(frameBytesMax: loop.node.facts.limits.frameBytes))
    }

    // MARK: From the channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if let options = context.channel.syncOptions {
            // Small fixed buffers: most sockets are idle, and NIO keeps what it read into.
            let receive = FixedSizeRecvByteBufferAllocator(
                capacity: loop.configuration.socketReceiveBytes)
            try? options.setOption(.recvAllocator, value: receive)
            try? options.setOption(.maxMessagesPerRead, value: 2)
            try? options.setOption(.allowRemoteHalfClosure, value: false)
        }
        loop.beginTurn()
        loop.add(self)
        perform(machine.opened(at: moment()))
        flush()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        leave()
        self.context = nil
    }

    func channelInactive(context: ChannelHandlerContext) {
        leave()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isBroken else { return }
        loop.beginTurn()
        var input = unwrapInboundIn(data)
        do {
            while !isGone, let event = try decoder.next(from: &input) { take(event) }
        } catch {
            violated(error)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        flush()
        context.fireChannelReadComplete()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable, !isGone {
            loop.beginTurn()
            perform(machine.tick(at: moment()))
            flush()
        }
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case is ChannelShouldQuiesceEvent:
            loop.beginTurn()
            loop.stopAccepting()
            shutDown(.restart)
            flush()
        case let event as ChannelEvent where event == .inputClosed:
            context.close(promise: nil)
        default:
            context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    // MARK: From the loop

    /// Says goodbye: the client is to come back, here or elsewhere, after a wait of its own.
    func shutDown(_ code: CloseCode) {
        guard !isGone else { return }
        perform(
            machine.shutDown(
                code, within: loop.configuration.restartWaitMs, using: &loop.jitter, at: moment()))
    }

    func deliver(_ event: SharedEvent) {
        guard !isGone, cutMs == nil else { return }
        perform(machine.delivered(event, at: moment()))
    }

    func answer(_ token: QuestionToken, _ answer: SessionAnswer) {
        guard !isGone, cutMs == nil else { return }
        perform(machine.answered(token, answer, at: moment()))
    }

    /// A tick came for which this socket was armed, now or before a deadline moved.
    func wake(tick: UInt64) {
        guard !isGone, armedTick == tick else { return }
        armedTick = nil
        if let cutMs, loop.nowMs >= cutMs {
            channel.close(promise: nil)
            return
        }
        perform(machine.tick(at: moment()))
    }

    func flush() {
        guard isDirty else { return }
        isDirty = false
        context?.flush()
        measure()
    }

    // MARK: Input

    private func take(_ event: WebSocketEvent) {
        loop.countReceived()
        switch event {
        case .text(let payload): take(payload, encoding == .json)
        case .binary(let payload): take(payload, encoding == .binary)
        case .ping(let payload):
            guard handshake.maySend else { return }
            write(WebSocketFrame.encode(.pong, payload))
            perform(machine.received(ClientFrame(id: nil, body: nil), at: moment()))
        case .pong:
            guard handshake.maySend else { return }
            perform(machine.received(ClientFrame(id: nil, body: nil), at: moment()))
        case .close(let code, _):
            peerClosed(code)
        }
    }

    private func take(_ payload: ByteBuffer, _ isRightKind: Bool) {
        guard handshake.maySend else { return }
        guard isRightKind, encoding == .binary || Self.mayBeObject(payload) else {
            perform(machine.receivedMalformed(.unreadable, at: moment()))
            return
        }
        do {
            let frame = try ClientFrameDecoder.decode(
                [UInt8](buffer: payload), encoding, loop.node.facts.limits)
            perform(machine.received(frame, at: moment()))
        } catch {
            perform(
                machine.receivedMalformed(.invalid(id: error.id, error.error), at: moment()))
        }
    }

    /// True when the first character opens an object.
    private static func mayBeObject(_ payload: ByteBuffer) -> Bool {
        payload.readableBytesView.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) } == 0x7B
    }

    private func violated(_ violation: WebSocketViolation) {
        switch violation {
        case .frameTooLarge, .messageTooLarge, .tooManyFragments:
            perform(machine.receivedMalformed(.tooLarge, at: moment()))
        case .reservedBits, .unknownOpcode, .unmaskedClientFrame, .maskedServerFrame,
            .lengthNotMinimal, .lengthOverflow, .fragmentedControlFrame, .controlFrameTooLong,
            .unexpectedContinuation, .unfinishedMessage, .invalidUTF8, .truncatedCloseCode,
            .invalidCloseCode:
            perform(machine.receivedMalformed(.unreadable, at: moment()))
        }
        // The peer's close frame cannot be found in a broken stream. End this side's half behind
        // what explains it and let the peer end the other; to drop the connection while bytes
        // arrive would reset it, and the explanation might be lost.
        isBroken = true
        flush()
        context?.close(mode: .output, promise: nil)
    }

    private func peerClosed(_ code: WebSocketCloseCode?) {
        perform(machine.peerClosed(isClean: true, at: moment()))
        switch handshake.received(code) {
        case .reply(let code):
            write(WebSocketFrame.encodeClose(code))
            flush()
            closeWhenWritten()
        case .finish:
            flush()
            closeWhenWritten()
        case .ignore:
            break
        }
    }

    /// Closes when everything written is out, and in any case after the close timeout.
    private func closeWhenWritten() {
        guard !isGone, let context else { return }
        if cutMs == nil { cutMs = loop.nowMs + loop.configuration.closeTimeoutMs }
        rearm()
        let channel = channel
        context.writeAndFlush(wrapOutboundOut(ByteBuffer())).whenComplete { _ in
            channel.close(promise: nil)
        }
    }

    /// The connection is gone. After a close handshake the session has ended already.
    private func leave() {
        guard !isGone else { return }
        loop.beginTurn()
        perform(machine.peerClosed(isClean: false, at: moment()))
        isGone = true
        loop.remove(self)
    }

    // MARK: Output

    private func perform(_ actions: [SessionAction]) {
        for action in actions {
            switch action {
            case .send(let frame, let id):
                write(Self.encode(frame, id: id, encoding, links: loop.node.links))
            case .sendShared(let event):
                if let frame = loop.frame(of: event, encoding) { write(frame) }
            case .ask(let question, let token):
                let loop = loop
                let slot = slot
                driver.ask(question) { loop.post($0, token, to: slot) }
            case .tell(let notice):
                driver.tell(notice)
            case .close(let code, _):
                guard handshake.close() else { break }
                write(WebSocketFrame.encodeClose(WebSocketCloseCode(rawValue: code.rawValue)))
                cutMs = loop.nowMs + loop.configuration.closeTimeoutMs
            }
        }
        rearm()
    }

    /// A server frame as one buffer of head and payload.
    static func encode(
        _ frame: ServerFrame, id: String?, _ encoding: WireEncoding, links: any MediaLinks
    ) -> ByteBuffer {
        let payload = ServerFrameEncoder.encode(frame, id: id, encoding, links: links)
        return payload.withUnsafeBytes {
            WebSocketFrame.encode(encoding == .json ? .text : .binary, $0)
        }
    }

    /// Hands bytes to the channel without a promise; the flush comes at the end of the turn.
    private func write(_ frame: ByteBuffer) {
        guard !isGone, let context else { return }
        writtenBytes &+= frame.readableBytes
        loop.countSent(bytes: frame.readableBytes)
        context.write(wrapOutboundOut(frame), promise: nil)
        guard !isDirty else { return }
        isDirty = true
        loop.markDirty(self)
    }

    // MARK: Time and backlog

    private func moment() -> SessionMoment {
        if takenBytes != writtenBytes, measuredTurn != loop.turn { measure() }
        let unsent = writtenBytes &- takenBytes
        if unsent == 0 { progressMs = loop.nowMs }
        return SessionMoment(
            nowMs: loop.nowMs, wallMs: loop.wallMs, unsentBytes: unsent, progressMs: progressMs)
    }

    /// Asks the channel for its backlog: once a turn at the most before the writes of that turn,
    /// and once behind its flush.
    private func measure() {
        measuredTurn = loop.turn
        let unsent = (try? channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
        let taken = writtenBytes &- unsent
        if taken != takenBytes { progressMs = loop.nowMs }
        takenBytes = taken
    }

    /// Keeps an entry in the wheel at or before the next deadline.
    private func rearm() {
        guard !isGone, let deadlineMs = cutMs ?? machine.deadlineMs else { return }
        let tick = loop.tick(at: deadlineMs)
        if let armedTick, armedTick <= tick { return }
        armedTick = loop.arm(self, at: tick)
    }
}
