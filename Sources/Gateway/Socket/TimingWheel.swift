/// Deadlines of all sockets of one event loop, checked by a single repeating tick instead of a
/// timer a socket.
///
/// Buckets of one tick each in a ring. A socket has one entry; what moves a deadline later (any
/// frame does) touches nothing here. When the entry comes up, the socket is asked for its next
/// deadline and entered again, so the wheel costs one visit a socket and deadline, however often
/// the deadline moved. A deadline beyond the ring is entered at its far end and comes up early,
/// which costs one more visit. (Varghese and Lauck, "Hashed and hierarchical timing wheels", 1987,
/// scheme 4, with lazy rearming.)
struct TimingWheel: Sendable {
    private var buckets: [[UInt64]]
    private var now = 0

    /// A ring of `span` ticks.
    init(span: Int) {
        precondition(span > 1, "a wheel has at least two buckets")
        buckets = Array(repeating: [], count: span)
    }

    /// Enters `slot` to come up after `ticks`, at least one.
    mutating func insert(_ slot: UInt64, after ticks: Int) {
        let distance = min(max(1, ticks), buckets.count - 1)
        buckets[(now + distance) % buckets.count].append(slot)
    }

    /// Moves on by one tick; returns what comes up, in the order of entry.
    mutating func advance() -> [UInt64] {
        now = (now + 1) % buckets.count
        let due = buckets[now]
        buckets[now] = []
        return due
    }
}
