import Glibc

/// A few threads that a scheduler's hot lanes share.
///
/// **The simple version** gives every lane a thread. A commit then passes five of them (asker,
/// consensus, log, consensus, apply, asker), and with nothing else to do each hand-over wakes one
/// that sleeps: tens of microseconds in which nobody works.
///
/// **This one.** A lane is a queue of jobs; a lane with jobs stands in `runnable` until a thread
/// takes it, runs what waits, and looks again. A job that has little left to do says so with what
/// it submits (``Lane/handOver(_:)``): its own thread looks soon, so nobody is woken for that one,
/// and a lone commit stays on one thread from the first lane to the last.
///
/// **Invariants.** A lane is run by one thread at a time. There are as many threads as lanes, so a
/// lane that blocks on the disk holds up no other. For each lane in `runnable` there is a thread
/// that was woken, is looking, or has promised to look before it sleeps.
// `state`, lanes and workers are behind the monitor's lock; the rest is immutable.
final class SharedThreads: @unchecked Sendable {
    typealias Job = @Sendable () -> Void

    private struct State {
        /// Lanes that have jobs and are not being run; first come, first served.
        var runnable: [SharedLane] = []
        var sleeping = 0
        /// Those who wait for the end of a lane, at the same condition as threads that sleep.
        var stopping = 0
        /// Threads that are to end: their lanes have stopped.
        var ending = 0
        var laneCount = 0
        var timer: ThreadLane?
    }

    /// What a thread is at.
    fileprivate final class Worker {
        let threads: SharedThreads
        var lane: SharedLane?
        var hasPromised = false

        init(_ threads: SharedThreads) { self.threads = threads }
    }

    private let monitor = ThreadMonitor(State())

    /// A new lane, and a thread for it.
    func lane(_ name: String) -> any Lane {
        monitor.change { $0.laneCount += 1 }
        pthread_detach(ThreadStart.launch(name) { [self] in work() })
        return SharedLane(threads: self)
    }

    // MARK: Jobs

    /// Queues a job; `isHandedOver` says that the job that calls ends soon.
    fileprivate func submit(_ job: @escaping Job, to lane: SharedLane, isHandedOver: Bool) {
        let worker = isHandedOver ? WorkerSlot.current : nil
        monitor.change { state in
            if lane.isStopped { return }
            lane.jobs.append(job)
            if lane.isQueued { return }
            lane.isQueued = true
            state.runnable.append(lane)
            if let worker, worker.threads === self, !worker.hasPromised {
                worker.hasPromised = true
            } else {
                wakeOne(state)
            }
        }
    }

    /// Wakes a thread for one more runnable lane. Under the lock: who began to wait for the end of
    /// a lane meanwhile would take the signal for itself.
    private func wakeOne(_ state: State) {
        if state.sleeping == 0 { return }
        if state.stopping > 0 { monitor.notifyAll() } else { monitor.notifyOne() }
    }

    /// Queues a job for later, by a thread that does nothing but wait.
    fileprivate func submit(_ job: @escaping Job, to lane: SharedLane, after delay: Duration) {
        let timer = monitor.change { state -> ThreadLane? in
            if lane.isStopped { return nil }
            if state.timer == nil { state.timer = ThreadLane(name: "lane-timer") }
            return state.timer
        }
        timer?.submit(after: delay) { [self] in submit(job, to: lane, isHandedOver: false) }
    }

    /// Ends a lane when its jobs are done, and one thread with it.
    fileprivate func stop(_ lane: SharedLane) {
        let isInside = WorkerSlot.current?.lane === lane
        keepPromise()
        var isWaiting = false
        let timer = monitor.run { state -> MonitorStep<ThreadLane?> in
            if isWaiting { state.stopping -= 1 }
            isWaiting = !isInside && lane.isQueued
            lane.isStopped = true
            if isWaiting {
                state.stopping += 1
                return .wait(until: nil)
            }
            if lane.hasEnded { return .leave(nil) }
            lane.hasEnded = true
            state.ending += 1
            state.laneCount -= 1
            guard state.laneCount == 0 else { return .leave(nil) }
            defer { state.timer = nil }
            return .leave(state.timer)
        }
        monitor.notifyAll()
        timer?.stop()
    }

    /// Has another thread look for what this one has promised to look for: it is about to wait.
    static func keepPromise() { WorkerSlot.current?.threads.keepPromise() }

    private func keepPromise() {
        guard let worker = WorkerSlot.current, worker.threads === self else { return }
        let isOwing = monitor.change { _ in
            defer { worker.hasPromised = false }
            return worker.hasPromised
        }
        if isOwing { monitor.notifyAll() }
    }

    // MARK: Threads

    private func work() {
        let worker = Worker(self)
        WorkerSlot.set(worker)
        while let jobs = nextJobs(worker) {
            for job in jobs { job() }
        }
    }

    /// Gives back the lane that was run, and takes the next one with all its jobs, waiting for
    /// one; nil when the thread is to end.
    private func nextJobs(_ worker: Worker) -> [Job]? {
        var isAsleep = false
        return monitor.run { state in
            if isAsleep { state.sleeping -= 1 }
            isAsleep = false
            let hasPromised = worker.hasPromised
            worker.hasPromised = false
            if let lane = worker.lane {
                worker.lane = nil
                lane.isQueued = !lane.jobs.isEmpty
                if lane.isQueued {
                    state.runnable.append(lane)
                    // It looks for one lane, and may have promised to look for another.
                    if hasPromised { wakeOne(state) }
                }
                if lane.isStopped { monitor.notifyAll() }
            }
            if !state.runnable.isEmpty {
                let lane = state.runnable.removeFirst()
                worker.lane = lane
                defer { lane.jobs = [] }
                return .leave(lane.jobs)
            }
            if state.ending > 0 {
                state.ending -= 1
                return .leave(nil)
            }
            state.sleeping += 1
            isAsleep = true
            return .wait(until: nil)
        }
    }

    /// The worker that the present thread is, if it is one.
    private enum WorkerSlot {
        private static let key: pthread_key_t = {
            var key = pthread_key_t()
            let code = pthread_key_create(&key) { raw in
                if let raw { Unmanaged<Worker>.fromOpaque(raw).release() }
            }
            precondition(code == 0, "the system gives a key for threads")
            return key
        }()

        static var current: Worker? {
            pthread_getspecific(key).map { Unmanaged<Worker>.fromOpaque($0).takeUnretainedValue() }
        }

        static func set(_ worker: Worker) {
            pthread_setspecific(key, Unmanaged.passRetained(worker).toOpaque())
        }
    }
}

/// A lane on ``SharedThreads``.
// All fields but `threads` are behind the lock of `threads`.
private final class SharedLane: Lane, @unchecked Sendable {
    let threads: SharedThreads
    var jobs: [SharedThreads.Job] = []
    /// It stands among the runnable lanes, or a thread runs it.
    var isQueued = false
    var isStopped = false
    var hasEnded = false

    init(threads: SharedThreads) { self.threads = threads }

    func submit(_ job: @escaping @Sendable () -> Void) {
        threads.submit(job, to: self, isHandedOver: false)
    }

    func handOver(_ job: @escaping @Sendable () -> Void) {
        threads.submit(job, to: self, isHandedOver: true)
    }

    func submit(after delay: Duration, _ job: @escaping @Sendable () -> Void) {
        threads.submit(job, to: self, after: delay)
    }

    func stop() { threads.stop(self) }
}
