import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import Replication
import Secrets
import Testing

@testable import PeerLink

@Suite(.timeLimit(.minutes(2))) final class PeerTLSTests {
    private let directory: URL
    private let now = Int64(Date.now.timeIntervalSince1970)

    init() throws {
        directory = FileManager.default.temporaryDirectory.appending(
            path: "peer-tls-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: directory) }

    private func store(_ text: String, _ name: String) throws -> String {
        let file = directory.appending(path: name)
        try Data(text.utf8).write(to: file)
        return file.path
    }

    /// The files of a node.
    private func files(
        _ node: NodeNumber, _ authority: CertificatePair, cluster: String = "lab",
        trusting trusted: CertificatePair? = nil, now: Int64? = nil
    ) throws -> PeerTLS {
        let pair = try ClusterCertificates.makeNode(
            node, cluster: cluster, dnsNames: ["localhost"], addresses: ["127.0.0.1"],
            authority: authority, now: now ?? self.now)
        let name = UUID().uuidString
        return PeerTLS(
            caFile: try store((trusted ?? authority).certificate, "\(name)-ca.pem"),
            certificateFile: try store(pair.certificate, "\(name).pem"),
            keyFile: try store(pair.key, "\(name)-key.pem"))
    }

    private func makeAuthority(_ cluster: String = "lab") throws -> CertificatePair {
        try ClusterCertificates.makeAuthority(cluster: cluster, now: now)
    }

    @Test("Nodes with certificates of one authority exchange frames over TLS")
    func works() async throws {
        let authority = try makeAuthority()
        let a = try TestNode(1, tls: files(1, authority))
        let b = try TestNode(2, tls: files(2, authority))
        try await connect([a, b])
        let frames = (0..<2_000).map { [UInt8](repeating: UInt8($0 & 255), count: 1 + $0 * 7) }
        for frame in frames { while !a.link.send(frame, to: 2) { await Task.yield() } }
        for frame in frames {
            guard try await b.frame().1 == frame else {
                Issue.record("a frame came out of order")
                return
            }
        }
        #expect(b.link.send([1], to: 1))
        #expect(try await a.frame().1 == [1])
    }

    @Test("A node with a certificate of another authority is refused, and both sides say so")
    func otherAuthority() async throws {
        let (ours, theirs) = (try makeAuthority(), try makeAuthority())
        let a = try TestNode(1, tls: files(1, ours))
        // It trusts our authority, so only its own certificate is wrong.
        let b = try TestNode(2, tls: files(2, theirs, trusting: ours))
        a.link.setPeers([(2, "127.0.0.1:1")])
        b.link.setPeers([(1, a.address)])
        #expect(try await a.refused().text.contains("the same cluster authority"))
        let (number, text) = try await b.refused()
        #expect(number == 1 && text.contains("the same cluster authority"))
    }

    @Test("A node that dials a server of another authority tells it nothing")
    func otherServer() async throws {
        let (ours, theirs) = (try makeAuthority(), try makeAuthority())
        let a = try TestNode(1, tls: files(1, ours))
        let b = try TestNode(2, tls: files(2, theirs, trusting: ours))
        a.link.setPeers([(2, b.address)])
        let (number, text) = try await a.refused()
        #expect(number == 2 && text.contains("TLS with node 2"))
    }

    @Test("A certificate that is not valid any more is refused")
    func expired() async throws {
        let authority = try makeAuthority()
        let a = try TestNode(1, tls: files(1, authority))
        let old = now - ClusterCertificates.nodeSeconds - 1
        let b = try TestNode(2, tls: files(2, authority, now: old))
        a.link.setPeers([(2, "127.0.0.1:1")])
        b.link.setPeers([(1, a.address)])
        #expect(try await a.refused().text.contains("valid now"))
    }

    @Test("A node without TLS and a node with it refuse each other, whoever dials")
    func plain() async throws {
        let secure = try TestNode(1, tls: files(1, makeAuthority()))
        let plain = try TestNode(2)
        secure.link.setPeers([(2, "127.0.0.1:1")])
        plain.link.setPeers([(1, secure.address)])
        #expect(try await secure.refused().text.contains("TLS with 127.0.0.1"))
        plain.link.setPeers([])
        secure.link.setPeers([(2, plain.address)])
        try await plain.refused(with: "127.0.0.1 does not speak")
        try await secure.refused(with: "TLS with node 2")
    }

    @Test("A client without a certificate is refused")
    func clientWithoutCertificate() async throws {
        let authority = try makeAuthority()
        let tls = try files(1, authority)
        let a = try TestNode(1, tls: tls)
        a.link.setPeers([(2, "127.0.0.1:1")])
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .file(tls.caFile)
        configuration.certificateVerification = .noHostnameVerification
        let context = try NIOSSLContext(configuration: configuration)
        let hello = PeerHello(node: 2, incarnation: 1, cluster: [], clusterName: "lab")
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        NIOSSLClientHandler(context: context, serverHostname: nil))
                }
            }
            .connect(host: "127.0.0.1", port: a.port).get()
        try? await channel.writeAndFlush(
            ByteBuffer(bytes: PeerLinkFormat.encode(.hello(hello))))
        #expect(try await a.refused().text.contains("TLS with 127.0.0.1"))
        try await channel.closeFuture.get()
    }

    @Test("The certificate of node 3 opens no channel as node 2, nor answers as it")
    func borrowedNumber() async throws {
        let authority = try makeAuthority()
        let a = try TestNode(1, tls: files(1, authority))
        let liar = try TestNode(2, tls: files(3, authority))
        a.link.setPeers([(2, "127.0.0.1:1")])
        liar.link.setPeers([(1, a.address)])
        let (number, text) = try await a.refused()
        #expect(number == 2 && text.contains("does not carry the name node-2.lab.magpie"))
        #expect(try await liar.refused().text.contains("give node 2 its own certificate"))
        a.link.setPeers([(2, liar.address)])
        try await a.refused(with: "refused node 2 at")
        #expect(!a.link.send([1], to: 2))
    }

    @Test("Files that are missing or don't belong together are told at the start")
    func badFiles() throws {
        let authority = try makeAuthority()
        let (one, two) = (try files(1, authority), try files(2, authority))
        for tls in [
            PeerTLS(caFile: "/nowhere", certificateFile: one.certificateFile, keyFile: one.keyFile),
            PeerTLS(
                caFile: one.caFile, certificateFile: one.certificateFile, keyFile: two.keyFile),
            PeerTLS(caFile: one.caFile, certificateFile: one.keyFile, keyFile: one.keyFile),
        ] {
            #expect(throws: PeerLinkError.self) { try TestNode(1, tls: tls) }
        }
    }
}
