import Foundation
import MagpieServer

/// Where the nodes of a cluster on one machine keep what, and what they are told.
struct ClusterLayout: Sendable {
    let directory: String
    let nodes: Int
    let port: Int
    let usesTLS: Bool
    let isRateLimited: Bool
    let memory: Int

    /// A node's configuration file, as `magpie serve --config` reads it.
    private struct File: Encodable {
        var data: String
        var listen: String
        var publicUrl: String
        var rateLimits: Bool
        var memory: Int
        var cluster: ClusterSettings
    }

    /// `cluster.json`.
    private struct Index: Codable {
        struct Node: Codable {
            var id: UInt16
            var pid: Int32
            var url: String
            var peer: String
            var data: String
            var config: String
        }

        var nodes: [Node]
    }

    var numbers: ClosedRange<Int> { 1...nodes }

    /// For clients, and for peers.
    func ports(_ number: Int) -> [Int] { [port + number - 1, port + 999 + number] }

    func url(_ number: Int) -> String { "http://127.0.0.1:\(port + number - 1)" }
    func config(_ number: Int) -> String { "\(root)/node-\(number).json" }
    func log(_ number: Int) -> String { "\(root)/node-\(number).log" }

    /// Absolute, so that the files can be used from anywhere.
    private var root: String { URL(fileURLWithPath: directory).standardizedFileURL.path }

    func directory(_ number: Int) -> String { "\(root)/node-\(number)" }
    private func peer(_ number: Int) -> String { "127.0.0.1:\(port + 999 + number)" }

    /// Writes every node's configuration, and certificates when they are wanted.
    func writeConfigurations() throws {
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        if usesTLS, !FileManager.default.fileExists(atPath: "\(root)/tls/node-\(nodes).pem") {
            let files = CertificateFiles(directory: "\(root)/tls", cluster: "local")
            _ = try files.make(nodes: numbers.map { (UInt16($0), ["127.0.0.1"]) })
        }
        let members = numbers.map {
            ClusterSettings.Node(number: UInt16($0), peer: peer($0), url: url($0))
        }
        for number in numbers {
            let tls = ClusterSettings.TLS(
                ca: "\(root)/tls/ca.pem", certificate: "\(root)/tls/node-\(number).pem",
                key: "\(root)/tls/node-\(number).key")
            let file = File(
                data: directory(number), listen: "127.0.0.1:\(port + number - 1)",
                publicUrl: url(number), rateLimits: isRateLimited, memory: memory,
                cluster: ClusterSettings(
                    name: "local", number: UInt16(number), nodes: members,
                    tls: usesTLS ? tls : nil))
            try write(file, to: config(number))
        }
    }

    /// Writes which process is which node.
    func writeIndex(_ processes: [Int32]) throws {
        let index = Index(
            nodes: zip(numbers, processes).map { number, process in
                Index.Node(
                    id: UInt16(number), pid: process, url: url(number), peer: peer(number),
                    data: directory(number), config: config(number))
            })
        try write(index, to: root + "/cluster.json")
    }

    private func write(_ value: some Encodable, to path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        var bytes = try encoder.encode(value)
        bytes.append(0x0A)
        try bytes.write(to: URL(fileURLWithPath: path), options: .atomic)
    }
}
