import Bytes
import Foundation
import Platform
import Simulation
import Synchronization

/// Runs seeds in child processes, some at a time: a seed that traps takes only its own process with
/// it, and is reported like any other broken promise.
final class Workers: Sendable {
    private struct State {
        var next: UInt64
        var report = SimulationReport()
    }

    /// Seeds for one process: enough that its start costs nothing.
    private static let seedsPerProcess: UInt64 = 10
    /// What a child prints in front of what it has to say.
    static let seedMark = "seed: "
    static let reportMark = "report: "

    private let plan: SimulationPlan
    private let jobs: Int
    private let state: Mutex<State>
    private let clock = LinuxClock()

    init(_ plan: SimulationPlan, jobs: Int) {
        self.plan = plan
        self.jobs = jobs
        state = Mutex(State(next: plan.firstSeed))
    }

    /// Runs them all, or until one fails; `progress` gets a line now and then.
    func run(_ progress: @escaping @Sendable (String) -> Void) -> SimulationReport {
        let began = clock.monotonicNanoseconds()
        let lanes = (0..<jobs).map { ThreadScheduler().lane("worker-\($0)") }
        let done = Latch(jobs)
        for lane in lanes {
            lane.submit { [self] in
                while let part = take() {
                    let report = runChild(part)
                    let total = state.withLock { state in
                        state.report.add(report)
                        return state.report
                    }
                    progress(line(total, began))
                }
                done.countDown()
            }
        }
        done.wait()
        for lane in lanes { lane.stop() }
        var report = state.withLock { $0.report }
        report.realSeconds = seconds(since: began)
        return report
    }

    private func seconds(since began: UInt64) -> Double {
        Double(clock.monotonicNanoseconds() - began) / 1e9
    }

    private func line(_ report: SimulationReport, _ began: UInt64) -> String {
        var report = report
        report.realSeconds = seconds(since: began)
        return report.progress(of: plan.seedCount)
    }

    private func take() -> SimulationPlan? {
        state.withLock { state in
            let end = plan.firstSeed &+ plan.seedCount
            if state.report.failure != nil || state.next >= end { return nil }
            var part = plan
            part.firstSeed = state.next
            part.seedCount = min(Self.seedsPerProcess, end - state.next)
            state.next += part.seedCount
            return part
        }
    }

    // MARK: Children

    private func runChild(_ part: SimulationPlan) -> SimulationReport {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe")
        process.arguments = arguments(part)
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        var output: [Substring] = []
        do {
            try process.run()
            let data = pipe.fileHandleForReading.readDataToEndOfFile()
            output = String(decoding: data, as: UTF8.self).split(separator: "\n")
            process.waitUntilExit()
        } catch {
            output = ["cannot start a worker: \(error)"]
        }
        for line in output.reversed() where line.hasPrefix(Self.reportMark) {
            let json = Data(line.dropFirst(Self.reportMark.count).utf8)
            if let report = try? JSONDecoder().decode(SimulationReport.self, from: json) {
                return report
            }
        }
        return trapped(part, output)
    }

    private func arguments(_ part: SimulationPlan) -> [String] {
        var arguments = [
            "--worker", "--seed", "\(part.firstSeed)", "--seeds", "\(part.seedCount)",
            "--replay-every", "\(part.replayEvery)",
        ]
        if let nodes = part.nodes { arguments += ["--nodes", "\(nodes)"] }
        if let plant = part.plant { arguments += ["--plant", plant.rawValue] }
        if part.isVerbose { arguments.append("--verbose") }
        return arguments
    }

    /// The child ended without a report: the last seed it named is to blame.
    private func trapped(_ part: SimulationPlan, _ output: [Substring]) -> SimulationReport {
        let seeds = output.filter { $0.hasPrefix(Self.seedMark) }
        let last = seeds.last.flatMap { UInt64($0.dropFirst(Self.seedMark.count)) }
        let seed = last ?? part.firstSeed
        let lines = output.filter { !$0.hasPrefix(Self.seedMark) }.map(String.init)
        let reason = lines.first { $0.contains("Fatal error") || $0.contains("cannot start") }
        var report = SimulationReport()
        report.seeds = UInt64(max(1, seeds.count))
        report.failure = SimulationFailure(
            seed: seed, options: SimulationOptions(seed: seed, nodes: part.nodes).description,
            violation: Violation(invariant: .traps, text: reason ?? "the process was ended"),
            trace: Array(lines.prefix(60)), plant: part.plant)
        return report
    }
}
