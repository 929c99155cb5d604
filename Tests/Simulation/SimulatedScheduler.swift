import Bytes
package import Platform
import Synchronization

/// All lanes on the calling thread: which lane runs its next job is drawn from the seed, time is
/// the simulated clock's. Two runs with one seed and the same inputs take the same steps.
package final class SimulatedScheduler: Scheduler {
    typealias Job = @Sendable () -> Void

    private struct LaneState {
        let name: String
        let group: Int
        var ready: [Job] = []
        var isStopped = false
    }

    private struct Timed {
        let deadline: UInt64
        let order: UInt64
        let lane: Int
        let job: Job
    }

    private struct State {
        var lanes: [LaneState] = []
        var timed: [Timed] = []
        var nextOrder: UInt64 = 0
        var nextGroup = 1
        var running: Int?
        var generator: SplitMix64
        var stepCount: UInt64 = 0
    }

    /// The time that delays follow.
    package let clock: SimulatedClock
    private let state: Mutex<State>

    /// A scheduler without lanes.
    package init(seed: UInt64, clock: SimulatedClock = SimulatedClock()) {
        self.clock = clock
        state = Mutex(State(generator: SplitMix64(seed: seed)))
    }

    package func lane(_ name: String) -> any Lane {
        makeLane(name, group: 0)
    }

    /// A scheduler for one simulated machine, whose lanes can be killed together.
    package func group() -> SimulatedMachine {
        let group = state.withLock { state in
            defer { state.nextGroup += 1 }
            return state.nextGroup
        }
        return SimulatedMachine(scheduler: self, group: group)
    }

    /// Jobs run so far.
    package var stepCount: UInt64 { state.withLock { $0.stepCount } }

    /// Nanoseconds of the clock at which the next timed job is due; nil when there is none.
    package var nextDeadline: UInt64? { state.withLock { $0.timed.map(\.deadline).min() } }

    /// Runs one job that is ready; false when there is none.
    @discardableResult
    package func step() -> Bool {
        let now = clock.monotonicNanoseconds()
        let next: (Int, Job)? = state.withLock { state in
            Self.wakeDue(&state, now)
            let lanes = state.lanes.indices.filter { !state.lanes[$0].ready.isEmpty }
            if lanes.isEmpty { return nil }
            let lane = lanes[Int(state.generator.next() % UInt64(lanes.count))]
            state.running = lane
            state.stepCount += 1
            return (lane, state.lanes[lane].ready.removeFirst())
        }
        guard let (_, job) = next else { return false }
        job()
        state.withLock { $0.running = nil }
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

    static func nanoseconds(_ duration: Duration) -> UInt64 {
        let (seconds, attoseconds) = duration.components
        if seconds < 0 || attoseconds < 0 { return 0 }
        return UInt64(min(seconds, 3_000_000_000)) &* 1_000_000_000
            &+ UInt64(attoseconds / 1_000_000_000)
    }

    // MARK: Lanes

    fileprivate func makeLane(_ name: String, group: Int) -> any Lane {
        let index = state.withLock { state in
            state.lanes.append(LaneState(name: name, group: group))
            return state.lanes.count - 1
        }
        return SimulatedLane(scheduler: self, index: index)
    }

    fileprivate func submit(_ lane: Int, after delay: Duration?, _ job: @escaping Job) {
        let now = clock.monotonicNanoseconds()
        state.withLock { state in
            if state.lanes[lane].isStopped { return }
            guard let delay else { return state.lanes[lane].ready.append(job) }
            let deadline = now &+ Self.nanoseconds(delay)
            let order = state.nextOrder
            state.nextOrder += 1
            state.timed.append(Timed(deadline: deadline, order: order, lane: lane, job: job))
        }
    }

    fileprivate func stop(_ lane: Int) {
        let jobs: [Job] = state.withLock { state in
            state.lanes[lane].isStopped = true
            state.timed.removeAll { $0.lane == lane }
            if state.running == lane { return [] }
            defer { state.lanes[lane].ready = [] }
            return state.lanes[lane].ready
        }
        for job in jobs { job() }
    }

    fileprivate func kill(group: Int) {
        state.withLock { state in
            for index in state.lanes.indices where state.lanes[index].group == group {
                state.lanes[index].isStopped = true
                state.lanes[index].ready = []
            }
            state.timed.removeAll { state.lanes[$0.lane].group == group }
        }
    }

    private static func wakeDue(_ state: inout State, _ now: UInt64) {
        let due = state.timed.filter { $0.deadline <= now }
        if due.isEmpty { return }
        state.timed.removeAll { $0.deadline <= now }
        for timed in due.sorted(by: { ($0.deadline, $0.order) < ($1.deadline, $1.order) }) {
            state.lanes[timed.lane].ready.append(timed.job)
        }
    }
}

/// The lanes of one simulated machine.
package struct SimulatedMachine: Scheduler {
    fileprivate let scheduler: SimulatedScheduler
    fileprivate let group: Int

    package func lane(_ name: String) -> any Lane {
        scheduler.makeLane(name, group: group)
    }

    /// Drops all its jobs and refuses further ones, as a crash does.
    package func kill() {
        scheduler.kill(group: group)
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
