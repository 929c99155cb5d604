import Bytes
import NIOCore

@testable import WebSocketCodec

/// What a decoder made of a whole stream: its events and how it ended.
struct Reading: Equatable {
    var events: [WebSocketEvent] = []
    var violation: WebSocketViolation?
}

extension WebSocketDecoder.Limits {
    static let roomy = Self(frameBytesMax: 1 << 20)
}

/// Feeds `pieces` one after the other into one decoder.
func read(
    _ pieces: [[UInt8]], role: WebSocketRole = .server,
    limits: WebSocketDecoder.Limits = .roomy
) -> Reading {
    var decoder = WebSocketDecoder(role: role, limits: limits)
    var reading = Reading()
    for piece in pieces {
        var buffer = ByteBuffer(bytes: piece)
        do {
            while let event = try decoder.next(from: &buffer) { reading.events.append(event) }
        } catch {
            reading.violation = error
            return reading
        }
    }
    return reading
}

/// A frame built bit by bit, so that every rule can be broken.
struct RawFrame {
    var isFinal = true
    var reserved: UInt8 = 0
    var opcode: UInt8 = 1
    var isMasked = true
    var key: UInt32 = 0x37FA_213D
    /// Bytes of the extended length: 0, 2, 8, or nil for the fewest.
    var lengthBytes: Int?
    /// The length that is written, when it is not the payload's.
    var claimed: UInt64?
    var payload: [UInt8] = []

    var bytes: [UInt8] {
        let length = claimed ?? UInt64(payload.count)
        let width = lengthBytes ?? (length <= 125 ? 0 : length <= 0xFFFF ? 2 : 8)
        var out: [UInt8] = [(isFinal ? 0x80 : 0) | reserved << 4 | opcode]
        let mask: UInt8 = isMasked ? 0x80 : 0
        switch width {
        case 0: out.append(mask | UInt8(truncatingIfNeeded: length))
        case 2: out += [mask | 126] + bigEndian(length, 2)
        default: out += [mask | 127] + bigEndian(length, 8)
        }
        guard isMasked else { return out + payload }
        let keyBytes = bigEndian(UInt64(key), 4)
        out += keyBytes
        for (index, byte) in payload.enumerated() { out.append(byte ^ keyBytes[index % 4]) }
        return out
    }

    static func text(_ text: String, isFinal: Bool = true, opcode: UInt8 = 1) -> Self {
        Self(isFinal: isFinal, opcode: opcode, payload: [UInt8](text.utf8))
    }
}

func bigEndian(_ value: UInt64, _ width: Int) -> [UInt8] {
    (0..<width).reversed().map { UInt8(truncatingIfNeeded: value >> UInt64($0 * 8)) }
}

/// Splits `bytes` at random places.
func cut(_ bytes: [UInt8], with random: inout SplitMix64) -> [[UInt8]] {
    var pieces: [[UInt8]] = []
    var start = 0
    while start < bytes.count {
        let end = min(bytes.count, start + Int.random(in: 1...40, using: &random))
        pieces.append([UInt8](bytes[start..<end]))
        start = end
    }
    return pieces
}
