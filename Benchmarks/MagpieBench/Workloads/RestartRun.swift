import Bytes
import Foundation
import Glibc
import Platform
import Synchronization

/// Stores that are opened: after a kill, and with many tables.
struct RestartRun<Engine: StorageEngine> {
    let kind: EngineKind
    let open: (EngineSetup) throws -> Engine
    let directory: String
    let scale: Scale
    let seed: UInt64

    /// Performs one workload.
    func perform(_ workload: Workload) throws -> Measurement {
        workload == .restart ? try restart() : try openTables()
    }

    /// Another process loads messages, all of them in its log and memtable, and is killed; then the
    /// store is opened here and the newest page of a conversation read.
    private func restart() throws -> Measurement {
        let place = directory + "/restart"
        try LinuxFileSystem().makeDirectory(place)
        try Victim.loadAndKill(kind, place, scale: scale, seed: seed)
        let bodies = try MessageBodies(corpus: nil, seed: seed)
        let tables = Meter.tables(in: place).count
        let meter = Meter(place)
        let start = Meter.now()
        let engine = try open(EngineSetup(directory: place, layout: .chat))
        defer { engine.close() }
        let opened = Meter.now()
        try engine.awaitRecovery()
        _ = try engine.page(ConversationName(number: 0), below: .max, rows: 50)
        let read = Meter.now()
        let reading = meter.reading
        let chat = ChatRun(
            engine: engine, name: kind.rawValue, directory: place, scale: scale, bodies: bodies,
            seed: seed)
        chat.noteLoaded(scale.backlog)
        for number in 0..<scale.conversations {
            let there = chat.sequences[number].load(ordering: .relaxed)
            let page = try engine.page(ConversationName(number: number), below: .max, rows: 50)
            guard page.rows == Int(min(50, there)) else {
                throw EngineError("\(kind.rawValue): messages are missing after the kill")
            }
        }
        var measurement = Measurement(
            .restart, kind.rawValue, operations: scale.backlog,
            seconds: Double(read &- start) / 1e9, Latencies(), cpuSeconds: reading.cpuSeconds)
        measurement.details["tables at the kill"] = Double(tables)
        measurement.details["ms to open"] = Double(opened &- start) / 1e6
        measurement.details["ms to first read"] = Double(read &- start) / 1e6
        return measurement
    }

    /// Tables of about 1 MB that do not overlap, none of it in the page cache.
    private func openTables() throws -> Measurement {
        let place = directory + "/tables"
        try LinuxFileSystem().makeDirectory(place)
        let setup = EngineSetup(directory: place, layout: .plain, tableBytes: 1 << 20)
        try fill(setup)
        PageCacheDropper.drop(place)
        let meter = Meter(place)
        let start = Meter.now()
        let engine = try open(setup)
        defer { engine.close() }
        let opened = Meter.now()
        try engine.awaitRecovery()
        var keys = PlainKeys()
        let found = try keys.with(UInt64(scale.tables) * 500) { try engine.get($0) }
        let read = Meter.now()
        guard found != nil else { throw EngineError("\(kind.rawValue): a key is missing") }
        let reading = meter.reading
        let files = Meter.tables(in: place).count
        var measurement = Measurement(
            .openTables, kind.rawValue, operations: files, seconds: Double(read &- start) / 1e9,
            Latencies(), cpuSeconds: reading.cpuSeconds)
        measurement.details["ms to open"] = Double(opened &- start) / 1e6
        measurement.details["ms to first read"] = Double(read &- start) / 1e6
        measurement.details["tables"] = Double(files)
        return measurement
    }

    /// Ascending keys with values that do not compress: a table after the other.
    private func fill(_ setup: EngineSetup) throws {
        let engine = try open(setup)
        defer { engine.close() }
        var generator = SplitMix64(seed: seed)
        var keys = PlainKeys()
        let words = (0..<125).map { _ in generator.next() }
        for number in 0..<(UInt64(scale.tables) * 1_000) {
            // A multiplication keeps the words without pattern.
            let value = words.map { $0 &* (2 &* number &+ 1) }
            try keys.with(number) { key in
                try value.withUnsafeBytes { try engine.put(key, $0) }
            }
        }
        try engine.drain()
        try engine.settle()
    }
}

/// The process that is killed: this program with the command `storage-victim`.
enum Victim {
    static let readyLine = "loaded"

    /// Runs the process until its messages are durable, and kills it.
    static func loadAndKill(
        _ kind: EngineKind, _ directory: String, scale: Scale, seed: UInt64
    ) throws {
        let process = try ServerProcess(
            try program(),
            [
                "storage-victim", "--engine", kind.rawValue, "--data", directory,
                "--messages", "\(scale.backlog)", "--conversations", "\(scale.conversations)",
                "--seed", "\(seed)",
            ], log: directory + ".log")
        defer { process.stop() }
        let isReady = try Pause.until(600) {
            if process.hasSaid(readyLine) { return true }
            guard process.isRunning else {
                throw EngineError("storage-victim ended: \(process.lastWords)")
            }
            return false
        }
        guard isReady else { throw EngineError("storage-victim is not ready after 600 s") }
        kill(process.identifier, SIGKILL)
        guard Pause.until(20, { !process.isRunning }) else {
            throw EngineError("storage-victim outlives SIGKILL")
        }
    }

    /// This program's file; in tests, the program that lies beside them.
    private static func program() throws -> String {
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let near = own.split(separator: "/").dropLast().map(String.init)
        // The tests' file may lie one folder deeper than the programs.
        let folders = [near, near.dropLast()].map { "/" + $0.joined(separator: "/") }
        let programs = [own] + folders.map { $0 + "/magpie-bench" }
        guard
            let found = programs.first(where: {
                $0.hasSuffix("/magpie-bench") && FileManager.default.isExecutableFile(atPath: $0)
            })
        else { throw UsageError("there is no magpie-bench beside \(own)") }
        return found
    }
}
