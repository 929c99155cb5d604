import Foundation

/// A figure's median over the runs, with the least and the most.
struct Spread: Codable, Sendable {
    let median: Double
    let min: Double
    let max: Double

    /// - Precondition: there is a value.
    init(_ values: [Double]) {
        precondition(!values.isEmpty, "a spread has values")
        let sorted = values.sorted()
        let middle = sorted.count / 2
        median =
            sorted.count % 2 == 1
            ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
        min = sorted[0]
        max = sorted[sorted.count - 1]
    }
}

/// A line of the results: one engine at one number of messages under way.
struct LoadResult: Codable, Sendable {
    let workload: String
    let engine: ReplicationEngine
    let inFlight: Int
    let durability: String
    let runs: Int
    let seconds: Double
    /// Messages of 300 B a second, acknowledged.
    let acknowledgedPerSecond: Spread
    let p50Us: Spread
    let p99Us: Spread
    let p999Us: Spread
    /// Processor seconds of the three servers for 1,000 acknowledged messages.
    let serverCPUSecondsPerThousand: Spread
    /// The same of the load generator.
    let clientCPUSecondsPerThousand: Spread
    /// Processors that everybody else on the machine kept busy meanwhile, the kernel included: well
    /// above zero, somebody disturbed.
    let processorsOfOthers: Spread
    /// Bytes that the device took for each message; the whole machine's.
    let deviceBytesPerMessage: Spread
    /// Flushes of the device for each message; the whole machine's.
    let deviceFlushesPerMessage: Spread
    /// Memory of the three servers at the end.
    let residentBytes: Spread
    /// Refusals and broken connections, all runs.
    let errors: Int
    let error: String?

    /// - Precondition: there is a run, and all are of one engine and number.
    init(_ runs: [LoadMeasurement]) {
        precondition(!runs.isEmpty, "a result has a run")
        workload = "replicated-append"
        engine = runs[0].engine
        inFlight = runs[0].inFlight
        durability = runs[0].engine.durability
        self.runs = runs.count
        seconds = runs[0].seconds
        acknowledgedPerSecond = Spread(runs.map(\.rate))
        p50Us = Spread(runs.map(\.p50Us))
        p99Us = Spread(runs.map(\.p99Us))
        p999Us = Spread(runs.map(\.p999Us))
        serverCPUSecondsPerThousand = Spread(runs.map { $0.cost($0.cpuSeconds, per: 1_000) })
        clientCPUSecondsPerThousand = Spread(
            runs.map { $0.cost($0.clientCPUSeconds, per: 1_000) })
        processorsOfOthers = Spread(runs.map { $0.otherCPUSeconds / max(0.001, $0.seconds) })
        deviceBytesPerMessage = Spread(runs.map { $0.cost(Double($0.deviceBytes)) })
        deviceFlushesPerMessage = Spread(runs.map { $0.cost(Double($0.deviceFlushes)) })
        residentBytes = Spread(runs.map { Double($0.residentBytes) })
        errors = runs.reduce(0) { $0 + $1.errors }
        error = runs.first { $0.errors > 0 }?.reason
    }
}

/// A line of the results: one engine whose leader was killed.
struct KillResult: Codable, Sendable {
    let workload: String
    let engine: ReplicationEngine
    let inFlight: Int
    let runs: Int
    /// Seconds without an acknowledgement: the slot that waited longest.
    let longestWaitSeconds: Spread
    /// Seconds in which nobody got one.
    let nobodyServedSeconds: Spread
    /// All runs'.
    let messages: Int
    let unanswered: Int
    let lost: Int
    let repeated: Int?
    let check: String

    /// - Precondition: there is a run, and all are of one engine.
    init(_ runs: [KillMeasurement]) {
        precondition(!runs.isEmpty, "a result has a run")
        workload = "kill-leader"
        engine = runs[0].engine
        inFlight = ReplicationRun.killInFlight
        self.runs = runs.count
        longestWaitSeconds = Spread(runs.map(\.slotGap))
        nobodyServedSeconds = Spread(runs.map(\.allGap))
        messages = runs.reduce(0) { $0 + $1.sent }
        unanswered = runs.reduce(0) { $0 + $1.unanswered }
        lost = runs.reduce(0) { $0 + $1.verdict.lost }
        let counts = runs.compactMap(\.verdict.repeated)
        repeated = counts.isEmpty ? nil : counts.reduce(0, +)
        check = runs[0].verdict.method
    }
}

/// The first line of the results: where and with what.
struct ReplicationSetup: Codable, Sendable {
    var workload = "setup"
    var versions: [String: String]
    var settings: [String: String]
    var cpu: String
    var kernel: String
    /// Of the last minute, before and after the run.
    var loadAverageBefore: Double
    var loadAverageAfter: Double
    /// Of one process alone, and of each of three at once.
    var syncsPerSecondAlone: [Double]
    var syncsPerSecondOfThree: [Double]
    var bodyBytes: Int
    var repetitions: Int
    var seconds: Double
    var warmUpSeconds: Double
}

/// All results, as JSON lines or as tables.
struct ReplicationReport: Sendable {
    let setup: ReplicationSetup
    let loads: [LoadResult]
    let kills: [KillResult]

    init(
        setup: ReplicationSetup, loads: [LoadMeasurement], kills: [KillMeasurement],
        plan: ReplicationRun.Plan
    ) {
        self.setup = setup
        var results: [LoadResult] = []
        for inFlight in plan.inFlight {
            for engine in plan.engines {
                let own = loads.filter { $0.engine == engine && $0.inFlight == inFlight }
                if !own.isEmpty { results.append(LoadResult(own)) }
            }
        }
        self.loads = results
        self.kills = plan.engines.compactMap { engine in
            let own = kills.filter { $0.engine == engine }
            return own.isEmpty ? nil : KillResult(own)
        }
    }

    /// An object per line.
    func jsonLines() throws -> [String] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        func line(_ value: some Encodable) throws -> String {
            String(decoding: try encoder.encode(value), as: UTF8.self)
        }
        return try [line(setup)] + loads.map { try line($0) } + kills.map { try line($0) }
    }
}
