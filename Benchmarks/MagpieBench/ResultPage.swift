import Foundation

/// The results as one HTML page that needs nothing else: plots, then the tables of the text form.
/// Light and dark as the reader's system is.
struct ResultPage {
    /// A plot with what must be known to read it.
    struct Plot {
        let title: String
        let note: String
        /// Nothing: there is no plot.
        let svg: String
    }

    let title: String
    let heading: String
    let summary: String
    let command: [String]
    let plots: [Plot]
    let sections: [ResultTable.Section]
    let setting: [String]

    /// The page.
    var text: String {
        var body = "<h1>\(Self.escaped(heading))</h1>\n"
        body += "<p class=\"lead\">\(Self.escaped(summary))</p>\n"
        body += "<p><code>\(Self.escaped(command.joined(separator: " ")))</code></p>\n"
        for plot in plots where !plot.svg.isEmpty {
            body += "<h2>\(Self.escaped(plot.title))</h2>\n"
            body += "<p>\(Self.escaped(plot.note))</p>\n\(plot.svg)\n"
        }
        for section in sections { body += html(section) }
        body += "<h2>Setting</h2>\n<ul>\n"
        body += setting.map { "<li>\(Self.escaped($0))</li>\n" }.joined()
        body += "</ul>\n"
        return """
            <!doctype html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>\(Self.escaped(title))</title>
            <style>
            \(Self.style)
            </style>
            </head>
            <body>
            <main>
            \(body)</main>
            </body>
            </html>

            """
    }

    private func html(_ section: ResultTable.Section) -> String {
        var text = "<h2>\(Self.escaped(section.title))</h2>\n<div class=\"wide\"><table>\n"
        for (place, row) in section.rows.enumerated() {
            let tag = place == 0 ? "th" : "td"
            text += "<tr>"
            for cell in row {
                text += "<\(tag)\(Self.mark(cell))>\(Self.escaped(cell))</\(tag)>"
            }
            text += "</tr>\n"
        }
        text += "</table></div>\n"
        if !section.notes.isEmpty {
            text += "<p>\(Self.escaped(section.notes.joined(separator: " ")))</p>\n"
        }
        return text
    }

    /// Losses and missed goals look as different as wins do.
    private static func mark(_ cell: String) -> String {
        if cell.hasSuffix(" loss") || cell.hasSuffix(" missed") || cell == "NOT reached" {
            return " class=\"loss\""
        }
        return cell == "reached" || cell.hasSuffix(" reached") && cell != "not reached"
            ? " class=\"win\"" : ""
    }

    /// Text between tags.
    static func escaped(_ text: String) -> String {
        text.replacingOccurrences(of: "&", with: "&amp;")
            .replacingOccurrences(of: "<", with: "&lt;")
            .replacingOccurrences(of: ">", with: "&gt;")
            .replacingOccurrences(of: "\"", with: "&quot;")
    }

    private static let style = """
        :root { --back: #ffffff; --text: #1b1f24; --soft: #59636e; --line: #d1d9e0;
          --win: #0a7d6b; --loss: #c2410c; --goal: #1b1f24;
          --e0: #0a7d6b; --e1: #9a6700; --e2: #c2410c; --e3: #6f42c1; --e4: #59636e; }
        @media (prefers-color-scheme: dark) {
          :root { --back: #0f1419; --text: #e6e8eb; --soft: #9aa4af; --line: #333c46;
            --win: #3fc7ae; --loss: #f0883e; --goal: #e6e8eb;
            --e0: #3fc7ae; --e1: #e3b341; --e2: #f0883e; --e3: #b392f0; --e4: #9aa4af; } }
        * { box-sizing: border-box; }
        body { margin: 0; background: var(--back); color: var(--text);
          font: 15px/1.5 system-ui, sans-serif; }
        main { max-width: 1100px; margin: 0 auto; padding: 24px 16px 64px; }
        h1 { font-size: 26px; margin: 0 0 8px; } h2 { font-size: 18px; margin: 32px 0 4px; }
        p { margin: 4px 0 8px; color: var(--soft); max-width: 80ch; } p.lead { color: var(--text); }
        code { font-size: 13px; overflow-wrap: anywhere; }
        .wide { overflow-x: auto; } li { overflow-wrap: anywhere; }
        table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; }
        th, td { padding: 4px 10px; border-bottom: 1px solid var(--line); text-align: right;
          white-space: nowrap; }
        th:first-child, td:first-child { text-align: left; } th { font-weight: 600; }
        td.win { color: var(--win); } td.loss { color: var(--loss); font-weight: 600; }
        svg { display: block; width: 100%; height: auto; max-width: 1000px; }
        svg text { fill: var(--text); font: 12px system-ui, sans-serif; }
        svg .soft { fill: var(--soft); } svg .grid { stroke: var(--line); }
        svg .one { stroke: var(--text); stroke-width: 1.5; }
        svg .win { fill: var(--win); } svg .loss { fill: var(--loss); }
        svg .goal { fill: var(--back); stroke: var(--goal); stroke-width: 1.5; }
        \((0..<5).map { "svg .e\($0) { fill: var(--e\($0)); stroke: var(--e\($0)); }" }
            .joined(separator: "\n"))
        """
}
