import Glibc
import Synchronization

/// Lets one writer wait for one commit after the other.
// A semaphore is made for several threads; `isFailed` is atomic.
final class CommitTicket: @unchecked Sendable {
    private let semaphore: UnsafeMutablePointer<sem_t>
    private let isFailed = Atomic<Bool>(false)

    init() {
        semaphore = .allocate(capacity: 1)
        let code = sem_init(semaphore, 0, 0)
        precondition(code == 0, "a semaphore can be made")
    }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    /// Wakes the writer.
    func post(isGood: Bool) {
        if !isGood { isFailed.store(true, ordering: .releasing) }
        sem_post(semaphore)
    }

    /// Waits for ``post(isGood:)``.
    func wait() throws {
        while sem_wait(semaphore) != 0 {}
        let isBad = isFailed.load(ordering: .acquiring)
        if isBad { throw EngineError("magpie: the log or tree failed") }
    }
}

/// Bounds how many writes one thread may have under way that it does not wait for.
// The counters are atomic, the semaphore is made for several threads.
final class WriteWindow: @unchecked Sendable {
    private let limit: Int
    private let underWay = Atomic<Int>(0)
    private let isWaiting = Atomic<Bool>(false)
    private let ticket = CommitTicket()

    init(limit: Int) { self.limit = limit }

    /// Takes a place, waiting for half of them when all are taken. One thread calls it.
    func enter() throws {
        if underWay.load(ordering: .relaxed) >= limit { try wait(until: limit / 2) }
        underWay.add(1, ordering: .sequentiallyConsistent)
    }

    /// Returns when at most `count` writes are under way. One thread calls it.
    func wait(until count: Int) throws {
        while underWay.load(ordering: .sequentiallyConsistent) > count {
            isWaiting.store(true, ordering: .sequentiallyConsistent)
            if underWay.load(ordering: .sequentiallyConsistent) <= count { break }
            try ticket.wait()
        }
    }

    /// Gives places back.
    func leave(_ count: Int, isGood: Bool) {
        underWay.subtract(count, ordering: .sequentiallyConsistent)
        if isWaiting.exchange(false, ordering: .sequentiallyConsistent) {
            ticket.post(isGood: isGood)
        }
    }
}
