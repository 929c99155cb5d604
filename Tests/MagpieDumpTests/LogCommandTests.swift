import RaftCore
import Replication
import Testing

@testable import MagpieDump

@Suite("The gaps of a log")
struct LogCommandTests {
    private func entries(_ range: ClosedRange<LogIndex>, term: Term) -> [Entry] {
        range.map { Entry(index: $0, term: term, kind: .command, payload: [1]) }
    }

    private func taken(
        _ records: [(range: ClosedRange<LogIndex>, term: Term, replaces: Bool)]
    ) -> LogCoverage {
        var coverage = LogCoverage()
        for (number, record) in records.enumerated() {
            coverage.take(
                7, entries(record.range, term: record.term), replaces: record.replaces,
                segment: "a", offset: UInt64(number))
        }
        return coverage
    }

    @Test("are none where entries follow each other, replace each other, or are copied whole")
    func followsRecovery() {
        let plain = taken([(1...5, 1, true), (6...9, 2, true), (8...8, 3, true)])
        #expect(plain.holes.isEmpty && plain.entries == 1...8)
        #expect(plain.runs.map(\.term) == [1, 2, 3] && plain.runs[1].last == 7)
        // Copies take nothing away.
        let copied = taken([(1...9, 1, true), (3...5, 1, false)])
        #expect(copied.entries == 1...9 && copied.replaced == 3)
        // Later entries alone, then the whole tail.
        let whole = taken([
            (1...5, 1, true), (9...9, 1, true), (6...8, 1, false), (9...9, 1, false),
        ])
        #expect(whole.holes.count == 1 && whole.entries == 6...9)
        #expect(whole.missing(above: 5) == nil && whole.missing(above: 4) == 5...5)
        #expect(whole.missing(above: 20) == nil)
        var reset = plain
        reset.reset(7, LogBase(index: 40, term: 3))
        #expect(reset.entries == nil && reset.base.index == 40)
    }

    @Test("are corruption when the tables do not have the entries")
    func findsMissingEntries() throws {
        let data = try RepairFixture(seed: 7, cuts: 4)
        try data.writeLog(5...9, base: 4)
        func gaps() throws -> (lines: [String], problems: Int) {
            let collected = Collected()
            let report = Report(isJSON: false) { collected.lines.append($0) }
            try LogInspector(places: Places(data.disk), report: report).gaps("/data")
            return (collected.lines, report.problems)
        }
        let clean = try gaps()
        #expect(clean.problems == 0, "\(clean.lines)")
        #expect(clean.lines.contains { $0.hasPrefix("group 3  replica 7  entries 5…9  base 4/1") })
        #expect(clean.lines.contains { $0 == "  term 1: 5…9" })
        #expect(clean.lines.contains { $0.contains("proved durable up to") })

        let holed = try RepairFixture(seed: 7, cuts: 4)
        try holed.writeLog(7...9, base: 4)
        let collected = Collected()
        let report = Report(isJSON: false) { collected.lines.append($0) }
        try LogInspector(places: Places(holed.disk), report: report).gaps("/data/log")
        #expect(report.problems == 1, "\(collected.lines)")
        #expect(collected.lines.contains { $0.contains("expected entries 5…6 of group 3") })
    }
}
