import ArgumentParser
import Bytes
import ChatEngine
import LSMTree
import Platform
import Simulation
import SortedTable
import Testing

@testable import MagpieDump

@Suite("The commands about trees")
struct TreeCommandTests {
    private func run(
        _ disk: SimulatedFileSystem, json: Bool = false, _ body: (Places, Report) throws -> Void
    ) throws -> (lines: [String], problems: Int) {
        let collected = Collected()
        let report = Report(isJSON: json) { collected.lines.append($0) }
        try body(Places(disk), report)
        return (collected.lines, report.problems)
    }

    @Test("summarize counts what every record did")
    func summarizes() throws {
        let data = try RepairFixture(seed: 8)
        let (lines, problems) = try run(data.disk) {
            try ManifestInspector(places: $0, report: $1).summarize("/data", every: 5)
        }
        #expect(problems == 0 && lines.count > 5, "\(lines)")
        let total = try #require(lines.last)
        #expect(total.hasPrefix("  total: ") && total.contains(" 30 cuts with "), "\(total)")
        #expect(!total.contains(" 0 merges") && !total.contains("amplification unknown"))
        // All of it once more, from the records themselves.
        let manifest = try #require(try Places(data.disk).manifests("/data").first)
        var edits = 0
        try ManifestReader.read(
            fileSystem: data.disk, directory: manifest.directory, id: manifest.id
        ) { _, edit in edits += edit.isOpening ? 0 : 1 }
        #expect(total.hasPrefix("  total: \(edits) edits"))
        #expect(lines.filter { $0.hasPrefix("  records ") }.count == (edits + 4) / 5)
    }

    @Test("lsm writes a page that stands alone")
    func writesPage() throws {
        let data = try RepairFixture(seed: 9)
        let (lines, problems) = try run(data.disk) {
            try ManifestInspector(places: $0, report: $1).writePage("/data", to: "/shape.html")
        }
        #expect(problems == 0 && lines.count == 1)
        let bytes = try #require(data.disk.contents("/shape.html"))
        let page = String(decoding: bytes, as: UTF8.self)
        #expect(page.hasPrefix("<!doctype html>") && page.hasSuffix("</html>\n"))
        for words in ["src=", "href=", "http:", "https:", "import "] {
            #expect(!page.contains(words), "\(words)")
        }
        for table in data.files(".sst") {
            #expect(page.contains("\"\(Places.name(table))\""), "\(table)")
        }
        // Only one script, and data can't end it.
        #expect(page.split(separator: "</script").count == 2)
        #expect(throws: UsageMistake.self) {
            try run(data.disk) {
                try ManifestInspector(places: $0, report: $1).writePage("/data", to: "/shape.html")
            }
        }
    }

    @Test("verify finds replicas with other tables equal, and names what differs")
    func compares() throws {
        // The same rows, merged at other times.
        let (one, other) = (
            try RepairFixture(seed: 11), try RepairFixture(seed: 11, merges: false)
        )
        #expect(one.cuts == other.cuts)
        let both = try combined(one, other)
        let (lines, problems) = try run(both) {
            try TreeComparison(places: $0, report: $1).compare("/a/tree", with: "/b/tree")
        }
        #expect(problems == 0, "\(lines)")
        let digests = try ["/a/tree", "/b/tree"].map { path in
            try run(both) { try TreeComparison(places: $0, report: $1).digest(path) }.lines
                .filter { $0.contains("digest") || $0.contains("slots") }
        }
        #expect(digests[0] == digests[1] && digests[0].count > 9)
        let rows = try #require(one.cuts.last?[1]?.count)
        #expect(digests[0].contains { $0.hasPrefix("  entries: \(rows) rows, ") })

        let third = try RepairFixture(seed: 12)
        let after = try run(try combined(one, third), json: true) {
            try TreeComparison(places: $0, report: $1).compare("/a/tree", with: "/b/tree")
        }
        #expect(after.problems == 2, "\(after.lines.suffix(3))")
        #expect(after.lines.contains { $0.hasPrefix("{\"kind\":\"difference\",") })
    }

    /// A disk with the tables of both under `/a` and `/b`.
    private func combined(
        _ one: RepairFixture, _ other: RepairFixture
    ) throws -> SimulatedFileSystem {
        let disk = SimulatedFileSystem()
        for (data, target) in [(one, "/a"), (other, "/b")] {
            try disk.makeDirectory(target + "/tree")
            for path in data.disk.paths where path.hasPrefix("data/tree/") {
                disk.setContents(
                    target + path.dropFirst(4), try #require(data.disk.contents("/" + path)))
            }
        }
        return disk
    }

    @Test("every line of JSON parses", arguments: [false, true])
    func printsJSON(isDamaged: Bool) throws {
        let data = try RepairFixture(seed: 13)
        try data.writeLog(31...40, base: 30)
        if isDamaged { try data.disk.unlink("/data/tree/CURRENT") }
        let (lines, _) = try run(data.disk, json: true) { places, report in
            let tables = TableInspector(places: places, report: report)
            let trees = ManifestInspector(places: places, report: report)
            try tables.verify("/data")
            try tables.space("/data", by: .prefix, top: 3)
            try tables.recompress("/data", [Packing(blockBytes: 512, isCompressed: true)])
            try LogInspector(places: places, report: report).gaps("/data")
            try RepairInspector(places: places, report: report).repair(
                "/data", .init(source: .tables))
            if isDamaged { return }
            try trees.summarize("/data", every: 7)
            try trees.space("/data", by: .conversation, top: 3)
            try trees.writePage("/data", to: "/page.html")
            try TreeComparison(places: places, report: report).digest("/data")
            try TreeComparison(places: places, report: report).compare("/data", with: "/data")
        }
        #expect(lines.count > (isDamaged ? 20 : 50))
        for line in lines {
            var parser = JSONParser(line)
            let isObject = parser.isObject()
            #expect(isObject, "\(line)")
            #expect(line.hasPrefix("{\"kind\":\""))
        }
    }

    @Test("every command explains itself with an example and its exit status")
    func explainsItself() {
        var commands = 0
        func visit(_ type: any ParsableCommand.Type) {
            commands += 1
            let configuration = type.configuration
            #expect(!configuration.abstract.isEmpty, "\(type)")
            #expect(configuration.discussion.contains("Examples:\n  magpie-dump "), "\(type)")
            #expect(configuration.discussion.contains("Exit status: 0 clean"), "\(type)")
            for inner in configuration.subcommands { visit(inner) }
        }
        visit(MagpieDump.self)
        #expect(commands == 34)
    }
}

/// Enough of a JSON parser to say whether a line is one object.
private struct JSONParser {
    private var rest: Substring.UnicodeScalarView

    init(_ line: String) { rest = Substring(line).unicodeScalars }

    mutating func isObject() -> Bool { rest.first == "{" && value() && rest.isEmpty }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard rest.first == scalar else { return false }
        rest.removeFirst()
        return true
    }

    private mutating func value() -> Bool {
        switch rest.first {
        case "{": list("{", "}") { $0.text() && $0.take(":") && $0.value() }
        case "[": list("[", "]") { $0.value() }
        case "\"": text()
        case "t": word("true")
        case "f": word("false")
        default: number()
        }
    }

    private mutating func list(
        _ open: Unicode.Scalar, _ close: Unicode.Scalar, _ item: (inout JSONParser) -> Bool
    ) -> Bool {
        guard take(open) else { return false }
        if take(close) { return true }
        repeat {
            guard item(&self) else { return false }
        } while take(",")
        return take(close)
    }

    private mutating func text() -> Bool {
        guard take("\"") else { return false }
        while let scalar = rest.popFirst() {
            switch scalar {
            case "\"": return true
            case "\\": rest = rest.dropFirst()
            default: if scalar.value < 0x20 { return false }
            }
        }
        return false
    }

    private mutating func word(_ word: String) -> Bool {
        for scalar in word.unicodeScalars where !take(scalar) { return false }
        return true
    }

    private mutating func number() -> Bool {
        let digits = rest.prefix { "0123456789+-.e".unicodeScalars.contains($0) }
        rest = rest.dropFirst(digits.count)
        return Double(String(digits)) != nil
    }
}
