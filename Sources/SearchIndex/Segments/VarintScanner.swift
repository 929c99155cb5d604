/// Reads varints from bytes that are not trusted, without throwing: past the end, or when a varint
/// is too long, everything reads as 0 and ``isRotten`` stays set.
struct VarintScanner {
    private(set) var at: UnsafeRawPointer
    private let end: UnsafeRawPointer
    private(set) var isRotten = false

    @inline(__always)
    init(_ start: UnsafeRawPointer, count: Int) {
        at = start
        end = start + count
    }

    @inline(__always)
    var remaining: Int { end - at }

    @inline(__always)
    mutating func next() -> UInt64 {
        if at < end {
            let byte = at.load(as: UInt8.self)
            if byte < 0x80 {
                at += 1
                return UInt64(byte)
            }
        }
        return long()
    }

    @inline(never)
    private mutating func long() -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while at < end, shift < 64 {
            let byte = at.load(as: UInt8.self)
            at += 1
            value |= UInt64(byte & 0x7F) &<< shift
            if byte < 0x80 {
                if shift == 63, byte > 1 { break }
                return value
            }
            shift += 7
        }
        fail()
        return 0
    }

    /// Takes `count` bytes; nil when there are fewer.
    @inline(__always)
    mutating func take(_ count: UInt64) -> UnsafeRawBufferPointer? {
        guard count <= UInt64(remaining) else {
            fail()
            return nil
        }
        let bytes = UnsafeRawBufferPointer(start: at, count: Int(count))
        at += Int(count)
        return bytes
    }

    mutating func fail() {
        isRotten = true
        at = end
    }
}
