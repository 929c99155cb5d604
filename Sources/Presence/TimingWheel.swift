/// A flat wheel of 512 buckets of one second.
///
/// One fixed time to live needs no hierarchy: an entry is looked at when its bucket comes round,
/// and whoever owns it says whether it is due or goes on to its true bucket (lazy re-arming), so a
/// refresh costs the wheel nothing. Deadlines further than 511 s away take several rounds.
struct TimingWheel {
    static let bucketCount: UInt32 = 512
    private var buckets = [[UInt32]](repeating: [], count: Int(bucketCount))
    /// Every bucket up to this tick is empty of entries that were armed before it came round.
    private(set) var tick: UInt32 = 0
    /// Entries on the wheel.
    private(set) var count = 0

    /// Puts an entry where `tick` comes round, or as far ahead as the wheel reaches.
    mutating func arm(_ entry: UInt32, at deadline: UInt32) {
        let ahead = deadline > tick ? min(deadline - tick, Self.bucketCount - 1) : 1
        buckets[Int((tick &+ ahead) % Self.bucketCount)].append(entry)
        count += 1
    }

    /// Moves on to `now` and takes the next entry on the way; nil when all up to `now` are taken.
    /// The caller arms it again or forgets it.
    mutating func next(upTo now: UInt32) -> UInt32? {
        // After a long pause one round sees everything.
        if now > tick, now - tick > Self.bucketCount { tick = now - Self.bucketCount }
        while true {
            if let entry = buckets[Int(tick % Self.bucketCount)].popLast() {
                count -= 1
                return entry
            }
            guard tick < now else { return nil }
            buckets[Int(tick % Self.bucketCount)] = []
            tick += 1
        }
    }
}
