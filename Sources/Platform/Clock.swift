/// Milliseconds since 1970 on the wall clock.
package typealias WallMilliseconds = UInt64

/// Time as a seam. Cores get time as an argument; only the edges ask.
package protocol Clock: Sendable {
    /// A monotonic reading in nanoseconds since some start; never goes back.
    func monotonicNanoseconds() -> UInt64
    /// Milliseconds since 1970; may jump.
    func wallMilliseconds() -> WallMilliseconds
}

/// Chance as a seam: unpredictable bytes in production, a seeded stream in the simulator.
package protocol RandomSource: Sendable {
    /// `count` fresh bytes; in production fit for keys.
    func bytes(_ count: Int) -> [UInt8]
}

extension RandomSource {
    /// 64 fresh bits.
    package func word() -> UInt64 {
        var value: UInt64 = 0
        for byte in bytes(8) { value = value &<< 8 | UInt64(byte) }
        return value
    }
}
