import Bytes
import Testing

@testable import SearchIndex

/// Segments hold terms as bytes: other terms for the same text need another number.
struct TokenVersionTests {
    /// The digest of the terms that these numbers stand for. It changes with the rules and with the
    /// tables, and then a number must change as well.
    private static let digest: UInt64 = 4_902_672_836_051_324_038
    private static let version: UInt16 = 1
    private static let unicodeVersion: UInt32 = 15_00_00

    @Test("makes the terms that its version has always made")
    func digest() {
        var tokenizer = Tokenizer()
        var digest: UInt64 = 0
        func take(_ text: String) {
            Array(text.utf8).withUnsafeBytes { bytes in
                tokenizer.tokenize(bytes) { token, position, _, _ in
                    digest = Checksum.xxh3(token, seed: digest &+ UInt64(position))
                }
            }
        }
        for number: UInt32 in 0..<0x11_0000 where number < 0x3_2400 || number % 251 == 0 {
            if let text = UnicodeFiles.text(number) { take("x\(text)y \(text)\(text)z") }
        }
        var maker = TextMaker(seed: 1)
        for _ in 0..<2000 { take(maker.mixed(8)) }
        #expect(
            digest == Self.digest && Tokenizer.version == Self.version
                && Tokenizer.unicodeVersion == Self.unicodeVersion,
            "the terms are \(digest) now: a new version, and this digest for it")
    }
}
