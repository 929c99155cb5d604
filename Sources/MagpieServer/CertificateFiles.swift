import Foundation
import Platform
import Secrets

/// Writes what mutual TLS between nodes needs: an authority for the cluster, and a certificate for
/// each node.
package struct CertificateFiles {
    private let directory: String
    private let cluster: String

    /// Files in `directory` for the cluster of that name.
    package init(directory: String, cluster: String) {
        self.directory = directory
        self.cluster = cluster
    }

    /// Makes certificates for nodes with the names and addresses at which others reach them. The
    /// authority is made when `directory` has none; its key is needed for nothing else and should
    /// be kept away from the nodes. Returns the files written.
    package func make(nodes: [(number: UInt16, hosts: [String])]) throws -> [String] {
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true)
        let now = Int64(LinuxClock().wallMilliseconds() / 1_000)
        var written: [String] = []
        let authority: CertificatePair
        if FileManager.default.fileExists(atPath: path("ca.pem")) {
            authority = CertificatePair(
                certificate: try String(contentsOfFile: path("ca.pem"), encoding: .utf8),
                key: try String(contentsOfFile: path("ca.key"), encoding: .utf8))
        } else {
            authority = try ClusterCertificates.makeAuthority(cluster: cluster, now: now)
            try write(authority.key, "ca.key", isSecret: true)
            try write(authority.certificate, "ca.pem", isSecret: false)
            written += ["ca.pem", "ca.key"]
        }
        for node in nodes {
            let isAddress: (String) -> Bool = { host in
                host.contains(":") || host.allSatisfy { $0.isNumber || $0 == "." }
            }
            let pair = try ClusterCertificates.makeNode(
                node.number, cluster: cluster, dnsNames: node.hosts.filter { !isAddress($0) },
                addresses: node.hosts.filter(isAddress), authority: authority, now: now)
            let name = "node-\(node.number)"
            try write(pair.key, name + ".key", isSecret: true)
            try write(pair.certificate, name + ".pem", isSecret: false)
            written += [name + ".pem", name + ".key"]
        }
        return written.map(path)
    }

    private func path(_ name: String) -> String { directory + "/" + name }

    private func write(_ text: String, _ name: String, isSecret: Bool) throws {
        let made = FileManager.default.createFile(
            atPath: path(name), contents: Data(text.utf8),
            attributes: [.posixPermissions: isSecret ? 0o600 : 0o644])
        guard made else { throw ConfigurationError("\(path(name)) cannot be written") }
    }
}
