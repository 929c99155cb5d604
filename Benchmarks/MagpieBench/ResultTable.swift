import Foundation

/// The results as tables that can be read as they are and in Markdown. Magpie stands beside the
/// best of its peers; a ratio below one is a loss and says so.
struct ResultTable {
    let results: [BenchResult]
    let engines: [EngineKind]

    /// Everything, line by line.
    var lines: [String] {
        var lines = ["Operations a second", ""]
        lines += table(withRatio: true) { Self.number($0.value) }
        lines += ["", "Processor seconds per million operations", ""]
        lines += table { String(format: "%.2f", $0.cpuSecondsPerMillion) }
        lines += ["", "Latency p50 / p99 in microseconds", ""]
        lines += table { String(format: "%.1f / %.1f", $0.p50Us, $0.p99Us) }
        lines += ["", "Bytes given to write calls per byte handed over, until settled", ""]
        lines += table { result in result.writeAmplification.map { String(format: "%.2f", $0) } }
        lines += ["", "Bytes that the device took per byte handed over (the whole machine's)", ""]
        lines += table { result in result.deviceAmplification.map { String(format: "%.2f", $0) } }
        lines += ["", "Bytes of files per live byte, after settling", ""]
        lines += table { result in result.spaceAmplification.map { String(format: "%.2f", $0) } }
        lines += ["", "Peak resident memory in MiB", ""]
        lines += table { "\($0.peakRssBytes >> 20)" }
        lines.append("")
        for engine in columns {
            guard let result = results.first(where: { $0.engine == engine }) else { continue }
            lines.append("\(engine): \(result.versions["engine"] ?? ""); \(result.settings).")
        }
        if let first = results.first {
            lines.append(
                "Scale \(first.scale), median of \(first.runs), \(first.cpu), "
                    + "kernel \(first.versions["kernel"] ?? "").")
        }
        for data in Set(results.map(\.data)).sorted() { lines.append("Data: \(data).") }
        if columns.contains(EngineKind.magpie.rawValue) {
            lines.append(
                "Fill rows of magpie are synced with every turn of its log; the others' are not.")
        }
        return lines
    }

    private var columns: [String] {
        let names = engines.map(\.rawValue) + [BareDisk.name]
        return names.filter { name in results.contains { $0.engine == name } }
    }

    private func table(
        withRatio: Bool = false, _ cell: (BenchResult) -> String?
    ) -> [String] {
        var rows = [["workload"] + columns + (withRatio ? ["magpie / best peer"] : [])]
        for workload in Workload.allCases.map(\.rawValue) {
            let own = results.filter { $0.workload == workload }
            let cells = columns.map { name in
                own.first { $0.engine == name }.flatMap(cell) ?? "-"
            }
            if cells.allSatisfy({ $0 == "-" }) { continue }
            rows.append([workload] + cells + (withRatio ? [ratio(own)] : []))
        }
        return Self.aligned(rows)
    }

    private func ratio(_ own: [BenchResult]) -> String {
        let magpie = own.first { $0.engine == EngineKind.magpie.rawValue }?.value
        let best = own.filter { $0.engine != EngineKind.magpie.rawValue }.map(\.value).max()
        guard let magpie, let best, best > 0 else { return "-" }
        return String(format: "%.2f", magpie / best) + (magpie < best ? " loss" : "")
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
