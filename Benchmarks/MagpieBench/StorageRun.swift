import Foundation
import Platform

/// Runs workloads on engines, interleaved: in every run, each family of workloads goes over all
/// engines before the next one, so that a slow minute of the machine hits all alike.
struct StorageRun {
    let workloads: [Workload]
    let engines: [EngineKind]
    let scale: Scale
    let directory: String
    let bodies: MessageBodies
    let seed: UInt64
    private var progress: Progress

    init(
        workloads: [Workload], engines: [EngineKind], scale: Scale, directory: String,
        bodies: MessageBodies, seed: UInt64, isQuiet: Bool = false
    ) {
        self.workloads = workloads
        self.engines = engines
        self.scale = scale
        self.directory = directory
        self.bodies = bodies
        self.seed = seed
        let weights = Self.weights(workloads, engines, scale)
        progress = Progress(weights: weights, isQuiet: isQuiet)
    }

    /// About how many seconds each row takes, in the order of ``perform()``; a family's first row
    /// takes the loading of its data too.
    static func weights(
        _ workloads: [Workload], _ engines: [EngineKind], _ scale: Scale
    ) -> [Double] {
        let once = Family.allCases.flatMap { family in
            let all = workloads.filter { $0.family == family }
            if family == .disk { return all.map { scale.seconds($0) } }
            return engines.flatMap { engine in
                let wanted = all.filter { $0.isOffered(by: engine) }
                var own = wanted.map { scale.seconds($0) }
                if !own.isEmpty { own[0] += scale.loadSeconds(family) }
                if family == .plain, let first = wanted.first, first != .fillrandom {
                    own[0] += scale.seconds(.fillrandom)
                }
                return own
            }
        }
        return (0..<scale.runs).flatMap { _ in once }
    }

    /// Measures; a result for each workload and engine, in the order of the workloads.
    mutating func perform() throws -> [BenchResult] {
        var all: [Measurement] = []
        defer { try? FileManager.default.removeItem(atPath: directory) }
        for run in 0..<scale.runs {
            for family in Family.allCases {
                let wanted = workloads.filter { $0.family == family }
                if wanted.isEmpty { continue }
                if family == .disk {
                    all += try performBare(wanted)
                    continue
                }
                // Another engine is first in each run.
                for place in engines.indices {
                    let engine = engines[(place + run) % engines.count]
                    let own = wanted.filter { $0.isOffered(by: engine) }
                    if !own.isEmpty { all += try perform(engine, family, own) }
                }
            }
        }
        progress.end()
        return summarize(all)
    }

    /// The workloads of a family on one engine, in a directory of its own.
    private mutating func perform(
        _ kind: EngineKind, _ family: Family, _ wanted: [Workload]
    ) throws -> [Measurement] {
        let place = directory + "/" + kind.rawValue
        try LinuxFileSystem().makeDirectory(place)
        defer { try? FileManager.default.removeItem(atPath: place) }
        var job = FamilyJob(
            family: family, wanted: wanted, scale: scale, directory: place, bodies: bodies,
            seed: seed, progress: progress)
        defer { progress = job.progress }
        try kind.run(&job)
        return job.measurements
    }

    private mutating func performBare(_ wanted: [Workload]) throws -> [Measurement] {
        let place = directory + "/" + BareDisk.name
        try LinuxFileSystem().makeDirectory(place)
        defer { try? FileManager.default.removeItem(atPath: place) }
        return try wanted.map { workload in
            progress.step("\(workload.rawValue), \(BareDisk.name)")
            return try BareDisk.perform(directory: place, scale: scale)
        }
    }

    private func summarize(_ all: [Measurement]) -> [BenchResult] {
        let names = engines.map(\.rawValue) + [BareDisk.name]
        var results: [BenchResult] = []
        for workload in workloads {
            for name in names {
                let own = all.filter { $0.workload == workload && $0.engine == name }
                if own.isEmpty { continue }
                let kind = EngineKind(rawValue: name)
                results.append(
                    BenchResult(
                        own, scale: scale, version: kind?.version ?? "Linux",
                        settings: kind?.settings ?? "fdatasync of 300 B in a prefilled file",
                        data: scale.data(of: workload, bodies: bodies.source)))
            }
        }
        return results
    }
}

/// The workloads of a family on one engine, in the order of the table.
struct FamilyJob: EngineJob {
    let family: Family
    let wanted: [Workload]
    let scale: Scale
    let directory: String
    let bodies: MessageBodies
    let seed: UInt64
    var progress: Progress
    private(set) var measurements: [Measurement] = []

    init(
        family: Family, wanted: [Workload], scale: Scale, directory: String,
        bodies: MessageBodies, seed: UInt64, progress: Progress
    ) {
        self.family = family
        self.wanted = wanted
        self.scale = scale
        self.directory = directory
        self.bodies = bodies
        self.seed = seed
        self.progress = progress
    }

    mutating func perform<Engine: StorageEngine>(
        _ kind: EngineKind, open: @escaping (EngineSetup) throws -> Engine
    ) throws {
        switch family {
        case .sequential, .plain: try performPlain(kind, open)
        case .chat, .cold, .expiry: try performChat(kind, open)
        case .restart, .tables:
            let run = RestartRun(
                kind: kind, open: open, directory: directory, scale: scale, seed: seed)
            try measure(kind) { try run.perform($0) }
        case .disk: preconditionFailure("the bare disk has no engine")
        }
    }

    private mutating func performPlain<Engine: StorageEngine>(
        _ kind: EngineKind, _ open: (EngineSetup) throws -> Engine
    ) throws {
        let engine = try open(EngineSetup(directory: directory, layout: .plain))
        defer { engine.close() }
        var plain = PlainRun(
            engine: engine, name: kind.rawValue, directory: directory, scale: scale, seed: seed)
        // Reads need rows, whether their making is asked for or not.
        if family == .plain, !wanted.contains(.fillrandom) {
            progress.note("fillrandom, \(kind.rawValue), unmeasured")
            _ = try plain.perform(.fillrandom)
        }
        try measure(kind) { try plain.perform($0) }
    }

    private mutating func performChat<Engine: StorageEngine>(
        _ kind: EngineKind, _ open: (EngineSetup) throws -> Engine
    ) throws {
        let setup = EngineSetup(
            directory: directory, layout: .chat,
            budget: family == .cold ? scale.coldBudget : .standard)
        let engine = try open(setup)
        defer { engine.close() }
        let chat = ChatRun(
            engine: engine, name: kind.rawValue, directory: directory, scale: scale,
            bodies: bodies, seed: seed)
        progress.note("loading messages, \(kind.rawValue)")
        try chat.load(family == .cold ? scale.coldMessages : scale.messages)
        try engine.settle()
        try measure(kind) { try chat.perform($0) }
    }

    private mutating func measure(
        _ kind: EngineKind, _ body: (Workload) throws -> Measurement
    ) rethrows {
        for workload in wanted {
            progress.step("\(workload.rawValue), \(kind.rawValue)")
            measurements.append(try body(workload))
        }
    }
}
