import Bytes
import Replication

/// Who may open a channel: pure decisions over two hellos. Sentences name nodes by number, so that
/// they read the same on both sides.
enum PeerRules {
    /// Why the node that listens refuses a hello; nil when it is welcome.
    ///
    /// - Parameters:
    ///   - isListed: whether the number is one of the configured peers.
    ///   - live: the incarnation at the other end of a live channel with this number.
    static func refusal(
        of hello: PeerHello, own: PeerHello, isListed: Bool, live: UInt64?
    ) -> PeerRefusal? {
        if let refusal = clusterRefusal(of: hello, own: own) { return refusal }
        let node = hello.node
        if node == own.node {
            return PeerRefusal(
                code: .ownNumber,
                text: "number \(node) is that of the node that was called: "
                    + "give each node its own number, and its own address")
        }
        if !isListed {
            return PeerRefusal(
                code: .unknownNode,
                text: "node \(own.node) has no peer with number \(node): "
                    + "add node \(node) to the cluster on node \(own.node)")
        }
        if let live, live != hello.incarnation {
            return PeerRefusal(
                code: .duplicate,
                text: "node \(node) is already connected with another data directory: "
                    + "stop one of the two processes that run as node \(node)")
        }
        return nil
    }

    /// Why the node that dialed wants no channel to the one that answered; nil when it does.
    static func refusal(
        ofAnswer answer: PeerHello, own: PeerHello, expected: NodeNumber
    ) -> PeerRefusal? {
        if let refusal = clusterRefusal(of: answer, own: own) { return refusal }
        if answer.node != expected {
            return PeerRefusal(
                code: .unknownNode,
                text: "the address of node \(expected) leads to node \(answer.node): "
                    + "correct the address on node \(own.node)")
        }
        return nil
    }

    private static func clusterRefusal(of hello: PeerHello, own: PeerHello) -> PeerRefusal? {
        if hello.clusterName != own.clusterName {
            return PeerRefusal(
                code: .clusterName,
                text: "node \(hello.node) is of cluster \"\(forPeople(hello.clusterName, 32))\", "
                    + "node \(own.node) of \"\(forPeople(own.clusterName, 32))\": "
                    + "a cluster has one name on all its nodes")
        }
        if !hello.cluster.isEmpty, !own.cluster.isEmpty, hello.cluster != own.cluster {
            return PeerRefusal(
                code: .clusterID,
                text: "the data of node \(hello.node) is of cluster \(Hex.encode(hello.cluster)), "
                    + "that of node \(own.node) of cluster \(Hex.encode(own.cluster)): "
                    + "start one of them with its own data directory")
        }
        return nil
    }

    /// The refusal of a node that speaks another version.
    static func versionRefusal(_ version: UInt16, own: NodeNumber) -> PeerRefusal {
        PeerRefusal(
            code: .version,
            text: "version \(version) of the peer protocol meets version "
                + "\(PeerLinkFormat.version) on node \(own): "
                + "run releases that go together on all nodes")
    }

    /// The refusal of a greeting that is damaged or wrong inside.
    static func malformedRefusal(_ error: DecodeError) -> PeerRefusal {
        PeerRefusal(
            code: .malformed,
            text: "the greeting is damaged (\(error)): "
                + "check the network between the nodes, and that both run the same release")
    }

    /// The refusal of a node whose certificate names another.
    static func certificateRefusal(claimed: NodeNumber, name: String) -> PeerRefusal {
        PeerRefusal(
            code: .certificate,
            text: "the certificate of the node that says it is node \(claimed) "
                + "does not carry the name \(name): give node \(claimed) its own certificate")
    }

    /// Text from a peer without what could disturb a terminal or a log, cut to `max` characters.
    static func forPeople(_ text: String, _ max: Int = 512) -> String {
        var clean = ""
        for scalar in text.unicodeScalars.prefix(max) {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .unassigned, .surrogate,
                .privateUse:
                clean.unicodeScalars.append("?")
            default: clean.unicodeScalars.append(scalar)
            }
        }
        return clean
    }
}
