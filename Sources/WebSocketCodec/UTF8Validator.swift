/// Checks UTF-8 that arrives in pieces, and fails at the first byte that no continuation can
/// repair (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF).
///
/// Between pieces it remembers how many bytes the open character still needs and the range that
/// the next one must lie in; only the first continuation byte ever has a range narrower than
/// 80…BF:
///
/// | Lead | Needs | First continuation | Why |
/// |---|---|---|---|
/// | C2…DF | 1 | 80…BF | C0, C1 would be overlong |
/// | E0 | 2 | A0…BF | below is overlong |
/// | E1…EC, EE, EF | 2 | 80…BF | |
/// | ED | 2 | 80…9F | above are surrogates |
/// | F0 | 3 | 90…BF | below is overlong |
/// | F1…F3 | 3 | 80…BF | |
/// | F4 | 3 | 80…8F | above passes U+10FFFF |
package struct UTF8Validator: Sendable {
    private var needed: UInt8 = 0
    private var lowest: UInt8 = 0x80
    private var highest: UInt8 = 0xBF

    /// A validator before the first byte.
    package init() {}

    /// True between characters: text may end here.
    package var isComplete: Bool { needed == 0 }

    /// Takes the next piece. False: the text is not UTF-8, whatever follows.
    package mutating func accept(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var index = 0
        let count = bytes.count
        while index < count {
            // Eight ASCII bytes at a time, as most chat text is mostly ASCII.
            while needed == 0, count &- index >= 8,
                bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                    & 0x8080_8080_8080_8080 == 0
            {
                index &+= 8
            }
            guard index < count else { break }
            guard accept(bytes[index]) else { return false }
            index &+= 1
        }
        return true
    }

    @inline(__always)
    private mutating func accept(_ byte: UInt8) -> Bool {
        if needed == 0 {
            switch byte {
            case 0x00...0x7F: break
            case 0xC2...0xDF: open(1)
            case 0xE0: open(2, from: 0xA0)
            case 0xED: open(2, to: 0x9F)
            case 0xE1...0xEF: open(2)
            case 0xF0: open(3, from: 0x90)
            case 0xF1...0xF3: open(3)
            case 0xF4: open(3, to: 0x8F)
            default: return false
            }
            return true
        }
        guard byte >= lowest, byte <= highest else { return false }
        needed &-= 1
        lowest = 0x80
        highest = 0xBF
        return true
    }

    @inline(__always)
    private mutating func open(_ count: UInt8, from low: UInt8 = 0x80, to high: UInt8 = 0xBF) {
        needed = count
        lowest = low
        highest = high
    }
}
