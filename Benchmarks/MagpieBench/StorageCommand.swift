import ArgumentParser
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
              magpie-bench storage --scale full --json > results.jsonl
              magpie-bench storage --workloads chat-append-64 --corpus messages.jsonl

            Workloads: \(Workload.allCases.map(\.rawValue).joined(separator: ", ")).
            """)

    @Option(help: "Workloads after commas, or all.")
    var workloads = "all"

    @Option(help: "Engines after commas: magpie, rocksdb, rocksdb-tuned, leveldb.")
    var engines = "magpie,rocksdb,leveldb"

    @Option(help: "quick: a run of a few minutes; full: three runs, larger; smoke: does it work.")
    var scale = ScaleName.quick

    @Flag(help: "One JSON object per result and line instead of a table.")
    var json = false

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
        let kinds = try EngineKind.parse(engines)
        for kind in kinds {
            if let advice = kind.missingAdvice { throw UsageError(advice) }
        }
        let bodies = try MessageBodies(corpus: corpus, seed: seed)
        var run = StorageRun(
            workloads: try Workload.parse(workloads), engines: kinds, scale: scale.scale,
            directory: data + "/magpie-bench-\(getpid())", bodies: bodies, seed: seed)
        let results = try run.perform()
        if json {
            for result in results { Terminal.out(try result.jsonLine()) }
        } else {
            for line in ResultTable(results: results, engines: kinds).lines { Terminal.out(line) }
        }
    }
}

/// How much is measured.
enum ScaleName: String, ExpressibleByArgument, CaseIterable {
    case smoke
    case quick
    case full

    var scale: Scale {
        switch self {
        case .smoke: .smoke
        case .quick: .quick
        case .full: .full
        }
    }
}
