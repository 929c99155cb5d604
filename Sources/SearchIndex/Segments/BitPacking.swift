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
    static let slack = 32
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

    /// Numbers from lanes are below 2^this: 128 of them, added to a document, stay below 2^32.
    private static let sumWidthMax = 24

    /// Unpacks 128 gaps of `width` ≤ 32 bits from lanes and adds them up: each number is the one
    /// before it, `before` for the first, + its gap + 1. False when one of them is above `last`, or
    /// the last is another; `last` is below 2^30.
    static func unpackAscending(
        _ lanes: UnsafeRawPointer, width: Int, after before: UInt32, last: UInt32,
        into numbers: UnsafeMutablePointer<UInt32>
    ) -> Bool {
        if width > sumWidthMax {
            return unpackWide(lanes, width: width, after: before, last: last, into: numbers)
        }
        let target = UnsafeMutableRawPointer(numbers)
        var sum = SIMD4<UInt32>(repeating: before)
        for row in 0..<32 {
            let ones = gaps(lanes, row, width: width) &+ SIMD4(repeating: 1)
            let twos = ones &+ SIMD4(0, ones.x, ones.y, ones.z)
            let value = sum &+ twos &+ SIMD4(0, 0, twos.x, twos.y)
            target.storeBytes(of: value, toByteOffset: row &* 16, as: SIMD4<UInt32>.self)
            sum = SIMD4(repeating: value.w)
        }
        return sum.x == last
    }

    /// Sums of 64 bits: when they end at `last`, none before it is above.
    private static func unpackWide(
        _ lanes: UnsafeRawPointer, width: Int, after before: UInt32, last: UInt32,
        into numbers: UnsafeMutablePointer<UInt32>
    ) -> Bool {
        var sum = before == .max ? UInt64.max : UInt64(before)
        for row in 0..<32 {
            let gaps = gaps(lanes, row, width: width)
            for column in 0..<4 {
                sum = sum &+ UInt64(gaps[column]) &+ 1
                numbers[row * 4 + column] = UInt32(truncatingIfNeeded: sum)
            }
        }
        return sum == UInt64(last)
    }

    /// Numbers row × 4 … row × 4 + 3 of lanes.
    @inline(__always)
    private static func gaps(
        _ lanes: UnsafeRawPointer, _ row: Int, width: Int
    ) -> SIMD4<UInt32> {
        let mask = UInt32(truncatingIfNeeded: (UInt64(1) &<< UInt64(width)) &- 1)
        let bit = row &* width
        let shift = UInt32(truncatingIfNeeded: bit & 31)
        let word = lanes + (bit &>> 5) &* 16
        let low = word.loadUnaligned(as: SIMD4<UInt32>.self)
        let high = word.loadUnaligned(fromByteOffset: 16, as: SIMD4<UInt32>.self)
        let value =
            (low &>> SIMD4(repeating: shift))
            | ((high &<< SIMD4(repeating: 1)) &<< SIMD4(repeating: 31 &- shift))
        return value & SIMD4(repeating: mask)
    }

    /// How many of 128 ascending numbers are below `target`; all of them are below 2^31.
    @inline(__always)
    static func countBelow(_ target: UInt32, _ numbers: UnsafePointer<UInt32>) -> Int {
        let start =
            (numbers[31] < target ? 32 : 0) &+ (numbers[63] < target ? 32 : 0)
            &+ (numbers[95] < target ? 32 : 0)
        let wanted = SIMD4(repeating: Int32(bitPattern: target))
        let quarter = UnsafeRawPointer(numbers + start)
        var found = SIMD4<Int32>.zero
        for row in 0..<8 {
            let four = quarter.loadUnaligned(fromByteOffset: row &* 16, as: SIMD4<Int32>.self)
            // The sign of a difference: -1 for each that is below.
            found &+= (four &- wanted) &>> SIMD4(repeating: 31)
        }
        return start &- Int(found.wrappedSum())
    }
}
