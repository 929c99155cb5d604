private import CCrypto

// The few X.509 verbs that ClusterCertificates needs, each an owner of one libcrypto object.

extension CertificateError {
    /// What libcrypto has to say about its last failure; empties its list.
    static func libcrypto(_ what: String) -> CertificateError {
        var text = [CChar](repeating: 0, count: 256)
        ERR_error_string_n(ERR_get_error(), &text, text.count)
        ERR_clear_error()
        let reason = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return .failed("\(what): \(String(decoding: reason, as: UTF8.self))")
    }
}

/// A P-256 key, or the key of an authority.
struct PrivateKey: ~Copyable {
    fileprivate let pointer: OpaquePointer

    /// A fresh key.
    init() throws(CertificateError) {
        guard let context = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, nil) else {
            throw .libcrypto("P-256 key")
        }
        defer { EVP_PKEY_CTX_free(context) }
        var made: OpaquePointer?
        guard EVP_PKEY_keygen_init(context) == 1,
            EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, NID_X9_62_prime256v1) == 1,
            EVP_PKEY_keygen(context, &made) == 1, let made
        else { throw .libcrypto("P-256 key") }
        pointer = made
    }

    /// The key in PEM text. An encrypted one is refused: there is nobody to ask for its password.
    init(pem: String) throws(CertificateError) {
        let read = withTextBIO(pem) { bio in
            PEM_read_bio_PrivateKey(bio, nil, { _, _, _, _ in -1 }, nil)
        }
        guard let read else {
            ERR_clear_error()
            throw .invalidAuthority
        }
        pointer = read
    }

    deinit { EVP_PKEY_free(pointer) }

    /// PKCS #8, not encrypted.
    borrowing func pem() throws(CertificateError) -> String {
        let key = pointer
        return try textOfBIO("private key") {
            PEM_write_bio_PKCS8PrivateKey($0, key, nil, nil, 0, nil, nil) == 1
        }
    }
}

/// An authority: its certificate and the key that belongs to it.
struct CertificateSigner: ~Copyable {
    fileprivate let certificate: OpaquePointer
    let key: PrivateKey

    init(_ pair: CertificatePair) throws(CertificateError) {
        let key = try PrivateKey(pem: pair.key)
        let read = withTextBIO(pair.certificate) { PEM_read_bio_X509($0, nil, nil, nil) }
        guard let read else {
            ERR_clear_error()
            throw .invalidAuthority
        }
        guard X509_check_private_key(read, key.pointer) == 1, X509_check_ca(read) == 1 else {
            X509_free(read)
            ERR_clear_error()
            throw .invalidAuthority
        }
        certificate = read
        self.key = key
    }

    deinit { X509_free(certificate) }
}

/// A certificate in the making, version 3, with a random serial number of 127 bits.
struct CertificateBuilder: ~Copyable {
    /// The extensions in use.
    enum Extension {
        case basicConstraints, keyUsage, extendedKeyUsage, subjectKeyIdentifier
        case authorityKeyIdentifier, subjectAlternativeName

        fileprivate var number: Int32 {
            switch self {
            case .basicConstraints: NID_basic_constraints
            case .keyUsage: NID_key_usage
            case .extendedKeyUsage: NID_ext_key_usage
            case .subjectKeyIdentifier: NID_subject_key_identifier
            case .authorityKeyIdentifier: NID_authority_key_identifier
            case .subjectAlternativeName: NID_subject_alt_name
            }
        }
    }

    private static let versionThree = 2
    private let pointer: OpaquePointer

    init() throws(CertificateError) {
        guard let made = X509_new() else { throw .libcrypto("certificate") }
        pointer = made
    }

    deinit { X509_free(pointer) }

    /// Makes it a certificate for the public half of `key`, with a serial number.
    borrowing func setKey(_ key: borrowing PrivateKey) throws(CertificateError) {
        guard X509_set_version(pointer, Self.versionThree) == 1,
            X509_set_pubkey(pointer, key.pointer) == 1
        else { throw .libcrypto("public key") }
        guard let number = BN_new() else { throw .libcrypto("serial number") }
        defer { BN_free(number) }
        // The top bit set, so that it is never 0; positive, as RFC 5280 wants it.
        guard BN_rand(number, 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1,
            BN_to_ASN1_INTEGER(number, X509_get_serialNumber(pointer)) != nil
        else { throw .libcrypto("serial number") }
    }

    /// Sets the common name; also as issuer, until another one is set.
    borrowing func setSubject(_ name: String) throws(CertificateError) {
        let subject = X509_get_subject_name(pointer)
        let bytes = Array(name.utf8)
        guard
            X509_NAME_add_entry_by_NID(
                subject, NID_commonName, MBSTRING_UTF8, bytes, Int32(clamping: bytes.count), -1, 0)
                == 1, X509_set_issuer_name(pointer, subject) == 1
        else { throw .libcrypto("subject \(name)") }
    }

    borrowing func setIssuer(_ signer: borrowing CertificateSigner) throws(CertificateError) {
        guard X509_set_issuer_name(pointer, X509_get_subject_name(signer.certificate)) == 1 else {
            throw .libcrypto("issuer")
        }
    }

    /// Sets both ends of validity, in seconds since 1970.
    borrowing func setValidity(from: Int64, to: Int64) throws(CertificateError) {
        guard ASN1_TIME_set(X509_getm_notBefore(pointer), time_t(from)) != nil,
            ASN1_TIME_set(X509_getm_notAfter(pointer), time_t(to)) != nil
        else { throw .libcrypto("validity") }
    }

    /// Adds an extension in libcrypto's textual form (x509v3_config(5)).
    borrowing func add(_ kind: Extension, _ value: String) throws(CertificateError) {
        try add(kind, value, issuerPointer: pointer)
    }

    /// Adds an extension that is taken from the issuer.
    borrowing func add(
        _ kind: Extension, _ value: String, issuer: borrowing CertificateSigner
    ) throws(CertificateError) {
        try add(kind, value, issuerPointer: issuer.certificate)
    }

    private borrowing func add(
        _ kind: Extension, _ value: String, issuerPointer: OpaquePointer
    ) throws(CertificateError) {
        var context = X509V3_CTX()
        X509V3_set_ctx(&context, issuerPointer, pointer, nil, nil, 0)
        guard let made = X509V3_EXT_conf_nid(nil, &context, kind.number, value) else {
            throw .libcrypto(value)
        }
        defer { X509_EXTENSION_free(made) }
        guard X509_add_ext(pointer, made, -1) == 1 else { throw .libcrypto(value) }
    }

    borrowing func sign(with key: borrowing PrivateKey) throws(CertificateError) {
        guard X509_sign(pointer, key.pointer, EVP_sha256()) > 0 else {
            throw .libcrypto("signature")
        }
    }

    borrowing func pem() throws(CertificateError) -> String {
        let certificate = pointer
        return try textOfBIO("certificate") { PEM_write_bio_X509($0, certificate) == 1 }
    }
}

/// Runs `body` with a reader over the text.
private func withTextBIO(
    _ text: String, _ body: (OpaquePointer) -> OpaquePointer?
) -> OpaquePointer? {
    let bytes = Array(text.utf8)
    return bytes.withUnsafeBytes { raw in
        guard let bio = BIO_new_mem_buf(raw.baseAddress, Int32(clamping: raw.count)) else {
            return nil
        }
        defer { BIO_free(bio) }
        return body(bio)
    }
}

/// The text that `body` writes.
private func textOfBIO(
    _ what: String, _ body: (OpaquePointer) -> Bool
) throws(CertificateError) -> String {
    guard let bio = BIO_new(BIO_s_mem()) else { throw .libcrypto(what) }
    defer { BIO_free(bio) }
    guard body(bio) else { throw .libcrypto(what) }
    var bytes = [UInt8](repeating: 0, count: BIO_ctrl_pending(bio))
    let count = BIO_read(bio, &bytes, Int32(clamping: bytes.count))
    guard count > 0 else { throw .libcrypto(what) }
    return String(decoding: bytes.prefix(Int(count)), as: UTF8.self)
}
