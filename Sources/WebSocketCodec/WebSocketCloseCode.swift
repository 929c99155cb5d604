/// A close code (RFC 6455, section 7.4): a number that says why a connection ends.
///
/// | Range | Meaning |
/// |---|---|
/// | 0…999 | never used |
/// | 1000…2999 | the RFC and its registry; 1004, 1005, 1006 and 1015 never stand in a frame |
/// | 3000…3999 | registered by libraries and applications |
/// | 4000…4999 | private; Magpie's own are in the client protocol |
package struct WebSocketCloseCode: RawRepresentable, Hashable, Sendable {
    /// The number, as in a close frame.
    package let rawValue: UInt16

    /// The code with this number, valid in a frame or not.
    package init(rawValue: UInt16) {
        self.rawValue = rawValue
    }

    /// The connection has done what it was for.
    package static let normal = Self(rawValue: 1000)
    /// A server stops, or a browser leaves the page.
    package static let goingAway = Self(rawValue: 1001)
    /// The peer broke the rules of framing.
    package static let protocolError = Self(rawValue: 1002)
    /// A kind of message that the receiver does not take.
    package static let unsupportedData = Self(rawValue: 1003)
    /// A message that does not fit its kind, such as text that is not UTF-8.
    package static let invalidData = Self(rawValue: 1007)
    /// A message that the receiver refuses, when no other code fits.
    package static let policyViolation = Self(rawValue: 1008)
    /// A message above the limit of the receiver.
    package static let tooBig = Self(rawValue: 1009)
    /// The server failed; it is not the client's fault.
    package static let internalError = Self(rawValue: 1011)

    /// True when a peer may put this code into a close frame.
    package var isValidInFrame: Bool {
        switch rawValue {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }
}
