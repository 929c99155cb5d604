/// A token that says something and proves who said it: base64url of `{purpose u8, payload, MAC}`.
///
/// The MAC is the first 16 bytes of HMAC-SHA-256 over purpose and payload, so a token made for one
/// purpose is never taken for another. Nothing in it is secret from its holder.
package enum SealedToken {
    private static let macBytes = 16

    /// The text of a token. `purpose` keeps kinds of tokens apart.
    package static func seal(purpose: UInt8, payload: [UInt8], key: [UInt8]) -> String {
        let body = [purpose] + payload
        return Base64URL.encode(body + HMAC.sha256(key: key, body).prefix(macBytes))
    }

    /// The payload of a token made with `key` for `purpose`; nil for anything else.
    package static func open(_ text: String, purpose: UInt8, key: [UInt8]) -> [UInt8]? {
        guard text.utf8.count <= 1024, let bytes = Base64URL.decode(text),
            bytes.count > macBytes, bytes[0] == purpose
        else { return nil }
        let body = Array(bytes.dropLast(macBytes))
        let mac = Array(HMAC.sha256(key: key, body).prefix(macBytes))
        guard HMAC.isEqual(mac, Array(bytes.suffix(macBytes))) else { return nil }
        return Array(body.dropFirst())
    }
}

/// Base64 with the URL alphabet and no padding (RFC 4648 §5).
package enum Base64URL {
    private static let alphabet = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    /// The text of `bytes`.
    package static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        text.reserveCapacity(bytes.count * 4 / 3 + 3)
        var index = 0
        while index < bytes.count {
            let left = min(3, bytes.count - index)
            var word: UInt32 = 0
            for position in 0..<3 {
                word = word << 8 | (position < left ? UInt32(bytes[index + position]) : 0)
            }
            for position in 0...left {
                text.append(alphabet[Int(word >> UInt32(18 - 6 * position) & 63)])
            }
            index += 3
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// The bytes of `text`; nil when it is not canonical base64url.
    package static func decode(_ text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        var word: UInt32 = 0
        var bits = 0
        for character in text.utf8 {
            let value: UInt32
            switch character {
            case 0x41...0x5A: value = UInt32(character - 0x41)
            case 0x61...0x7A: value = UInt32(character - 0x61 + 26)
            case 0x30...0x39: value = UInt32(character - 0x30 + 52)
            case 0x2D: value = 62
            case 0x5F: value = 63
            default: return nil
            }
            word = word << 6 | value
            bits += 6
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: word >> UInt32(bits)))
                word &= (1 << UInt32(bits)) - 1
            }
        }
        return bits < 6 && word == 0 ? bytes : nil
    }
}
