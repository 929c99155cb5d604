import NIOCore
import Testing

@testable import WebSocketCodec

struct WebSocketDecoderTests {
    /// RFC 6455, section 5.7.
    static let examples: [(String, WebSocketRole, [UInt8], WebSocketEvent)] = [
        ("unmasked text", .client, [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f], .text("Hello")),
        (
            "masked text", .server,
            [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58], .text("Hello")
        ),
        (
            "fragmented text", .client, [0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f],
            .text("Hello")
        ),
        ("ping", .client, [0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f], .ping("Hello")),
        (
            "masked pong", .server,
            [0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58], .pong("Hello")
        ),
    ]

    @Test("the examples of the RFC decode", arguments: examples)
    func examplesDecode(
        name: String, role: WebSocketRole, bytes: [UInt8], expected: WebSocketEvent
    ) {
        #expect(read([bytes], role: role) == Reading(events: [expected]), "\(name)")
    }

    @Test(
        "lengths around each form of the length field decode",
        arguments: [0, 1, 7, 8, 9, 125, 126, 127, 65_535, 65_536, 70_001])
    func lengthForms(count: Int) {
        let payload = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ 7) }
        let bytes = RawFrame(opcode: 2, payload: payload).bytes
        #expect(read([bytes]) == Reading(events: [.binary(ByteBuffer(bytes: payload))]))
        let unmasked = RawFrame(opcode: 2, isMasked: false, payload: payload).bytes
        #expect(
            read([unmasked], role: .client)
                == Reading(events: [.binary(ByteBuffer(bytes: payload))]))
    }

    @Test("a stream reads the same whatever the split position")
    func everySplit() {
        let stream =
            RawFrame.text("Grüße 🐦", isFinal: false).bytes
            + RawFrame(opcode: 9, payload: [1, 2, 3]).bytes
            + RawFrame.text("…weiter", isFinal: true, opcode: 0).bytes
            + RawFrame(opcode: 2, payload: [UInt8](repeating: 9, count: 300)).bytes
            + RawFrame(opcode: 10).bytes
            + RawFrame(opcode: 8, payload: [0x03, 0xE8] + [UInt8]("bye".utf8)).bytes
        let whole = read([stream])
        #expect(
            whole.events == [
                .ping(ByteBuffer(bytes: [1, 2, 3])), .text("Grüße 🐦…weiter"),
                .binary(ByteBuffer(repeating: 9, count: 300)), .pong(ByteBuffer()),
                .close(.normal, reason: "bye"),
            ])
        #expect(read(stream.map { [$0] }) == whole)
        for split in 0...stream.count {
            let pieces = [[UInt8](stream[..<split]), [UInt8](stream[split...])]
            #expect(read(pieces) == whole, "split at \(split)")
        }
    }

    @Test("nothing is read after a close frame")
    func silenceAfterClose() {
        let stream = RawFrame(opcode: 8).bytes + [0xFF, 0xFF, 0xFF] + RawFrame.text("late").bytes
        #expect(read([stream]) == Reading(events: [.close(nil, reason: "")]))
    }

    @Test("a violation stays")
    func violationStays() {
        var decoder = WebSocketDecoder(role: .server, limits: .roomy)
        for bytes in [[0x83], RawFrame.text("hi").bytes] {
            #expect(throws: WebSocketViolation.unknownOpcode(3)) {
                var buffer = ByteBuffer(bytes: bytes)
                _ = try decoder.next(from: &buffer)
            }
        }
    }

    @Test("a claimed length reserves nothing and a partial message is bounded by what arrived")
    func memoryFollowsArrival() throws {
        var decoder = WebSocketDecoder(role: .server, limits: .roomy)
        var head = ByteBuffer(
            bytes: RawFrame(opcode: 2, claimed: 1 << 20, payload: [1, 2, 3]).bytes)
        let event = try decoder.next(from: &head)
        #expect(event == nil)
        #expect(decoder.heldBytes == 3)
        #expect(head.readableBytes == 0)
    }

    static let violations: [(String, [UInt8], WebSocketViolation)] = [
        ("RSV1", RawFrame(reserved: 4).bytes, .reservedBits),
        ("RSV2", RawFrame(reserved: 2).bytes, .reservedBits),
        ("RSV3", RawFrame(reserved: 1, opcode: 9).bytes, .reservedBits),
        ("opcode 3", RawFrame(opcode: 3).bytes, .unknownOpcode(3)),
        ("opcode 7", RawFrame(opcode: 7).bytes, .unknownOpcode(7)),
        ("opcode 11", RawFrame(opcode: 11).bytes, .unknownOpcode(11)),
        ("opcode 15", RawFrame(opcode: 15).bytes, .unknownOpcode(15)),
        ("no mask", RawFrame(isMasked: false).bytes, .unmaskedClientFrame),
        (
            "two bytes for 125",
            RawFrame(lengthBytes: 2, payload: [UInt8](repeating: 65, count: 125))
                .bytes, .lengthNotMinimal
        ),
        ("two bytes for 0", RawFrame(lengthBytes: 2).bytes, .lengthNotMinimal),
        (
            "eight bytes for 65535", RawFrame(lengthBytes: 8, claimed: 65_535).bytes,
            .lengthNotMinimal
        ),
        (
            "top bit of the length", RawFrame(lengthBytes: 8, claimed: 1 << 63).bytes,
            .lengthOverflow
        ),
        ("all ones length", RawFrame(lengthBytes: 8, claimed: .max).bytes, .lengthOverflow),
        (
            "largest length", RawFrame(lengthBytes: 8, claimed: .max >> 1).bytes,
            .frameTooLarge(limit: 1 << 20)
        ),
        ("ping without FIN", RawFrame(isFinal: false, opcode: 9).bytes, .fragmentedControlFrame),
        ("close without FIN", RawFrame(isFinal: false, opcode: 8).bytes, .fragmentedControlFrame),
        (
            "ping of 126", RawFrame(opcode: 9, payload: [UInt8](repeating: 1, count: 126)).bytes,
            .controlFrameTooLong
        ),
        ("continuation first", RawFrame(opcode: 0).bytes, .unexpectedContinuation),
        (
            "continuation after a whole message",
            RawFrame.text("a").bytes + RawFrame(opcode: 0).bytes, .unexpectedContinuation
        ),
        (
            "text inside a message",
            RawFrame.text("a", isFinal: false).bytes + RawFrame.text("b").bytes, .unfinishedMessage
        ),
        (
            "binary inside a message",
            RawFrame.text("a", isFinal: false).bytes + RawFrame(opcode: 2).bytes, .unfinishedMessage
        ),
        ("close of one byte", RawFrame(opcode: 8, payload: [3]).bytes, .truncatedCloseCode),
        (
            "close reason not UTF-8", RawFrame(opcode: 8, payload: [0x03, 0xE8, 0xFF]).bytes,
            .invalidUTF8
        ),
        (
            "close reason cut inside a character",
            RawFrame(opcode: 8, payload: [0x03, 0xE8, 0xE2, 0x82]).bytes, .invalidUTF8
        ),
        ("text not UTF-8", RawFrame(payload: [0xFF]).bytes, .invalidUTF8),
    ]

    @Test("each broken rule is named, byte by byte as well", arguments: violations)
    func brokenRules(name: String, bytes: [UInt8], expected: WebSocketViolation) {
        #expect(read([bytes]).violation == expected, "\(name)")
        #expect(read(bytes.map { [$0] }).violation == expected, "\(name), byte by byte")
    }

    @Test("a client refuses a masked frame")
    func clientRefusesMask() {
        #expect(
            read([RawFrame.text("a").bytes], role: .client).violation == .maskedServerFrame)
    }

    @Test("a broken first or second byte is refused before the rest arrives")
    func refusedEarly() {
        #expect(read([[0xC1]]).violation == .reservedBits)
        #expect(read([[0x89, 0xFE]]).violation == .controlFrameTooLong)
        #expect(read([[0x81, 0x05]]).violation == .unmaskedClientFrame)
    }

    @Test("limits on frame, message and fragments hold exactly")
    func limitsHold() {
        let limits = WebSocketDecoder.Limits(
            frameBytesMax: 100, messageBytesMax: 150, fragmentsMax: 3)
        func frame(_ count: Int, opcode: UInt8, isFinal: Bool) -> [UInt8] {
            RawFrame(
                isFinal: isFinal, opcode: opcode, payload: [UInt8](repeating: 65, count: count)
            ).bytes
        }
        #expect(read([frame(100, opcode: 2, isFinal: true)], limits: limits).violation == nil)
        #expect(
            read([frame(101, opcode: 2, isFinal: true)], limits: limits).violation
                == .frameTooLarge(limit: 100))
        let start = frame(100, opcode: 1, isFinal: false)
        let fits = read([start, frame(50, opcode: 0, isFinal: true)], limits: limits)
        #expect(fits.events.count == 1)
        #expect(
            read([start, frame(51, opcode: 0, isFinal: true)], limits: limits).violation
                == .messageTooLarge(limit: 150))
        let empty = frame(0, opcode: 0, isFinal: false)
        #expect(read([start, empty, empty], limits: limits).violation == nil)
        #expect(
            read([start, empty, empty, empty], limits: limits).violation
                == .tooManyFragments(limit: 3))
    }

    @Test("only codes that may stand in a frame are accepted")
    func closeCodes() {
        for code in UInt16.min...5100 {
            let bytes = RawFrame(opcode: 8, payload: bigEndian(UInt64(code), 2)).bytes
            let isValid =
                [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014]
                .contains(code) || (3000...4999).contains(code)
            let expected =
                isValid
                ? Reading(events: [.close(WebSocketCloseCode(rawValue: code), reason: "")])
                : Reading(violation: .invalidCloseCode(code))
            #expect(read([bytes]) == expected, "code \(code)")
        }
    }

    @Test("every violation has a close code that may stand in a frame")
    func violationCodes() {
        #expect(WebSocketViolation.invalidUTF8.closeCode.rawValue == 1007)
        #expect(WebSocketViolation.frameTooLarge(limit: 1).closeCode.rawValue == 1009)
        #expect(WebSocketViolation.messageTooLarge(limit: 1).closeCode.rawValue == 1009)
        for (_, _, violation) in Self.violations {
            #expect(violation.closeCode.isValidInFrame)
        }
    }
}

extension WebSocketEvent {
    static func text(_ text: String) -> Self { .text(ByteBuffer(string: text)) }
    static func ping(_ text: String) -> Self { .ping(ByteBuffer(string: text)) }
    static func pong(_ text: String) -> Self { .pong(ByteBuffer(string: text)) }
}
