/// A close code (RFC 6455, section 7.4): a number that says why a connection ends.
///
/// | Range | Meaning |
/// |---|---|
/// | 0…999 | never used |
/// | 1000…2999 | the RFC and its registry; 1004, 1005, 1006 and 1015 never stand in a frame |
/// | 3000…3999 | registered by libraries and applications |
/// | 4000…4999 | private; Magpie's own are in the client protocol |
package struct WebSocketCloseCode: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt16

    /// The code with this number, valid in a frame or not.
    package init(rawValue: UInt16) {
        self.rawValue = rawValue
    }

    package static let normal = Self(rawValue: 1000)
    package static let goingAway = Self(rawValue: 1001)
    package static let protocolError = Self(rawValue: 1002)
    package static let unsupportedData = Self(rawValue: 1003)
    package static let invalidData = Self(rawValue: 1007)
    package static let policyViolation = Self(rawValue: 1008)
    package static let tooBig = Self(rawValue: 1009)
    package static let internalError = Self(rawValue: 1011)

    /// True when a peer may put this code into a close frame.
    package var isValidInFrame: Bool {
        switch rawValue {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }
}
