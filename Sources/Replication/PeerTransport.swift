/// A node's number in its cluster, 1…65,535.
package typealias NodeNumber = UInt16

/// Who a node says it is when it opens a channel.
package struct PeerHello: Equatable, Sendable {
    /// Its number in the cluster.
    package var node: NodeNumber
    /// Chance, drawn when its data directory was made: a wiped disk comes back as another.
    package var incarnation: UInt64
    /// The 16 bytes of its cluster's id; empty while it belongs to none.
    package var cluster: [UInt8]
    /// The configured name of the cluster; equal on all nodes.
    package var clusterName: String

    /// A hello from its parts.
    package init(
        node: NodeNumber, incarnation: UInt64, cluster: [UInt8], clusterName: String
    ) {
        self.node = node
        self.incarnation = incarnation
        self.cluster = cluster
        self.clusterName = clusterName
    }
}

/// What comes from other nodes; told on the transport's threads, in order for each peer.
package enum PeerEvent: Sendable {
    /// The channel *to* this node is open: what is sent from now on is carried.
    case connected(PeerHello)
    /// The channel to this node is gone.
    case disconnected(NodeNumber, incarnation: UInt64)
    /// A frame that this node sent here.
    case frame(from: PeerHello, [UInt8])
    /// A peer was refused or refused us: one sentence that says who, why, and what to do.
    case refused(NodeNumber?, String)
}

/// The way to other nodes: opaque frames that may be lost, never doubled or reordered within one
/// channel. Production carries them over TCP; the simulator loses and delays them.
package protocol PeerTransport: Sendable {
    /// Queues a frame for a node; false when there is no channel or its queue is full: then it is
    /// lost, as a frame may be at any time. Never blocks; any thread.
    func send(_ frame: [UInt8], to node: NodeNumber) -> Bool
    /// Begins. `hello` is asked at each handshake; `take` gets what comes and must return at once.
    func start(
        hello: @escaping @Sendable () -> PeerHello, take: @escaping @Sendable (PeerEvent) -> Void
    ) throws
    /// The nodes to keep channels to, with their addresses HOST:PORT. Replaces the former list;
    /// the own number is ignored.
    func setPeers(_ peers: [(node: NodeNumber, address: String)])
    /// Closes all channels; nothing is told any more.
    func stop()
}
