import NIOCore

/// A connection to an etcd member: gRPC over as much of HTTP/2 (RFC 9113) as a client of unary
/// calls needs. A message is a Put under a key of its own.
///
/// Heads of requests are written once into the peer's header table and named by index after, as
/// gRPC clients do. Heads of answers are not decoded: a unary call has succeeded when a
/// message came before its trailers.
final class EtcdLink: Link {
    /// An answer to a call.
    typealias Answer = (Result<ByteBuffer, ProtocolError>) -> Void

    private enum Frame {
        static let data: UInt8 = 0
        static let headers: UInt8 = 1
        static let reset: UInt8 = 3
        static let settings: UInt8 = 4
        static let ping: UInt8 = 6
        static let goAway: UInt8 = 7
        static let window: UInt8 = 8
        static let endStream: UInt8 = 1
        static let ack: UInt8 = 1
        static let endHeaders: UInt8 = 4
    }

    /// A call under way.
    private struct Stream {
        let number: UInt64
        let answer: Answer?
        var body = ByteBuffer()
        var hasMessage = false
    }

    private static let putPath = "/etcdserverpb.KV/Put"
    private static let keyBytes = 8
    /// Answers are small: the peer may send this much before it hears from us.
    private static let windowStep = 1 << 20

    private var streams: [UInt32: Stream] = [:]
    private var nextStream: UInt32 = 1
    /// Bytes of data that the peer takes now.
    private var sendWindow = 65_535
    private var waiting: [UInt64] = []
    private var readSinceUpdate = 0
    private var hasIndexedHead = false

    override func begin() {
        write { output in
            output.writeString("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            Self.head(&output, 0, Frame.settings, 0, 0)
            Self.head(&output, 4, Frame.window, 0, 0)
            output.writeInteger(UInt32(Self.windowStep))
        }
        tell(.opened)
    }

    override func send(_ number: UInt64) {
        let body = Bodies.body(number)
        let message =
            ProtobufBytes.fieldBytes(Self.keyBytes) + ProtobufBytes.fieldBytes(body.count)
        guard sendWindow >= message + 5 else {
            waiting.append(number)
            return
        }
        sendWindow -= message + 5
        let stream = open(Stream(number: number, answer: nil))
        write { output in
            requestHead(&output, stream)
            Self.head(&output, message + 5, Frame.data, Frame.endStream, stream)
            output.writeInteger(UInt8(0))
            output.writeInteger(UInt32(message))
            output.writeFieldHead(1, bytes: Self.keyBytes)
            output.writeInteger(number)
            output.writeField(2, body)
        }
    }

    /// Makes a unary call.
    func call(_ path: String, _ message: ByteBuffer, _ answer: @escaping Answer) {
        let stream = open(Stream(number: 0, answer: answer))
        sendWindow -= message.readableBytes + 5
        write { output in
            let block = Self.headerBlock(path, isIndexed: false)
            Self.head(&output, block.count, Frame.headers, Frame.endHeaders, stream)
            output.writeBytes(block)
            Self.head(
                &output, message.readableBytes + 5, Frame.data, Frame.endStream, stream)
            output.writeInteger(UInt8(0))
            output.writeInteger(UInt32(message.readableBytes))
            output.writeImmutableBuffer(message)
        }
    }

    private func open(_ stream: Stream) -> UInt32 {
        let number = nextStream
        nextStream += 2
        streams[number] = stream
        return number
    }

    // MARK: Heads

    private static func head(
        _ output: inout ByteBuffer, _ length: Int, _ type: UInt8, _ flags: UInt8, _ stream: UInt32
    ) {
        output.writeInteger(UInt32(length) << 8 | UInt32(type))
        output.writeInteger(flags)
        output.writeInteger(stream)
    }

    private func requestHead(_ output: inout ByteBuffer, _ stream: UInt32) {
        let block = hasIndexedHead ? Self.indexedBlock : Self.firstBlock
        hasIndexedHead = true
        Self.head(&output, block.count, Frame.headers, Frame.endHeaders, stream)
        output.writeBytes(block)
    }

    /// The head of a Put that puts its fields into the peer's table (RFC 7541): the last one put in
    /// has index 62.
    private static let firstBlock = headerBlock(putPath, isIndexed: true)
    /// The head of every later Put: POST, http, and the four fields of the table.
    private static let indexedBlock: [UInt8] = [
        0x83, 0x86, 0x80 | 65, 0x80 | 64, 0x80 | 63, 0x80 | 62,
    ]

    private static func headerBlock(_ path: String, isIndexed: Bool) -> [UInt8] {
        func text(_ text: String) -> [UInt8] { [UInt8(text.utf8.count)] + Array(text.utf8) }
        // With index or without; then the name's place in the static table, or 0 and the name.
        let (form, prefix): (UInt8, UInt8) = isIndexed ? (0x40, 63) : (0, 15)
        func name(_ index: UInt8) -> [UInt8] {
            index < prefix ? [form | index] : [form | prefix, index - prefix]
        }
        return [0x83, 0x86] + name(4) + text(path) + name(1) + text("127.0.0.1") + [form]
            + text("te") + text("trailers") + name(31) + text("application/grpc")
    }

    // MARK: Frames

    override func receive() throws {
        while input.readableBytes >= 9 {
            let start = input.readerIndex
            guard let first: UInt32 = input.getInteger(at: start),
                let flags: UInt8 = input.getInteger(at: start + 4),
                let stream: UInt32 = input.getInteger(at: start + 5)
            else { return }
            let length = Int(first >> 8)
            guard input.readableBytes >= 9 + length else { return }
            input.moveReaderIndex(forwardBy: 9)
            guard let payload = input.readSlice(length: length) else { return }
            try take(UInt8(truncatingIfNeeded: first), flags, stream & 0x7FFF_FFFF, payload)
        }
    }

    private func take(
        _ type: UInt8, _ flags: UInt8, _ stream: UInt32, _ payload: ByteBuffer
    ) throws {
        var payload = payload
        switch type {
        case Frame.data: takeData(stream, payload)
        case Frame.headers:
            if flags & Frame.endStream != 0 { finish(stream, "etcd refused the call") }
        case Frame.reset: finish(stream, "etcd reset the stream")
        case Frame.settings where flags & Frame.ack == 0:
            write { Self.head(&$0, 0, Frame.settings, Frame.ack, 0) }
        case Frame.ping where flags & Frame.ack == 0:
            write { output in
                Self.head(&output, 8, Frame.ping, Frame.ack, 0)
                output.writeImmutableBuffer(payload)
            }
        case Frame.goAway: throw ProtocolError("etcd said goodbye")
        case Frame.window where stream == 0:
            sendWindow += Int((payload.readInteger(as: UInt32.self) ?? 0) & 0x7FFF_FFFF)
            let held = waiting
            waiting = []
            for number in held { send(number) }
        default: break
        }
    }

    private func takeData(_ stream: UInt32, _ payload: ByteBuffer) {
        readSinceUpdate += payload.readableBytes
        if readSinceUpdate >= Self.windowStep / 2 {
            let step = UInt32(readSinceUpdate)
            readSinceUpdate = 0
            write { output in
                Self.head(&output, 4, Frame.window, 0, 0)
                output.writeInteger(step)
            }
        }
        guard let index = streams.index(forKey: stream) else { return }
        streams.values[index].hasMessage = true
        if streams.values[index].answer != nil {
            streams.values[index].body.writeImmutableBuffer(payload)
        }
    }

    private func finish(_ number: UInt32, _ reason: String) {
        guard let stream = streams.removeValue(forKey: number) else { return }
        if let answer = stream.answer {
            var body = stream.body
            body.moveReaderIndex(forwardBy: min(5, body.readableBytes))
            answer(stream.hasMessage ? .success(body) : .failure(ProtocolError(reason)))
        } else if stream.hasMessage {
            tell(.acknowledged(stream.number))
        } else {
            tell(.refused(stream.number, reason: reason))
        }
    }
}
