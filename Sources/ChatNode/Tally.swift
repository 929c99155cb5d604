import Synchronization

/// Counts answers that come on any thread and says once, at the last one, whether all were good.
final class Tally: Sendable {
    private let state: Mutex<(left: Int, isGood: Bool)>
    private let done: @Sendable (Bool) -> Void

    /// A tally of `count` answers; with none, the owner calls ``finish()``.
    init(_ count: Int, done: @escaping @Sendable (Bool) -> Void) {
        state = Mutex((count, true))
        self.done = done
    }

    /// One answer came.
    func count(if isGood: Bool) {
        let result = state.withLock { state -> Bool? in
            state.left -= 1
            state.isGood = state.isGood && isGood
            return state.left == 0 ? state.isGood : nil
        }
        if let result { done(result) }
    }

    /// There was nothing to wait for.
    func finish() { done(true) }
}
