/// A certificate and its private key, both as PEM text.
package struct CertificatePair: Equatable, Sendable {
    /// `BEGIN CERTIFICATE`.
    package var certificate: String
    /// `BEGIN PRIVATE KEY` (PKCS #8, not encrypted): for its owner's eyes only.
    package var key: String

    /// A pair.
    package init(certificate: String, key: String) {
        self.certificate = certificate
        self.key = key
    }
}

/// Why a certificate could not be made; the text is for people.
package enum CertificateError: Error, Equatable, Sendable {
    /// A cluster, DNS or address that a certificate can't carry.
    case invalidName(String)
    /// A time that a certificate can't carry.
    case invalidTime(Int64)
    /// The authority's PEM is not a certificate with its own key.
    case invalidAuthority
    /// libcrypto refused; what it was asked for, and its reason.
    case failed(String)
}

/// The certificates with which nodes prove to each other who they are.
///
/// A cluster has one authority of its own, and a node trusts nothing else. A node's certificate
/// names it in its subject alternative names, `node-N.CLUSTER.magpie`, and the other nodes compare
/// that with the number it claims; so the key of node 3 does not open a channel as node 2. Keys are
/// P-256, signatures ECDSA with SHA-256 (RFC 5480, RFC 5758), the profile is RFC 5280's.
package enum ClusterCertificates {
    /// How long an authority holds.
    package static let authoritySeconds: Int64 = 10 * 365 * 86_400
    /// How long a node's certificate holds.
    package static let nodeSeconds: Int64 = 5 * 365 * 86_400
    /// Validity begins this long before `now`, for nodes whose clocks are behind.
    package static let skewSeconds: Int64 = 3_600

    /// The last second of the year 9999, the end of what a certificate's dates can say.
    private static let timeMax: Int64 = 253_402_300_799

    /// The name by which a node's certificate says its number. Change it here, and change
    /// `PeerTLS.certificateName` in PeerLink, which looks for it.
    package static func nodeName(_ node: UInt16, cluster: String) -> String {
        "node-\(node).\(cluster).magpie"
    }

    /// Makes the authority of a cluster. `now` is in seconds since 1970.
    package static func makeAuthority(
        cluster: String, now: Int64
    ) throws(CertificateError) -> CertificatePair {
        try checkCluster(cluster)
        let key = try PrivateKey()
        let certificate = try CertificateBuilder()
        try certificate.setKey(key)
        try certificate.setSubject("Magpie cluster \(cluster)")
        try setValidity(of: certificate, now: now, seconds: authoritySeconds)
        try certificate.add(.basicConstraints, "critical,CA:TRUE,pathlen:0")
        try certificate.add(.keyUsage, "critical,keyCertSign,cRLSign")
        try certificate.add(.subjectKeyIdentifier, "hash")
        try certificate.sign(with: key)
        return CertificatePair(certificate: try certificate.pem(), key: try key.pem())
    }

    /// Makes the certificate of a node, signed by the cluster's authority.
    ///
    /// - Parameters:
    ///   - node: Its number, 1…65,535.
    ///   - dnsNames: Further names at which the node is reached.
    ///   - addresses: IPv4 and IPv6 addresses at which it is reached.
    ///   - now: Seconds since 1970.
    package static func makeNode(
        _ node: UInt16, cluster: String, dnsNames: [String] = [], addresses: [String] = [],
        authority: CertificatePair, now: Int64
    ) throws(CertificateError) -> CertificatePair {
        try checkCluster(cluster)
        guard node != 0 else { throw .invalidName("node 0") }
        for name in dnsNames where !isDNSName(name) { throw .invalidName(name) }
        for address in addresses where !isAddressText(address) { throw .invalidName(address) }
        let name = nodeName(node, cluster: cluster)
        let key = try PrivateKey()
        let signer = try CertificateSigner(authority)
        let certificate = try CertificateBuilder()
        try certificate.setKey(key)
        try certificate.setSubject(name)
        try setValidity(of: certificate, now: now, seconds: nodeSeconds)
        try certificate.setIssuer(signer)
        try certificate.add(.basicConstraints, "critical,CA:FALSE")
        try certificate.add(.keyUsage, "critical,digitalSignature")
        try certificate.add(.extendedKeyUsage, "serverAuth,clientAuth")
        try certificate.add(.subjectKeyIdentifier, "hash")
        try certificate.add(.authorityKeyIdentifier, "keyid:always", issuer: signer)
        let names = ([name] + dnsNames).map { "DNS:\($0)" } + addresses.map { "IP:\($0)" }
        try certificate.add(.subjectAlternativeName, names.joined(separator: ","))
        try certificate.sign(with: signer.key)
        return CertificatePair(certificate: try certificate.pem(), key: try key.pem())
    }

    private static func setValidity(
        of certificate: borrowing CertificateBuilder, now: Int64, seconds: Int64
    ) throws(CertificateError) {
        guard now >= skewSeconds, now <= timeMax - seconds else { throw .invalidTime(now) }
        try certificate.setValidity(from: now - skewSeconds, to: now + seconds)
    }

    /// A cluster's name stands between dots: one DNS label.
    private static func checkCluster(_ name: String) throws(CertificateError) {
        guard !name.contains("."), isDNSName(name) else { throw .invalidName(name) }
    }

    /// Letters, digits, inner hyphens and dots: names are handed to libcrypto inside a list with
    /// commas and colons, so nothing else may be in them.
    static func isDNSName(_ name: String) -> Bool {
        name.utf8.count <= 253
            && name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
                let bytes = label.utf8
                return (1...63).contains(bytes.count) && bytes.first != 0x2D && bytes.last != 0x2D
                    && bytes.allSatisfy { isLetter($0) || isDigit($0) || $0 == 0x2D }
            }
    }

    /// What may stand in an IP address; whether it is one libcrypto finds out.
    private static func isAddressText(_ address: String) -> Bool {
        (2...45).contains(address.utf8.count)
            && address.utf8.allSatisfy { byte in
                isDigit(byte) || byte == 0x2E || byte == 0x3A || (0x61...0x66).contains(byte | 0x20)
            }
    }

    private static func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte | 0x20) }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
}
