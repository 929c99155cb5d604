import Bytes
package import Platform
import Synchronization

/// Time that stands still until it is moved.
package final class SimulatedClock: Clock {
    private let nanoseconds = Atomic<UInt64>(0)
    private let wallStart: WallMilliseconds

    /// A clock at monotonic zero.
    ///
    /// - Parameter wallStart: the wall clock at that moment.
    package init(wallStart: WallMilliseconds = 1_700_000_000_000) {
        self.wallStart = wallStart
    }

    package func monotonicNanoseconds() -> UInt64 {
        nanoseconds.load(ordering: .relaxed)
    }

    package func wallMilliseconds() -> WallMilliseconds {
        wallStart &+ monotonicNanoseconds() / 1_000_000
    }

    /// Moves time on.
    package func advance(nanoseconds step: UInt64) {
        nanoseconds.add(step, ordering: .relaxed)
    }

    /// The clock of one machine: wall time off by `wallOffset` milliseconds, and running fast by
    /// `driftPartsPerMillion`.
    package func skewed(wallOffset: Int64, driftPartsPerMillion: Int64 = 0) -> SkewedClock {
        SkewedClock(base: self, wallOffset: wallOffset, drift: driftPartsPerMillion)
    }
}

/// A view of a simulated clock that is off.
package struct SkewedClock: Clock {
    let base: SimulatedClock
    let wallOffset: Int64
    let drift: Int64

    package func monotonicNanoseconds() -> UInt64 {
        let now = base.monotonicNanoseconds()
        let change = Int64(clamping: now / 1_000_000) &* drift
        return change >= 0 ? now &+ change.magnitude : now - min(now, change.magnitude)
    }

    package func wallMilliseconds() -> WallMilliseconds {
        let change = Int64(clamping: base.monotonicNanoseconds() / 1_000_000) / 1_000_000 &* drift
        let now = Int64(clamping: base.wallMilliseconds()) &+ wallOffset &+ change
        return WallMilliseconds(max(0, now))
    }
}

/// A stream of bytes that its seed decides.
package final class SimulatedRandom: RandomSource {
    private let generator: Mutex<SplitMix64>

    /// The stream of `seed`.
    package init(seed: UInt64) {
        generator = Mutex(SplitMix64(seed: seed))
    }

    package func bytes(_ count: Int) -> [UInt8] {
        generator.withLock { generator in
            (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next() &>> 32) }
        }
    }
}
