import Foundation

/// A line of the results: the medians of one workload on one engine.
struct BenchResult: Codable, Sendable {
    let workload: String
    let engine: String
    /// What `value` counts.
    let unit: String
    /// Median of the runs.
    let value: Double
    /// The slowest and the fastest run.
    let valueMin: Double
    let valueMax: Double
    let runs: Int
    /// Of one run.
    let operations: Int
    let seconds: Double
    /// Closed loop, as the caller sees it; walks: means over 1,000 rows.
    let p50Us: Double
    let p99Us: Double
    let cpuSeconds: Double
    let cpuSecondsPerMillion: Double
    let writeAmplification: Double?
    /// The whole machine's: means something where nothing else runs.
    let deviceAmplification: Double?
    let spaceAmplification: Double?
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
        value = Self.median(runs.map(\.rate))
        valueMin = Self.rounded(runs.map(\.rate).min() ?? 0)
        valueMax = Self.rounded(runs.map(\.rate).max() ?? 0)
        self.runs = runs.count
        operations = first.operations
        seconds = Self.median(runs.map(\.seconds))
        p50Us = Self.median(runs.map(\.p50Us))
        p99Us = Self.median(runs.map(\.p99Us))
        cpuSeconds = Self.median(runs.map(\.cpuSeconds))
        cpuSecondsPerMillion = Self.median(
            runs.map { $0.cpuSeconds * 1e6 / Double(max(1, $0.operations)) })
        let written = runs.compactMap(\.writeAmplification)
        let device = runs.compactMap(\.deviceAmplification)
        let held = runs.compactMap(\.spaceAmplification)
        writeAmplification = written.isEmpty ? nil : Self.median(written)
        deviceAmplification = device.isEmpty ? nil : Self.median(device)
        spaceAmplification = held.isEmpty ? nil : Self.median(held)
        peakRssBytes = UInt64(Self.median(runs.map { Double($0.peakRssBytes) }))
        durability = Self.durability(first.workload, first.engine)
        self.data = data
        self.scale = scale.name
        versions = ["engine": version, "bench": Versions.bench, "kernel": Self.kernel]
        self.settings = settings
        cpu = Meter.processor
    }

    /// The object on one line.
    func jsonLine() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }

    private static func durability(_ workload: Workload, _ engine: String) -> String {
        switch workload {
        case .chatAppend1, .chatAppend8, .chatAppend64, .bareFdatasync: "every commit synced"
        case .fillseq, .fillrandom, .overwrite:
            engine == EngineKind.magpie.rawValue
                ? "synced: every turn of the log, at most 16,384 writes under way"
                : "unsynced"
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
