import ArgumentParser
import Foundation
import Glibc

/// `magpie-bench search`: the search index beside tantivy, SQLite FTS5 and Xapian.
struct SearchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "search",
        abstract: "Measure the search index beside tantivy, SQLite FTS5 and Xapian.",
        discussion: """
            Every engine gets the same tokens and the same queries, works in a process of its own \
            on one processor, syncs every commit, and gives identifiers only. Hits of every query \
            are compared with a brute-force scan; a wrong hit of Magpie ends the run with code 1.

            Peers are driven by Python (Benchmarks/search); one whose package is missing is \
            skipped:
              tantivy  python3 -m venv .venv-search && .venv-search/bin/pip install tantivy
              fts5     nothing: SQLite comes with Python
              xapian   apt-get install python3-xapian

            Sizes: S is the corpus as it is, M 600,000 and L 5,000,000 messages recomposed of its \
            texts by seed; M and L are synthetic and marked so. At L ten queries of a class are \
            drawn instead of twenty, and of queries with a filter the hits of two of each class \
            are compared instead of all.

            Scripts other than Latin: Benchmarks/search/make_multilingual.py makes a corpus of \
            texts in Chinese, Japanese, Korean, Arabic, Russian and others from Debian packages.

            Examples:
              magpie-bench search
              magpie-bench search --corpus messages.jsonl --html search.html
              magpie-bench search --engines magpie,tantivy --queries 100 --passes 10 --json
              magpie-bench search --corpus messages.jsonl --size L --engines magpie,tantivy
              magpie-bench search --corpus messages.jsonl --states writing --write-rate 2000
              magpie-bench search --corpus messages.jsonl --runs 3 --json > results.jsonl
              Benchmarks/search_tables.py results.jsonl

            A corpus is JSON lines with conversation, sender, timeMs and text. Without one, and \
            with --recompose, the data is synthetic and marked so.
            """)

    @Option(help: "Engines after commas: magpie, tantivy, fts5, xapian.")
    var engines = SearchEngineKind.allCases.map(\.rawValue).joined(separator: ",")

    @Option(help: ArgumentHelp("Messages to search in.", valueName: "FILE"))
    var corpus: String?

    @Option(help: "Make so many messages of the corpus, in conversations with a Zipf law.")
    var recompose: Int?

    @Option(help: "Size of the data: S, M, L.")
    var size: String?

    @Option(help: "Queries of each class; otherwise 20, at size L 10.")
    var queries: Int?

    @Option(
        help: "Queries of each class and filter whose hits are compared; otherwise all, at L 2.")
    var checks: Int?

    @Option(help: "Whole runs; figures are their medians.")
    var runs = 1

    @Option(help: "An engine that takes longer than so many minutes in a run is ended.")
    var limitMinutes = 60

    @Option(help: "How often each query is repeated; the least time counts.")
    var passes = 5

    @Option(help: "A query that has used up so many milliseconds is not repeated.")
    var budgetMs = 50

    @Option(
        help: """
            States of the index: one (segment), natural (after small commits and edits), writing \
            (searched while documents come).
            """)
    var states = IndexState.allCases.map(\.rawValue).joined(separator: ",")

    @Option(help: "Documents, edits and removals that come a second in the state writing.")
    var writeRate = 2_000

    @Option(help: "Seconds for which they come.")
    var writeSeconds = 20

    @Option(help: "Messages of a commit in the natural state.")
    var batch = 2_000

    @Option(help: "The processor to run on; otherwise the last one.")
    var processor: Int?

    @Option(help: "Seed of everything that is drawn.")
    var seed: UInt64 = 1

    @Flag(help: "One JSON object per result and line instead of tables; goals follow.")
    var json = false

    @Option(help: ArgumentHelp("Also write a page with plots and all tables.", valueName: "FILE"))
    var html: String?

    @Option(help: ArgumentHelp("Directory for the data; emptied afterwards.", valueName: "DIR"))
    var data = "/tmp"

    @Option(help: ArgumentHelp("Python environment with tantivy.", valueName: "DIR"))
    var venv: String?

    @Option(help: ArgumentHelp("The peers' drivers.", valueName: "DIR"))
    var drivers: String?

    func validate() throws {
        do throws(UsageError) {
            _ = try SearchEngineKind.parse(engines)
            _ = try parsedStates()
            _ = try parsedSize()
        } catch {
            throw ValidationError(error.description)
        }
        let numbers = [
            queries ?? 1, checks ?? 1, passes, budgetMs, batch, recompose ?? 1, runs,
            limitMinutes, writeRate, writeSeconds,
        ]
        guard numbers.allSatisfy({ (1...1_000_000_000).contains($0) }) else {
            throw ValidationError("numbers must be above zero, and at most 1,000,000,000")
        }
        if size != nil, recompose != nil {
            throw ValidationError("--size and --recompose say the same thing twice")
        }
    }

    private func parsedStates() throws(UsageError) -> [IndexState] {
        let names = states.split(separator: ",")
        let states = names.compactMap { IndexState(rawValue: String($0)) }
        guard !states.isEmpty, states.count == names.count else {
            throw UsageError("--states: one, natural, writing, or several after commas")
        }
        return IndexState.allCases.filter(states.contains)
    }

    private func parsedSize() throws(UsageError) -> SearchSize {
        guard let size = SearchSize(rawValue: size ?? "S") else {
            throw UsageError("--size: S, M or L")
        }
        return size
    }

    func run() throws {
        let directory = data + "/magpie-bench-\(getpid())"
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        if let html { try write("", to: html) }
        let count = sysconf(Int32(_SC_NPROCESSORS_ONLN))
        try DriverProcess.pin(to: processor ?? max(0, count - 1))
        let before = ServerMeter.loadAverage
        let settings = DriverSettings(
            tokens: directory + "/tokens", changes: directory + "/changes",
            queries: directory + "/queries", directory: directory, passes: passes,
            budgetMs: budgetMs, batch: batch, seed: seed, states: try parsedStates(),
            load: WriteLoad(rate: writeRate, firstBatch: 0))
        Terminal.error("reading messages and cutting them into tokens")
        let size = try parsedSize()
        let run = try SearchRun(
            try messages(size), queries: queries ?? size.queries, checked: checks ?? size.checked,
            writeSeconds: writeSeconds, settings: settings,
            engines: try SearchEngineKind.parse(engines),
            drivers: drivers ?? Self.beside("Benchmarks/search"),
            environment: venv ?? Self.beside(".venv-search"))
        let results = try run.perform(runs: runs, limitSeconds: limitMinutes * 60)
        var setting = results.engines.compactMap { engine in
            results.about[engine].map { "\(engine.rawValue): \($0.version); \($0.settings)." }
        }
        setting += results.skipped.map { "Skipped: \($0)." }
        setting += ["Data: \(run.data).", "Runs: \(runs)."]
        if settings.states.contains(.writing) { setting.append(run.load) }
        setting += [
            "\(Meter.processor), all on processor \(processor ?? max(0, count - 1)), kernel "
                + "\(BenchResult.kernel), \(Meter.fileSystem(data)), load average \(before) before "
                + "and \(ServerMeter.loadAverage) after, magpie-bench \(Versions.bench)."
        ]
        let table = SearchTable(results: results, setting: setting)
        for line in json ? try jsonLines(results, setting) : table.lines { Terminal.out(line) }
        if let html {
            try write(
                ResultPage(search: table, command: CommandLine.arguments).text, to: html)
        }
        let wrong = results.checks.filter { $0.engine == .magpie && $0.wrong + $0.wrongRanked > 0 }
        if let first = wrong.first {
            throw EngineError("wrong hits: \(first.examples.joined(separator: "; "))")
        }
    }

    private func messages(_ size: SearchSize) throws -> SearchCorpus {
        let base = try corpus.map { try SearchCorpus(file: $0) }
        let wanted = recompose ?? size.messages
        guard let base else {
            return SearchCorpus(synthetic: wanted ?? 200_000, seed: seed)
        }
        return wanted.map { base.recomposed($0, seed: seed) } ?? base
    }

    private struct Setting: Encodable {
        let workload = "setting"
        let lines: [String]
    }

    private func jsonLines(_ results: SearchResults, _ setting: [String]) throws -> [String] {
        var lines = [try JSONLine.of(Setting(lines: setting))]
        lines += try results.all.map { try JSONLine.of($0) }
        lines += try (results.figures + results.components).map { try JSONLine.of($0) }
        lines += try results.checks.map { try JSONLine.of($0) }
        lines += try results.spreads.map { try JSONLine.of($0) }
        return try lines + results.goals.map { try JSONLine.of($0) }
    }

    /// A place in the checkout: the current directory, or one above the program.
    private static func beside(_ name: String) -> String {
        var place = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        if FileManager.default.fileExists(atPath: name) { return name }
        while place.path != "/" {
            place.deleteLastPathComponent()
            let path = place.appendingPathComponent(name).path
            if FileManager.default.fileExists(atPath: path) { return path }
        }
        return name
    }

    private func write(_ text: String, to path: String) throws(UsageError) {
        guard FileManager.default.createFile(atPath: path, contents: Data(text.utf8)) else {
            throw UsageError("cannot write \(path)")
        }
    }
}
