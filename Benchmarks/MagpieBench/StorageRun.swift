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
        let rows = workloads.reduce(0) { $0 + ($1.family == .disk ? 1 : engines.count) }
        progress = Progress(steps: rows * scale.runs, isQuiet: isQuiet)
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
                    all += try perform(engines[(place + run) % engines.count], family, wanted)
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
        let layout: StoreLayout = family == .chat ? .chat : .plain
        // By concrete types, so that the loops are compiled for each engine.
        switch kind {
        case .magpie:
            let engine = try MagpieEngine(directory: place, layout: layout)
            return try perform(engine, kind.rawValue, place, family, wanted)
        case .rocksdb, .rocksdbTuned:
            #if canImport(CRocksDB)
                let engine = try RocksEngine(
                    directory: place, layout: layout, isTuned: kind == .rocksdbTuned)
                return try perform(engine, kind.rawValue, place, family, wanted)
            #else
                throw UsageError(kind.missingAdvice ?? "")
            #endif
        case .leveldb:
            #if canImport(CLevelDB)
                return try perform(
                    LevelEngine(directory: place), kind.rawValue, place, family, wanted)
            #else
                throw UsageError(kind.missingAdvice ?? "")
            #endif
        }
    }

    private mutating func perform<Engine: StorageEngine>(
        _ engine: Engine, _ name: String, _ place: String, _ family: Family, _ wanted: [Workload]
    ) throws -> [Measurement] {
        defer { engine.close() }
        if family == .chat {
            let chat = ChatRun(
                engine: engine, name: name, directory: place, scale: scale, bodies: bodies,
                seed: seed)
            progress.note("loading messages, \(name)")
            try chat.load()
            return try measure(wanted, name) { try chat.perform($0) }
        }
        var plain = PlainRun(
            engine: engine, name: name, directory: place, scale: scale, seed: seed)
        // Reads need rows, whether their making is asked for or not.
        if family == .plain, !wanted.contains(.fillrandom) {
            progress.note("fillrandom, \(name), unmeasured")
            _ = try plain.perform(.fillrandom)
        }
        return try measure(wanted, name) { try plain.perform($0) }
    }

    private mutating func performBare(_ wanted: [Workload]) throws -> [Measurement] {
        let place = directory + "/" + BareDisk.name
        try LinuxFileSystem().makeDirectory(place)
        defer { try? FileManager.default.removeItem(atPath: place) }
        let scale = scale
        return try measure(wanted, BareDisk.name) { _ in
            try BareDisk.perform(directory: place, scale: scale)
        }
    }

    private mutating func measure(
        _ wanted: [Workload], _ name: String, _ body: (Workload) throws -> Measurement
    ) rethrows -> [Measurement] {
        var all: [Measurement] = []
        for workload in wanted {
            progress.step("\(workload.rawValue), \(name)")
            all.append(try body(workload))
        }
        return all
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
                        data: data(of: workload)))
            }
        }
        return results
    }

    private func data(of workload: Workload) -> String {
        switch workload.family {
        case .chat:
            "\(scale.conversations) conversations, Zipf 0.99, \(scale.messages) messages before; "
                + "bodies 36-300 B: \(bodies.source)"
        case .disk: "300 B"
        default: "\(scale.keys) keys of 16 B, values of 100 B that compress to half"
        }
    }
}

/// Says on standard error how far a run has come.
struct Progress {
    private let steps: Int
    private let isQuiet: Bool
    private let start = Meter.now()
    private var done = 0

    init(steps: Int, isQuiet: Bool) {
        self.steps = steps
        self.isQuiet = isQuiet
    }

    /// The next row starts.
    mutating func step(_ what: String) {
        done += 1
        let elapsed = Double(Meter.now() &- start) / 1e9
        // Of the rows before this one.
        let left = done > 1 ? elapsed / Double(done - 1) * Double(steps - done + 1) : nil
        let remaining = left.map { ", about \(Self.words($0)) left" } ?? ""
        show("[\(done)/\(steps)] \(what)\(remaining)")
    }

    /// Something between rows.
    func note(_ what: String) { show("[\(done)/\(steps)] \(what)") }

    /// Nothing follows.
    func end() {
        if !isQuiet, Terminal.isWatched { Terminal.status("") }
    }

    private func show(_ line: String) {
        if isQuiet { return }
        if Terminal.isWatched { Terminal.status(line) } else { Terminal.error(line) }
    }

    private static func words(_ seconds: Double) -> String {
        seconds < 90 ? "\(Int(seconds)) s" : "\(Int((seconds / 60).rounded())) min"
    }
}
