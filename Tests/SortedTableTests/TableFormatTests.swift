import Bytes
import Platform
import SortedTable
import Testing

@Suite("The table format")
struct TableFormatTests {
    /// Two conversations of slot 5, an edited row, a delete, a range tombstone; the second data
    /// block compresses.
    private func example(columns: Bool = false) -> ModelTable {
        var model = ModelTable(
            options: TableOptions(
                keyspace: 1, blockBytes: columns ? 400 : 140, isCompressed: !columns,
                filterPrefixLength: 10, isNumbered: columns, isPointRead: !columns))
        func add(_ conversation: UInt64, _ number: UInt64, _ sequence: UInt64, _ value: String?) {
            var key = OrderedKey()
            key.append(UInt16(5))
            key.append(conversation)
            key.append(number)
            let kind: RowKind = value == nil ? .delete : .put
            model.rows.append(
                ModelRow(
                    key: InternalKey.make(userKey: key.bytes, sequence: sequence, kind: kind),
                    value: Array((value ?? "").utf8)))
        }
        add(0xC0FF_EE00_0000_0001, 1, 100, "hello")
        add(0xC0FF_EE00_0000_0001, 2, 104, "hi, edited")
        add(0xC0FF_EE00_0000_0001, 2, 101, "hi")
        add(0xC0FF_EE00_0000_0001, 3, 102, nil)
        add(0xC0FF_EE00_0000_0002, 1, 103, String(repeating: "na", count: 40))
        model.tombstones = [
            RangeTombstone(lower: [0, 5, 0xAA], upper: [0, 5, 0xAB], sequence: 99)
        ]
        return model
    }

    @Test("is that of the golden file, and its dump explains it")
    func golden() throws {
        let file = MemoryFile()
        _ = try example().write(fileID: 0x2A, to: file)
        try Golden.check("000000000000002a.sst", file.bytes)
        let reader = try TableReader.open(
            file: file, fileID: 0x2A, cache: BlockCache(budgetBytes: 0))
        var text = ""
        try TableDump.write(reader) { text += $0 + "\n" }
        try Golden.check("000000000000002a.txt", Array(text.utf8))
    }

    @Test("has columns as in the golden file, between rows for a key that stands twice")
    func goldenColumns() throws {
        let file = MemoryFile()
        _ = try example(columns: true).write(fileID: 0x2B, to: file)
        try Golden.check("000000000000002b.sst", file.bytes)
        let reader = try TableReader.open(
            file: file, fileID: 0x2B, cache: BlockCache(budgetBytes: 0))
        var text = ""
        try TableDump.write(reader) { text += $0 + "\n" }
        try Golden.check("000000000000002b.txt", Array(text.utf8))
    }

    @Test("has a digest that says 256 KiB pieces in a chain")
    func chainsDigest() throws {
        var maker = TableMaker(seed: 4)
        var model = maker.table(rows: 5000, style: 2)
        model.options.isCompressed = false
        for number in model.rows.indices { model.rows[number].value = maker.bytes(100) }
        let file = MemoryFile()
        let summary = try model.write(fileID: 0x2A, to: file)
        #expect(file.bytes.count > 2 * TableFormat.digestPieceBytes)
        var digest: UInt64 = 0x2A
        var rest = file.bytes[...]
        while !rest.isEmpty {
            digest = Checksum.xxh3(Array(rest.prefix(256 << 10)), seed: digest)
            rest = rest.dropFirst(256 << 10)
        }
        #expect(digest == summary.digest)
    }
}
