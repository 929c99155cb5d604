/// Numbers of a fixed width in bits, side by side.
///
/// Two layouts. *Lanes* hold 128 numbers below 2^32 for decoding all at once: number i is in lane
/// i mod 4 of a row of four 32-bit words, each lane filled from its lowest bit up, so that one
/// vector operation unpacks four neighbours (Lemire and Boytsov, "Decoding billions of integers per
/// second through vectorization", 2015). *Runs* hold any count for reading one by one: number i
/// begins at bit i × width of the bytes.
///
/// Readers load whole words: up to ``slack`` bytes behind the numbers must be readable.
enum BitPacking {
    static let laneNumbers = 128
    /// Bytes behind the end that a read may touch.
    static let slack = 16
    /// Widths above this are 64, so that a number is always within one 8-byte load.
    static let narrowWidthMax = 56

    /// Bits of `value`.
    @inline(__always)
    static func width(of value: UInt32) -> Int { 32 &- value.leadingZeroBitCount }

    /// Bits of a run whose highest number is `value`.
    @inline(__always)
    static func runWidth(of value: UInt64) -> Int {
        let width = 64 &- value.leadingZeroBitCount
        return width > narrowWidthMax ? 64 : width
    }

    /// True when runs may have this width.
    static func isRunWidth(_ width: Int) -> Bool {
        (0...narrowWidthMax).contains(width) || width == 64
    }

    /// Bytes of a run.
    @inline(__always)
    static func runBytes(count: Int, width: Int) -> Int { (count &* width &+ 7) &>> 3 }

    /// Number `index` of a run.
    @inline(__always)
    static func read(_ run: UnsafeRawPointer, _ index: Int, width: Int) -> UInt64 {
        if width > narrowWidthMax {
            return UInt64(
                littleEndian: run.loadUnaligned(fromByteOffset: index &* 8, as: UInt64.self))
        }
        let bit = index &* width
        let word = UInt64(
            littleEndian: run.loadUnaligned(fromByteOffset: bit &>> 3, as: UInt64.self))
        return (word &>> UInt64(truncatingIfNeeded: bit & 7))
            & ((1 &<< UInt64(truncatingIfNeeded: width)) &- 1)
    }

    /// Appends a run.
    static func appendRun(
        _ numbers: UnsafeBufferPointer<UInt64>, width: Int, to bytes: inout [UInt8]
    ) {
        if width == 0 { return }
        if width == 64 {
            for number in numbers {
                withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
            }
            return
        }
        var held: UInt64 = 0
        var bits = 0
        for number in numbers {
            held |= number &<< UInt64(bits)
            bits += width
            while bits >= 8 {
                bytes.append(UInt8(truncatingIfNeeded: held))
                held >>= 8
                bits -= 8
            }
        }
        if bits > 0 { bytes.append(UInt8(truncatingIfNeeded: held)) }
    }

    /// Appends 128 numbers in lanes: 16 × width bytes.
    static func appendLanes(
        _ numbers: UnsafePointer<UInt32>, width: Int, to bytes: inout [UInt8]
    ) {
        if width == 0 { return }
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 4 * width) { words in
            words.initialize(repeating: 0)
            for index in 0..<laneNumbers {
                let bit = (index >> 2) * width
                let place = (bit >> 5) * 4 + (index & 3)
                let shift = UInt32(bit & 31)
                words[place] |= numbers[index] &<< shift
                if Int(shift) + width > 32 {
                    words[place + 4] |= numbers[index] &>> (32 &- shift)
                }
            }
            for word in words {
                withUnsafeBytes(of: word.littleEndian) { bytes.append(contentsOf: $0) }
            }
        }
    }

    /// Unpacks 128 numbers of `width` ≤ 32 bits from lanes.
    @inline(__always)
    static func unpackLanes(
        _ lanes: UnsafeRawPointer, width: Int, into numbers: UnsafeMutablePointer<UInt32>
    ) {
        let mask = SIMD4<UInt32>(
            repeating: UInt32(truncatingIfNeeded: (UInt64(1) &<< UInt64(width)) &- 1))
        let target = UnsafeMutableRawPointer(numbers)
        var bit = 0
        var row = 0
        while row < 32 {
            let shift = UInt32(truncatingIfNeeded: bit & 31)
            let word = lanes + (bit &>> 5) &* 16
            let low = word.loadUnaligned(as: SIMD4<UInt32>.self)
            let high = word.loadUnaligned(fromByteOffset: 16, as: SIMD4<UInt32>.self)
            let value =
                (low &>> SIMD4(repeating: shift))
                | ((high &<< SIMD4(repeating: 1)) &<< SIMD4(repeating: 31 &- shift))
            target.storeBytes(of: value & mask, toByteOffset: row &* 16, as: SIMD4<UInt32>.self)
            bit &+= width
            row &+= 1
        }
    }
}
