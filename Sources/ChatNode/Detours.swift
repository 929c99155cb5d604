import ChatModel
import Synchronization

/// Users with a change on its way through a read lane, so that later changes do not overtake it.
final class Detours: Sendable {
    private let counts = Mutex<[UserID: Int]>([:])

    func isUnderWay(_ user: UserID) -> Bool { counts.withLock { $0[user] != nil } }

    func begin(_ user: UserID) { counts.withLock { $0[user, default: 0] += 1 } }

    func end(_ user: UserID) {
        counts.withLock { counts in
            guard let count = counts[user] else { return }
            counts[user] = count > 1 ? count - 1 : nil
        }
    }
}
