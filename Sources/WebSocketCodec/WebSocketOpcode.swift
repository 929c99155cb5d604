/// What a frame carries (RFC 6455, section 5.2). Values that the RFC reserves do not exist here: a
/// frame that bears one is a violation.
package enum WebSocketOpcode: UInt8, Sendable, CaseIterable {
    case continuation = 0x0
    case text = 0x1
    case binary = 0x2
    case close = 0x8
    case ping = 0x9
    case pong = 0xA

    /// Control frames may stand between the fragments of a message, are never fragmented
    /// themselves and carry at most 125 bytes.
    package var isControl: Bool { rawValue & 0x8 != 0 }
}

/// Which end of the connection this side is. The client masks what it sends, the server never
/// does, and each end must refuse a peer that breaks this (RFC 6455, section 5.1).
package enum WebSocketRole: Sendable {
    case server
    case client
}
