import Foundation

/// The results of a search run as tables.
struct SearchTable {
    let results: SearchResults
    /// What was measured where, a line each.
    let setting: [String]

    private static let noValue = "-"

    /// The text form: overviews, goals, and queries without a filter class by class.
    var lines: [String] {
        let short =
            [goals, overview, spread, figures, components, checks] + latencies { $0 == .none }
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
        ([goals, overview, spread, figures, components, checks] + latencies { _ in true })
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

    /// Ratios of groups of classes.
    private var overview: ResultTable.Section {
        let peers = results.engines.filter { $0 != .magpie }
        var rows = [["state, order, filter", "classes"]]
        rows[0] += peers.map { "\($0.rawValue) / magpie" } + ["classes lost to the best"]
        for group in results.groups {
            let own = results.cells(of: group)
            let means = peers.map { peer in
                results.mean(group, to: peer).map { Self.ratio($0) } ?? missing(peer)
            }
            let lost = own.count { (results.ratioToBest($0, \.netP50Us) ?? .infinity) < 1 }
            rows.append([group.words, "\(own.count)"] + means + ["\(lost)"])
        }
        return .init(
            title: "Times of the peers over Magpie's: geometric means of the classes' net p50",
            rows: rows, notes: ["Above 1 Magpie is faster. Net: see the tables of the classes."])
    }

    private var spread: ResultTable.Section {
        let peers = results.engines.filter { $0 != .magpie }
        let rows = results.groups.map { group in
            [group.words]
                + peers.map { peer in
                    results.spreads.first {
                        $0.peer == peer && $0.state == group.state && $0.order == group.order
                            && $0.filter == group.filter
                    }.map { String(format: "%.2f .. %.2f .. %.2f", $0.least, $0.median, $0.most) }
                        ?? missing(peer)
                }
        }
        let head = ["state, order, filter"] + peers.map { "\($0.rawValue) / magpie" }
        return .init(
            title: "The same over \(results.spreads.map(\.runs).max() ?? 0) runs: "
                + "least .. median .. most",
            rows: results.spreads.isEmpty ? [head] : [head] + rows)
    }

    /// What stands where an engine has no figure.
    private func missing(_ engine: SearchEngineKind) -> String {
        results.stopped.contains(engine) ? "stopped" : Self.noValue
    }

    private var figures: ResultTable.Section {
        table(
            "Figures of the index", results.figures,
            notes: [
                "Memory: what the process grew by while it built the index, at most. One thread.",
                "Writing: documents come at a fixed rate while one thread searches; findable",
                "counts from when a document was due.",
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
                    }.map { ResultTable.figure($0.value, digits: 2) } ?? missing(engine)
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
                "Compared: how many hits and which are the newest 1,000, of Magpie's 10,000; of an",
                "engine that was stopped, those that it gave.",
                "Ranked: the scores of the ten best against BM25 reckoned from the texts.",
            ])
    }

    private func latencies(_ isWanted: (FilterKind) -> Bool) -> [ResultTable.Section] {
        results.groups.filter { isWanted($0.filter) }.map(latency)
    }

    private func latency(_ group: SearchResults.Group) -> ResultTable.Section {
        let own = results.cells(of: group)
        let goal = SearchResults.goal(group.filter)
        var rows = [["class"] + results.engines.map(\.rawValue)]
        rows[0] += ["tantivy / magpie p50", "p99", "best / magpie p50", "goal"]
        for cell in own {
            let cells = results.engines.map { engine -> String in
                guard let result = results.result(cell, engine) else { return missing(engine) }
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
            title: "us p50 / p99: \(group.words)",
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
