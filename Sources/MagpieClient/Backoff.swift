internal import Bytes

/// Waiting times between tries: exponential with full jitter (M. Brooker, "Exponential Backoff And
/// Jitter", AWS Architecture Blog, 2015), so that clients of a fallen server don't return in step.
package struct Backoff: Sendable {
    /// The ceiling of the first wait.
    package var base: Duration
    /// The ceiling of every wait.
    package var cap: Duration
    private var tries = 0
    private var random: SplitMix64

    /// No tries so far; `seed` decides all waits.
    package init(base: Duration = .milliseconds(250), cap: Duration = .seconds(20), seed: UInt64) {
        precondition(base > .zero && cap >= base, "a back-off needs 0 < base ≤ cap")
        self.base = base
        self.cap = cap
        random = SplitMix64(seed: seed)
    }

    /// The next wait: uniform in 0…min(cap, base · 2^tries), and not below `floor`, which a server
    /// may have named.
    package mutating func next(floor: Duration = .zero) -> Duration {
        let ceiling = min(cap, base * (1 << min(tries, 20)))
        tries += 1
        // 20 bits of fraction are finer than any timer.
        let fraction = Double(random.next() >> 44) / Double(1 << 20)
        return max(floor, .zero) + ceiling * fraction
    }

    /// Success: the next wait is short again.
    package mutating func reset() { tries = 0 }
}
