import ChatModel
import ChatNode

/// What `magpie serve` is told: from the command line, or a configuration file, flags first.
package struct ServerConfiguration: Sendable, Equatable {
    /// The data directory.
    package var data: String
    /// Address to listen on.
    package var host: String
    /// Port to listen on; 0 takes a free one.
    package var port: Int
    /// The URL under which clients reach this node, when it is not what they ask for.
    package var publicURL: String?
    /// Further origins whose pages may open a WebSocket.
    package var origins: [String] = []
    /// False switches rate limits off.
    package var isRateLimited = true
    /// Seconds after which a silent user is offline.
    package var presenceSeconds = 300
    /// Megabytes for memtables and caches.
    package var memoryMegabytes = 512
    /// Megabytes of disk that the node may take; nil: as many as the volume has.
    package var diskBudgetMegabytes: Int?
    /// Megabytes of tables that are read again per second to find rot; 0: none.
    package var scrubMegabytes = 4
    /// The cluster it is a part of, and where it takes other nodes' channels.
    package var cluster: ClusterSettings?

    /// A configuration; throws ``ConfigurationError`` when `listen` is no `HOST:PORT`.
    package init(data: String, listen: String) throws(ConfigurationError) {
        self.data = data
        (host, port) = try Self.address(listen)
    }

    /// Splits `HOST:PORT`; an IPv6 host stands in brackets.
    static func address(_ text: String) throws(ConfigurationError) -> (host: String, port: Int) {
        guard let colon = text.lastIndex(of: ":"),
            let port = Int(text[text.index(after: colon)...]), (0...65_535).contains(port)
        else { throw ConfigurationError("--listen \(text): expected HOST:PORT, as 127.0.0.1:8080") }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        guard !host.isEmpty else {
            throw ConfigurationError("--listen \(text): the host is missing, as in 127.0.0.1:8080")
        }
        return (host, port)
    }

    /// Budgets of disk that a node can work in, in megabytes.
    package static let diskBudgets = 1_024...1_073_741_824
    /// Rates of the scrub, in megabytes a second.
    package static let scrubs = 0...1_024

    /// What the node needs of it.
    var node: NodeConfiguration {
        var node = NodeConfiguration(directory: data)
        node.publicURL = publicURL
        node.memoryBudget = memoryMegabytes << 20
        node.diskBudget = diskBudgetMegabytes.map { UInt64($0) << 20 }
        node.scrubBytesPerSecond = scrubMegabytes << 20
        node.limits.isRateLimited = isRateLimited
        node.limits.presenceMs = Milliseconds(presenceSeconds) * 1_000
        node.cluster = cluster?.node
        return node
    }
}

/// A setting that makes no sense: one line that names it and says what would.
package struct ConfigurationError: Error, Sendable, CustomStringConvertible {
    /// The line.
    package let description: String

    /// An error.
    package init(_ description: String) { self.description = description }
}
