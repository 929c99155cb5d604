/// How user content is shown without trusting it.
///
/// A type is *inline* only when no browser runs anything in it; SVG, HTML, PDF and everything
/// unknown are attachments. With `nosniff` the browser keeps to the stated type, and the policy
/// takes away whatever a document could do.
enum MediaDisposition {
    private static let inlineTypes = [
        "image/jpeg", "image/png", "image/gif", "image/webp", "image/avif", "video/mp4",
        "video/webm", "video/ogg", "audio/mpeg", "audio/mp4", "audio/ogg", "audio/webm",
        "audio/wav", "audio/aac", "audio/flac", "text/plain",
    ]

    static let policy = "sandbox; default-src 'none'; img-src 'self'; media-src 'self'"

    /// The type without parameters, in lower case.
    static func essence(_ type: String) -> String {
        String(type.prefix { $0 != ";" }).trimmingBlanks().lowercased()
    }

    /// `inline` or `attachment`.
    static func of(_ type: String) -> String {
        inlineTypes.contains(essence(type)) ? "inline" : "attachment"
    }

    /// A type that may stand in a header: token/token with parameters of printable ASCII, at most
    /// 128 bytes. Anything else becomes `application/octet-stream`.
    static func sanitized(_ type: String?) -> String {
        guard let type, type.utf8.count <= 128,
            type.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }),
            essence(type).split(separator: "/").count == 2,
            essence(type).utf8.count(where: { $0 == UInt8(ascii: "/") }) == 1,
            essence(type).utf8.allSatisfy(isTokenOrSlash)
        else { return "application/octet-stream" }
        return type
    }

    private static func isTokenOrSlash(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x61...0x7A: true
        case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x2F, 0x5E, 0x5F, 0x60, 0x7C, 0x7E: true
        default: false
        }
    }
}
