import ChatModel
import Synchronization

/// Changes that must be looked up before they can be proposed, in order for each user: while one is
/// under way the user's later changes wait behind it.
final class Detours: Sendable {
    /// A change; it calls what it is given when the next one may begin.
    typealias Job = @Sendable (_ done: @escaping @Sendable () -> Void) -> Void

    private struct State {
        /// Users with a change under way, and what waits behind it.
        var queues: [UserID: ArraySlice<Job>] = [:]
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

    /// Runs jobs one after the other. Those that are done before they return are a loop's turns: a
    /// long queue of them must not become a deep stack.
    private func start(_ user: UserID, _ first: Job) {
        var job = first
        while true {
            let turn = Turn()
            job { [self] in
                if turn.isSecond() { runNext(user) }
            }
            guard turn.isSecond(), let next = takeNext(user) else { return }
            job = next
        }
    }

    private func runNext(_ user: UserID) {
        if let next = takeNext(user) { start(user, next) }
    }

    /// A job has two ends: it returns, and it is done. Whoever comes second goes on.
    private final class Turn: Sendable {
        private let isOver = Atomic<Bool>(false)

        func isSecond() -> Bool { isOver.exchange(true, ordering: .acquiringAndReleasing) }
    }

    private func takeNext(_ user: UserID) -> Job? {
        state.withLock { state in
            guard let next = state.queues[user]?.popFirst() else {
                state.queues[user] = nil
                return nil
            }
            state.waiting -= 1
            return next
        }
    }
}
