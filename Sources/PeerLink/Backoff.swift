import Bytes
import NIOCore

/// How long to wait between attempts: the bound doubles up to a limit, and the wait is drawn from
/// its upper half, so that nodes that lost a peer together don't call it together.
struct Backoff {
    private let min: TimeAmount
    private let max: TimeAmount
    private var bound: TimeAmount

    init(min: TimeAmount, max: TimeAmount) {
        self.min = min
        self.max = max
        bound = min
    }

    /// The wait before the next attempt.
    mutating func next(using generator: inout SplitMix64) -> TimeAmount {
        let nanoseconds = Swift.max(2, bound.nanoseconds)
        bound = Swift.min(bound * 2, max)
        return .nanoseconds(
            Int64.random(in: nanoseconds / 2...nanoseconds, using: &generator))
    }

    /// It worked: begin with the shortest wait again.
    mutating func reset() { bound = min }
}
