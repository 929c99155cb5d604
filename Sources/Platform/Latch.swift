/// Lets a thread wait until something has happened a number of times. For tests, tools and the
/// end of a process; never on Swift's cooperative pool, never on a lane that owns state.
package final class Latch: Sendable {
    private let monitor: ThreadMonitor<Int>
    private let clock = LinuxClock()

    /// A latch that opens after `count` calls of ``countDown()``.
    package init(_ count: Int = 1) {
        precondition(count >= 0, "a latch counts down from zero or more")
        monitor = ThreadMonitor(count)
    }

    /// Reports that one of the awaited things has happened; more calls than awaited are fine.
    package func countDown() {
        let isOpen = monitor.change { count in
            count = max(0, count - 1)
            return count == 0
        }
        if isOpen { monitor.notifyAll() }
    }

    /// Blocks this thread until the latch is open.
    package func wait() {
        SharedThreads.keepPromise()
        monitor.run { $0 == 0 ? .leave(()) : .wait(until: nil) }
    }

    /// Blocks this thread until the latch is open or `timeout` has passed; true when it is open.
    package func wait(_ timeout: Duration) -> Bool {
        SharedThreads.keepPromise()
        let deadline = clock.monotonicNanoseconds() &+ ThreadLane.nanoseconds(timeout)
        return monitor.run { count in
            if count == 0 { return .leave(true) }
            let isLate = clock.monotonicNanoseconds() >= deadline
            return isLate ? .leave(false) : .wait(until: deadline)
        }
    }
}

/// A value that one thread gives and another waits for. As ``Latch``, for tests and tools.
package final class Promise<Value: Sendable>: Sendable {
    private let monitor: ThreadMonitor<Value?> = ThreadMonitor(nil)

    /// A promise without a value.
    package init() {}

    /// Gives the value; the first one stays.
    package func fulfil(_ value: Value) {
        monitor.change { if $0 == nil { $0 = value } }
        monitor.notifyAll()
    }

    /// Blocks this thread until there is a value.
    package func wait() -> Value {
        SharedThreads.keepPromise()
        return monitor.run { value in
            if let value { return .leave(value) }
            return .wait(until: nil)
        }
    }
}
