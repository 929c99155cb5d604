/// A seed that broke a promise.
package struct SimulationFailure: Sendable, Codable {
    /// The seed.
    package var seed: UInt64
    /// Its options.
    package var options: String
    /// What was broken.
    package var violation: Violation
    /// What came before.
    package var trace: [String]
    /// The bug that was planted.
    package var plant: Plant?

    /// A failure.
    package init(
        seed: UInt64, options: String, violation: Violation, trace: [String], plant: Plant?
    ) {
        self.seed = seed
        self.options = options
        self.violation = violation
        self.trace = trace
        self.plant = plant
    }
}

/// What many seeds came to.
package struct SimulationReport: Sendable, Codable {
    /// Seeds run to their end.
    package var seeds: UInt64 = 0
    /// Of them those long and hard enough to count.
    package var counted: UInt64 = 0
    /// Seeds run twice with equal traces.
    package var replays: UInt64 = 0
    /// Simulated seconds.
    package var seconds: UInt64 = 0
    /// Acknowledged changes.
    package var acknowledged = 0
    /// Pages read and checked.
    package var reads = 0
    /// Answers to searches, checked.
    package var searches = 0
    /// Elections.
    package var elections = 0
    /// Faults.
    package var faults = 0
    /// Counts of reach marks.
    package var marks = [UInt64](repeating: 0, count: ReachMark.allCases.count)
    /// The lowest seed that failed.
    package var failure: SimulationFailure?
    /// The options of the last seed.
    package var lastOptions: String?
    /// Real seconds.
    package var realSeconds = 0.0

    /// No seeds yet.
    package init() {}

    /// Adds one seed.
    package mutating func add(_ outcome: SimulationOutcome) {
        seeds += 1
        if outcome.counts { counted += 1 }
        seconds += outcome.seconds
        acknowledged += outcome.acknowledged
        reads += outcome.reads
        searches += outcome.searches
        elections += outcome.elections
        faults += outcome.faults
        for (place, count) in outcome.marks.enumerated() { marks[place] += count }
        lastOptions = outcome.options
    }

    /// Adds what another process ran.
    package mutating func add(_ other: SimulationReport) {
        seeds += other.seeds
        counted += other.counted
        replays += other.replays
        seconds += other.seconds
        acknowledged += other.acknowledged
        reads += other.reads
        searches += other.searches
        elections += other.elections
        faults += other.faults
        for (place, count) in other.marks.enumerated() { marks[place] += count }
        lastOptions = other.lastOptions ?? lastOptions
        if let found = other.failure { note(found) }
    }

    /// Keeps a failure, unless one of a lower seed is known.
    mutating func note(_ found: SimulationFailure) {
        if let failure, failure.seed < found.seed { return }
        failure = found
    }

    /// Marks that no seed reached.
    package var unreached: [ReachMark] {
        zip(ReachMark.allCases, marks).filter { $0.1 == 0 }.map(\.0)
    }

    /// Seeds in a minute of real time.
    package var seedsPerMinute: Int {
        realSeconds > 0 ? Int(Double(seeds) * 60 / realSeconds) : 0
    }

    /// One line while it goes on.
    package func progress(of total: UInt64) -> String {
        "\(seeds)/\(total) seeds, \(seedsPerMinute) a minute, \(seconds / 3_600) simulated hours, "
            + "\(elections) elections, \(faults) faults"
    }

    /// Some lines for people.
    package var summary: String {
        var lines = [
            "\(seeds) seeds, \(counted) of them long and hard enough to count; "
                + "\(replays) run twice with equal traces",
            "\(seconds / 3_600) simulated hours in \(Int(realSeconds)) s: "
                + "\(seedsPerMinute) seeds a minute",
            "\(acknowledged) changes acknowledged, \(reads) reads and "
                + "\(searches) searches checked, \(elections) elections, \(faults) faults",
        ]
        if unreached.isEmpty {
            lines.append("all \(ReachMark.allCases.count) reach marks hit")
        } else {
            lines.append(
                "not reached: " + unreached.map(\.rawValue).joined(separator: "; "))
        }
        return lines.joined(separator: "\n")
    }
}
