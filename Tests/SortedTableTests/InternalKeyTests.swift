import Bytes
import SortedTable
import Testing

@Suite("Internal keys, summaries and names")
struct InternalKeyTests {
    @Test("sort by user key, then newest first")
    func ordersKeys() {
        let ordered = [
            InternalKey.make(userKey: [], sequence: 3, kind: .put),
            InternalKey.makeSeek(userKey: [1], sequence: 9),
            InternalKey.make(userKey: [1], sequence: 9, kind: .put),
            InternalKey.make(userKey: [1], sequence: 9, kind: .delete),
            InternalKey.make(userKey: [1], sequence: 2, kind: .put),
            InternalKey.make(userKey: [1, 0], sequence: 5, kind: .put),
            InternalKey.make(userKey: [2], sequence: InternalKey.sequenceMax, kind: .rangeDelete),
            InternalKey.make(userKey: [2], sequence: 1, kind: .put),
        ]
        for (left, first) in ordered.enumerated() {
            for (right, second) in ordered.enumerated() {
                #expect(InternalKey.compare(first, second).signum() == (left - right).signum())
            }
        }
    }

    @Test("give their parts back")
    func splitsKeys() {
        let key = InternalKey.make(userKey: [7, 8], sequence: 0x1234_5678_9ABC, kind: .delete)
        key.withUnsafeBytes { raw in
            #expect([UInt8](InternalKey.userKey(raw)) == [7, 8])
            #expect(InternalKey.sequence(raw) == 0x1234_5678_9ABC)
            #expect(InternalKey.kind(raw) == .delete)
        }
    }

    @Test("survive being written to the manifest and read again", arguments: 0..<20)
    func roundTripsSummary(seed: UInt64) throws {
        var maker = TableMaker(seed: seed)
        let summary = try maker.table(rows: maker.pick([0, 1, 50])).write(to: MemoryFile())
        var writer = ByteWriter()
        summary.encode(into: &writer)
        let copy = try ByteReader.readAll(writer.bytes) { try TableSummary(from: &$0) }
        #expect(copy == summary, "seed \(seed)")
        for length in 0..<writer.count {
            #expect(throws: DecodeError.self, "length \(length)") {
                try ByteReader.readAll([UInt8](writer.bytes.prefix(length))) {
                    try TableSummary(from: &$0)
                }
            }
        }
    }

    @Test("name files by their id")
    func namesFiles() {
        #expect(TableName.make(0xAB) == "00000000000000ab.sst")
        #expect(TableName.fileID("00000000000000ab.sst") == 0xAB)
        #expect(TableName.fileID("ffffffffffffffff.sst") == .max)
        for name in ["ab.sst", "00000000000000ab.log", "00000000000000zz.sst", ""] {
            #expect(TableName.fileID(name) == nil)
        }
    }

    @Test("filters pass about one absent key in a hundred at ten bits")
    func filtersAbsentKeys() throws {
        var maker = TableMaker(seed: 5)
        var model = ModelTable(options: TableOptions(keyspace: 1))
        for number in 0..<8_000 {
            var key = OrderedKey()
            key.append(UInt64(number) * 2)
            model.rows.append(
                ModelRow(
                    key: InternalKey.make(userKey: key.bytes, sequence: 1, kind: .put), value: []))
        }
        let file = MemoryFile()
        _ = try model.write(to: file)
        let cache = BlockCache(budgetBytes: 64 << 20)
        let reader = try TableReader.open(file: file, fileID: 7, cache: cache)
        _ = try reader.allRows()
        // An absent key that passes the filter asks for an index and a data block as well.
        let before = cache.statistics.hits
        var found = 0
        for _ in 0..<5_000 {
            var key = OrderedKey()
            key.append(UInt64(maker.below(8_000)) * 2 + 1)
            if try reader.row(key.bytes, at: 9) != nil { found += 1 }
        }
        let passed = (Int(cache.statistics.hits - before) - 5_000) / 2
        #expect(found == 0)
        #expect(passed < 125, "\(passed) of 5000 passed")
    }
}
