import Bytes
import NIOCore
import Testing

@testable import WebSocketCodec

/// The decoder against a plain reader that wants the whole stream at once, on streams that were
/// damaged at random: both must read the same events and end the same way, and neither may trap.
struct WebSocketFuzzTests {
    @Test(
        "10,000 mutated streams read like the plain reader reads them",
        arguments: [101, 202] as [UInt64])
    func mutatedStreams(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var violations = 0
        for round in 0..<5_000 {
            var stream: [UInt8] = []
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                stream += WebSocketFrameTests.frames(
                    of: WebSocketFrameTests.randomEvent(&random), toward: .server, &random)
            }
            mutate(&stream, &random)
            let expected = PlainReader.read(stream, frameBytesMax: 1 << 20)
            let reading = read(cut(stream, with: &random))
            #expect(reading == expected, "seed \(seed), round \(round)")
            if reading.violation != nil { violations += 1 }
            guard reading == expected else { return }
        }
        #expect(violations > 1_000, "seed \(seed): damage is seen")
    }

    @Test("random bytes never trap", arguments: [7, 8] as [UInt64])
    func randomBytes(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        for role in [WebSocketRole.server, .client] {
            for _ in 0..<2_000 {
                let count = Int.random(in: 0...60, using: &random)
                let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
                let reading = read(cut(bytes, with: &random), role: role)
                #expect(reading.events.count <= count)
            }
        }
    }

    private func mutate(_ stream: inout [UInt8], _ random: inout SplitMix64) {
        for _ in 0..<Int.random(in: 0...3, using: &random) where !stream.isEmpty {
            let at = Int.random(in: 0..<stream.count, using: &random)
            switch Int.random(in: 0..<5, using: &random) {
            case 0: stream[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 1: stream[at] = UInt8.random(in: 0...255, using: &random)
            case 2: stream.remove(at: at)
            case 3: stream.insert(UInt8.random(in: 0...255, using: &random), at: at)
            default: stream.removeSubrange(at...)
            }
        }
    }
}

/// Frames by the letter of the RFC, with the whole stream in memory and no regard for speed.
enum PlainReader {
    static func read(_ stream: [UInt8], frameBytesMax: Int) -> Reading {
        var reading = Reading()
        var rest = stream[...]
        var message: (opcode: UInt8, bytes: [UInt8])?
        do {
            while let frame = try frame(
                &rest, isOpen: message != nil, frameBytesMax, message?.bytes.count ?? 0)
            {
                if frame.opcode >= 8 {
                    let event = try control(frame)
                    reading.events.append(event)
                    if case .close = event { return reading }
                    continue
                }
                var open = message ?? (frame.opcode, [])
                open.bytes += frame.payload
                if open.opcode == 1, !mayBecomeText(open.bytes) {
                    throw WebSocketViolation.invalidUTF8
                }
                message = open
                guard frame.isWhole else { break }
                guard frame.isFinal else { continue }
                if open.opcode == 1, !UTF8ValidatorTests.isValid(open.bytes) {
                    throw WebSocketViolation.invalidUTF8
                }
                let buffer = ByteBuffer(bytes: open.bytes)
                reading.events.append(open.opcode == 1 ? .text(buffer) : .binary(buffer))
                message = nil
            }
        } catch {
            reading.violation = error as? WebSocketViolation
        }
        return reading
    }

    struct Frame {
        var isFinal: Bool
        var opcode: UInt8
        var payload: [UInt8]
        var isWhole: Bool
    }

    /// Nil: not even a head, or a control frame that is not whole.
    static func frame(
        _ rest: inout ArraySlice<UInt8>, isOpen: Bool, _ limit: Int, _ held: Int
    ) throws -> Frame? {
        guard let first = rest.popFirst() else { return nil }
        if first & 0x70 != 0 { throw WebSocketViolation.reservedBits }
        let opcode = first & 15
        if ![0, 1, 2, 8, 9, 10].contains(opcode) { throw WebSocketViolation.unknownOpcode(opcode) }
        if opcode >= 8, first < 0x80 { throw WebSocketViolation.fragmentedControlFrame }
        guard let second = rest.popFirst() else { return nil }
        if second < 0x80 { throw WebSocketViolation.unmaskedClientFrame }
        var length = UInt64(second & 0x7F)
        if opcode >= 8, length > 125 { throw WebSocketViolation.controlFrameTooLong }
        let width = length == 126 ? 2 : length == 127 ? 8 : 0
        guard rest.count >= width + 4 else { return nil }
        if width > 0 {
            length = rest.prefix(width).reduce(0) { $0 << 8 | UInt64($1) }
            if length > UInt64(Int64.max) { throw WebSocketViolation.lengthOverflow }
            if length <= (width == 2 ? 125 : 65_535) { throw WebSocketViolation.lengthNotMinimal }
            rest = rest.dropFirst(width)
        }
        let key = [UInt8](rest.prefix(4))
        rest = rest.dropFirst(4)
        if opcode == 0, !isOpen { throw WebSocketViolation.unexpectedContinuation }
        if opcode == 1 || opcode == 2, isOpen { throw WebSocketViolation.unfinishedMessage }
        if opcode < 8, length > UInt64(limit) {
            throw WebSocketViolation.frameTooLarge(limit: limit)
        }
        if opcode < 8, length > UInt64(limit - held) {
            throw WebSocketViolation.messageTooLarge(limit: limit)
        }
        let taken = rest.prefix(Int(length))
        rest = rest.dropFirst(taken.count)
        let isWhole = taken.count == Int(length)
        if opcode >= 8, !isWhole { return nil }
        return Frame(
            isFinal: first >= 0x80, opcode: opcode,
            payload: taken.enumerated().map { $1 ^ key[$0 % 4] }, isWhole: isWhole)
    }

    static func control(_ frame: Frame) throws -> WebSocketEvent {
        if frame.opcode == 9 { return .ping(ByteBuffer(bytes: frame.payload)) }
        if frame.opcode == 10 { return .pong(ByteBuffer(bytes: frame.payload)) }
        if frame.payload.isEmpty { return .close(nil, reason: "") }
        if frame.payload.count == 1 { throw WebSocketViolation.truncatedCloseCode }
        let code = UInt16(frame.payload[0]) << 8 | UInt16(frame.payload[1])
        let known = [1000, 1001, 1002, 1003] + Array(1007...1014)
        guard known.contains(Int(code)) || (3000...4999).contains(code) else {
            throw WebSocketViolation.invalidCloseCode(code)
        }
        let reason = [UInt8](frame.payload.dropFirst(2))
        guard UTF8ValidatorTests.isValid(reason) else { throw WebSocketViolation.invalidUTF8 }
        return .close(
            WebSocketCloseCode(rawValue: code), reason: String(decoding: reason, as: UTF8.self))
    }

    /// True when some continuation makes `bytes` valid: try the shortest completions.
    static func mayBecomeText(_ bytes: [UInt8]) -> Bool {
        if UTF8ValidatorTests.isValid(bytes) { return true }
        for second: [UInt8] in [[0x80], [0xA0], [0x90]] {
            for tail in 0..<3
            where UTF8ValidatorTests.isValid(
                bytes + second + [UInt8](repeating: 0x80, count: tail))
            {
                return true
            }
        }
        return false
    }
}
