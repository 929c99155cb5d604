import Foundation

/// A line of the results: the medians of one workload on one engine.
struct BenchResult: Codable, Sendable {
    let workload: String
    let engine: String
    /// What `value` counts.
    let unit: String
    /// True when a smaller `value` is better.
    let isLowerBetter: Bool
    /// Median of the runs; 0 where the row did not come to its end.
    let value: Double
    /// The least and the most of the runs.
    let valueMin: Double
    let valueMax: Double
    let runs: Int
    /// Of one run.
    let operations: Int
    /// What one of them is.
    let operation: String
    let seconds: Double
    /// Closed loop, as the caller sees it, or from the intended start: see `latencyFrom`. Walks:
    /// means over 1,000 rows. All zero where the row has no latencies.
    let p50Us: Double
    let p99Us: Double
    let p999Us: Double
    let maxUs: Double
    let latencyFrom: String
    let cpuSeconds: Double
    let cpuSecondsPerMillion: Double
    let writeAmplification: Double?
    /// With the bytes of a peer's own log counted twice.
    let loggedAmplification: Double?
    /// The whole machine's: means something where nothing else runs.
    let deviceAmplification: Double?
    let spaceAmplification: Double?
    let peakSpaceAmplification: Double?
    let blockReadsPerOperation: Double?
    let stalls: Stalls?
    let details: [String: Double]
    let peakRssBytes: UInt64
    /// When a write is durable.
    let durability: String
    let data: String
    let scale: String
    let versions: [String: String]
    let settings: String
    let cpu: String

    /// The medians of the runs of one workload on one engine.
    ///
    /// - Precondition: there is a run, and all are of the same workload and engine.
    init(_ runs: [Measurement], scale: Scale, version: String, settings: String, data: String) {
        precondition(!runs.isEmpty, "a result has a run")
        let first = runs[0]
        workload = first.workload.rawValue
        engine = first.engine
        unit = first.workload.unit
        isLowerBetter = first.workload.measure.isLowerBetter
        value = Self.median(runs.map(\.value))
        valueMin = Self.rounded(runs.map(\.value).min() ?? 0)
        valueMax = Self.rounded(runs.map(\.value).max() ?? 0)
        self.runs = runs.count
        operations = first.operations
        operation = first.workload.operation
        seconds = Self.median(runs.map(\.seconds))
        p50Us = Self.median(runs.map(\.latency.p50Us))
        p99Us = Self.median(runs.map(\.latency.p99Us))
        p999Us = Self.median(runs.map(\.latency.p999Us))
        maxUs = Self.median(runs.map(\.latency.maxUs))
        latencyFrom =
            first.workload.measure == .p99 ? "open loop, intended start" : "closed loop, call"
        cpuSeconds = Self.median(runs.map(\.cpuSeconds))
        cpuSecondsPerMillion = Self.median(
            runs.map { $0.cpuSeconds * 1e6 / Double(max(1, $0.operations)) })
        writeAmplification = Self.median(of: runs, \.writeAmplification)
        loggedAmplification = Self.median(of: runs, \.loggedAmplification)
        deviceAmplification = Self.median(of: runs, \.deviceAmplification)
        spaceAmplification = Self.median(of: runs, \.spaceAmplification)
        peakSpaceAmplification = Self.median(of: runs, \.peakSpaceAmplification)
        blockReadsPerOperation = Self.median(of: runs, \.blockReadsPerOperation)
        stalls = Self.worst(runs.compactMap(\.stalls))
        details = Dictionary(
            uniqueKeysWithValues: Set(runs.flatMap(\.details.keys)).map { name in
                (name, Self.median(runs.compactMap { $0.details[name] }))
            })
        peakRssBytes = UInt64(Self.median(runs.map { Double($0.peakRssBytes) }))
        durability = Self.durability(first.workload, first.engine)
        self.data = data
        self.scale = scale.name
        versions = ["engine": version, "bench": Versions.bench, "kernel": Self.kernel]
        self.settings = settings
        cpu = Meter.processor
    }

    /// The longest gap of all runs; counts and seconds are medians.
    private static func worst(_ stalls: [Stalls]) -> Stalls? {
        guard !stalls.isEmpty else { return nil }
        return Stalls(
            longestMs: rounded(stalls.map(\.longestMs).max() ?? 0),
            gapsOver10Ms: median(stalls.map(\.gapsOver10Ms)),
            seconds: median(stalls.map(\.seconds)))
    }

    private static func median(
        of runs: [Measurement], _ figure: (Measurement) -> Double?
    ) -> Double? {
        let figures = runs.compactMap(figure)
        return figures.isEmpty ? nil : median(figures)
    }

    /// The object on one line.
    func jsonLine() throws -> String { try JSONLine.of(self) }

    private static func durability(_ workload: Workload, _ engine: String) -> String {
        switch workload {
        case .chatAppend1, .chatAppend8, .chatAppend64, .bareFdatasync: "every commit synced"
        case .fillseq, .fillrandom, .overwrite:
            engine == EngineKind.magpie.rawValue
                ? "synced: every turn of the log, at most 16,384 writes under way"
                : "unsynced"
        case .chatDedup, .chatMixed, .chatMixedCold: "every append beside the reads synced"
        case .readwhilewriting, .seekrandomwhilewriting:
            engine == EngineKind.magpie.rawValue
                ? "writes beside the reads synced: every turn of the log" : "unsynced"
        default: "reads"
        }
    }

    static var kernel: String {
        let text = FileManager.default.contents(atPath: "/proc/sys/kernel/osrelease") ?? Data()
        return String(decoding: text, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    static func median(_ values: [Double]) -> Double {
        let sorted = values.sorted()
        let middle = sorted.count / 2
        if sorted.isEmpty { return 0 }
        if sorted.count % 2 == 1 { return rounded(sorted[middle]) }
        return rounded((sorted[middle - 1] + sorted[middle]) / 2)
    }

    private static func rounded(_ value: Double) -> Double { (value * 1_000).rounded() / 1_000 }
}

/// Objects for programs, one a line.
enum JSONLine {
    static func of(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }
}
