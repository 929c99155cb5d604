import Glibc

/// The kernel's clocks.
package struct LinuxClock: Clock {
    /// The clocks of this machine.
    package init() {}

    /// CLOCK_MONOTONIC: stands still while the machine sleeps.
    package func monotonicNanoseconds() -> UInt64 {
        Self.read(CLOCK_MONOTONIC)
    }

    /// CLOCK_REALTIME: jumps when somebody sets the clock.
    package func wallMilliseconds() -> WallMilliseconds {
        Self.read(CLOCK_REALTIME) / 1_000_000
    }

    private static func read(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        let code = clock_gettime(clock, &time)
        precondition(code == 0, "the kernel has this clock")
        return UInt64(clamping: time.tv_sec) &* 1_000_000_000 &+ UInt64(clamping: time.tv_nsec)
    }
}

/// The kernel's random source: fit for keys, blocks only while the machine boots.
package struct SystemRandom: RandomSource {
    /// The random source of this machine.
    package init() {}

    /// By getentropy. `count` is not negative.
    package func bytes(_ count: Int) -> [UInt8] {
        precondition(count >= 0, "a count of bytes")
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            filled = 0
            while filled < count, let base = buffer.baseAddress {
                // getentropy is getrandom for at most 256 bytes, whole and never interrupted.
                let step = min(256, count - filled)
                let code = getentropy(base + filled, step)
                precondition(code == 0, "the kernel gives random bytes")
                filled += step
            }
        }
    }
}
