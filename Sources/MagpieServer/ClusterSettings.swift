package import ChatNode
import PeerLink

/// The `cluster` object of a configuration file.
package struct ClusterSettings: Codable, Equatable, Sendable {
    /// One node of the cluster.
    package struct Node: Codable, Equatable, Sendable {
        enum CodingKeys: String, CodingKey, CaseIterable {
            case number, peer, url
        }

        /// Its number, 1…65,535.
        package var number: UInt16
        /// Where it takes other nodes' channels, HOST:PORT.
        package var peer: String
        /// Where clients reach it.
        package var url: String

        /// A node.
        package init(number: UInt16, peer: String, url: String) {
            self.number = number
            self.peer = peer
            self.url = url
        }
    }

    /// Files for mutual TLS between nodes, in PEM.
    package struct TLS: Codable, Equatable, Sendable {
        enum CodingKeys: String, CodingKey, CaseIterable {
            case ca, certificate, key
        }

        /// The cluster's authority.
        package var ca: String
        /// This node's certificate.
        package var certificate: String
        /// Its key.
        package var key: String

        /// Files as `magpie certificates` writes them.
        package init(ca: String, certificate: String, key: String) {
            self.ca = ca
            self.certificate = certificate
            self.key = key
        }
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case name, number, peerListen, nodes, tls
    }

    /// Equal on all nodes.
    package var name: String
    /// Which of `nodes` this one is.
    package var number: UInt16
    /// Where to listen for other nodes, HOST:PORT; nil: the own `peer`.
    package var peerListen: String?
    /// All nodes.
    package var nodes: [Node]
    /// Nil: channels between nodes are not encrypted.
    package var tls: TLS?

    /// A cluster.
    package init(
        name: String, number: UInt16, peerListen: String? = nil, nodes: [Node], tls: TLS? = nil
    ) {
        self.name = name
        self.number = number
        self.peerListen = peerListen
        self.nodes = nodes
        self.tls = tls
    }

    /// What the node needs of it.
    package var node: ClusterConfiguration {
        ClusterConfiguration(
            name: name, node: number,
            nodes: nodes.map {
                ClusterNode(number: $0.number, peerAddress: $0.peer, url: $0.url)
            })
    }

    /// Why it can't be, or nil.
    package var objection: String? {
        if let objection = node.objection { return objection }
        for node in nodes {
            do throws(ConfigurationError) {
                _ = try ServerConfiguration.address(node.peer)
            } catch {
                return "cluster.nodes: peer \(node.peer): expected HOST:PORT"
            }
        }
        return nil
    }

    /// Where and how to listen for other nodes.
    func link(seed: UInt64) throws(ConfigurationError) -> PeerLinkConfiguration {
        let own = nodes.first { $0.number == number }?.peer ?? ""
        let (host, port) = try ServerConfiguration.address(peerListen ?? own)
        var link = PeerLinkConfiguration(
            listenHost: host, listenPort: port,
            tls: tls.map {
                PeerTLS(caFile: $0.ca, certificateFile: $0.certificate, keyFile: $0.key)
            })
        link.seed = seed
        return link
    }
}
