/// UTF-8 without trust.
enum ScalarDecoder {
    /// The scalar that begins at `offset`, and its length. A length of 0 says that none does: the
    /// byte is no beginning, the sequence is cut off, too long for its scalar, or a surrogate.
    @inline(__always)
    static func decode(
        _ text: UnsafeRawBufferPointer, at offset: Int
    ) -> (scalar: UInt32, length: Int) {
        let first = UInt32(text[offset])
        if first < 0x80 { return (first, 1) }
        let left = text.count &- offset
        if first >= 0xC2, first < 0xE0, left >= 2 {
            let second = UInt32(text[offset &+ 1])
            guard second & 0xC0 == 0x80 else { return (0, 0) }
            return ((first & 0x1F) &<< 6 | second & 0x3F, 2)
        }
        if first >= 0xE0, first < 0xF0, left >= 3 {
            let second = UInt32(text[offset &+ 1])
            let third = UInt32(text[offset &+ 2])
            let scalar = (first & 0x0F) &<< 12 | (second & 0x3F) &<< 6 | third & 0x3F
            guard second & 0xC0 == 0x80, third & 0xC0 == 0x80, scalar >= 0x800,
                scalar & 0xF800 != 0xD800
            else { return (0, 0) }
            return (scalar, 3)
        }
        if first >= 0xF0, first < 0xF5, left >= 4 {
            let second = UInt32(text[offset &+ 1])
            let third = UInt32(text[offset &+ 2])
            let fourth = UInt32(text[offset &+ 3])
            let scalar =
                (first & 0x07) &<< 18 | (second & 0x3F) &<< 12 | (third & 0x3F) &<< 6
                | fourth & 0x3F
            guard second & 0xC0 == 0x80, third & 0xC0 == 0x80, fourth & 0xC0 == 0x80,
                scalar >= 0x1_0000, scalar < 0x11_0000
            else { return (0, 0) }
            return (scalar, 4)
        }
        return (0, 0)
    }

    /// Writes a scalar in UTF-8, at most 4 bytes, and gives their number.
    @inline(__always)
    static func encode(_ scalar: UInt32, to place: UnsafeMutablePointer<UInt8>) -> Int {
        func tail(_ shift: UInt32) -> UInt8 {
            UInt8(truncatingIfNeeded: scalar &>> shift & 0x3F | 0x80)
        }
        if scalar < 0x80 {
            place[0] = UInt8(truncatingIfNeeded: scalar)
            return 1
        }
        if scalar < 0x800 {
            place[0] = UInt8(truncatingIfNeeded: scalar &>> 6 | 0xC0)
            place[1] = tail(0)
            return 2
        }
        if scalar < 0x1_0000 {
            place[0] = UInt8(truncatingIfNeeded: scalar &>> 12 | 0xE0)
            place[1] = tail(6)
            place[2] = tail(0)
            return 3
        }
        place[0] = UInt8(truncatingIfNeeded: scalar &>> 18 | 0xF0)
        place[1] = tail(12)
        place[2] = tail(6)
        place[3] = tail(0)
        return 4
    }
}
