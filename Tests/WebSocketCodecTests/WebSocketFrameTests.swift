import Bytes
import NIOCore
import Testing

@testable import WebSocketCodec

struct WebSocketFrameTests {
    @Test("a server's frame is the RFC's example, byte by byte")
    func serverText() {
        let frame = WebSocketFrame.encode(.text, ByteBuffer(string: "Hello"))
        #expect([UInt8](buffer: frame) == [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f])
    }

    @Test("a client's frame is the RFC's example, byte by byte")
    func clientText() {
        let frame = WebSocketFrame.encode(
            .text, ByteBuffer(string: "Hello"), mask: WebSocketMask(0x37FA_213D))
        #expect(
            [UInt8](buffer: frame)
                == [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58])
    }

    @Test(
        "the length takes the fewest bytes",
        arguments: [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)])
    func lengthForms(count: Int, header: Int) {
        let payload = ByteBuffer(repeating: 7, count: count)
        #expect(WebSocketFrame.encode(.binary, payload).readableBytes == count + header)
        #expect(WebSocketFrame.headerBytes(payloadBytes: count, isMasked: false) == header)
        let masked = WebSocketFrame.encode(.binary, payload, mask: WebSocketMask(1))
        #expect(masked.readableBytes == count + header + 4)
    }

    @Test(
        "random conversations come back, in both directions, at any split",
        arguments: [11, 12, 13] as [UInt64])
    func roundTrip(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        for role in [WebSocketRole.server, .client] {
            var stream: [UInt8] = []
            var expected: [WebSocketEvent] = []
            for _ in 0..<300 {
                let event = Self.randomEvent(&random)
                expected.append(event)
                stream += Self.frames(of: event, toward: role, &random)
            }
            let reading = read(cut(stream, with: &random), role: role)
            #expect(reading == Reading(events: expected), "seed \(seed), \(role)")
        }
    }

    @Test("a close frame carries code and reason, the reason cut at a character")
    func closeFrames() {
        let short = WebSocketFrame.encodeClose(.normal, reason: "bye")
        #expect([UInt8](buffer: short) == [0x88, 5, 0x03, 0xE8] + [UInt8]("bye".utf8))
        #expect([UInt8](buffer: WebSocketFrame.encodeClose(nil)) == [0x88, 0])
        let long = WebSocketFrame.encodeClose(
            WebSocketCloseCode(rawValue: 4003), reason: String(repeating: "🐦", count: 40))
        let reading = read([[UInt8](buffer: long)], role: .client)
        #expect(
            reading.events == [
                .close(
                    WebSocketCloseCode(rawValue: 4003), reason: String(repeating: "🐦", count: 30))
            ])
    }

    @Test("masking agrees with one byte at a time from every offset")
    func maskingAgrees() {
        var random = SplitMix64(seed: 5)
        for offset in 0..<8 {
            for count in 0..<40 {
                let key = UInt32.random(in: .min ... .max, using: &random)
                let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
                let keyBytes = bigEndian(UInt64(key), 4)
                let expected = bytes.enumerated().map { $1 ^ keyBytes[($0 + offset) % 4] }
                var result = [UInt8](repeating: 0, count: count)
                bytes.withUnsafeBytes { source in
                    result.withUnsafeMutableBytes {
                        WebSocketMask(key).copy(source, to: $0, offset: offset)
                    }
                }
                #expect(result == expected, "offset \(offset), count \(count)")
            }
        }
    }

    static func randomEvent(_ random: inout SplitMix64) -> WebSocketEvent {
        let count = [0, 3, 125, 126, 700].randomElement(using: &random) ?? 0
        let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
        switch Int.random(in: 0..<4, using: &random) {
        case 0: return .ping(ByteBuffer(bytes: bytes.prefix(125)))
        case 1: return .pong(ByteBuffer(bytes: bytes.prefix(125)))
        case 2: return .binary(ByteBuffer(bytes: bytes))
        default:
            let scalars: [Unicode.Scalar] = ["a", "ß", "€", "🐦", "\n"]
            var text = String.UnicodeScalarView()
            for byte in bytes { text.append(scalars[Int(byte) % scalars.count]) }
            return .text(ByteBuffer(string: String(text)))
        }
    }

    /// Encodes with the code under test, messages in up to four fragments, pings between them.
    static func frames(
        of event: WebSocketEvent, toward role: WebSocketRole, _ random: inout SplitMix64
    ) -> [UInt8] {
        func encode(_ opcode: WebSocketOpcode, _ payload: ByteBuffer, isFinal: Bool = true)
            -> [UInt8]
        {
            let mask =
                role == .server
                ? WebSocketMask(UInt32.random(in: .min ... .max, using: &random)) : nil
            return [UInt8](
                buffer: WebSocketFrame.encode(opcode, payload, isFinal: isFinal, mask: mask))
        }
        func fragments(_ first: WebSocketOpcode, _ payload: ByteBuffer) -> [UInt8] {
            var rest = payload
            var opcode = first
            var out: [UInt8] = []
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                let count = Int.random(in: 0...rest.readableBytes, using: &random)
                guard let part = rest.readSlice(length: count) else { break }
                out += encode(opcode, part, isFinal: false)
                opcode = .continuation
            }
            return out + encode(opcode, rest)
        }
        switch event {
        case .text(let payload): return fragments(.text, payload)
        case .binary(let payload): return fragments(.binary, payload)
        case .ping(let payload): return encode(.ping, payload)
        case .pong(let payload): return encode(.pong, payload)
        case .close(let code, let reason):
            return [UInt8](buffer: WebSocketFrame.encodeClose(code, reason: reason))
        }
    }
}
