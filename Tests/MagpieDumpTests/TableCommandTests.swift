import Bytes
import ChatEngine
import ChatModel
import Platform
import Simulation
import SortedTable
import Testing

@testable import MagpieDump

@Suite("The commands about tables")
struct TableCommandTests {
    @Test("verify compares the digest with the manifest's")
    func verifies() throws {
        let data = try DataFixture()
        let (lines, problems) = try data.run {
            try TableInspector(places: $0, report: $1).verify("/data")
        }
        #expect(problems == 0 && lines.count == 2, "\(lines)")
        #expect(lines.allSatisfy { $0.hasSuffix("as its manifest says") })
        // A whole table of other rows under the same id: only the manifest knows.
        let table = data.files(".sst")[0]
        let id = try #require(TableName.fileID(Places.name(table)))
        let other = MemoryFile("other")
        var writer = TableWriter(
            file: other, fileID: id, options: TableOptions(keyspace: 1))
        let key = InternalKey.make(userKey: [1, 2, 3], sequence: 4, kind: .put)
        try key.withUnsafeBytes { key in
            try writer.add(internalKey: key, value: UnsafeRawBufferPointer(start: nil, count: 0))
        }
        _ = try writer.finish()
        data.disk.setContents(table, try other.read(1 << 20, at: 0))
        let after = try data.run { try TableInspector(places: $0, report: $1).verify("/data") }
        #expect(after.problems == 1, "\(after.lines)")
        #expect(after.lines.contains { $0.hasPrefix("corrupt: \(table) at offset 0") })
    }

    @Test("verify names file and offset of a flipped bit", arguments: 0..<2)
    func findsRot(place: Int) throws {
        let data = try DataFixture()
        let path = data.files(".sst")[place]
        let size = data.disk.contents(path)?.count ?? 0
        for offset in stride(from: 3, to: size, by: 97) {
            data.disk.flipBit(path, offset: offset, bit: offset % 8)
            let (lines, problems) = try data.run {
                try TableInspector(places: $0, report: $1).verify("/data")
            }
            #expect(problems == 1, "offset \(offset): \(lines)")
            #expect(lines.contains { $0.hasPrefix("corrupt: \(path) at offset ") })
            data.disk.flipBit(path, offset: offset, bit: offset % 8)
        }
    }

    @Test("calls a table that the disk can't give corrupt, and goes on")
    func survivesReadErrors() throws {
        let data = try DataFixture()
        let table = data.files(".sst")[0]
        data.disk.inject(DiskFault([.read], .inputOutput, on: Places.name(table), .always))
        let (lines, problems) = try data.checkDatabase()
        #expect(problems >= 1, "\(lines)")
        #expect(lines.contains { $0.hasPrefix("corrupt: \(table) at offset 0") }, "\(lines)")
        #expect(lines.contains { $0 == "ok: \(data.files(".sst")[1])" })
    }

    @Test("recompress reads every copy back and leaves the table alone")
    func recompresses() throws {
        let data = try DataFixture()
        let before = data.files(".sst").map { data.disk.contents($0) }
        let packings = try Packing.parse(blockBytes: "256,16384", encodings: "raw,lz4")
        #expect(packings.count == 4)
        let (lines, problems) = try data.run(json: true) {
            try TableInspector(places: $0, report: $1).recompress("/data", packings)
        }
        #expect(problems == 0)
        #expect(
            lines.filter { $0.hasPrefix("{\"kind\":\"packing\",\"blockBytes\":256,") }.count == 4)
        #expect(lines.filter { $0.contains("\"encoding\":\"raw\"") }.count == 4)
        #expect(data.files(".sst").map { data.disk.contents($0) } == before)
        for (sizes, encodings) in [("0", "raw"), ("4096", "zip"), ("", "raw"), ("a", "lz4")] {
            #expect(throws: UsageMistake.self) {
                try Packing.parse(blockBytes: sizes, encodings: encodings)
            }
        }
    }

    @Test(
        "space adds up to the files, whatever it is grouped by", arguments: SpaceGrouping.allCases)
    func accountsForAllBytes(grouping: SpaceGrouping) throws {
        let data = try DataFixture()
        let (lines, _) = try data.run {
            try ManifestInspector(places: $0, report: $1).space("/data", by: grouping, top: 20)
        }
        let bytes = data.files(".sst").reduce(0) { $0 + (data.disk.contents($1)?.count ?? 0) }
        let total = try #require(lines.last)
        #expect(total.hasPrefix("  total: \(bytes) bytes on disk"), "\(lines)")
        #expect(total.contains(", 120 rows, 0 deletes, 0 range deletes"))
        switch grouping {
        case .conversation:
            for conversation in [data.first, data.second] {
                let line = lines.first { $0.hasPrefix("  \(conversation): ") } ?? ""
                #expect(
                    line.contains(" 60 rows, ") && line.contains("keys \(60 * 34), "), "\(line)")
            }
        case .user: #expect(lines.contains { $0.hasPrefix("  other: ") })
        case .level: #expect(lines.contains { $0.hasPrefix("  entries level 0: ") })
        case .keyspace: #expect(lines.contains { $0.hasPrefix("  entries: ") })
        case .prefix: #expect(lines.contains { $0.hasPrefix("  entries \(data.first): ") })
        }
    }

    @Test("space shows the largest and adds up the others")
    func limitsSpace() throws {
        let data = try DataFixture()
        let (lines, _) = try data.run {
            try TableInspector(places: $0, report: $1).space("/data", by: .conversation, top: 1)
        }
        #expect(lines.count == 3 && lines[1].hasPrefix("  1 others: "), "\(lines)")
        #expect(throws: UsageMistake.self) {
            try data.run {
                try TableInspector(places: $0, report: $1).space("/data", by: .level, top: 1)
            }
        }
    }
}
