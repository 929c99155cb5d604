package import ChatModel
package import NIOCore

/// What the front end is told at start, and every bound of its own in one place.
package struct GatewayConfiguration: Sendable {
    /// Address to listen on.
    package var host: String
    /// Port to listen on; 0 takes a free one.
    package var port: Int
    /// Origins of browsers that may open a WebSocket, `scheme://host[:port]`, besides the one that
    /// the request's own Host makes and the node's public URL.
    package var allowedOrigins: [String] = []
    /// The web client by path (`/index.html`); `/` shows `/index.html`.
    package var staticFiles: [String: StaticFile] = [:]

    /// Open connections of all kinds; further ones wait in the kernel's queue.
    package var connectionsMax = 50_000
    /// Connections that the kernel queues.
    package var backlog = 4_096
    /// Connections taken from that queue in one turn of the event loop.
    package var acceptsPerTurn: UInt = 256
    /// Bytes of one header field.
    package var headerFieldBytesMax = 8 << 10
    /// Bytes of all header fields of a request.
    package var headerBytesMax = 32 << 10
    /// Header fields of a request.
    package var headerFieldsMax = 100
    /// Bytes of a request body other than media.
    package var bodyBytesMax = 256 << 10
    /// Until the first request's head is here.
    package var headerTimeout = TimeAmount.seconds(10)
    /// A kept connection without a request.
    package var idleTimeout = TimeAmount.seconds(75)
    /// What a graceful stop waits for before it cuts connections off.
    package var shutdownTimeout = TimeAmount.seconds(10)

    /// Bytes read from a WebSocket at a time: small, since most sockets are idle.
    package var socketReceiveBytes = 2_048
    /// Events that wait for one event loop; more are dropped, and sessions reconcile.
    package var loopInboxMax = 65_536
    /// After a close frame, until the connection is cut.
    package var closeTimeoutMs: Milliseconds = 5_000
    /// The longest that a client is asked to wait after a restart, so that not all come at once.
    package var restartWaitMs: Milliseconds = 2_000

    /// The defaults.
    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }
}

/// A file of the web client, held in memory.
package struct StaticFile: Sendable {
    /// The content.
    package var bytes: ByteBuffer
    /// MIME type.
    package var type: String
    /// Entity tag with its quotes; changes with the content.
    package var etag: String

    /// A file.
    package init(bytes: ByteBuffer, type: String, etag: String) {
        self.bytes = bytes
        self.type = type
        self.etag = etag
    }
}

/// A node as clients see it.
package struct GatewayNode: Equatable, Sendable {
    /// Its id.
    package var id: String
    /// Where clients reach it; empty: under the address that this client used.
    package var url: String
    /// Its load, 0…1.
    package var load: Double
    /// True for the node that answers.
    package var isSelf: Bool

    /// A node.
    package init(id: String, url: String, load: Double, isSelf: Bool) {
        self.id = id
        self.url = url
        self.load = load
        self.isSelf = isSelf
    }
}

/// What an operator asks of a node.
package enum AdminCall: Equatable, Sendable {
    /// All nodes as this one sees them.
    case nodes
    /// All shards as this node has them.
    case shards
    /// Hand a shard, led here, to a node.
    case transfer(shard: UInt32, node: UInt16)
    /// Add a node to the cluster.
    case addNode(number: UInt16, peer: String, url: String)
    /// Say where the node with a number, lost and replaced, is now.
    case replaceNode(number: UInt16, peer: String, url: String)
    /// Take a node out of the cluster.
    case removeNode(UInt16)
}

/// What the front end needs from the program around it.
package protocol GatewayHost: Sendable {
    /// Milliseconds since 1970.
    func wallMilliseconds() -> Milliseconds
    /// Whether the node can serve: `/readyz`.
    func isReady() -> Bool
    /// `/status`, a JSON object.
    func status() -> String
    /// `/metrics`, in the Prometheus text format.
    func metrics() -> String
    /// The cluster's nodes that clients may use, this one included.
    func nodes() -> [GatewayNode]
    /// The node where a user's sockets should go; nil: this one.
    func home(of user: UserID) -> GatewayNode?
    /// Does what an operator asks for: the answer is a JSON object. Throws ``ServiceError``.
    func administer(_ call: AdminCall) async throws -> String
    /// 64 random bits, for jitter.
    func randomSeed() -> UInt64
}
