/// What a peer did wrong. Every case has one close code, given here and nowhere else; a caller
/// with codes of its own (the gateway) maps from the case.
package enum WebSocketViolation: Error, Hashable, Sendable {
    /// A reserved bit is set and no extension gives it a meaning.
    case reservedBits
    /// The opcode is one that the RFC reserves.
    case unknownOpcode(UInt8)
    /// A client sent a frame without a mask.
    case unmaskedClientFrame
    /// A server sent a frame with a mask.
    case maskedServerFrame
    /// The length is written in more bytes than it needs.
    case lengthNotMinimal
    /// The length has its top bit set.
    case lengthOverflow
    /// A close, ping or pong without FIN.
    case fragmentedControlFrame
    /// A close, ping or pong of more than 125 bytes.
    case controlFrameTooLong
    /// A continuation with nothing to continue.
    case unexpectedContinuation
    /// A text or binary frame before the last message ended.
    case unfinishedMessage
    /// One frame is above the limit (bytes).
    case frameTooLarge(limit: Int)
    /// The fragments of one message together are above the limit (bytes).
    case messageTooLarge(limit: Int)
    /// A message has more fragments than the limit.
    case tooManyFragments(limit: Int)
    /// Text, or the reason of a close, is not UTF-8.
    case invalidUTF8
    /// A close payload of one byte.
    case truncatedCloseCode
    /// A close code that may not stand in a frame.
    case invalidCloseCode(UInt16)

    /// The code to close with.
    package var closeCode: WebSocketCloseCode {
        switch self {
        case .invalidUTF8: .invalidData
        case .frameTooLarge, .messageTooLarge, .tooManyFragments: .tooBig
        case .reservedBits, .unknownOpcode, .unmaskedClientFrame, .maskedServerFrame,
            .lengthNotMinimal, .lengthOverflow, .fragmentedControlFrame, .controlFrameTooLong,
            .unexpectedContinuation, .unfinishedMessage, .truncatedCloseCode, .invalidCloseCode:
            .protocolError
        }
    }
}
