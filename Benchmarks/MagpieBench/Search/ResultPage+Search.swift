/// The page of a search run.
extension ResultPage {
    /// Plots and tables.
    init(search table: SearchTable, command: [String]) {
        let results = table.results
        let judged = results.goals.compactMap(\.isReached)
        var plots = [
            Plot(
                title: "Findable after", note: Self.findableNote, svg: Self.findable(results))
        ]
        for state in IndexState.allCases {
            plots.append(
                Plot(
                    title: "tantivy over Magpie, all classes together: \(state.rawValue)",
                    note: Self.groupNote, svg: Self.groups(results, state)))
            for (order, filter) in [
                (HitOrder.newest10, FilterKind.none), (.relevance10, .none),
                (.newest10, .members500), (.relevance10, .members500),
            ] {
                let group = SearchResults.Group(state: state, order: order, filter: filter)
                let cells = results.cells(of: group)
                let name = group.words
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
    private static let groupNote = """
        Geometric means of the classes' net p50. A bar to the right of 1 is a win, to the left a \
        loss. The diamond is the goal, which is each class's own. Logarithmic.
        """
    private static let findableNote = """
        Beside searches, at a fixed rate: from when a document was due until a search could find \
        it, from p50 over p99 (thick) to the maximum (thin). The goal is one second at most.
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

    private static func groups(_ results: SearchResults, _ state: IndexState) -> String {
        ResultPlots.bars(
            results.groups.filter { $0.state == state }.compactMap { group in
                results.mean(group, to: .tantivy).map {
                    .init(
                        label: "\(group.order.rawValue), \(group.filter.rawValue)", ratio: $0,
                        goal: SearchResults.goal(group.filter))
                }
            })
    }

    private static func findable(_ results: SearchResults) -> String {
        let ranges = SearchEngineKind.allCases.enumerated().compactMap {
            number, engine -> ResultPlots.Range? in
            let percentiles = ["p50", "p99", "max"].compactMap {
                results.figure("findable ms \($0)", engine, .writing).map { $0 * 1_000 }
            }
            guard percentiles.count == 3 else { return nil }
            return .init(
                engine: engine.rawValue, number: number,
                percentiles: percentiles + percentiles.suffix(1))
        }
        return ResultPlots.latencies([(label: "findable", ranges: ranges)])
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
