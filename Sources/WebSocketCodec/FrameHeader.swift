/// The head of a frame (RFC 6455, section 5.2), gathered byte by byte and judged as early as its
/// bytes allow.
///
/// ```text
/// byte 0   FIN RSV1 RSV2 RSV3 opcode(4)
/// byte 1   MASK length(7): 0…125, 126 = two bytes follow, 127 = eight bytes follow
/// 2 or 8   length, big endian, in the fewest bytes that hold it
/// 4        mask key, only when MASK is set
/// ```
///
/// It holds at most 14 bytes, so a peer that stops in the middle costs nothing.
struct FrameHeader: Sendable {
    static let bytesMax = 14

    private var bytes = InlineArray<14, UInt8>(repeating: 0)
    private var count = 0
    private var needed = 2

    private(set) var opcode = WebSocketOpcode.continuation
    private(set) var isFinal = false
    private(set) var length = 0
    private(set) var mask: WebSocketMask?

    /// Takes one byte. True once the head is whole.
    mutating func take(_ byte: UInt8, role: WebSocketRole) throws(WebSocketViolation) -> Bool {
        bytes[count] = byte
        count &+= 1
        switch count {
        case 1: try judgeFirstByte(byte)
        case 2: try judgeSecondByte(byte, role: role)
        default: break
        }
        guard count == needed else { return false }
        try finish()
        return true
    }

    private mutating func judgeFirstByte(_ byte: UInt8) throws(WebSocketViolation) {
        guard byte & 0x70 == 0 else { throw .reservedBits }
        guard let opcode = WebSocketOpcode(rawValue: byte & 0x0F) else {
            throw .unknownOpcode(byte & 0x0F)
        }
        self.opcode = opcode
        isFinal = byte & 0x80 != 0
        if opcode.isControl, !isFinal { throw .fragmentedControlFrame }
    }

    private mutating func judgeSecondByte(
        _ byte: UInt8, role: WebSocketRole
    ) throws(WebSocketViolation) {
        let isMasked = byte & 0x80 != 0
        switch role {
        case .server where !isMasked: throw .unmaskedClientFrame
        case .client where isMasked: throw .maskedServerFrame
        default: break
        }
        let short = byte & 0x7F
        if opcode.isControl, short > 125 { throw .controlFrameTooLong }
        let extended = short == 126 ? 2 : short == 127 ? 8 : 0
        needed = 2 + extended + (isMasked ? 4 : 0)
    }

    private mutating func finish() throws(WebSocketViolation) {
        var next = 2
        switch bytes[1] & 0x7F {
        case 126:
            length = Int(bytes[2]) << 8 | Int(bytes[3])
            next = 4
            guard length > 125 else { throw .lengthNotMinimal }
        case 127:
            guard bytes[2] & 0x80 == 0 else { throw .lengthOverflow }
            length = 0
            for index in 2..<10 { length = length &<< 8 | Int(bytes[index]) }
            next = 10
            guard length > 0xFFFF else { throw .lengthNotMinimal }
        case let short:
            length = Int(short)
        }
        guard bytes[1] & 0x80 != 0 else { return }
        mask = WebSocketMask(
            littleEndianKey: UInt32(bytes[next]) | UInt32(bytes[next + 1]) << 8
                | UInt32(bytes[next + 2]) << 16 | UInt32(bytes[next + 3]) << 24)
    }
}
