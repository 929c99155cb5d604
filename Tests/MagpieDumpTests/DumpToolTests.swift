import Bytes
import ChatEngine
import Platform
import Simulation
import SortedTable
import Testing

@testable import MagpieDump

@Suite("The dump tool")
struct DumpToolTests {
    @Test("finds a clean directory clean")
    func passesCleanData() throws {
        let data = try DataFixture()
        let (lines, problems) = try data.checkDatabase()
        #expect(problems == 0, "\(lines)")
        #expect(lines.filter { $0.hasPrefix("ok: /data/tree/") }.count == 3, "\(lines)")
        #expect(lines.filter { $0.hasPrefix("ok: /data/log/") }.count > 1, "\(lines)")
    }

    @Test("names file and offset of a flipped bit in any table", arguments: 0..<2)
    func findsRottenTable(place: Int) throws {
        let data = try DataFixture()
        let path = data.files(".sst")[place]
        let size = data.disk.contents(path)?.count ?? 0
        #expect(size > 500)
        for offset in stride(from: 0, to: size, by: 61) {
            data.disk.flipBit(path, offset: offset, bit: offset % 8)
            let (lines, problems) = try data.checkDatabase()
            #expect(problems == 1, "offset \(offset): \(lines)")
            let complaint = lines.first { $0.hasPrefix("corrupt: ") } ?? ""
            #expect(complaint.hasPrefix("corrupt: \(path) at offset "), "\(complaint)")
            data.disk.flipBit(path, offset: offset, bit: offset % 8)
        }
    }

    @Test("names file and offset of a flipped bit below a durable mark of the log")
    func findsRottenLog() throws {
        let data = try DataFixture()
        let path = data.files(".log")[0]
        for offset in stride(from: 100, to: 3000, by: 131) {
            data.disk.flipBit(path, offset: offset, bit: 3)
            let (lines, problems) = try data.run {
                try LogInspector(places: $0, report: $1).verify("/data/log")
            }
            #expect(problems >= 1, "offset \(offset): \(lines)")
            #expect(lines.contains { $0.hasPrefix("corrupt: \(path) at offset ") })
            data.disk.flipBit(path, offset: offset, bit: 3)
        }
    }

    @Test("finds a segment that ends before its successor says")
    func findsShortSegment() throws {
        let data = try DataFixture()
        let path = data.files(".log")[0]
        var bytes = try #require(data.disk.contents(path))
        // Zeros from the middle on: nothing in this file proves that there was more.
        bytes.replaceSubrange(2000..., with: repeatElement(0, count: bytes.count - 2000))
        data.disk.setContents(path, bytes)
        let (lines, problems) = try data.run {
            try LogInspector(places: $0, report: $1).verify("/data/log")
        }
        #expect(problems == 1, "\(lines)")
        #expect(lines.contains { $0.hasPrefix("corrupt: \(path) at offset ") })
    }

    @Test("finds rot in a manifest, a missing table, a foreign table")
    func findsTreeTrouble() throws {
        let data = try DataFixture()
        let manifest = data.files(".manifest")[0]
        data.disk.flipBit(manifest, offset: 30, bit: 1)
        let (lines, problems) = try data.run {
            try ManifestInspector(places: $0, report: $1).check("/data")
        }
        #expect(problems == 1 && lines[0].hasPrefix("corrupt: \(manifest) at offset "), "\(lines)")
        data.disk.flipBit(manifest, offset: 30, bit: 1)

        let table = data.files(".sst")[0]
        let bytes = try #require(data.disk.contents(table))
        data.disk.setContents("/data/tree/00000000000fffff.sst", bytes)
        try data.disk.unlink(table)
        let after = try data.checkDatabase()
        #expect(after.problems == 1, "\(after.lines)")
        #expect(after.lines.contains { $0.hasPrefix("corrupt: \(table) at offset 0") })
        #expect(after.lines.contains { $0.hasPrefix("orphan: /data/tree/00000000000fffff.sst") })
    }

    @Test("finds all rows of a conversation by its identifier, and what listed them")
    func findsByIdentifier() throws {
        let data = try DataFixture()
        let prefix = try KeyText.parse("\(data.first)")
        #expect(KeySchema.entry(data.first, 1).starts(with: prefix))
        let (lines, problems) = try data.run {
            try ManifestInspector(places: $0, report: $1).find(prefix, "/data")
        }
        #expect(problems == 0)
        #expect(lines.filter { $0.contains("entry \(data.first) seq ") }.count == 60)
        #expect(!lines.contains { $0.contains("\(data.second)") })
        #expect(lines.filter { $0.contains(" came to entries level ") }.count >= 2)
        #expect(lines.last == "60 rows and range deletes")
    }

    @Test("scans between bounds, in words or as JSON lines")
    func scans() throws {
        let data = try DataFixture()
        let table = data.files(".sst")[0]
        let from = KeySchema.entry(data.first, 5)
        let to = KeySchema.entry(data.first, 9)
        let (lines, _) = try data.run {
            try TableInspector(places: $0, report: $1).scan(table, from: from, to: to)
        }
        #expect(lines.count == 5 && lines[1].contains("seq 5  seq "), "\(lines)")
        let (rows, _) = try data.run(json: true) {
            try TableInspector(places: $0, report: $1).scan(table, from: from, limit: 2)
        }
        let value = Hex.encode(Array("message 5".utf8))
        #expect(rows.count == 3)
        #expect(rows[1].hasPrefix("{\"kind\":\"row\",\"key\":\"\(Hex.encode(from))\","))
        #expect(rows[1].hasSuffix("\"type\":\"put\",\"bytes\":9,\"value\":\"\(value)\"}"))
    }

    @Test("has something to say with every command", arguments: [false, true])
    func dumps(json: Bool) throws {
        let data = try DataFixture()
        let lines = try data.run(json: json) { places, report in
            let tables = TableInspector(places: places, report: report)
            try tables.check("/data")
            try tables.raw("/data")
            try tables.properties("/data")
            try tables.layout("/data")
            let manifests = ManifestInspector(places: places, report: report)
            try manifests.dump("/data")
            try manifests.databaseProperties("/data")
            try manifests.levels("/data")
            try LogInspector(places: places, report: report).dump("/data", showsPayload: true)
        }
        #expect(lines.problems == 0)
        if json {
            #expect(lines.lines.allSatisfy { $0.hasPrefix("{\"kind\":\"") && $0.hasSuffix("}") })
        } else {
            let text = lines.lines.joined(separator: "\n")
            for words in [
                "columns block", "filterPrefixLength", "shard 3  replica 7  applied 60/2",
                "entries level 0", "group 3 replica 7 index 60…60 term 2", "segment header",
            ] {
                #expect(text.contains(words), "\(words)")
            }
        }
    }

    @Test("calls wrong use wrong use")
    func refusesWrongUse() throws {
        let data = try DataFixture()
        #expect(throws: UsageMistake.self) {
            try data.run { try TableInspector(places: $0, report: $1).check("/nowhere") }
        }
        #expect(throws: UsageMistake.self) {
            try data.run { try TableInspector(places: $0, report: $1).check("/data/log") }
        }
        #expect(throws: UsageMistake.self) {
            try data.run { try LogInspector(places: $0, report: $1).verify("/data/tree") }
        }
        #expect(throws: UsageMistake.self) {
            try data.run { try ManifestInspector(places: $0, report: $1).check("/data/log") }
        }
        for text in ["", "0x", "abc", "hello", "8a6e0804-2bd0-4672-b79d"] {
            #expect(throws: UsageMistake.self, "\(text)") { try KeyText.parse(text) }
        }
        #expect(
            try KeyText.parse("0x0aff") == [0x0A, 0xFF] && KeyText.parse("0aff") == [0x0A, 0xFF])
    }

    @Test("quotes JSON text")
    func quotes() {
        let line = JSON.object([("a", .list([.text("\"\\\n\u{1}é"), .flag(true), .number(3)]))])
            .line
        #expect(line == "{\"a\":[\"\\\"\\\\\\n\\u0001é\",true,3]}")
    }
}
