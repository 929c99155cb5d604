import Foundation

/// The results of a search run as tables.
struct SearchTable {
    let results: SearchResults
    /// What was measured where, a line each.
    let setting: [String]

    private static let noValue = "-"

    /// The text form: overviews, goals, and queries without a filter class by class.
    var lines: [String] {
        let short = [goals, overview, figures, components, checks] + latencies { $0 == .none }
        var lines: [String] = []
        for section in short where section.rows.count > 1 {
            lines += [section.title, ""] + ResultTable.aligned(section.rows)
            if !section.notes.isEmpty { lines.append("") }
            lines += section.notes + [""]
        }
        return lines + setting
    }

    /// Everything, for the page.
    var sections: [ResultTable.Section] {
        ([goals, overview, figures, components, checks] + latencies { _ in true })
            .filter { $0.rows.count > 1 }
    }

    private var goals: ResultTable.Section {
        let rows = results.goals.map { goal in
            [
                goal.workload, goal.goal, goal.reached ?? Self.noValue,
                goal.isReached.map { $0 ? "reached" : "NOT reached" } ?? "not measured",
            ]
        }
        return .init(title: "Goals", rows: [["row", "goal", "figure", "verdict"]] + rows)
    }

    /// Ratios of groups of classes: geometric means, since ratios multiply.
    private var overview: ResultTable.Section {
        var rows = [["state, order, filter", "classes"]]
        let peers = results.engines.filter { $0 != .magpie }
        rows[0] += peers.map { "\($0.rawValue) / magpie" } + ["classes lost to the best"]
        for state in IndexState.allCases {
            for order in HitOrder.allCases {
                for filter in FilterKind.allCases {
                    let own = results.cells.filter {
                        $0.state == state && $0.order == order && $0.filter == filter
                    }
                    if own.isEmpty { continue }
                    let means = peers.map { peer in
                        mean(own.compactMap { results.ratio($0, to: peer, \.netP50Us) })
                    }
                    let lost = own.count {
                        (results.ratioToBest($0, \.netP50Us) ?? .infinity) < 1
                    }
                    rows.append(
                        [
                            "\(state.rawValue), \(order.rawValue), \(filter.rawValue)",
                            "\(own.count)",
                        ]
                            + means + ["\(lost)"])
                }
            }
        }
        return .init(
            title: "Times of the peers over Magpie's: geometric means of the classes' net p50",
            rows: rows, notes: ["Above 1 Magpie is faster. Net: see the tables of the classes."])
    }

    private func mean(_ ratios: [Double]) -> String {
        if ratios.isEmpty { return Self.noValue }
        let sum = ratios.reduce(0) { $0 + log($1) }
        let mean = exp(sum / Double(ratios.count))
        return String(format: "%.2f", mean) + (mean < 1 ? " loss" : "")
    }

    private var figures: ResultTable.Section {
        table(
            "Figures of the index", results.figures,
            notes: [
                "Memory: what the process grew by while it built the index, at most. One thread."
            ])
    }

    private var components: ResultTable.Section {
        table("Bytes of the parts of the index", results.components, notes: [])
    }

    private func table(
        _ title: String, _ figures: [SearchFigure], notes: [String]
    ) -> ResultTable.Section {
        var rows = [["state, figure"] + results.engines.map(\.rawValue)]
        for state in IndexState.allCases {
            var names: [String] = []
            for figure in figures where figure.state == state && !names.contains(figure.name) {
                names.append(figure.name)
            }
            for name in names {
                let cells = results.engines.map { engine in
                    figures.first {
                        $0.engine == engine && $0.name == name && $0.state == state
                    }.map { ResultTable.figure($0.value, digits: 2) } ?? Self.noValue
                }
                rows.append(["\(state.rawValue), \(name)"] + cells)
            }
        }
        return .init(title: title, rows: rows, notes: notes)
    }

    private var checks: ResultTable.Section {
        let rows = results.checks.map { check in
            [
                "\(check.engine.rawValue), \(check.state.rawValue)", "\(check.queries)",
                "\(check.wrong)", "\(check.ranked)", "\(check.wrongRanked)",
                check.examples.joined(separator: "; "),
            ]
        }
        return .init(
            title: "Hits against a brute-force scan",
            rows: [["engine, state", "queries", "differ", "ranked", "differ", "examples"]] + rows,
            notes: [
                "Compared: how many hits and which are the newest 1,000, of Magpie's 10,000.",
                "Ranked: the scores of the ten best against BM25 reckoned from the texts.",
            ])
    }

    private func latencies(_ isWanted: (FilterKind) -> Bool) -> [ResultTable.Section] {
        IndexState.allCases.flatMap { state in
            HitOrder.allCases.flatMap { order in
                FilterKind.allCases.filter(isWanted).map { latency(state, order, $0) }
            }
        }
    }

    private func latency(
        _ state: IndexState, _ order: HitOrder, _ filter: FilterKind
    ) -> ResultTable.Section {
        let own = results.cells.filter {
            $0.state == state && $0.order == order && $0.filter == filter
        }
        let goal = SearchResults.goal(filter)
        var rows = [["class"] + results.engines.map(\.rawValue)]
        rows[0] += ["tantivy / magpie p50", "p99", "best / magpie p50", "goal"]
        for cell in own {
            let cells = results.engines.map { engine -> String in
                guard let result = results.result(cell, engine) else { return Self.noValue }
                return Self.us(result.p50Us) + " / " + Self.us(result.p99Us)
            }
            let middle = results.ratio(cell, to: .tantivy, \.netP50Us)
            let high = results.ratio(cell, to: .tantivy, \.netP99Us)
            let verdict = middle.flatMap { middle in
                high.map {
                    String(format: "%.0f ", goal) + (min(middle, $0) >= goal ? "reached" : "missed")
                }
            }
            rows.append(
                [cell.class.rawValue] + cells
                    + [middle, high, results.ratioToBest(cell, \.netP50Us)].map(Self.ratio)
                    + [verdict ?? Self.noValue])
        }
        let calls = results.engines.compactMap { engine in
            own.first.flatMap { results.result($0, engine) }.map {
                "\(engine.rawValue) \(Self.us($0.callUs))"
            }
        }
        return .init(
            title: "us p50 / p99: \(state.rawValue), \(order.rawValue), \(filter.rawValue)",
            rows: rows,
            notes: [
                "Ratios are net: without a peer's call that finds nothing "
                    + "(\(calls.joined(separator: ", ")) us), but for no-hit; Magpie's own is not "
                    + "subtracted."
            ])
    }

    private static func us(_ value: Double) -> String { ResultTable.figure(value, digits: 1) }

    private static func ratio(_ value: Double?) -> String {
        value.map { String(format: "%.2f", $0) + ($0 < 1 ? " loss" : "") } ?? noValue
    }
}

/// The page of a search run.
extension ResultPage {
    /// Plots and tables.
    init(search table: SearchTable, command: [String]) {
        let results = table.results
        let judged = results.goals.compactMap(\.isReached)
        var plots: [Plot] = []
        for state in IndexState.allCases {
            for (order, filter) in [
                (HitOrder.newest10, FilterKind.none), (.relevance10, .none),
                (.newest10, .members500), (.relevance10, .members500),
            ] {
                let cells = results.cells.filter {
                    $0.state == state && $0.order == order && $0.filter == filter
                }
                let name = "\(state.rawValue), \(order.rawValue), \(filter.rawValue)"
                plots.append(
                    Plot(
                        title: "tantivy over Magpie, net p50: \(name)", note: Self.ratioNote,
                        svg: Self.ratios(results, cells, SearchResults.goal(filter))))
                plots.append(
                    Plot(
                        title: "Latency: \(name)", note: Self.spanNote,
                        svg: Self.spans(results, cells)))
            }
        }
        self.init(
            title: "Magpie: search benchmark",
            heading: "Search beside tantivy, SQLite FTS5 and Xapian",
            summary: "\(judged.count { $0 }) of \(judged.count) goals reached. Only ratios inside "
                + "one run mean something.",
            command: command, plots: plots, sections: table.sections, setting: table.setting)
    }

    private static let ratioNote = """
        A bar to the right of 1 is a win, to the left a loss. The diamond is the goal. Logarithmic.
        """
    private static let spanNote = """
        From p50 over p99 (thick) to the maximum (thin), in microseconds with the cost of the \
        call, logarithmic.
        """

    private static func ratios(
        _ results: SearchResults, _ cells: [SearchResults.Cell], _ goal: Double
    ) -> String {
        ResultPlots.bars(
            cells.compactMap { cell in
                results.ratio(cell, to: .tantivy, \.netP50Us).map {
                    .init(label: cell.class.rawValue, ratio: $0, goal: goal)
                }
            })
    }

    private static func spans(
        _ results: SearchResults, _ cells: [SearchResults.Cell]
    ) -> String {
        ResultPlots.latencies(
            cells.map { cell in
                let ranges = SearchEngineKind.allCases.enumerated().compactMap { number, engine in
                    results.result(cell, engine).map {
                        ResultPlots.Range(
                            engine: engine.rawValue, number: number,
                            percentiles: [$0.p50Us, $0.p99Us, $0.maxUs, $0.maxUs])
                    }
                }
                return (label: cell.class.rawValue, ranges: ranges)
            })
    }
}
