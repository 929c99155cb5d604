import Foundation

/// Plots of a page, as SVG.
enum ResultPlots {
    private static let width = 1_000.0
    private static let left = 190.0
    private static let right = 60.0

    /// A logarithmic axis from left to right.
    struct Axis {
        let least: Double
        let most: Double

        /// Powers of ten, and twice and five times those, that surround all values.
        init(_ values: [Double]) {
            let known = values.filter { $0 > 0 && $0.isFinite }
            least = Self.steps(known.min() ?? 1, goesUp: false)
            most = max(Self.steps(known.max() ?? 1, goesUp: true), least * 2)
        }

        private static func steps(_ value: Double, goesUp: Bool) -> Double {
            let power = pow(10, floor(log10(value)))
            let candidates = [0.5, 1, 2, 5, 10].map { $0 * power }
            let found =
                goesUp
                ? candidates.first { $0 >= value * 0.999 }
                : candidates.last { $0 <= value * 1.001 }
            return found ?? value
        }

        /// The place of a value, inside the plot.
        func place(_ value: Double) -> Double {
            let share = log(max(value, least) / least) / log(most / least)
            return left + min(max(share, 0), 1) * (width - left - right)
        }

        /// Where lines are drawn.
        var ticks: [Double] {
            var ticks: [Double] = []
            var power = pow(10, floor(log10(least)))
            while power <= most * 1.001 {
                let steps = most / least > 1_000 ? [1.0] : [1, 2, 5]
                ticks += steps.map { $0 * power }.filter {
                    $0 >= least * 0.999 && $0 <= most * 1.001
                }
                power *= 10
            }
            return ticks
        }
    }

    /// How many times better than others something is, and shall be.
    struct Bar {
        let label: String
        let ratio: Double
        let goal: Double?
    }

    /// Latencies of one engine in microseconds, ascending: four percentiles.
    struct Range {
        let engine: String
        /// Which colour.
        let number: Int
        let percentiles: [Double]
    }

    /// A bar to the right of 1 is a win, to the left a loss.
    static func bars(_ bars: [Bar]) -> String {
        if bars.isEmpty { return "" }
        let axis = Axis(bars.flatMap { [$0.ratio, $0.goal ?? 1] } + [0.5, 2])
        let rowHeight = 24.0
        let height = Double(bars.count) * rowHeight + 34
        var text = grid(axis, height, unit: "x")
        let one = axis.place(1)
        for (place, bar) in bars.enumerated() {
            let top = Double(place) * rowHeight + 6
            let end = axis.place(bar.ratio)
            let isWin = bar.ratio >= 1
            text += label(bar.label, top + 12)
            text +=
                "<rect class=\"\(isWin ? "win" : "loss")\" x=\"\(short(min(one, end)))\" "
                + "y=\"\(top)\" width=\"\(short(max(1, abs(end - one))))\" "
                + "height=\"16\" rx=\"2\"/>\n"
            if let goal = bar.goal {
                let (x, y) = (axis.place(goal), top + 8)
                text +=
                    "<path class=\"goal\" d=\"M\(short(x - 6)) \(y)L\(short(x)) \(y - 6)"
                    + "L\(short(x + 6)) \(y)L\(short(x)) \(y + 6)Z\"/>\n"
            }
            let furthest = max(end, one, bar.goal.map { axis.place($0) + 6 } ?? 0)
            text +=
                "<text x=\"\(short(furthest + 6))\" y=\"\(top + 12)\">"
                + "\(String(format: "%.2f", bar.ratio))</text>\n"
        }
        text +=
            "<line class=\"one\" x1=\"\(short(one))\" x2=\"\(short(one))\" y1=\"0\" "
            + "y2=\"\(height - 24)\"/>\n"
        return svg(height, text)
    }

    /// Percentiles of each engine, a block of lines for each row.
    static func latencies(_ rows: [(label: String, ranges: [Range])]) -> String {
        let rows = rows.filter { !$0.ranges.isEmpty }
        if rows.isEmpty { return "" }
        let all = rows.flatMap(\.ranges)
        let axis = Axis(all.flatMap { $0.percentiles.map { max($0, 0.01) } })
        let lineHeight = 11.0
        let height = rows.reduce(0) { $0 + Double($1.ranges.count) * lineHeight + 12 } + 34
        var text = grid(axis, height, unit: " us")
        var top = 4.0
        for (name, ranges) in rows {
            text += label(name, top + Double(ranges.count) * lineHeight / 2 + 4)
            for range in ranges {
                text += line(range, axis, top + lineHeight / 2)
                top += lineHeight
            }
            top += 12
        }
        return legend(all) + svg(height, text)
    }

    private static func line(_ range: Range, _ axis: Axis, _ y: Double) -> String {
        let places = range.percentiles.map(axis.place)
        let tip = range.percentiles.map { ResultTable.figure($0, digits: 1) }
            .joined(separator: " / ")
        func line(_ from: Double, _ to: Double, _ width: Double) -> String {
            "<line x1=\"\(short(from))\" x2=\"\(short(to))\" y1=\"\(y)\" y2=\"\(y)\" "
                + "stroke-width=\"\(width)\"/>"
        }
        return
            "<g class=\"e\(range.number)\"><title>\(ResultPage.escaped(range.engine)): "
            + "\(tip) us</title>" + line(places[0], places[1], 5)
            + line(places[1], places[2], 2) + line(places[2], places[3], 0.8)
            + "<circle cx=\"\(short(places[0]))\" cy=\"\(y)\" r=\"3\"/></g>\n"
    }

    private static func legend(_ ranges: [Range]) -> String {
        var engines: [Range] = []
        for range in ranges where !engines.contains(where: { $0.engine == range.engine }) {
            engines.append(range)
        }
        engines.sort { $0.number < $1.number }
        var text = ""
        for (place, engine) in engines.enumerated() {
            let x = 8 + Double(place) * 150
            text +=
                "<circle class=\"e\(engine.number)\" cx=\"\(x)\" cy=\"10\" r=\"5\"/>"
                + "<text x=\"\(x + 10)\" y=\"14\">\(ResultPage.escaped(engine.engine))</text>\n"
        }
        return svg(22, text)
    }

    // MARK: Pieces

    private static func svg(_ height: Double, _ content: String) -> String {
        "<svg viewBox=\"0 0 \(width) \(height)\" role=\"img\">\n\(content)</svg>\n"
    }

    private static func grid(_ axis: Axis, _ height: Double, unit: String) -> String {
        axis.ticks.map { tick in
            let x = short(axis.place(tick))
            let words = tick >= 1 ? ResultTable.number(tick) : short(tick)
            return "<line class=\"grid\" x1=\"\(x)\" x2=\"\(x)\" y1=\"0\" y2=\"\(height - 24)\"/>"
                + "<text class=\"soft\" x=\"\(x)\" y=\"\(height - 8)\" text-anchor=\"middle\">"
                + "\(words)\(unit)</text>\n"
        }.joined()
    }

    private static func label(_ text: String, _ y: Double) -> String {
        "<text x=\"\(left - 10)\" y=\"\(y)\" text-anchor=\"end\">"
            + "\(ResultPage.escaped(text))</text>\n"
    }

    private static func short(_ value: Double) -> String {
        var text = String(format: "%.2f", value)
        while text.hasSuffix("0") { text.removeLast() }
        if text.hasSuffix(".") { text.removeLast() }
        return text
    }
}
