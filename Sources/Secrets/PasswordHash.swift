private import CCrypto

/// Password hashing with scrypt (RFC 7914) through libcrypto.
///
/// A credential holds everything a later check needs, so the cost can rise without harm to old
/// ones: `{version u8 = 1, log2 N u8, r u8, p u8, salt 16 bytes, hash 32 bytes}`.
package enum PasswordHash {
    /// How dear one hash is: memory is 128 · 2^`logN` · `r` bytes, time grows with all three.
    package struct Cost: Equatable, Sendable {
        /// log2 of the number of blocks.
        package var logN: UInt8
        /// Block size factor.
        package var r: UInt8
        /// Passes.
        package var p: UInt8

        /// 16 MiB and five passes: OWASP's choice for little memory.
        package static let standard = Cost(logN: 14, r: 8, p: 5)

        /// A cost.
        package init(logN: UInt8, r: UInt8, p: UInt8) {
            self.logN = logN
            self.r = r
            self.p = p
        }
    }

    /// Bytes of fresh salt a credential needs.
    package static let saltBytes = 16
    private static let credentialBytes = 4 + saltBytes + 32
    private static let memoryMax: UInt64 = 256 << 20

    /// Makes the credential of a password. Takes tens of milliseconds and blocks.
    ///
    /// - Precondition: 16 bytes of salt; a cost that libcrypto takes within 256 MiB.
    package static func credential(password: String, salt: [UInt8], cost: Cost = .standard)
        -> [UInt8]
    {
        precondition(salt.count == saltBytes, "a credential needs 16 bytes of salt")
        guard let hash = derive(password, salt: salt, cost: cost) else {
            preconditionFailure("scrypt refused cost \(cost)")
        }
        return [1, cost.logN, cost.r, cost.p] + salt + hash
    }

    /// True when `password` made `credential`. Takes as long as making it; false for bytes that
    /// are no credential.
    package static func verify(password: String, credential: [UInt8]) -> Bool {
        guard credential.count == credentialBytes, credential[0] == 1, credential[1] <= 20,
            credential[2] > 0, credential[3] > 0
        else { return false }
        let cost = Cost(logN: credential[1], r: credential[2], p: credential[3])
        let salt = Array(credential[4..<(4 + saltBytes)])
        guard let hash = derive(password, salt: salt, cost: cost) else { return false }
        return HMAC.isEqual(hash, Array(credential[(4 + saltBytes)...]))
    }

    private static func derive(_ password: String, salt: [UInt8], cost: Cost) -> [UInt8]? {
        var hash = [UInt8](repeating: 0, count: 32)
        let bytes = Array(password.utf8)
        let status = bytes.withUnsafeBytes { passwordBytes in
            hash.withUnsafeMutableBytes { target in
                EVP_PBE_scrypt(
                    passwordBytes.baseAddress?.assumingMemoryBound(to: CChar.self),
                    passwordBytes.count, salt, salt.count, UInt64(1) << UInt64(cost.logN),
                    UInt64(cost.r), UInt64(cost.p), memoryMax,
                    target.baseAddress?.assumingMemoryBound(to: UInt8.self), target.count)
            }
        }
        return status == 1 ? hash : nil
    }
}
