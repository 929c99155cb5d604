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

/// The clock of one machine: its wall time can be set, and both its readings can run fast or slow
/// from now on. The monotonic reading never goes back.
package final class MachineClock: Clock {
    private struct State {
        var wallOffset: Int64
        var drift: Int64 = 0
        /// Where the present drift began, as the true time and as this clock read then.
        var began: UInt64 = 0
        var read: UInt64 = 0

        func reading(_ now: UInt64) -> UInt64 {
            let passed = now - min(now, began)
            let change = Int64(clamping: passed / 1_000_000) &* drift
            return change >= 0
                ? read &+ passed &+ change.magnitude
                : read &+ passed - min(passed, change.magnitude)
        }
    }

    private let base: SimulatedClock
    private let state: Mutex<State>

    /// A clock that is off by `wallOffset` milliseconds and keeps pace.
    package init(base: SimulatedClock, wallOffset: Int64 = 0) {
        self.base = base
        let now = base.monotonicNanoseconds()
        state = Mutex(State(wallOffset: wallOffset, began: now, read: now))
    }

    package func monotonicNanoseconds() -> UInt64 {
        let now = base.monotonicNanoseconds()
        return state.withLock { $0.reading(now) }
    }

    package func wallMilliseconds() -> WallMilliseconds {
        let now = base.monotonicNanoseconds()
        let (reading, offset) = state.withLock { ($0.reading(now), $0.wallOffset) }
        let wall = Int64(clamping: base.wallMilliseconds()) &- Int64(clamping: now / 1_000_000)
        return WallMilliseconds(max(0, wall &+ Int64(clamping: reading / 1_000_000) &+ offset))
    }

    /// Sets the wall clock forward, or back.
    package func jump(milliseconds: Int64) {
        state.withLock { $0.wallOffset &+= milliseconds }
    }

    /// From now on it runs fast by so much, or slow.
    package func setDrift(partsPerMillion: Int64) {
        let now = base.monotonicNanoseconds()
        state.withLock { state in
            state.read = state.reading(now)
            state.began = now
            state.drift = partsPerMillion
        }
    }

    /// Keeps pace again, and its wall clock is right.
    package func correct() {
        setDrift(partsPerMillion: 0)
        let now = base.monotonicNanoseconds()
        state.withLock { state in
            state.wallOffset = (Int64(clamping: now) - Int64(clamping: state.read)) / 1_000_000
        }
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
