/// A node's number in its cluster, 1…65,535.
package typealias NodeNumber = UInt16

/// Who a node says it is when it opens a channel.
package struct PeerHello: Equatable, Sendable {
    /// Its number.
    package var node: NodeNumber
    /// Drawn when its data directory was made, so that a wiped node is not taken for its old self.
    package var incarnation: UInt64
    /// 16 bytes of the cluster's id, or empty while the node belongs to none.
    package var cluster: [UInt8]
    /// The configured name of the cluster; equal on all nodes.
    package var clusterName: String

    /// A node's introduction.
    package init(node: NodeNumber, incarnation: UInt64, cluster: [UInt8], clusterName: String) {
        self.node = node
        self.incarnation = incarnation
        self.cluster = cluster
        self.clusterName = clusterName
    }
}

/// What comes from other nodes. It is called on the transport's threads, in order per peer, and
/// must return at once.
package enum PeerEvent: Sendable {
    /// Our channel *to* this node is open: sends will be carried.
    case connected(PeerHello)
    /// Our channel to this node is gone; what was queued for it is lost.
    case disconnected(NodeNumber, incarnation: UInt64)
    /// A frame that this node sent to us.
    case frame(from: PeerHello, [UInt8])
    /// A peer was refused, or refused us: one sentence for people (who, why, remedy). The number
    /// is the peer's where it is known.
    case refused(NodeNumber?, String)
}

/// One-way channels between nodes: what a node sends travels on the channel that it opened itself.
/// Frames arrive whole, in order and at most once while a channel lives, and may be lost at any
/// time.
package protocol PeerTransport: Sendable {
    /// Queues a frame of at least one byte for a node. False when there is no channel, its queue is
    /// full or the frame is longer than the transport carries: then it is lost, as frames may be
    /// lost at any time. Never blocks; any thread.
    func send(_ frame: [UInt8], to node: NodeNumber) -> Bool

    /// Begins, once: `hello` is asked at each handshake; `take` gets what comes. Both are called on
    /// the transport's threads. Throws when the transport can't listen or can't read its keys.
    func start(
        hello: @escaping @Sendable () -> PeerHello, take: @escaping @Sendable (PeerEvent) -> Void
    ) throws

    /// The nodes to keep channels to, by number, with their addresses HOST:PORT; replaces the
    /// former list. The own number is ignored. Any thread.
    func setPeers(_ peers: [(node: NodeNumber, address: String)])

    /// Ends: closes every channel and the port. When it returns, no event comes any more. It waits,
    /// so it must not be called from `hello` or `take`.
    func stop()
}
