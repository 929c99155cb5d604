import ChatModel
import Synchronization

/// Token buckets by key: `burst` at once, refilled evenly over `windowMs`.
///
/// The table is bounded: when it is full, full buckets (which say nothing) are swept; when none is
/// full, the answer is to wait, so a flood of keys cannot grow it.
final class RateLimiter<Key: Hashable & Sendable>: Sendable {
    private struct Bucket {
        /// Tokens times `windowMs`, so that refilling needs no fractions.
        var credit: UInt64
        var atMs: Milliseconds
    }

    private let buckets = Mutex<[Key: Bucket]>([:])
    private let burst: UInt64
    private let windowMs: UInt64
    private let keysMax: Int

    init(burst: Int, windowMs: Milliseconds, keysMax: Int) {
        precondition(burst > 0 && windowMs > 0 && keysMax > 0, "a limiter needs room")
        self.burst = UInt64(burst)
        self.windowMs = windowMs
        self.keysMax = keysMax
    }

    /// Takes a token; nil when there was one, else how long to wait.
    func take(_ key: Key, nowMs: Milliseconds) -> Milliseconds? {
        buckets.withLock { buckets in
            if buckets.count >= keysMax, buckets[key] == nil {
                buckets = buckets.filter { !isFull(refilled($0.value, nowMs)) }
                if buckets.count >= keysMax { return windowMs / burst + 1 }
            }
            var bucket = refilled(
                buckets[key] ?? Bucket(credit: burst * windowMs, atMs: nowMs), nowMs)
            defer { buckets[key] = bucket }
            guard bucket.credit >= windowMs else {
                return (windowMs - bucket.credit) / burst + 1
            }
            bucket.credit -= windowMs
            return nil
        }
    }

    /// True when a token is there, without taking it.
    func hasToken(_ key: Key, nowMs: Milliseconds) -> Bool {
        buckets.withLock { buckets in
            guard let bucket = buckets[key] else { return true }
            return refilled(bucket, nowMs).credit >= windowMs
        }
    }

    /// Gives a token back that was not owed after all.
    func giveBack(_ key: Key) {
        buckets.withLock { buckets in
            guard let credit = buckets[key]?.credit else { return }
            buckets[key]?.credit = min(burst * windowMs, credit + windowMs)
        }
    }

    private func refilled(_ bucket: Bucket, _ nowMs: Milliseconds) -> Bucket {
        // A clock that was set back must not hold up the refill until it has caught up.
        guard nowMs > bucket.atMs else { return Bucket(credit: bucket.credit, atMs: nowMs) }
        let elapsed = min(nowMs - bucket.atMs, windowMs)
        return Bucket(
            credit: min(burst * windowMs, bucket.credit + elapsed * burst), atMs: nowMs)
    }

    private func isFull(_ bucket: Bucket) -> Bool { bucket.credit >= burst * windowMs }
}
