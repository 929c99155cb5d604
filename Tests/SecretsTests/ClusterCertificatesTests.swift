import Bytes
import Secrets
import Testing

@Suite struct ClusterCertificatesTests {
    private static let now: Int64 = 1_800_000_000

    @Test("An authority and its nodes come as PEM text, and never twice the same")
    func pem() throws {
        let authority = try ClusterCertificates.makeAuthority(cluster: "lab", now: Self.now)
        let first = try ClusterCertificates.makeNode(
            1, cluster: "lab", dnsNames: ["a.example", "A-1"], addresses: ["10.0.0.1", "::1"],
            authority: authority, now: Self.now)
        let again = try ClusterCertificates.makeNode(
            1, cluster: "lab", authority: authority, now: Self.now)
        for pair in [authority, first, again] {
            #expect(pair.certificate.hasPrefix("-----BEGIN CERTIFICATE-----\n"))
            #expect(pair.certificate.hasSuffix("-----END CERTIFICATE-----\n"))
            #expect(pair.key.hasPrefix("-----BEGIN PRIVATE KEY-----\n"))
        }
        #expect(Set([authority.key, first.key, again.key]).count == 3)
    }

    @Test("A certificate carries its names, its purpose and its issuer")
    func content() throws {
        let authority = try ClusterCertificates.makeAuthority(cluster: "lab", now: Self.now)
        let pair = try ClusterCertificates.makeNode(
            65_535, cluster: "lab", dnsNames: ["a.example"], addresses: ["10.0.0.1"],
            authority: authority, now: Self.now)
        let der = try #require(Self.der(pair.certificate))
        // As DER encodes them: context tags 2 (DNS) and 7 (address) of a GeneralName.
        let name = ClusterCertificates.nodeName(65_535, cluster: "lab")
        #expect(name == "node-65535.lab.magpie")
        for part in [
            [0x82, UInt8(name.utf8.count)] + Array(name.utf8), [0x82, 9] + Array("a.example".utf8),
            [0x87, 4, 10, 0, 0, 1], Array("Magpie cluster lab".utf8),
            // 2027-01-15 07:00:00, an hour before now, and five years of 365 days after it.
            Array("270115070000Z".utf8), Array("320114080000Z".utf8),
        ] {
            #expect(Self.contains(der, part), "\(String(decoding: part, as: UTF8.self))")
        }
        let ca = try #require(Self.der(authority.certificate))
        #expect(Self.contains(ca, Array("370112080000Z".utf8)))
    }

    @Test("What a certificate can't say is refused")
    func refused() throws {
        let now = Self.now
        let authority = try ClusterCertificates.makeAuthority(cluster: "lab", now: now)
        for name in ["", "a.b", "-a", "a,DNS:b", "a b", "ä", String(repeating: "a", count: 64)] {
            #expect(throws: CertificateError.invalidName(name)) {
                try ClusterCertificates.makeAuthority(cluster: name, now: now)
            }
        }
        #expect(throws: CertificateError.invalidName("a,IP:1.2.3.4")) {
            try ClusterCertificates.makeNode(
                1, cluster: "lab", dnsNames: ["a,IP:1.2.3.4"], authority: authority, now: now)
        }
        for address in ["", "1.2.3", "1.2.3.4,DNS:x", "abc", "1.2.3.4.5", ":::"] {
            #expect(throws: CertificateError.self, "\(address)") {
                try ClusterCertificates.makeNode(
                    1, cluster: "lab", addresses: [address], authority: authority, now: now)
            }
        }
        #expect(throws: CertificateError.invalidName("node 0")) {
            try ClusterCertificates.makeNode(0, cluster: "lab", authority: authority, now: now)
        }
        for time in [-1, 0, Int64.max, Int64.min] {
            #expect(throws: CertificateError.invalidTime(time)) {
                try ClusterCertificates.makeAuthority(cluster: "lab", now: time)
            }
        }
    }

    @Test("Only an authority with its own key signs")
    func authority() throws {
        let now = Self.now
        let authority = try ClusterCertificates.makeAuthority(cluster: "lab", now: now)
        let other = try ClusterCertificates.makeAuthority(cluster: "lab", now: now)
        let node = try ClusterCertificates.makeNode(
            1, cluster: "lab", authority: authority, now: now)
        let bad = [
            node, CertificatePair(certificate: authority.certificate, key: other.key),
            CertificatePair(certificate: "", key: authority.key),
            CertificatePair(certificate: authority.certificate, key: ""),
            CertificatePair(certificate: authority.key, key: authority.certificate),
            CertificatePair(
                certificate: String(authority.certificate.dropLast(60)), key: authority.key),
        ]
        for pair in bad {
            #expect(throws: CertificateError.invalidAuthority) {
                try ClusterCertificates.makeNode(2, cluster: "lab", authority: pair, now: now)
            }
        }
    }

    /// The bytes between the lines of a PEM text.
    private static func der(_ pem: String) -> [UInt8]? {
        let body = pem.split(separator: "\n").filter { !$0.hasPrefix("-") }.joined()
        let text = body.map { character -> Character in
            switch character {
            case "+": "-"
            case "/": "_"
            default: character
            }
        }
        return Base64URL.decode(String(text.filter { $0 != "=" }))
    }

    private static func contains(_ bytes: [UInt8], _ part: [UInt8]) -> Bool {
        bytes.indices.contains { bytes[$0...].starts(with: part) }
    }
}
