import ArgumentParser
import Foundation
import MagpieServer

/// `magpie certificates`: an authority and node certificates for mutual TLS between nodes.
struct Certificates: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make the certificates of a cluster's nodes.",
        discussion: """
            Writes ca.pem, ca.key and for each node node-N.pem and node-N.key. Give every node \
            ca.pem and its own two files, and name them under cluster.tls in its configuration. \
            Keep ca.key: it signs the certificates of nodes that come later, and nothing else \
            needs it.

            Examples:
              magpie certificates --cluster chat --out ./tls --nodes 3
              magpie certificates --cluster chat --out ./tls --node 4 --host db4.example.org
            """)

    @Option(help: "The cluster's name, as in the configuration files.")
    var cluster: String

    @Option(help: "Directory to write to.")
    var out: String

    @Option(help: "Make certificates for the nodes 1 to this number.")
    var nodes: UInt16?

    @Option(help: "Make the certificate of this node alone.")
    var node: UInt16?

    @Option(help: "A name or address of the node given by --node; may be repeated.")
    var host: [String] = []

    func validate() throws {
        guard (nodes == nil) != (node == nil) else {
            throw ValidationError("give either --nodes or --node")
        }
        if node == nil, !host.isEmpty { throw ValidationError("--host goes with --node") }
        if nodes == 0 || node == 0 { throw ValidationError("nodes are numbered from 1") }
    }

    func run() throws {
        let numbers = node.map { [$0] } ?? Array(1...(nodes ?? 1))
        let files = CertificateFiles(directory: out, cluster: cluster)
        do {
            for file in try files.make(nodes: numbers.map { ($0, host) }) { print(file) }
        } catch {
            throw CommandFailure("\(error)")
        }
    }
}

/// One line for the person at the terminal; exit code 1.
struct CommandFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
