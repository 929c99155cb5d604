import Foundation

/// The results as tables that can be read as they are and in Markdown. Magpie stands beside the
/// best of its peers; a ratio below one is a loss and says so.
struct ResultTable {
    /// A table with what must be known to read it.
    struct Section {
        let title: String
        /// Head first.
        let rows: [[String]]
        var notes: [String] = []
    }

    let results: [BenchResult]
    let engines: [EngineKind]
    /// Where the data was, for the last lines.
    var fileSystem = ""

    private static let noValue = "-"

    /// Everything, line by line.
    var lines: [String] {
        var lines: [String] = []
        for section in sections {
            lines += [section.title, ""]
            lines += Self.aligned(section.rows)
            if !section.notes.isEmpty { lines.append("") }
            lines += section.notes
            lines.append("")
        }
        return lines + setting
    }

    /// All tables that have something to say.
    var sections: [Section] {
        let all = [
            comparison, goals,
            Section(title: "Spread over the runs: least .. most", rows: table { spread($0) }),
            Section(
                title: "Processor seconds per million operations",
                rows: table {
                    Self.figure($0.cpuSecondsPerMillion, digits: 2)
                },
                notes: ["All threads; for writes until the store has settled."]),
            latency, gaps,
            amplification("Bytes given to write calls per byte handed over, until settled") {
                $0.writeAmplification
            },
            amplification("The same under a replicated log: a peer's own log counted twice") {
                $0.loggedAmplification
            },
            amplification("Bytes that the device took per byte handed over (whole machine)") {
                $0.deviceAmplification
            },
            Section(
                title: "Bytes of files per live byte: at the end / at the peak",
                rows: table { result in
                    guard let end = result.spaceAmplification else { return nil }
                    let peak = result.peakSpaceAmplification ?? end
                    return Self.figure(end, digits: 2) + " / " + Self.figure(peak, digits: 2)
                }),
            amplification("Blocks read from files per operation") { $0.blockReadsPerOperation },
            Section(
                title: "Peak resident memory in MiB", rows: table { "\($0.peakRssBytes >> 20)" },
                notes: ["One process for all engines, with the benchmark's own texts in it."]),
            details,
        ]
        return all.filter { $0.rows.count > 1 }
    }

    // MARK: Tables

    private var comparison: Section {
        let verdicts = GoalResults(results: results)
        var rows = [["workload", "unit"] + columns + ["magpie to best peer", "goal"]]
        for workload in measured {
            let cells = columns.map { name in
                find(workload, name).map { Self.value($0) } ?? Self.noValue
            }
            let ratio = verdicts.advantage(workload).map { ratio in
                String(format: "%.2f", ratio) + (ratio < 1 ? " loss" : "")
            }
            let goal = GoalResults.ratio(workload).map { goal -> String in
                let isReached = verdicts.advantage(workload).map { $0 >= goal }
                return String(format: "%.1f ", goal)
                    + (isReached.map { $0 ? "reached" : "missed" } ?? "not measured")
            }
            rows.append(
                [workload.rawValue, workload.unit] + cells
                    + [ratio ?? Self.noValue, goal ?? Self.noValue])
        }
        let notes = [
            "Above 1 magpie is better, whatever the unit. us p99: at a fixed rate of arrivals,",
            "from the intended start; ms and us: less is better.",
        ]
        return Section(
            title: "Figures compared, medians of the runs", rows: rows,
            notes: notes + fillNotes + sustainedNotes)
    }

    private var fillNotes: [String] {
        guard columns.contains(EngineKind.magpie.rawValue),
            measured.contains(where: { [.fillseq, .fillrandom, .overwrite].contains($0) })
        else { return [] }
        return [
            "Fill rows are not alike: magpie's are synced with every turn of its log, at most",
            "16,384 under way, and those of a turn are gathered into one entry; the others' are",
            "unsynced, each its own batch, as in db_bench.",
        ]
    }

    /// Rows at a fixed rate that an engine could not keep up with.
    private var sustainedNotes: [String] {
        results.flatMap { result in
            result.details.filter { $0.key.hasPrefix("share of") && $0.value < 0.99 }
                .sorted { $0.key < $1.key }
                .map {
                    "\(result.workload), \(result.engine): not sustained, "
                        + "\($0.key) \(Self.figure($0.value, digits: 2))."
                }
        }
    }

    private var goals: Section {
        let rows = GoalResults(results: results).all.map { verdict in
            [
                verdict.workload, verdict.goal, verdict.reached ?? Self.noValue,
                verdict.isReached.map { $0 ? "reached" : "NOT reached" } ?? "not measured",
            ]
        }
        return Section(title: "Goals", rows: [["row", "goal", "figure", "verdict"]] + rows)
    }

    private var latency: Section {
        let rows = table { result in
            if result.maxUs == 0 { return nil }
            return [result.p50Us, result.p99Us, result.p999Us, result.maxUs]
                .map { Self.figure($0, digits: 1) }.joined(separator: " / ")
        }
        return Section(
            title: "Latency in microseconds: p50 / p99 / p99.9 / max", rows: rows,
            notes: [
                "Rows in us p99: open loop, from the intended start, waking up included. Others:",
                "closed loop, as the caller sees it; readseq, readreverse: means over 1,000 rows.",
            ])
    }

    private var gaps: Section {
        let rows = table { result in
            result.stalls.map {
                Self.figure($0.longestMs, digits: 1) + " / "
                    + Self.figure($0.gapsOver10Ms, digits: 0)
                    + " / " + Self.figure($0.seconds, digits: 2)
            }
        }
        return Section(
            title: "Writers' gaps: longest in ms / gaps over 10 ms / seconds in those", rows: rows)
    }

    private func amplification(
        _ title: String, _ figure: (BenchResult) -> Double?
    ) -> Section {
        Section(title: title, rows: table { figure($0).map { Self.figure($0, digits: 2) } })
    }

    private var details: Section {
        var rows = [["workload", "figure"] + columns]
        for workload in measured {
            let own = columns.map { find(workload, $0)?.details ?? [:] }
            for name in Set(own.flatMap(\.keys)).sorted() {
                let cells = own.map { figures in
                    figures[name].map { Self.figure($0, digits: 2) } ?? Self.noValue
                }
                rows.append([workload.rawValue, name] + cells)
            }
        }
        return Section(title: "Figures of single rows", rows: rows)
    }

    /// What was measured how and where.
    var setting: [String] {
        var lines: [String] = []
        for engine in columns {
            guard let result = results.first(where: { $0.engine == engine }) else { continue }
            lines.append("\(engine): \(result.versions["engine"] ?? ""); \(result.settings).")
        }
        if let first = results.first {
            lines.append(
                "Scale \(first.scale), median of \(first.runs), \(first.cpu), kernel "
                    + "\(first.versions["kernel"] ?? ""), \(fileSystem), magpie-bench "
                    + "\(first.versions["bench"] ?? "").")
        }
        for data in Set(results.map(\.data)).sorted() { lines.append("Data: \(data).") }
        return lines
    }

    // MARK: Cells

    var columns: [String] {
        let names = engines.map(\.rawValue) + [BareDisk.name]
        return names.filter { name in results.contains { $0.engine == name } }
    }

    var measured: [Workload] {
        Workload.allCases.filter { workload in
            results.contains { $0.workload == workload.rawValue }
        }
    }

    func find(_ workload: Workload, _ engine: String) -> BenchResult? {
        results.first { $0.workload == workload.rawValue && $0.engine == engine }
    }

    /// Only the head when no cell has something.
    private func table(_ cell: (BenchResult) -> String?) -> [[String]] {
        var rows = [["workload"] + columns]
        for workload in measured {
            let cells = columns.map { find(workload, $0).flatMap(cell) ?? Self.noValue }
            if cells.allSatisfy({ $0 == Self.noValue }) { continue }
            rows.append([workload.rawValue] + cells)
        }
        return rows
    }

    private func spread(_ result: BenchResult) -> String? {
        guard result.runs > 1 else { return nil }
        return Self.figure(result.valueMin, digits: 1) + " .. "
            + Self.figure(result.valueMax, digits: 1)
    }

    static func value(_ result: BenchResult) -> String {
        result.value == 0 ? "not reached" : figure(result.value, digits: 1)
    }

    /// With decimals only where they say something.
    static func figure(_ value: Double, digits: Int) -> String {
        abs(value) >= 1_000 ? number(value) : String(format: "%.\(digits)f", value)
    }

    static func number(_ value: Double) -> String {
        var digits = String(Int(value.rounded()))
        var groups: [String] = []
        while digits.count > 3 {
            groups.insert(String(digits.suffix(3)), at: 0)
            digits.removeLast(3)
        }
        return ([digits] + groups).joined(separator: ",")
    }

    /// Cells padded to the width of their column, the first column to the left.
    static func aligned(_ rows: [[String]]) -> [String] {
        guard let head = rows.first else { return [] }
        let widths = head.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        func line(_ row: [String]) -> String {
            let cells = row.enumerated().map { column, text in
                let padding = String(repeating: " ", count: widths[column] - text.count)
                return column == 0 ? text + padding : padding + text
            }
            return "| " + cells.joined(separator: " | ") + " |"
        }
        let rule = widths.enumerated().map { column, width in
            column == 0
                ? String(repeating: "-", count: width)
                : String(repeating: "-", count: max(1, width - 1)) + ":"
        }
        let separator = "| " + rule.joined(separator: " | ") + " |"
        return [line(head), separator] + rows.dropFirst().map(line)
    }
}
