import Bytes
import ChatModel
import NIOCore
import WebSocketCodec
import WireProtocol

/// A user's WebSocket to a node of Magpie, in the binary encoding. A message is a `send` into one
/// of the user's conversations under a cid of its own; `sent` comes once the shard's majority has
/// it on disk and the leader has applied it.
final class MagpieLink: Link {
    /// Whose socket it is.
    struct User {
        let token: String
        let conversations: [ConversationID]
    }

    private let conversations: [[UInt8]]
    private let token: String
    private let authority: String
    private let key: String
    private var masks: SplitMix64
    private var decoder = WebSocketDecoder(role: .client, limits: .init(frameBytesMax: 16 << 20))
    private var isUpgraded = false

    init(
        user: User, port: Int, seed: UInt64, report: @escaping (LinkEvent) -> Void
    ) {
        conversations = user.conversations.map { Array($0.description.utf8) }
        token = user.token
        authority = "127.0.0.1:\(port)"
        masks = SplitMix64(seed: seed)
        key = WebSocketHandshake.makeKey(masks.next(), masks.next())
        super.init(report: report)
    }

    /// The cid of a message; the client's part of an identifier is free.
    static func cid(_ number: UInt64) -> ClientMessageID {
        ClientMessageID(high: 0x6D61_6770_6965_8000, low: number)
    }

    override func begin() {
        let request = """
            GET /v1/ws HTTP/1.1\r
            Host: \(authority)\r
            Connection: Upgrade\r
            Upgrade: websocket\r
            Sec-WebSocket-Version: \(WebSocketHandshake.version)\r
            Sec-WebSocket-Key: \(key)\r
            Sec-WebSocket-Protocol: \(WireEncoding.binary.subprotocol)\r
            \r

            """
        write { $0.writeString(request) }
    }

    // MARK: Out

    private static let cidStart = Array("6d616770-6965-8000-".utf8)

    override func send(_ number: UInt64) {
        // Another conversation with every message of this socket, whatever the socket's number.
        let place = SplitMix64.mix(number) % UInt64(conversations.count)
        let payload = Self.frame(number, to: conversations[Int(place)])
        write(.binary, payload)
    }

    /// `ClientFrame {id, send {conversation, cid, text}}`.
    static func frame(_ number: UInt64, to conversation: [UInt8]) -> ByteBuffer {
        let body = Bodies.body(number)
        let digits = number.hexDigits
        let send =
            ProtobufBytes.fieldBytes(conversation.count) + ProtobufBytes.fieldBytes(36)
            + ProtobufBytes.fieldBytes(body.count)
        var payload = ByteBufferAllocator().buffer(
            capacity: ProtobufBytes.fieldBytes(16) + ProtobufBytes.fieldBytes(send))
        payload.writeField(1, digits)
        payload.writeFieldHead(3, bytes: send)
        payload.writeField(1, conversation)
        payload.writeFieldHead(3, bytes: 36)
        payload.writeBytes(cidStart)
        payload.writeBytes(digits[..<4])
        payload.writeInteger(UInt8(ascii: "-"))
        payload.writeBytes(digits[4...])
        payload.writeField(4, body)
        return payload
    }

    private func write(_ opcode: WebSocketOpcode, _ payload: ByteBuffer) {
        let mask = WebSocketMask(UInt32(truncatingIfNeeded: masks.next()))
        let frame = WebSocketFrame.encode(opcode, payload, mask: mask)
        write { $0.writeImmutableBuffer(frame) }
    }

    // MARK: In

    override func receive() throws {
        if !isUpgraded {
            let end = Array("\r\n\r\n".utf8)
            let view = input.readableBytesView
            guard let range = view.firstRange(of: end) else { return }
            let head = String(decoding: view[..<range.lowerBound], as: UTF8.self)
            guard head.hasPrefix("HTTP/1.1 101"),
                head.contains(WebSocketHandshake.accept(forKey: key))
            else { throw ProtocolError("the upgrade was answered by \(head.prefix(60))") }
            input.moveReaderIndex(to: range.upperBound)
            isUpgraded = true
        }
        while let event = try decoder.next(from: &input) {
            switch event {
            case .binary(let frame): try take(frame)
            case .ping(let payload): write(.pong, payload)
            case .close(let code, let reason):
                throw ProtocolError("the server closed: \(code?.rawValue ?? 0) \(reason)")
            case .text, .pong: break
            }
        }
    }

    /// `ServerFrame`: its id comes before its body.
    private func take(_ frame: ByteBuffer) throws {
        var rest = frame
        var number: UInt64?
        while let field = rest.readField() {
            switch field.number {
            case 1: number = field.bytes.flatMap { UInt64(hexDigits: $0.readableBytesView) }
            // hello
            case 2:
                let auth = ClientFrame(id: nil, body: .auth(.token(token), resume: nil))
                write(.binary, ByteBuffer(bytes: ClientFrameEncoder.encode(auth, .binary)))
            // ready
            case 3: tell(.opened)
            // sent
            case 5: if let number { tell(.acknowledged(number)) }
            // error
            case 15:
                let reason = Self.reason(of: field)
                guard let number else { throw ProtocolError("the server says \(reason)") }
                tell(.refused(number, reason: reason))
            default: break
            }
        }
    }

    /// `ErrorAnswer {code, detail}`.
    private static func reason(of field: ProtobufField) -> String {
        var rest = field.bytes ?? ByteBuffer()
        var texts: [String] = []
        while let field = rest.readField() {
            if let bytes = field.bytes { texts.append(String(buffer: bytes)) }
        }
        return texts.joined(separator: ": ")
    }
}
