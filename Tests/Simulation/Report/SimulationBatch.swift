import Platform
import Synchronization

/// Which seeds are to be run, and how.
package struct SimulationPlan: Sendable {
    /// The first seed.
    package var firstSeed: UInt64
    /// How many.
    package var seedCount: UInt64
    /// How many run at the same time, at least one.
    package var jobs = 1
    /// Nodes of each cluster; nil: the seed decides.
    package var nodes: Int?
    /// A bug to plant.
    package var plant: Plant?
    /// Every so many-th seed is run twice; 0: none.
    package var replayEvery: UInt64 = 50
    /// Keep frequent events in the trace of a failure.
    package var isVerbose = false

    /// A plan of these seeds.
    package init(firstSeed: UInt64, seedCount: UInt64) {
        self.firstSeed = firstSeed
        self.seedCount = seedCount
    }
}

/// Runs many seeds side by side, each in a world of its own on a thread of its own.
package final class SimulationBatch: Sendable {
    private struct State {
        var next: UInt64
        var report = SimulationReport()
    }

    private let plan: SimulationPlan
    private let state: Mutex<State>
    private let clock = LinuxClock()

    /// A batch of seeds.
    package init(_ plan: SimulationPlan) {
        self.plan = plan
        state = Mutex(State(next: plan.firstSeed))
    }

    /// Runs them; stops early when one fails. `begins` hears of every seed, on any thread.
    package func run(_ begins: @escaping @Sendable (UInt64) -> Void) -> SimulationReport {
        let count = min(max(1, plan.jobs), Int(clamping: plan.seedCount))
        Plant.plant(plan.plant)
        defer { Plant.plant(nil) }
        let began = clock.monotonicNanoseconds()
        let done = Latch(count)
        let lanes = (0..<count).map { ThreadScheduler().lane("seeds-\($0)") }
        for lane in lanes {
            lane.submit { [self] in
                while let seed = take() {
                    begins(seed)
                    one(seed)
                }
                done.countDown()
            }
        }
        done.wait()
        for lane in lanes { lane.stop() }
        return report(since: began)
    }

    private func take() -> UInt64? {
        state.withLock { state in
            if state.report.failure != nil || state.next >= plan.firstSeed &+ plan.seedCount {
                return nil
            }
            defer { state.next += 1 }
            return state.next
        }
    }

    private func one(_ seed: UInt64) {
        var outcome = run(seed)
        var isReplayed = false
        if plan.replayEvery > 0, seed % plan.replayEvery == 0, outcome.violation == nil {
            let again = run(seed)
            isReplayed = true
            if again.traceHash != outcome.traceHash {
                outcome.violation = Violation(
                    invariant: .replay, text: "the second run's trace has another hash")
            }
        }
        let finished = outcome
        let wasReplayed = isReplayed
        state.withLock { state in
            state.report.add(finished)
            if wasReplayed { state.report.replays += 1 }
            guard let violation = finished.violation else { return }
            state.report.note(
                SimulationFailure(
                    seed: seed, options: finished.options, violation: violation,
                    trace: finished.trace, plant: plan.plant))
        }
    }

    private func run(_ seed: UInt64) -> SimulationOutcome {
        var options = SimulationOptions(seed: seed, nodes: plan.nodes)
        options.plant = plan.plant
        options.isVerbose = plan.isVerbose
        return SimulationRun(options).run()
    }

    private func report(since began: UInt64) -> SimulationReport {
        var report = state.withLock { $0.report }
        report.realSeconds = Double(clock.monotonicNanoseconds() - began) / 1e9
        return report
    }
}
