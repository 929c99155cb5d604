private import CCrypto

/// SHA-256 (FIPS 180-4) through libcrypto.
package enum SHA256 {
    /// Bytes in a digest.
    package static let byteCount = 32

    /// The digest of `bytes`.
    package static func hash(_ bytes: [UInt8]) -> [UInt8] {
        var digest = SHA256Stream()
        digest.update(bytes)
        return digest.finish()
    }
}

/// SHA-256 of bytes that come in parts.
package struct SHA256Stream: ~Copyable {
    private let context: OpaquePointer

    /// An empty digest.
    package init() {
        guard let context = EVP_MD_CTX_new() else { preconditionFailure("out of memory") }
        precondition(
            EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1, "libcrypto lacks SHA-256")
        self.context = context
    }

    deinit { EVP_MD_CTX_free(context) }

    /// Adds bytes.
    package mutating func update(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { raw in
            precondition(
                EVP_DigestUpdate(context, raw.baseAddress, raw.count) == 1, "SHA-256 update failed")
        }
    }

    /// The digest of everything added: 32 bytes. The stream must not be used afterwards.
    package mutating func finish() -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: SHA256.byteCount)
        let status = digest.withUnsafeMutableBytes { raw in
            EVP_DigestFinal_ex(
                context, raw.baseAddress?.assumingMemoryBound(to: UInt8.self), nil)
        }
        precondition(status == 1, "SHA-256 finish failed")
        return digest
    }
}

/// HMAC-SHA-256 (RFC 2104).
package enum HMAC {
    /// 32 bytes that only a holder of `key` can make for `message`.
    package static func sha256(key: [UInt8], _ message: [UInt8]) -> [UInt8] {
        var mac = [UInt8](repeating: 0, count: SHA256.byteCount)
        let made = key.withUnsafeBytes { keyBytes in
            message.withUnsafeBytes { messageBytes in
                mac.withUnsafeMutableBytes { macBytes in
                    CCrypto.HMAC(
                        EVP_sha256(), keyBytes.baseAddress, Int32(clamping: keyBytes.count),
                        messageBytes.baseAddress?.assumingMemoryBound(to: UInt8.self),
                        messageBytes.count,
                        macBytes.baseAddress?.assumingMemoryBound(to: UInt8.self), nil) != nil
                }
            }
        }
        precondition(made, "HMAC failed")
        return mac
    }

    /// Compares without telling by its time where the difference is.
    package static func isEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        left.count == right.count && CRYPTO_memcmp(left, right, left.count) == 0
    }
}
