import Glibc

/// What a turn inside a ``ThreadMonitor`` decides.
enum MonitorStep<Value> {
    /// Leave with a value.
    case leave(Value)
    /// Wait for a change, at most until a monotonic time in nanoseconds.
    case wait(until: UInt64?)
}

/// State behind a lock that threads may wait on: a pthread mutex with a condition variable whose
/// timed waits follow the monotonic clock, so that a jump of the wall clock delays nobody.
// The mutex protects `state`; every access goes through `run`, which holds it.
final class ThreadMonitor<State>: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var state: State

    init(_ state: State) {
        self.state = state
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        var attributes = pthread_condattr_t()
        let codes = [
            pthread_condattr_init(&attributes),
            pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC),
            pthread_mutex_init(mutex, nil),
            pthread_cond_init(condition, &attributes),
            pthread_condattr_destroy(&attributes),
        ]
        precondition(codes.allSatisfy { $0 == 0 }, "a mutex and a condition can be made")
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Takes turns at the state, waiting between them, until one leaves with a value.
    func run<Value>(_ turn: (inout State) -> MonitorStep<Value>) -> Value {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            switch turn(&state) {
            case .leave(let value):
                return value
            case .wait(nil):
                pthread_cond_wait(condition, mutex)
            case .wait(let deadline?):
                var time = timespec()
                time.tv_sec = Int(clamping: deadline / 1_000_000_000)
                time.tv_nsec = Int(deadline % 1_000_000_000)
                pthread_cond_timedwait(condition, mutex, &time)
            }
        }
    }

    /// Changes the state without waiting.
    func change<Value>(_ body: (inout State) -> Value) -> Value {
        run { .leave(body(&$0)) }
    }

    /// Wakes one thread that waits, if there is one.
    func notifyOne() {
        pthread_cond_signal(condition)
    }

    /// Wakes every thread that waits.
    func notifyAll() {
        pthread_cond_broadcast(condition)
    }
}
