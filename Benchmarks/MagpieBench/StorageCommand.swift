import ArgumentParser
import Foundation
import Glibc

/// `magpie-bench storage`: the storage engine beside RocksDB and LevelDB.
struct StorageCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "storage",
        abstract: "Measure the storage engine beside RocksDB and LevelDB.",
        discussion: """
            Engine magpie is what production runs: a Raft group of one over the log and the tree. \
            Engine rocksdb gives two columns, rocksdb (stock) and rocksdb-tuned.

            Examples:
              magpie-bench storage
              magpie-bench storage --workloads chat-append-8,chat-page --engines magpie,rocksdb
              magpie-bench storage --scale full --json --html storage.html > results.jsonl
              magpie-bench storage --calibrate
              magpie-bench storage --workloads chat-append-64 --corpus messages.jsonl

            Workloads: \(Workload.allCases.map(\.rawValue).joined(separator: ", ")).
            """)

    @Option(help: "Workloads after commas, or all.")
    var workloads = "all"

    @Option(help: "Engines after commas: magpie, rocksdb, rocksdb-tuned, leveldb.")
    var engines = "magpie,rocksdb,leveldb"

    @Option(
        help: """
            quick: one run, about 6 minutes for everything; medium: three, about 20 minutes; full: \
            three with ten times the data, hours; smoke: does it work.
            """)
    var scale = ScaleName.quick

    @Flag(help: "One JSON object per result and line instead of tables; goals follow.")
    var json = false

    @Option(help: ArgumentHelp("Also write a page with plots and all tables.", valueName: "FILE"))
    var html: String?

    @Flag(
        help: "Compare this program's driver on RocksDB with Debian's db_bench, and nothing else.")
    var calibrate = false

    @Option(help: ArgumentHelp("Directory for the data; emptied afterwards.", valueName: "DIR"))
    var data = "/tmp"

    @Option(
        help: ArgumentHelp(
            "Texts for the chat rows: JSON lines with a key \"text\". Without it: made-up words.",
            valueName: "FILE"))
    var corpus: String?

    @Option(help: "Seed of keys, values and choices.")
    var seed: UInt64 = 1

    func validate() throws {
        do throws(UsageError) {
            _ = try Workload.parse(workloads)
            _ = try EngineKind.parse(engines)
        } catch {
            throw ValidationError(error.description)
        }
    }

    func run() throws {
        let directory = data + "/magpie-bench-\(getpid())"
        TimerSlack.remove()
        if calibrate { return try runCalibration(directory) }
        let kinds = try EngineKind.parse(engines)
        for kind in kinds {
            if let advice = kind.missingAdvice { throw UsageError(advice) }
        }
        // Before the measuring rather than after it.
        if let html { try write("", to: html) }
        let bodies = try MessageBodies(corpus: corpus, seed: seed)
        var run = StorageRun(
            workloads: try Workload.parse(workloads), engines: kinds, scale: scale.scale,
            directory: directory, bodies: bodies, seed: seed)
        let results = try run.perform()
        let table = ResultTable(
            results: results, engines: kinds, fileSystem: Meter.fileSystem(data))
        if json {
            for result in results { Terminal.out(try result.jsonLine()) }
            for verdict in GoalResults(results: results).all {
                Terminal.out(try JSONLine.of(verdict))
            }
        } else {
            for line in table.lines { Terminal.out(line) }
        }
        if let html {
            try write(ResultPage(table: table, command: CommandLine.arguments).text, to: html)
        }
    }

    private func write(_ text: String, to path: String) throws(UsageError) {
        guard FileManager.default.createFile(atPath: path, contents: Data(text.utf8)) else {
            throw UsageError("cannot write \(path)")
        }
    }

    private func runCalibration(_ directory: String) throws {
        #if canImport(CRocksDB)
            let calibration = Calibration(directory: directory, scale: scale.scale, seed: seed)
            for line in try calibration.lines() { Terminal.out(line) }
        #else
            throw UsageError(EngineKind.rocksdb.missingAdvice ?? "")
        #endif
    }
}

/// How much is measured.
enum ScaleName: String, ExpressibleByArgument, CaseIterable {
    case smoke
    case quick
    case medium
    case full

    var scale: Scale {
        switch self {
        case .smoke: .smoke
        case .quick: .quick
        case .medium: .medium
        case .full: .full
        }
    }
}
