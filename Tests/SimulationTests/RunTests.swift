import Foundation
import Simulation
import Testing

@Suite struct RunTests {
    private static let isLong = ProcessInfo.processInfo.environment["MAGPIE_LONG"] == "1"

    private func short(_ seed: UInt64, nodes: Int? = nil) -> SimulationOptions {
        var options = SimulationOptions(seed: seed, nodes: nodes)
        if !Self.isLong { options.seconds = 60 }
        return options
    }

    @Test("A cluster of three keeps every promise under its seed's faults", arguments: 1...3)
    func three(seed: Int) {
        let outcome = SimulationRun(short(UInt64(seed), nodes: 3)).run()
        #expect(outcome.violation == nil, "\(outcome.options)")
        #expect(outcome.acknowledged > 0 && outcome.elections > 0)
    }

    @Test("A node alone keeps every promise under its seed's faults")
    func one() {
        let outcome = SimulationRun(short(4, nodes: 1)).run()
        #expect(outcome.violation == nil, "\(outcome.options)")
        #expect(outcome.acknowledged > 0)
    }

    @Test("One seed is one course of events")
    func replay() {
        let first = SimulationRun(short(5)).run()
        let second = SimulationRun(short(5)).run()
        #expect(first.traceHash == second.traceHash && first.steps == second.steps)
        #expect(first.traceHash != SimulationRun(short(6)).run().traceHash)
    }

    @Test("A disk that does not sync is found")
    func planted() {
        var violation: Violation?
        for seed in 1...20 as ClosedRange<UInt64> where violation == nil {
            var options = short(seed)
            options.plant = .skipSync
            violation = SimulationRun(options).run().violation
        }
        #expect(violation != nil)
    }

    @Test("A batch adds up its seeds and stops at a failure")
    func batch() {
        var plan = SimulationPlan(firstSeed: 1, seedCount: 20)
        plan.plant = .skipSync
        plan.jobs = 2
        let report = SimulationBatch(plan).run { _ in }
        #expect(report.failure != nil && report.seeds < 20)
        #expect(report.failure?.plant == .skipSync)
        #expect(report.failure?.trace.isEmpty == false)
    }
}
