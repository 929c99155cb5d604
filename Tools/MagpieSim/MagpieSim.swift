import ArgumentParser
import Bytes
import Foundation
import Simulation

@main
struct MagpieSim: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "magpie-sim",
        abstract:
            "Runs whole clusters in simulated worlds full of faults, and checks what they do.",
        discussion: """
            Every seed is another world: other faults, another network, another course of events. \
            The same seed is the same world, step by step.

            EXAMPLES
              magpie-sim --seeds 100             seeds 1 to 100, on all cores
              magpie-sim --seed 4711 --verbose   one seed, with every frame in the trace
              magpie-sim --seeds 200 --plant skip-sync
                                                 must fail: the planted bug is found

            EXIT STATUS
              0  every seed kept every promise
              1  a seed broke one: its number, the promise and the trace are printed
            """,
        version: "magpie-sim \(Release.version)")

    @Option(help: "The first seed.")
    var seed: UInt64 = 1

    @Option(help: "How many seeds, from the first on.")
    var seeds: UInt64 = 1

    @Option(help: "Seeds that run at the same time; 0: as many as there are cores.")
    var jobs = 0

    @Option(help: "Nodes of each cluster; without it the seed decides.")
    var nodes: Int?

    @Option(help: "Plant a bug that the checkers must find; see --list-plants.")
    var plant: String?

    @Flag(help: "List the bugs that can be planted.")
    var listPlants = false

    @Option(help: "Run every so many-th seed twice and compare; 0: never.")
    var replayEvery: UInt64 = 50

    @Flag(help: "Print the options of a good seed too, and frames in the trace of a bad one.")
    var verbose = false

    @Flag(help: .hidden)
    var worker = false

    func validate() throws {
        if seeds == 0 { throw ValidationError("--seeds must be at least 1") }
        if jobs < 0 { throw ValidationError("--jobs must not be negative") }
        if let nodes, !(1...7).contains(nodes) { throw ValidationError("--nodes is 1 to 7") }
        if let plant, Plant(rawValue: plant) == nil {
            throw ValidationError("no bug is called \(plant); --list-plants names them")
        }
        if let plant, Plant(rawValue: plant)?.isAvailable == false {
            throw ValidationError(
                "\(plant) is not in this build: swift build --traits PlantedBugs")
        }
    }

    func run() throws {
        if listPlants { return showPlants() }
        var plan = SimulationPlan(firstSeed: seed, seedCount: seeds)
        plan.nodes = nodes
        plan.plant = plant.flatMap { Plant(rawValue: $0) }
        plan.replayEvery = replayEvery
        plan.isVerbose = verbose
        if worker { return try work(plan) }
        let count = jobs > 0 ? jobs : Console.coreCount
        let report = Workers(plan, jobs: min(count, Int(clamping: seeds))).run { line in
            Console.progress(line)
        }
        Console.endProgress()
        if verbose || seeds == 1, report.failure == nil, let options = report.lastOptions {
            print(options)
        }
        if let failure = report.failure { Console.show(failure) }
        print(report.summary)
        if report.failure != nil { throw ExitCode(1) }
    }

    /// Runs a part of the seeds for the process that started this one, and tells it what came out.
    private func work(_ plan: SimulationPlan) throws {
        let report = SimulationBatch(plan).run { seed in
            Console.tell(Workers.seedMark + "\(seed)")
        }
        let json = try JSONEncoder().encode(report)
        Console.tell(Workers.reportMark + String(decoding: json, as: UTF8.self))
    }

    private func showPlants() {
        for bug in Plant.allCases {
            let padding = String(repeating: " ", count: max(1, 26 - bug.rawValue.count))
            let note = bug.isAvailable ? "" : " (needs --traits PlantedBugs)"
            print(bug.rawValue + padding + bug.summary + note)
        }
    }
}
