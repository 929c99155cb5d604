import NIOCore
import NIOPosix

/// What a connection tells the load generator, on its event loop.
enum LinkEvent {
    /// Messages may be sent.
    case opened
    /// A message stands: a majority of the servers has it on disk.
    case acknowledged(UInt64)
    /// The server did not take a message, or does not know whether it did.
    case refused(UInt64, reason: String)
    /// The connection is over; said once.
    case closed(reason: String)
}

/// A connection to one server. The engines differ in what goes over it; sockets, buffers and
/// flushes are the same for all: what is written in one turn of the loop leaves in one system call.
///
/// Lives on its event loop; nothing here is for other threads.
class Link: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Bytes that came and were not read yet.
    var input = ByteBuffer()
    private(set) var context: ChannelHandlerContext?
    private let report: (LinkEvent) -> Void
    private var output = ByteBuffer()
    private var willFlush = false
    private var isOver = false

    init(report: @escaping (LinkEvent) -> Void) {
        self.report = report
    }

    // MARK: What an engine fills in

    /// The socket is there.
    func begin() {}

    /// Reads what is whole from `input`; a throw ends the connection.
    func receive() throws {}

    /// Sends a message.
    func send(_ number: UInt64) {}

    // MARK: What an engine calls

    /// Writes bytes with this turn of the loop.
    func write(_ body: (inout ByteBuffer) -> Void) {
        guard let context else { return }
        body(&output)
        if willFlush { return }
        willFlush = true
        context.eventLoop.assumeIsolated().execute { self.flush() }
    }

    /// Tells the load generator.
    func tell(_ event: LinkEvent) {
        if !isOver { report(event) }
    }

    /// Ends the connection; nothing is reported any more.
    func close() {
        isOver = true
        context?.close(promise: nil)
    }

    private func flush() {
        willFlush = false
        guard let context, output.readableBytes > 0 else { return }
        context.writeAndFlush(wrapOutboundOut(output), promise: nil)
        output = context.channel.allocator.buffer(capacity: 16 << 10)
    }

    // MARK: The channel

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        begin()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        if input.readableBytes == 0 { input = bytes } else { input.writeBuffer(&bytes) }
        do { try receive() } catch { end("\(error)") }
    }

    func channelInactive(context: ChannelHandlerContext) { end("the connection closed") }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { end("\(error)") }

    private func end(_ reason: String) {
        tell(.closed(reason: reason))
        isOver = true
        context?.close(promise: nil)
        context = nil
    }

    /// Opens a socket to a port of this machine and puts the link on it.
    func connect(port: Int, on loop: any EventLoop) {
        let box = NIOLoopBound(self, eventLoop: loop)
        ClientBootstrap(group: loop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connectTimeout(.seconds(5))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(box.value)
                }
            }
            .connect(host: "127.0.0.1", port: port)
            .whenFailure { box.value.end("\($0)") }
    }
}

/// A peer that does not keep to its protocol.
struct ProtocolError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

extension UInt64 {
    /// 16 hexadecimal digits.
    var hexDigits: [UInt8] {
        (0..<16).map { place in
            let digit = UInt8(truncatingIfNeeded: self >> UInt64(60 - 4 * place)) & 15
            return digit + (digit < 10 ? 0x30 : 0x57)
        }
    }

    /// A number from the hexadecimal digits that end `bytes`; nil when there are others.
    init?(hexDigits bytes: some Sequence<UInt8>) {
        var value: UInt64 = 0
        var count = 0
        for byte in bytes {
            switch byte {
            case 0x30...0x39: value = value << 4 | UInt64(byte - 0x30)
            case 0x61...0x66: value = value << 4 | UInt64(byte - 0x57)
            default: return nil
            }
            count += 1
        }
        guard (1...16).contains(count) else { return nil }
        self = value
    }
}
