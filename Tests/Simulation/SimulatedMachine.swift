package import Bytes
package import Platform
import Synchronization

/// How long a lane's jobs take: a minimum, and an exponential rest.
package struct LaneDelay: Sendable {
    /// Never less than this.
    package var minimumNanoseconds: UInt64
    /// On average so much more.
    package var meanNanoseconds: UInt64

    /// A delay.
    package init(minimumNanoseconds: UInt64, meanNanoseconds: UInt64) {
        self.minimumNanoseconds = minimumNanoseconds
        self.meanNanoseconds = meanNanoseconds
    }

    /// One delay.
    package func draw(_ generator: inout SplitMix64) -> UInt64 {
        minimumNanoseconds + Self.exponential(mean: meanNanoseconds, &generator)
    }

    /// A value of the exponential distribution, at most about 22 times the mean: the number of
    /// leading zeros of a random word is geometric, the next bits fill the gaps.
    package static func exponential(mean: UInt64, _ generator: inout SplitMix64) -> UInt64 {
        if mean == 0 { return 0 }
        let word = generator.next() | 1 << 31
        let zeros = UInt64(word.leadingZeroBitCount)
        let fraction = (word &<< (zeros + 1)) &>> 48
        // ln 2 in units of 1/65,536, times (zeros + 1 - fraction).
        let halvings = (zeros + 1) &* 65_536 &- fraction
        return (mean &* ((halvings &* 45_426) &>> 16)) &>> 16
    }
}

/// The lanes of one simulated machine.
///
/// A lane whose job blocks on the disk cannot let time pass in the middle of it. So the time comes
/// first: before each job such a lane waits for as long as the disk takes, and then the job's
/// writes and syncs happen at one instant. Whoever waits for the job sees no difference.
package struct SimulatedMachine: Scheduler {
    let scheduler: SimulatedScheduler
    let group: Int

    package func lane(_ name: String) -> any Lane {
        scheduler.makeLane(name, group: group)
    }

    /// Drops all its jobs and refuses further ones, as a crash does.
    package func kill() {
        let (timers, jobs) = scheduler.state.withLock { state in
            var jobs: [SimulatedScheduler.Job] = []
            let lanes = state.groups[group].lanes
            for lane in lanes {
                state.lanes[lane].isStopped = true
                state.makeUnready(lane)
                jobs += state.lanes[lane].takeAll()
            }
            state.groups[group].lanes = []
            return (state.timers.removeAll { lanes.contains($0) }, jobs)
        }
        // What they hold goes here, outside of the lock.
        withExtendedLifetime((timers, jobs)) {}
    }

    /// Stops the world for this machine: no lane runs, but its clocks go on.
    package func pause() {
        scheduler.state.withLock { state in
            state.groups[group].isPaused = true
            for lane in state.groups[group].lanes { state.makeUnready(lane) }
        }
    }

    /// Lets it go on; all timers that came meanwhile are due at once.
    package func resume() {
        let now = scheduler.clock.monotonicNanoseconds()
        scheduler.state.withLock { state in
            state.groups[group].isPaused = false
            for lane in state.groups[group].lanes { state.wake(lane, now) }
        }
    }

    /// True between ``pause()`` and ``resume()``.
    package var isPaused: Bool { scheduler.state.withLock { $0.groups[group].isPaused } }

    /// Lanes made from now on whose names begin so wait for the disk before each job.
    package func waitsForDisk(lanes names: [String], _ delay: LaneDelay?) {
        scheduler.state.withLock { state in
            state.groups[group].slowNames = names
            state.groups[group].delay = delay
        }
    }

    /// Changes how long the disk takes; nil: no time at all.
    package func setDiskDelay(_ delay: LaneDelay?) {
        scheduler.state.withLock { $0.groups[group].delay = delay }
    }

    /// The disk answers nothing before this time of the scheduler's clock. A stall that is cut
    /// short lets those go on who wait for it already.
    package func stallDisk(until nanoseconds: UInt64) {
        let now = scheduler.clock.monotonicNanoseconds()
        scheduler.state.withLock { state in
            let isShorter = nanoseconds < state.groups[group].stalledUntil
            state.groups[group].stalledUntil = nanoseconds
            guard isShorter else { return }
            let lanes = Set(state.groups[group].lanes)
            state.timers.hasten(max(now, nanoseconds)) { lanes.contains($0) }
        }
    }

    /// Its timers run fast by so much, or slow.
    package func setDrift(partsPerMillion: Int64) {
        scheduler.state.withLock { $0.groups[group].driftPartsPerMillion = partsPerMillion }
    }
}
