import NIOCore
import NIOSSL
import Replication

/// The files of mutual TLS, all PEM.
package struct PeerTLS: Sendable {
    /// The cluster's own authority: nothing else is trusted.
    package var caFile: String
    /// This node's certificate.
    package var certificateFile: String
    /// Its private key, not encrypted.
    package var keyFile: String

    /// Three paths.
    package init(caFile: String, certificateFile: String, keyFile: String) {
        self.caFile = caFile
        self.certificateFile = certificateFile
        self.keyFile = keyFile
    }

    /// The name that a node's certificate must carry to open a channel as that node. Change it
    /// here, and change `ClusterCertificates.nodeName` in Secrets, which writes it.
    static func certificateName(_ node: NodeNumber, cluster: String) -> String {
        "node-\(node).\(cluster).magpie"
    }
}

/// Both roles of mutual TLS: TLS 1.3 only, and each side asks for a certificate of the cluster's
/// authority. Host names are not compared: a node is known by the number in its certificate, not
/// by its address, and the greeting's number is compared with it.
struct PeerTLSContexts {
    private let server: NIOSSLContext
    private let client: NIOSSLContext

    init(_ files: PeerTLS) throws(PeerLinkError) {
        do {
            let chain = try NIOSSLCertificate.fromPEMFile(files.certificateFile)
            let key = try NIOSSLPrivateKey(file: files.keyFile, format: .pem)
            let roots = NIOSSLTrustRoots.certificates(
                try NIOSSLCertificate.fromPEMFile(files.caFile))
            var configuration = TLSConfiguration.makeServerConfigurationWithMTLS(
                certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key),
                trustRoots: roots)
            Self.harden(&configuration)
            server = try NIOSSLContext(configuration: configuration)
            configuration = TLSConfiguration.makeClientConfiguration()
            configuration.certificateChain = chain.map { .certificate($0) }
            configuration.privateKey = .privateKey(key)
            configuration.trustRoots = roots
            configuration.certificateVerification = .noHostnameVerification
            Self.harden(&configuration)
            client = try NIOSSLContext(configuration: configuration)
        } catch {
            throw .tls(
                "certificates of \(files.caFile), \(files.certificateFile), \(files.keyFile) "
                    + "can't be used: \(error)")
        }
    }

    private static func harden(_ configuration: inout TLSConfiguration) {
        configuration.minimumTLSVersion = .tlsv13
        // What a closing connection waits for its peer's farewell.
        configuration.shutdownTimeout = .milliseconds(250)
    }

    func addServer(to pipeline: ChannelPipeline.SynchronousOperations) throws {
        try pipeline.addHandler(NIOSSLServerHandler(context: server))
    }

    func addClient(to pipeline: ChannelPipeline.SynchronousOperations) throws {
        try pipeline.addHandler(NIOSSLClientHandler(context: client, serverHostname: nil))
    }

    /// Whether the peer's verified certificate carries the name.
    static func peer(
        of pipeline: ChannelPipeline.SynchronousOperations, carries name: String
    ) -> Bool {
        guard let certificate = try? pipeline.nioSSL_peerCertificate() else { return false }
        return certificate._subjectAlternativeNames().contains {
            $0.nameType == .dnsName && $0.contents.elementsEqual(name.utf8)
        }
    }
}
