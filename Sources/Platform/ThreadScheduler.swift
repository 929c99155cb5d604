import Glibc

/// Threads of the operating system: one for every lane, but hot lanes share theirs.
package struct ThreadScheduler: Scheduler {
    private let shared = SharedThreads()

    /// A scheduler without lanes.
    package init() {}

    /// By pthread_create. Stops the process when the system has no thread to give.
    package func lane(_ name: String) -> any Lane {
        ThreadLane(name: name)
    }

    /// As ``lane(_:)``; see ``SharedThreads``.
    package func hotLane(_ name: String) -> any Lane {
        shared.lane(name)
    }
}

/// One thread that runs jobs one after another, and timed jobs when they are due.
final class ThreadLane: Lane {
    typealias Job = @Sendable () -> Void

    private struct Timed {
        let deadline: UInt64
        let job: Job
    }

    private struct State {
        var ready: [Job] = []
        /// Latest deadline first, so that the next one is taken from the end.
        var timed: [Timed] = []
        var isStopping = false
    }

    private let monitor = ThreadMonitor(State())
    private let clock = LinuxClock()
    private let thread: ThreadMonitor<pthread_t?> = ThreadMonitor(nil)

    init(name: String) {
        let made = ThreadStart.launch(name) { [self] in run() }
        thread.change { $0 = made }
    }

    func submit(_ job: @escaping Job) {
        let mustWake = monitor.change { state in
            if state.isStopping { return false }
            state.ready.append(job)
            return state.ready.count == 1
        }
        if mustWake { monitor.notifyAll() }
    }

    func submit(after delay: Duration, _ job: @escaping Job) {
        let deadline = clock.monotonicNanoseconds() &+ Self.nanoseconds(delay)
        let mustWake = monitor.change { state in
            if state.isStopping { return false }
            // After the jobs due later, before those due at the same time or sooner.
            let place = state.timed.firstIndex { $0.deadline <= deadline } ?? state.timed.count
            state.timed.insert(Timed(deadline: deadline, job: job), at: place)
            return place == state.timed.count - 1
        }
        if mustWake { monitor.notifyAll() }
    }

    func stop() {
        monitor.change { state in
            state.isStopping = true
            state.timed = []
        }
        monitor.notifyAll()
        let handle = thread.change { value in
            defer { value = nil }
            return value
        }
        guard let handle else { return }
        if pthread_equal(handle, pthread_self()) != 0 {
            pthread_detach(handle)
        } else {
            pthread_join(handle, nil)
        }
    }

    /// The life of the thread.
    private func run() {
        while let jobs = nextJobs() {
            for job in jobs { job() }
        }
    }

    /// All jobs that are ready, waiting for some; nil when the lane has stopped.
    private func nextJobs() -> [Job]? {
        monitor.run { state in
            if !state.timed.isEmpty {
                let now = clock.monotonicNanoseconds()
                while let next = state.timed.last, next.deadline <= now {
                    state.ready.append(next.job)
                    state.timed.removeLast()
                }
            }
            if !state.ready.isEmpty {
                defer { state.ready = [] }
                return .leave(state.ready)
            }
            return state.isStopping ? .leave(nil) : .wait(until: state.timed.last?.deadline)
        }
    }

    /// A delay as nanoseconds: 0 when negative, at most about a century.
    static func nanoseconds(_ delay: Duration) -> UInt64 {
        let (seconds, attoseconds) = delay.components
        if seconds < 0 || attoseconds < 0 { return 0 }
        let whole = UInt64(min(seconds, 3_000_000_000)) &* 1_000_000_000
        return whole &+ UInt64(attoseconds / 1_000_000_000)
    }
}

/// What a new thread gets.
final class ThreadStart {
    private let name: String
    private let body: () -> Void

    private init(name: String, body: @escaping () -> Void) {
        self.name = name
        self.body = body
    }

    /// Starts a thread. Stops the process when the system has none to give.
    static func launch(_ name: String, _ body: @escaping @Sendable () -> Void) -> pthread_t {
        let start = Unmanaged.passRetained(ThreadStart(name: name, body: body))
        var handle = pthread_t()
        let code = pthread_create(
            &handle, nil,
            { argument in
                if let argument {
                    Unmanaged<ThreadStart>.fromOpaque(argument).takeRetainedValue().run()
                }
                return nil
            }, start.toOpaque())
        precondition(code == 0, "the system gives a thread to lane \(name)")
        return handle
    }

    private func run() {
        setName()
        body()
    }

    /// Names the thread for people who look at the process. The C function for it is hidden from
    /// Swift, so the name goes through the kernel's file; a failure to name it harms nothing.
    private func setName() {
        let descriptor = Glibc.open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        let text = [UInt8](name.utf8.prefix(15))
        _ = write(descriptor, text, text.count)
        close(descriptor)
    }
}
