import ChatModel
import Synchronization

/// Changes that must be looked up before they can be proposed, in order for each user: while one is
/// under way the user's later changes wait behind it.
final class Detours: Sendable {
    /// A change; it calls what it is given when the next one may begin.
    typealias Job = @Sendable (_ done: @escaping @Sendable () -> Void) -> Void

    private struct State {
        /// Users with a change under way, and what waits behind it.
        var queues: [UserID: [Job]] = [:]
        var waiting = 0
    }

    private let state = Mutex(State())
    private let limit: Int

    /// Detours that let `limit` changes wait.
    init(limit: Int) { self.limit = limit }

    func isUnderWay(_ user: UserID) -> Bool { state.withLock { $0.queues[user] != nil } }

    /// Runs `job` now, or behind the user's earlier ones; false when too many wait.
    func run(_ user: UserID, _ job: @escaping Job) -> Bool {
        let mustStart = state.withLock { state -> Bool? in
            guard state.queues[user] != nil else {
                state.queues[user] = []
                return true
            }
            guard state.waiting < limit else { return nil }
            state.queues[user]?.append(job)
            state.waiting += 1
            return false
        }
        guard let mustStart else { return false }
        if mustStart { start(user, job) }
        return true
    }

    private func start(_ user: UserID, _ job: Job) {
        job { [self] in
            let next = state.withLock { state -> Job? in
                guard var queue = state.queues[user], !queue.isEmpty else {
                    state.queues[user] = nil
                    return nil
                }
                let next = queue.removeFirst()
                state.queues[user] = queue
                state.waiting -= 1
                return next
            }
            if let next { start(user, next) }
        }
    }
}
