import Bytes
import Platform
import SortedTable
import Testing

@Suite("A rotten table")
struct TableCorruptionTests {
    /// Everything there is to read, or the error.
    private func readAll(
        _ file: MemoryFile, _ model: ModelTable, fileID: UInt64 = 7, withGets: Bool = true
    ) throws(TableError) {
        let reader = try TableReader.open(
            file: file, fileID: fileID, cache: BlockCache(budgetBytes: 0))
        do {
            let rows = try reader.allRows()
            #expect(rows == model.rows, "wrong rows")
            for row in model.rows where withGets {
                #expect(try reader.row(row.userKey, at: row.sequence) == row, "wrong row")
                if row.userKey.count >= 18 {
                    #expect(try reader.mayContain(prefix: row.userKey), "lost prefix")
                }
            }
            #expect(reader.rangeTombstones.count == model.tombstones.count, "wrong tombstones")
            try reader.verify()
        } catch let error as TableError {
            throw error
        } catch {
            Issue.record("unexpected error \(error)")
        }
    }

    private func small(compressed: Bool, columns: Bool = false) -> ModelTable {
        var maker = TableMaker(seed: 11)
        var model = ModelTable(
            options: TableOptions(
                keyspace: 1, blockBytes: 120, indexBlockBytes: 70, isCompressed: compressed,
                filterPrefixLength: 18, isNumbered: columns))
        for number in 0..<8 {
            var key = OrderedKey()
            key.append(UInt16(5))
            key.append(UInt64(number / 4))
            key.append(UInt64(1))
            key.append(UInt64(number))
            model.rows.append(
                ModelRow(
                    key: InternalKey.make(
                        userKey: key.bytes, sequence: UInt64(number), kind: .put),
                    value: maker.bytes(4) + [UInt8](repeating: 0x20, count: 12)))
        }
        model.tombstones = [RangeTombstone(lower: [1], upper: [2], sequence: 9)]
        return model
    }

    @Test(
        "gives right data or a precise error for every flipped bit", arguments: [false, true],
        [false, true])
    func survivesBitFlips(compressed: Bool, columns: Bool) throws {
        let model = small(compressed: compressed, columns: columns)
        let file = MemoryFile("/data/0000000000000007.sst")
        _ = try model.write(to: file)
        let good = file.bytes
        try readAll(file, model)
        var flips = 0
        for bit in 0..<(good.count * 8) {
            var bytes = good
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            file.bytes = bytes
            do {
                try readAll(file, model, withGets: bit % 16 == 5)
                Issue.record("bit \(bit) flipped and nobody noticed")
            } catch {
                guard case .corrupt(let path, let offset, _, _) = error else {
                    Issue.record("bit \(bit): \(error)")
                    continue
                }
                #expect(path == file.path && offset <= UInt64(bit / 8), "bit \(bit): \(error)")
                flips += 1
            }
        }
        #expect(flips == good.count * 8)
    }

    @Test("is refused at every length that is not its own", arguments: [false, true])
    func refusesTruncation(compressed: Bool) throws {
        let model = small(compressed: compressed)
        let file = MemoryFile()
        _ = try model.write(to: file)
        let good = file.bytes
        for length in 0..<good.count {
            file.bytes = [UInt8](good.prefix(length))
            #expect(throws: TableError.self, "length \(length)") { try readAll(file, model) }
        }
        file.bytes = good + [0]
        #expect(throws: TableError.self) { try readAll(file, model) }
    }

    @Test("is refused when two of its blocks change places")
    func detectsSwappedBlocks() throws {
        let model = small(compressed: false)
        let file = MemoryFile()
        _ = try model.write(to: file)
        let good = file.bytes
        let blocks = try TableReader.open(
            file: file, fileID: 7, cache: BlockCache(budgetBytes: 0)
        ).layout().blocks
        var pairs = 0
        for (left, first) in blocks.enumerated() {
            for second in blocks[(left + 1)...] where second.handle.bytes == first.handle.bytes {
                let length = Int(first.handle.bytes) + TableFormat.trailerBytes
                let a = Int(first.handle.offset)
                let b = Int(second.handle.offset)
                var bytes = good
                bytes.replaceSubrange(a..<(a + length), with: good[b..<(b + length)])
                bytes.replaceSubrange(b..<(b + length), with: good[a..<(a + length)])
                file.bytes = bytes
                pairs += 1
                #expect(throws: TableError.self, "\(first.role) at \(a), \(second.role) at \(b)") {
                    try readAll(file, model)
                }
            }
        }
        #expect(pairs > 3)
    }

    @Test("is refused under another file's id, and when another file's block stands in it")
    func detectsSwappedFiles() throws {
        let model = small(compressed: false)
        let file = MemoryFile()
        let other = MemoryFile()
        _ = try model.write(fileID: 7, to: file)
        _ = try model.write(fileID: 8, to: other)
        #expect(throws: TableError.self) { try readAll(file, model, fileID: 8) }
        #expect(file.bytes.count == other.bytes.count)
        let blocks = try TableReader.open(
            file: file, fileID: 7, cache: BlockCache(budgetBytes: 0)
        ).layout().blocks
        let good = file.bytes
        for block in blocks {
            let range =
                Int(block.handle.offset)..<(Int(block.handle.offset) + Int(block.handle.bytes) + 9)
            var bytes = good
            bytes.replaceSubrange(range, with: other.bytes[range])
            file.bytes = bytes
            #expect(throws: TableError.self, "\(block.role)") { try readAll(file, model) }
        }
    }

    @Test("never traps on random bytes behind right checksums", arguments: Long.seeds(0, 120))
    func survivesSealedRubbish(seed: UInt64) throws {
        // Every block is damaged and sealed again, so the parsers behind the checksums are met.
        var maker = TableMaker(seed: seed)
        let model = small(compressed: seed % 2 == 0, columns: seed % 3 != 0)
        let file = MemoryFile()
        _ = try model.write(to: file)
        let good = file.bytes
        let blocks = try TableReader.open(
            file: file, fileID: 7, cache: BlockCache(budgetBytes: 0)
        ).layout().blocks
        for block in blocks {
            var bytes = good
            let start = Int(block.handle.offset)
            let end = start + Int(block.handle.bytes)
            for _ in 0...maker.below(4) {
                bytes[start + maker.below(end - start)] = maker.pick([0, 1, 0x7F, 0x80, 0xFF])
            }
            let seed = Checksum.seed(file: 7, offset: UInt64(start))
            let sum = Checksum.xxh3([UInt8](bytes[start...end]), seed: seed)
            for byte in 0..<8 {
                bytes[end + 1 + byte] = UInt8(truncatingIfNeeded: sum >> UInt64(8 * byte))
            }
            file.bytes = bytes
            touchAll(file, model)
        }
    }

    /// Reads everything and accepts every answer: only a trap fails.
    private func touchAll(_ file: MemoryFile, _ model: ModelTable) {
        do {
            let reader = try TableReader.open(
                file: file, fileID: 7, cache: BlockCache(budgetBytes: 0))
            _ = try? reader.verify()
            _ = try? reader.layout()
            _ = try? reader.allRows()
            for row in model.rows {
                _ = try? reader.row(row.userKey, at: row.sequence)
                _ = try? reader.mayContain(prefix: row.userKey)
                let iterator = reader.makeIterator()
                try? iterator.seek(row.key)
                if iterator.isValid { try? iterator.previous() }
                try? iterator.seekForPrevious(row.key)
            }
        } catch {}
    }
}
