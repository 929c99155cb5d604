import Bytes
import Testing

@testable import WebSocketCodec

struct UTF8ValidatorTests {
    /// The dumb judge: decode scalar by scalar as the table of RFC 3629 says.
    static func isValid(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while let lead = rest.popFirst() {
            let count: Int
            var value: UInt32
            switch lead {
            case 0..<0x80: continue
            case 0xC0..<0xE0: (count, value) = (1, UInt32(lead & 0x1F))
            case 0xE0..<0xF0: (count, value) = (2, UInt32(lead & 0x0F))
            case 0xF0..<0xF8: (count, value) = (3, UInt32(lead & 0x07))
            default: return false
            }
            for _ in 0..<count {
                guard let next = rest.popFirst(), next & 0xC0 == 0x80 else { return false }
                value = value << 6 | UInt32(next & 0x3F)
            }
            let lowest: UInt32 = [0, 0x80, 0x800, 0x1_0000][count]
            guard value >= lowest, Unicode.Scalar(value) != nil else { return false }
        }
        return true
    }

    static func accepts(_ pieces: [[UInt8]]) -> Bool {
        var validator = UTF8Validator()
        for piece in pieces {
            guard piece.withUnsafeBytes({ validator.accept($0) }) else { return false }
        }
        return validator.isComplete
    }

    /// What the validator says of each byte, given one at a time.
    static func verdicts(_ bytes: [UInt8]) -> [Bool] {
        var validator = UTF8Validator()
        return bytes.map { byte in withUnsafeBytes(of: byte) { validator.accept($0) } }
    }

    @Test(
        "valid text passes at every split",
        arguments: [
            "", "Hello-µ@ßöäüàá-UTF-8!!", "κόσμε", "\u{0}", "\u{80}", "\u{7FF}", "\u{800}",
            "\u{D7FF}", "\u{E000}", "\u{FFFD}", "\u{FFFE}", "\u{FFFF}", "\u{10000}", "\u{10FFFF}",
            "\u{1FFFE}", "\u{10FFFE}", "plain ASCII of more than one word 🐦 and back to ASCII",
        ])
    func validText(text: String) {
        let bytes = [UInt8](text.utf8)
        for split in 0...bytes.count {
            #expect(Self.accepts([[UInt8](bytes[..<split]), [UInt8](bytes[split...])]))
        }
    }

    @Test(
        "invalid text fails at every split",
        arguments: [
            // Surrogates, too large, overlong, lone continuation, missing continuation.
            [0xCE, 0xBA, 0xE1, 0xBD, 0xB9, 0xED, 0xA0, 0x80, 0x65], [0xED, 0xBF, 0xBF],
            [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xF8, 0x88, 0x80, 0x80, 0x80],
            [0xFC, 0x84, 0x80, 0x80, 0x80, 0x80], [0xC0, 0xAF], [0xC1, 0xBF], [0xE0, 0x80, 0xAF],
            [0xE0, 0x9F, 0xBF], [0xF0, 0x80, 0x80, 0xAF], [0xF0, 0x8F, 0xBF, 0xBF], [0x80], [0xBF],
            [0x80, 0xBF, 0x80], [0xFE], [0xFF], [0xC3], [0xE2, 0x82], [0xF0, 0x9F, 0x90],
            [0xC3, 0x41], [0xE2, 0x82, 0x41], [0xF0, 0x9F, 0x90, 0x41],
            [0x41, 0x41, 0x41, 0x41, 0x41, 0x41, 0x41, 0x41, 0x80],
        ] as [[UInt8]])
    func invalidText(bytes: [UInt8]) {
        #expect(!Self.isValid(bytes))
        for split in 0...bytes.count {
            #expect(!Self.accepts([[UInt8](bytes[..<split]), [UInt8](bytes[split...])]))
        }
    }

    @Test("it fails at the very byte that cannot be repaired")
    func failsFast() {
        #expect(Self.verdicts([0xCE, 0xBA, 0xED, 0xA0]) == [true, true, true, false])
        #expect(Self.verdicts([0x41, 0xC0]) == [true, false])
        #expect(Self.verdicts([0xF4, 0x90]) == [true, false])
    }

    @Test("it agrees with a plain decoder on random bytes", arguments: [1, 2, 3] as [UInt64])
    func agreesWithPlainDecoder(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let leads: [UInt8] = [
            0xC2, 0xE0, 0xE1, 0xED, 0xEF, 0xF0, 0xF1, 0xF4, 0x41, 0x7F, 0x80, 0xBF,
        ]
        var valid = 0
        for _ in 0..<20_000 {
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 0...6, using: &random) {
                bytes.append(
                    Bool.random(using: &random)
                        ? leads[Int.random(in: 0..<leads.count, using: &random)]
                        : UInt8.random(in: 0x80...0xBF, using: &random))
            }
            let expected = Self.isValid(bytes)
            if expected { valid += 1 }
            #expect(Self.accepts(cut(bytes, with: &random)) == expected, "seed \(seed): \(bytes)")
        }
        #expect(valid > 500, "seed \(seed): the sample holds valid text too")
    }
}
