package import NIOCore

/// What node-to-node transport is told at start, and every bound of its own in one place.
package struct PeerLinkConfiguration: Sendable {
    /// Address to listen on.
    package var listenHost: String
    /// Port to listen on; 0 takes a free one.
    package var listenPort: Int
    /// Mutual TLS; nil for plain TCP, which belongs on a trusted network only.
    package var tls: PeerTLS?

    /// Bytes of one frame.
    package var frameBytesMax = 16 << 20
    /// Bytes that wait for one peer; each frame counts with ``Outbox/frameOverheadBytes`` more.
    package var queueBytesMax = 32 << 20
    /// Connections of strangers: those that have not said who they are.
    package var strangersMax = 64
    /// Until a peer takes the connection.
    package var connectTimeout = TimeAmount.seconds(2)
    /// From the connection to the end of the handshake, TLS included.
    package var handshakeTimeout = TimeAmount.seconds(3)
    /// The wait before the second attempt to reach a peer; it doubles from attempt to attempt.
    package var reconnectMin = TimeAmount.milliseconds(50)
    /// The longest wait between attempts.
    package var reconnectMax = TimeAmount.seconds(1)
    /// How often each side says that it lives.
    package var pingInterval = TimeAmount.milliseconds(500)
    /// A channel on which nothing was heard for so long is dead.
    package var silenceMax = TimeAmount.seconds(3)
    /// The same refusal is told again only after so long.
    package var refusalInterval = TimeAmount.seconds(60)
    /// Seed of the jitter between attempts; different on each node.
    package var seed: UInt64 = 0

    /// The defaults.
    package init(listenHost: String, listenPort: Int, tls: PeerTLS? = nil) {
        self.listenHost = listenHost
        self.listenPort = listenPort
        self.tls = tls
    }
}

/// Why the transport can't start; the text is for people.
package enum PeerLinkError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The node's own hello can't be said: number 0, a cluster id that is not 0 or 16 bytes, a
    /// cluster name that is not 1…255 bytes.
    case invalidHello
    /// Certificates or keys can't be used: which, and why.
    case tls(String)
    /// The port can't be listened on: which, and why.
    case listen(String)

    /// One line for people.
    package var description: String {
        switch self {
        case .invalidHello: "this node's number, cluster id or cluster name can't be said to others"
        case .tls(let what): what
        case .listen(let what):
            "\(what); stop the program that has it, or choose another peerListen"
        }
    }
}
