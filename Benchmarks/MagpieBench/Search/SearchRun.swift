import Foundation
import Glibc
import SearchIndex

/// Makes the files of a run, lets each engine's driver work on them, and compares their hits with
/// the scan's.
struct SearchRun {
    let settings: DriverSettings
    let engines: [SearchEngineKind]
    /// Where the peers' drivers and Python's packages are.
    let drivers: String
    let environment: String
    let set: QuerySet
    private let oracle: SearchOracle
    private let changes: [TokenCorpus.Change]
    private let tokenizerRates: [(name: String, rate: Double)]
    /// What the data is, for the results.
    let data: String

    /// Writes tokens, changes and queries into the directory of `settings`, and sets its load.
    ///
    /// - Parameter checked: queries of each class and filter whose hits are compared.
    init(
        _ corpus: SearchCorpus, queries: Int, checked: Int = .max, writeSeconds: Int = 20,
        settings: DriverSettings, engines: [SearchEngineKind], drivers: String,
        environment: String
    ) throws {
        self.engines = engines
        self.drivers = drivers
        self.environment = environment
        tokenizerRates = TokenizerRates.of(corpus.texts)
        let tokens = TokenCorpus(corpus, seed: settings.seed)
        var settings = settings
        settings.load = WriteLoad(
            rate: settings.load.rate, seconds: writeSeconds, documents: tokens.documents.count,
            batch: settings.batch)
        self.settings = settings
        changes = tokens.changes(batch: settings.batch, seed: settings.seed)
        Terminal.error("writing \(tokens.documents.count) messages as tokens")
        try tokens.write(to: settings.tokens)
        try tokens.write(changes, to: settings.changes)
        oracle = SearchOracle(tokens)
        var drawer = QueryDrawer(
            oracle, texts: corpus.texts, count: queries, checked: checked, seed: settings.seed)
        var progress = Progress(steps: SearchClass.allCases.count, isQuiet: false)
        set = drawer.draw { progress.step("drawing queries: \($0.rawValue)") }
        progress.end()
        try set.write(to: settings.queries)
        let compared = set.queries.count(where: \.isChecked)
        data =
            "\(corpus.source): \(tokens.documents.count) messages of \(corpus.texts.count) texts, "
            + "\(tokens.tokens.count) tokens, "
            + "\(tokens.vocabulary.count) different, \(oracle.conversationSizes.count) "
            + "conversations; pictures drawn by seed; \(changes.count) edits and removals in the "
            + "natural state, commits of \(settings.batch) messages; \(set.queries.count) queries, "
            + "\(queries) of each class and filter, hits of \(compared) compared, "
            + "\(settings.passes) passes, seed \(settings.seed)"
    }

    /// What comes in the state writing.
    var load: String {
        "State writing: \(settings.load.rate) documents, edits and removals a second behind "
            + "the first \(settings.load.firstBatch) commits, searches one after the other "
            + "meanwhile on "
            + "one processor, writing and merging on the others; peers commit every 250 ms, Magpie "
            + "searches in memory what came, every 5 ms, and commits \(settings.batch) at once, as "
            + "its node does."
    }

    // MARK: Running

    /// Runs all drivers, all of them once in each run. An engine that takes longer than the limit
    /// is ended and not started again.
    func perform(runs: Int = 1, limitSeconds: Int = .max / 2_000_000_000) throws -> SearchResults {
        var progress = Progress(
            weights: (0..<runs).flatMap { _ in
                engines.flatMap { engine in settings.stages.map { $0.weight * engine.weight } }
            },
            isQuiet: false)
        var records: [SearchEngineKind: [[DriverRecord]]] = [:]
        for run in 0..<runs {
            for (place, engine) in engines.enumerated() {
                let isOver = records[engine]?.last?.contains {
                    $0.kind == .stopped || $0.kind == .skipped
                }
                if isOver != true {
                    records[engine, default: []].append(
                        try drive(engine, limitSeconds, &progress))
                }
                progress.skip(
                    to: (run * engines.count + place + 1) * settings.stages.count)
            }
        }
        progress.end()
        let expectations = expectations()
        let merged = engines.map { (engine: $0, records: (records[$0] ?? []).merged) }
        let checks = merged.flatMap { engine, own in
            check(engine, own, expectations, runs: records[engine]?.count ?? 0)
        }
        var results = SearchResults(merged, set, checks: checks)
        if runs > 1 {
            let single = (0..<runs).map { run in
                SearchResults(
                    engines.compactMap { engine in
                        guard let own = records[engine], run < own.count else { return nil }
                        return (engine, own[run])
                    }, set, checks: [])
            }
            results.spreads = SearchSpread.of(single)
        }
        return results
    }

    /// Runs one driver.
    private func drive(
        _ engine: SearchEngineKind, _ limitSeconds: Int, _ progress: inout Progress
    ) throws -> [DriverRecord] {
        var own: [DriverRecord] = []
        let directory = settings.directory + "/" + engine.rawValue
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        var settings = settings
        settings.directory = directory
        let command = engine.command(drivers: drivers, environment: environment)
        let isFinished = try DriverProcess.run(
            command + settings.arguments, log: directory + ".log", seconds: limitSeconds
        ) { record in
            if record.kind == .stage {
                progress.step("\(engine.rawValue), \(record.name ?? "")")
            }
            if record.kind == .skipped {
                Terminal.error("\(engine.rawValue) skipped: \(record.reason ?? "")")
            }
            own.append(record)
        }
        if !isFinished {
            let stage = own.last { $0.kind == .stage }?.name ?? "nothing"
            var record = DriverRecord(.stopped)
            record.reason =
                "\(engine.rawValue) was ended after its limit of \(limitSeconds) s, in \(stage)"
            Terminal.error(record.reason ?? "")
            own.append(record)
        }
        if engine == .magpie {
            for (name, rate) in tokenizerRates {
                var record = DriverRecord(.figure, state: .one)
                record.name = name
                record.value = rate
                own.append(record)
            }
        }
        return own
    }

    // MARK: Comparing with the scan

    /// What each state shall find.
    func expectations() -> [IndexState: SearchExpectations] {
        var expectations: [IndexState: SearchExpectations] = [:]
        if settings.states.contains(.one) {
            Terminal.error("looking for the hits by a scan")
            expectations[.one] = SearchExpectations(oracle, set, hasScores: true)
        }
        if settings.states != [.one] {
            Terminal.error("looking for the hits by a scan, after the changes")
            let changed = SearchExpectations(
                SearchOracle(oracle.corpus.changed(by: changes)), set, hasScores: false)
            expectations[.natural] = changed
            expectations[.writing] = changed
        }
        return expectations
    }

    /// How the hits of an engine in so many runs compare, state by state.
    func check(
        _ engine: SearchEngineKind, _ records: [DriverRecord],
        _ expectations: [IndexState: SearchExpectations], runs: Int = 1
    ) -> [SearchCheck] {
        let isStopped = records.contains { $0.kind == .stopped }
        return settings.states.compactMap { state in
            let own = records.filter { $0.state == state }
            guard own.contains(where: { $0.kind == .check }), let expected = expectations[state]
            else { return nil }
            var check = SearchCheck(workload: "search", engine: engine, state: state)
            for record in own {
                guard let id = record.id, set.queries.indices.contains(id),
                    let wanted = expected[set.queries[id]]
                else { continue }
                let query = set.queries[id]
                if record.kind == .check {
                    check.queries += 1
                    let isRight =
                        record.count == wanted.count && record.crc == wanted.crc
                        && record.crcListed ?? wanted.crcListed == wanted.crcListed
                    if isRight { continue }
                    check.wrong += 1
                } else if record.kind == .ranked, state == .one, let hits = record.hits {
                    check.ranked += 1
                    if expected.isRanked(hits, query) { continue }
                    check.wrongRanked += 1
                } else {
                    continue
                }
                if check.examples.count < 3 {
                    check.examples.append(
                        "\(query.query.op.rawValue) \(query.query.words.joined(separator: " ")) "
                            + "\(query.filterKind.rawValue): \(record.count ?? -1) for "
                            + "\(wanted.count)")
                }
            }
            let missing = runs * expected.count - check.queries
            if missing != 0, !isStopped {
                check.wrong += abs(missing)
                check.examples.append("\(missing) queries unanswered")
            }
            return check
        }
    }
}
