/// Base64 (RFC 4648, section 4) of the handshake's short values: always padded, no line breaks.
enum Base64 {
    private static let alphabet = [UInt8](
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            var word: UInt32 = 0
            for byte in group { word = word << 8 | UInt32(byte) }
            word <<= UInt32(3 - group.count) * 8
            for position in 0..<4 {
                let digit = Int(word >> UInt32(18 - position * 6)) & 63
                text.append(position <= group.count ? alphabet[digit] : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// How many bytes `text` stands for, or nil when it is not base64 with its unused bits zero.
    static func decodedCount(_ text: some StringProtocol) -> Int? {
        let characters = [UInt8](text.utf8)
        guard characters.count % 4 == 0 else { return nil }
        let padding = characters.reversed().prefix { $0 == UInt8(ascii: "=") }.count
        guard padding <= 2 else { return nil }
        var last = 0
        for character in characters.dropLast(padding) {
            guard let digit = alphabet.firstIndex(of: character) else { return nil }
            last = digit
        }
        if padding == 1, last & 0x3 != 0 { return nil }
        if padding == 2, last & 0xF != 0 { return nil }
        return characters.count / 4 * 3 - padding
    }
}
