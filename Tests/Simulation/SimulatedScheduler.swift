import Bytes
package import Platform
import Synchronization

/// All lanes on the calling thread: which lane runs its next job is drawn from the seed, time is
/// the simulated clock's. Two runs with one seed and the same inputs take the same steps.
///
/// A step costs the same whatever the number of lanes and timers: lanes that can run stand in a
/// dense list, timers in a heap. A lane that waits for its disk (see ``SimulatedMachine``) or
/// belongs to a paused machine stands in neither.
package final class SimulatedScheduler: Scheduler {
    typealias Job = SimulatedTimers.Job

    struct LaneState {
        let group: Int
        let isSlow: Bool
        /// Jobs from `head` on; those before it were taken. What a job holds goes with the job, at
        /// its end and outside of the lock: the last reference to something may submit a job.
        var jobs: [Job?] = []
        var head = 0
        /// Its place in the list of lanes that can run.
        var place: Int?
        /// A timer stands for the end of its wait.
        var isWaiting = false
        var isStopped = false

        var isEmpty: Bool { head == jobs.count }

        mutating func take() -> Job? {
            let job = jobs[head]
            jobs[head] = nil
            head += 1
            if head == jobs.count {
                jobs.removeAll(keepingCapacity: true)
                head = 0
            }
            return job
        }

        mutating func takeAll() -> [Job] {
            defer {
                jobs = []
                head = 0
            }
            return jobs[head...].compactMap { $0 }
        }
    }

    /// One machine's share.
    struct GroupState {
        var lanes: [Int] = []
        var isPaused = false
        /// Names of lanes that wait for the disk before every job begin with one of these.
        var slowNames: [String] = []
        var delay: LaneDelay?
        var stalledUntil: UInt64 = 0
        var driftPartsPerMillion: Int64 = 0
    }

    struct State {
        var lanes: [LaneState] = []
        var groups = [GroupState()]
        var ready: [Int] = []
        var timers = SimulatedTimers()
        var running: Int?
        var generator: SplitMix64
        var stepCount: UInt64 = 0
    }

    /// The time that delays follow.
    package let clock: SimulatedClock
    let state: Mutex<State>

    /// A scheduler without lanes.
    package init(seed: UInt64, clock: SimulatedClock = SimulatedClock()) {
        self.clock = clock
        state = Mutex(State(generator: SplitMix64(seed: seed)))
    }

    package func lane(_ name: String) -> any Lane {
        makeLane(name, group: 0)
    }

    /// A scheduler for one simulated machine, whose lanes can be killed and paused together.
    package func group() -> SimulatedMachine {
        let group = state.withLock { state in
            state.groups.append(GroupState())
            return state.groups.count - 1
        }
        return SimulatedMachine(scheduler: self, group: group)
    }

    /// Jobs run so far.
    package var stepCount: UInt64 { state.withLock { $0.stepCount } }

    /// Nanoseconds of the clock at which the next timed job is due; nil when there is none.
    package var nextDeadline: UInt64? { state.withLock { $0.timers.nextDeadline } }

    /// Runs one job that is ready; false when there is none.
    @discardableResult
    package func step() -> Bool {
        let now = clock.monotonicNanoseconds()
        let next: Job? = state.withLock { state in
            while let timer = state.timers.popDue(now) { state.fire(timer, now) }
            if state.ready.isEmpty { return nil }
            let lane = state.ready[Int(state.generator.next() % UInt64(state.ready.count))]
            let job = state.lanes[lane].take()
            state.running = lane
            state.stepCount += 1
            if state.lanes[lane].isEmpty || state.lanes[lane].isSlow { state.makeUnready(lane) }
            return job
        }
        guard let next else { return false }
        next()
        state.withLock { state in
            if let lane = state.running { state.wake(lane, clock.monotonicNanoseconds()) }
            state.running = nil
        }
        return true
    }

    /// Runs jobs until none is ready; time stands still.
    ///
    /// - Parameter limit: steps after which it gives up; true when idle was reached.
    @discardableResult
    package func runUntilIdle(limit: Int = 1_000_000) -> Bool {
        for _ in 0..<limit where !step() { return true }
        return false
    }

    /// Moves time on by `duration`, stopping at every timed job on the way, and runs to idle.
    package func advance(by duration: Duration) {
        let target = clock.monotonicNanoseconds() &+ Self.nanoseconds(duration)
        runUntilIdle()
        while let deadline = nextDeadline, deadline <= target {
            let now = clock.monotonicNanoseconds()
            if deadline > now { clock.advance(nanoseconds: deadline - now) }
            runUntilIdle()
        }
        let now = clock.monotonicNanoseconds()
        if target > now { clock.advance(nanoseconds: target - now) }
        runUntilIdle()
    }

    /// Drops everything that would still happen: the world ends.
    package func abandon() {
        let dropped = state.withLock { state in
            let jobs = state.lanes.indices.flatMap { lane in
                state.lanes[lane].isStopped = true
                state.makeUnready(lane)
                return state.lanes[lane].takeAll()
            }
            return (jobs, state.timers.removeAll { _ in true })
        }
        withExtendedLifetime(dropped) {}
    }

    static func nanoseconds(_ duration: Duration) -> UInt64 {
        let (seconds, attoseconds) = duration.components
        if seconds < 0 || attoseconds < 0 { return 0 }
        return UInt64(min(seconds, 3_000_000_000)) &* 1_000_000_000
            &+ UInt64(attoseconds / 1_000_000_000)
    }

    // MARK: Lanes

    func makeLane(_ name: String, group: Int) -> any Lane {
        let index = state.withLock { state in
            let isSlow = state.groups[group].slowNames.contains { name.hasPrefix($0) }
            state.lanes.append(LaneState(group: group, isSlow: isSlow))
            state.groups[group].lanes.append(state.lanes.count - 1)
            return state.lanes.count - 1
        }
        return SimulatedLane(scheduler: self, index: index)
    }

    fileprivate func submit(_ lane: Int, after delay: Duration?, _ job: @escaping Job) {
        let now = clock.monotonicNanoseconds()
        state.withLock { state in
            if state.lanes[lane].isStopped { return }
            guard let delay else {
                state.lanes[lane].jobs.append(job)
                if state.running != lane { state.wake(lane, now) }
                return
            }
            let drift = state.groups[state.lanes[lane].group].driftPartsPerMillion
            let wait = Self.nanoseconds(delay)
            // A clock that runs fast finds its timers due early.
            let change = Int64(clamping: wait / 1_000_000) &* drift
            let real = change >= 0 ? wait - min(wait, change.magnitude) : wait &+ change.magnitude
            state.timers.add(lane, at: now &+ real, job)
        }
    }

    fileprivate func stop(_ lane: Int) {
        let (timers, jobs) = state.withLock { state -> ([SimulatedTimers.Timer], [Job]) in
            state.lanes[lane].isStopped = true
            let timers = state.timers.removeAll { $0 == lane }
            state.lanes[lane].isWaiting = false
            if state.running == lane {
                state.wake(lane, 0)
                return (timers, [])
            }
            state.makeUnready(lane)
            return (timers, state.lanes[lane].takeAll())
        }
        withExtendedLifetime(timers) {
            for job in jobs { job() }
        }
    }
}

extension SimulatedScheduler.State {
    /// A timer came: its job joins its lane, or its lane's wait is over.
    mutating func fire(_ timer: SimulatedTimers.Timer, _ now: UInt64) {
        if let job = timer.job {
            lanes[timer.lane].jobs.append(job)
            wake(timer.lane, now)
            return
        }
        let group = groups[lanes[timer.lane].group]
        // The disk stalled while the lane waited for it.
        if group.stalledUntil > now { return timers.add(timer.lane, at: group.stalledUntil, nil) }
        lanes[timer.lane].isWaiting = false
        if !group.isPaused { makeReady(timer.lane) }
    }

    /// Lets a lane that has jobs run, at once or when its disk is done.
    mutating func wake(_ lane: Int, _ now: UInt64) {
        let state = lanes[lane]
        if state.isEmpty || state.place != nil || state.isWaiting { return }
        let group = groups[state.group]
        if group.isPaused { return }
        guard state.isSlow, !state.isStopped, let delay = group.delay else {
            return makeReady(lane)
        }
        lanes[lane].isWaiting = true
        timers.add(lane, at: max(now &+ delay.draw(&generator), group.stalledUntil), nil)
    }

    mutating func makeReady(_ lane: Int) {
        if lanes[lane].isEmpty || lanes[lane].place != nil { return }
        lanes[lane].place = ready.count
        ready.append(lane)
    }

    mutating func makeUnready(_ lane: Int) {
        guard let place = lanes[lane].place else { return }
        lanes[lane].place = nil
        let last = ready.removeLast()
        if place < ready.count {
            ready[place] = last
            lanes[last].place = place
        }
    }
}

private struct SimulatedLane: Lane {
    let scheduler: SimulatedScheduler
    let index: Int

    func submit(_ job: @escaping @Sendable () -> Void) {
        scheduler.submit(index, after: nil, job)
    }

    func submit(after delay: Duration, _ job: @escaping @Sendable () -> Void) {
        scheduler.submit(index, after: delay, job)
    }

    func stop() {
        scheduler.stop(index)
    }
}
