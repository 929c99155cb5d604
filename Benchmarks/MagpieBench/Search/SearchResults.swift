import Foundation

/// The latencies of one engine at the queries of one class, filter and order.
struct SearchResult: Codable, Sendable {
    let workload: String
    let engine: SearchEngineKind
    let state: IndexState
    let `class`: SearchClass
    let filter: FilterKind
    let order: HitOrder
    /// Beside a writer: searches.
    let queries: Int
    /// Over the queries; of each the least of its passes. Beside a writer: over all searches.
    let p50Us: Double
    let p99Us: Double
    let maxUs: Double
    /// Without what a call costs that finds nothing; Magpie's is not subtracted.
    let netP50Us: Double
    let netP99Us: Double
    /// A call that finds nothing.
    let callUs: Double
}

/// One figure of an engine.
struct SearchFigure: Codable, Sendable {
    let workload: String
    let engine: SearchEngineKind
    let state: IndexState
    let name: String
    let value: Double
}

/// How an engine's hits compare with the scan's.
struct SearchCheck: Codable, Sendable {
    let workload: String
    let engine: SearchEngineKind
    let state: IndexState
    /// Queries whose hits were compared, and those that had others.
    var queries = 0
    var wrong = 0
    /// Of these, by relevance.
    var ranked = 0
    var wrongRanked = 0
    /// Words of the first that were wrong.
    var examples: [String] = []
}

/// What a run found.
struct SearchResults: Sendable {
    /// Sides of a comparison, each of the same queries.
    struct Cell: Hashable, Sendable {
        let state: IndexState
        let `class`: SearchClass
        let filter: FilterKind
        let order: HitOrder
    }

    let engines: [SearchEngineKind]
    let cells: [Cell]
    private let results: [Cell: [SearchEngineKind: SearchResult]]
    let figures: [SearchFigure]
    let components: [SearchFigure]
    let checks: [SearchCheck]
    let about: [SearchEngineKind: (version: String, settings: String)]
    /// Why engines are missing.
    let skipped: [String]
    /// Engines that took too long.
    let stopped: Set<SearchEngineKind>
    /// How far apart several runs were.
    var spreads: [SearchSpread] = []

    /// The least that a net time is taken for: below it clocks say nothing.
    static let leastUs = 0.2

    init(
        _ records: [(engine: SearchEngineKind, records: [DriverRecord])], _ set: QuerySet,
        checks: [SearchCheck]
    ) {
        var times: [Cell: [SearchEngineKind: [Double]]] = [:]
        var calls: [String: Double] = [:]
        var figures: [SearchFigure] = []
        var components: [SearchFigure] = []
        var about: [SearchEngineKind: (version: String, settings: String)] = [:]
        var skipped: [String] = []
        var stopped: Set<SearchEngineKind> = []
        for (engine, records) in records {
            for record in records {
                let state = record.state ?? .one
                switch record.kind {
                case .about: about[engine] = (record.version ?? "", record.settings ?? "")
                case .skipped: skipped.append(record.reason ?? engine.rawValue)
                case .stopped:
                    skipped.append(record.reason ?? engine.rawValue)
                    stopped.insert(engine)
                case .call:
                    calls["\(engine) \(state) \(record.order == .relevance10)"] = record.us
                case .figure, .component:
                    let figure = SearchFigure(
                        workload: record.kind == .figure ? "search" : "search-bytes",
                        engine: engine, state: state, name: record.name ?? "",
                        value: record.value ?? 0)
                    if record.kind == .figure { figures.append(figure) }
                    if record.kind == .component { components.append(figure) }
                case .time, .load:
                    guard let order = record.order, let id = record.id,
                        set.queries.indices.contains(id)
                    else { continue }
                    let query = set.queries[id]
                    let cell = Cell(
                        state: state, class: query.class, filter: query.filterKind, order: order)
                    let own = record.samples ?? [record.us].compactMap(\.self)
                    if own.isEmpty { continue }
                    times[cell, default: [:]][engine, default: []] += own
                case .stage, .check, .ranked: break
                }
            }
        }
        var results: [Cell: [SearchEngineKind: SearchResult]] = [:]
        for (cell, own) in times {
            for (engine, values) in own {
                let call = calls["\(engine) \(cell.state) \(cell.order == .relevance10)"] ?? 0
                results[cell, default: [:]][engine] = Self.result(engine, cell, values, call)
            }
        }
        self.results = results
        self.figures = figures
        self.components = components
        self.checks = checks
        self.about = about
        self.skipped = skipped
        self.stopped = stopped
        engines = SearchEngineKind.allCases.filter { about[$0] != nil }
        cells = IndexState.allCases.flatMap { state in
            HitOrder.allCases.flatMap { order in
                FilterKind.allCases.flatMap { filter in
                    SearchClass.allCases.map {
                        Cell(state: state, class: $0, filter: filter, order: order)
                    }
                }
            }
        }.filter { results[$0] != nil }
    }

    private static func result(
        _ engine: SearchEngineKind, _ cell: Cell, _ values: [Double], _ call: Double
    ) -> SearchResult {
        let sorted = values.sorted()
        func percentile(_ share: Double) -> Double {
            let place = Int((Double(sorted.count) * share).rounded(.up)) - 1
            return sorted[min(max(place, 0), sorted.count - 1)]
        }
        // Of a query that has no hits, all is the cost of the call.
        let isNet = engine != .magpie && cell.class != .noHit
        func net(_ us: Double) -> Double { isNet ? max(us - call, leastUs) : us }
        func rounded(_ us: Double) -> Double { (us * 100).rounded() / 100 }
        return SearchResult(
            workload: "search", engine: engine, state: cell.state, class: cell.class,
            filter: cell.filter, order: cell.order, queries: values.count,
            p50Us: rounded(percentile(0.5)), p99Us: rounded(percentile(0.99)),
            maxUs: rounded(sorted[sorted.count - 1]), netP50Us: rounded(net(percentile(0.5))),
            netP99Us: rounded(net(percentile(0.99))), callUs: rounded(call))
    }

    /// All latencies, in the order of the tables.
    var all: [SearchResult] {
        cells.flatMap { cell in engines.compactMap { results[cell]?[$0] } }
    }

    func result(_ cell: Cell, _ engine: SearchEngineKind) -> SearchResult? {
        results[cell]?[engine]
    }

    func figure(_ name: String, _ engine: SearchEngineKind, _ state: IndexState) -> Double? {
        figures.first { $0.name == name && $0.engine == engine && $0.state == state }?.value
    }

    /// How many times as long as Magpie a peer takes; nil when one side is missing.
    func ratio(
        _ cell: Cell, to peer: SearchEngineKind, _ figure: (SearchResult) -> Double
    ) -> Double? {
        guard let own = result(cell, .magpie), let other = result(cell, peer) else { return nil }
        return figure(other) / max(figure(own), 0.01)
    }

    /// The same to the fastest of the peers.
    func ratioToBest(_ cell: Cell, _ figure: (SearchResult) -> Double) -> Double? {
        engines.filter { $0 != .magpie }.compactMap { ratio(cell, to: $0, figure) }.min()
    }

    // MARK: Groups

    /// Cells that are looked at together.
    struct Group: Hashable, Sendable {
        let state: IndexState
        let order: HitOrder
        let filter: FilterKind

        var words: String { "\(state.rawValue), \(order.rawValue), \(filter.rawValue)" }
    }

    /// Those that have cells, in the order of the tables.
    var groups: [Group] {
        var groups: [Group] = []
        for cell in cells {
            let group = Group(state: cell.state, order: cell.order, filter: cell.filter)
            if groups.last != group { groups.append(group) }
        }
        return groups
    }

    func cells(of group: Group) -> [Cell] {
        cells.filter {
            $0.state == group.state && $0.order == group.order && $0.filter == group.filter
        }
    }

    /// How many times as long as Magpie a peer takes: the geometric mean of the classes' net p50,
    /// since ratios multiply.
    func mean(_ group: Group, to peer: SearchEngineKind) -> Double? {
        let ratios = cells(of: group).compactMap { ratio($0, to: peer, \.netP50Us) }
        if ratios.isEmpty { return nil }
        return exp(ratios.reduce(0) { $0 + log($1) } / Double(ratios.count))
    }

    // MARK: Goals

    /// How many times faster than tantivy cells with a filter shall be.
    static func goal(_ filter: FilterKind) -> Double { filter.members == nil ? 1 : 2 }

    /// All goals of the search table.
    var goals: [GoalResult] {
        var goals = [correctness]
        goals += groups.compactMap(latencyGoal)
        add(&goals, "bulk messages/s", .one, ">= 200,000 messages/s") { $0 >= 200_000 }
        add(&goals, "bytes/message", .one, "<= 30 B/message, one segment") { $0 <= 30 }
        add(&goals, "bytes/message", .natural, "<= 30 B/message, as naturally left") { $0 <= 30 }
        add(&goals, "visible ms p99", .natural, "findable < 1,000 ms after") { $0 < 1_000 }
        add(&goals, "findable ms max", .writing, "findable < 1,000 ms after, under load") {
            $0 < 1_000
        }
        add(&goals, TokenizerRates.ascii, .one, ">= 200 MB/s") { $0 >= 200 }
        add(&goals, TokenizerRates.mixed, .one, ">= 40 MB/s") { $0 >= 40 }
        return goals
    }

    private var correctness: GoalResult {
        let own = checks.filter { $0.engine == .magpie }
        let queries = own.reduce(0) { $0 + $1.queries + $1.ranked }
        let wrong = own.reduce(0) { $0 + $1.wrong + $1.wrongRanked }
        return GoalResult(
            workload: "hits", goal: "equal to a brute-force scan, every query",
            reached: "\(wrong) of \(queries) differ", isReached: queries > 0 && wrong == 0)
    }

    private func latencyGoal(_ group: Group) -> GoalResult? {
        let ratios = cells(of: group).compactMap { cell in
            ratio(cell, to: .tantivy, \.netP50Us).flatMap { middle in
                ratio(cell, to: .tantivy, \.netP99Us).map {
                    (cell.class, min(middle, $0))
                }
            }
        }
        guard let worst = ratios.min(by: { $0.1 < $1.1 }) else { return nil }
        let goal = Self.goal(group.filter)
        let reached = ratios.count { $0.1 >= goal }
        return GoalResult(
            workload: group.words,
            goal: goal == 1 ? "<= 1.0x of tantivy's p50 and p99" : "<= 0.5x of tantivy's",
            reached: "\(reached) of \(ratios.count) classes; worst \(worst.0.rawValue) "
                + String(format: "%.2fx", 1 / worst.1),
            isReached: reached == ratios.count)
    }

    private func add(
        _ goals: inout [GoalResult], _ name: String, _ state: IndexState, _ words: String,
        _ holds: (Double) -> Bool
    ) {
        guard let value = figure(name, .magpie, state) else { return }
        goals.append(
            GoalResult(
                workload: name, goal: words, reached: ResultTable.figure(value, digits: 1),
                isReached: holds(value)))
    }
}
