import Bytes
import Platform
import SortedTable
import Testing

@Suite("A table")
struct TableReaderTests {
    @Test(
        "answers as a sorted array does, for random tables and options",
        arguments: Long.seeds(0, 60))
    func agreesWithModel(seed: UInt64) throws {
        var maker = TableMaker(seed: seed)
        let model = maker.table(rows: maker.pick([1, 3, 17, 40, 300]))
        let file = MemoryFile()
        let summary = try model.write(to: file)
        let cache = BlockCache(budgetBytes: maker.pick([0, 1000, 20_000, 1 << 20]))
        let reader = try TableReader.open(file: file, fileID: 7, cache: cache)

        #expect(try reader.allRows() == model.rows, "seed \(seed)")
        #expect(reader.rangeTombstones.count == model.tombstones.count, "seed \(seed)")
        #expect(reader.properties == summary.properties, "seed \(seed)")
        var seen = 0
        let digest = try reader.verify { _, _ in seen += 1 }
        #expect(digest == summary.digest && seen == model.rows.count, "seed \(seed)")
        #expect(summary.bytes == UInt64(file.bytes.count), "seed \(seed)")

        for _ in 0..<150 {
            let probe =
                maker.below(2) == 0 || model.rows.isEmpty
                ? maker.userKey(maker.below(4)) : maker.pick(model.rows).userKey
            let sequence = maker.pick([
                0, SequenceNumber(maker.below(1000)), InternalKey.sequenceMax,
            ])
            #expect(
                try reader.row(probe, at: sequence) == model.get(probe, at: sequence),
                "seed \(seed), key \(Hex.encode(probe)) at \(sequence)")
        }
    }

    @Test("moves as a cursor over a sorted array does, both ways", arguments: Long.seeds(10000, 60))
    func walksLikeModel(seed: UInt64) throws {
        var maker = TableMaker(seed: seed)
        let model = maker.table(rows: maker.pick([1, 2, 16, 33, 200]))
        let file = MemoryFile()
        _ = try model.write(to: file)
        let cache = BlockCache(budgetBytes: maker.pick([0, 5000, 1 << 20]))
        let iterator = try TableReader.open(file: file, fileID: 7, cache: cache).makeIterator()
        var place: Int?
        for step in 0..<300 {
            switch maker.below(12) {
            case 0:
                try iterator.seekToFirst()
                place = model.rows.isEmpty ? nil : 0
            case 1:
                try iterator.seekToLast()
                place = model.rows.isEmpty ? nil : model.rows.count - 1
            case 2, 3:
                let key = probe(&maker, model)
                try iterator.seek(key)
                let bound = model.lowerBound(key)
                place = bound < model.rows.count ? bound : nil
            case 4, 5:
                let key = probe(&maker, model)
                try iterator.seekForPrevious(key)
                place = model.rows.lastIndex { InternalKey.compare($0.key, key) <= 0 }
            case 6...8:
                guard let now = place else { continue }
                try iterator.next()
                place = now + 1 < model.rows.count ? now + 1 : nil
            default:
                guard let now = place else { continue }
                try iterator.previous()
                place = now > 0 ? now - 1 : nil
            }
            #expect(iterator.row == place.map { model.rows[$0] }, "seed \(seed), step \(step)")
        }
    }

    private func probe(_ maker: inout TableMaker, _ model: ModelTable) -> [UInt8] {
        let sequence = SequenceNumber(maker.below(1000))
        switch maker.below(4) {
        case 0 where !model.rows.isEmpty:
            return maker.pick(model.rows).key
        case 1 where !model.rows.isEmpty:
            return InternalKey.makeSeek(userKey: maker.pick(model.rows).userKey, sequence: sequence)
        case 2 where !model.rows.isEmpty:
            var key = maker.pick(model.rows).userKey
            if !key.isEmpty { key[key.count - 1] &+= 1 }
            return InternalKey.makeSeek(userKey: key, sequence: sequence)
        default:
            return InternalKey.makeSeek(userKey: maker.userKey(maker.below(4)), sequence: sequence)
        }
    }

    @Test(
        "walks backward over exactly the rows it walks forward over",
        arguments: Long.seeds(20000, 15))
    func reversesForwardWalk(seed: UInt64) throws {
        var maker = TableMaker(seed: seed)
        let model = maker.table(rows: 250)
        let file = MemoryFile()
        _ = try model.write(to: file)
        let cache = BlockCache(budgetBytes: 1 << 20)
        let iterator = try TableReader.open(file: file, fileID: 7, cache: cache).makeIterator()
        var rows: [ModelRow] = []
        try iterator.seekToLast()
        while let row = iterator.row {
            rows.append(row)
            try iterator.previous()
        }
        #expect(rows.reversed() == model.rows, "seed \(seed)")
    }

    @Test(
        "never denies a prefix that it has, and denies most that it has not",
        arguments: Long.seeds(30000, 20))
    func knowsPrefixes(seed: UInt64) throws {
        var maker = TableMaker(seed: seed)
        var model = maker.table(rows: 300, style: maker.pick([0, 1, 2]))
        let length = maker.pick([1, 2, 5, 18])
        model.options.filterPrefixLength = length
        model.options.filterBitsPerKey = 10
        let file = MemoryFile()
        _ = try model.write(to: file)
        let cache = BlockCache(budgetBytes: 1 << 20)
        let reader = try TableReader.open(file: file, fileID: 7, cache: cache)
        for row in model.rows where row.userKey.count >= length {
            let prefix = [UInt8](row.userKey.prefix(length))
            #expect(try reader.mayContain(prefix: prefix), "seed \(seed), \(Hex.encode(prefix))")
            #expect(try reader.mayContain(prefix: row.userKey), "seed \(seed)")
        }
        var passed = 0
        for _ in 0..<300 where try reader.mayContain(prefix: maker.bytes(18)) { passed += 1 }
        // One-byte prefixes are mostly taken; longer random ones are hardly ever.
        if length >= 5 { #expect(passed < 30, "seed \(seed)") }
    }

    @Test("has the newest rows of every conversation in one block", arguments: 0..<20)
    func newestInOneBlock(seed: UInt64) throws {
        var maker = TableMaker(seed: seed)
        let blockBytes = 1000
        var model = ModelTable(
            options: TableOptions(
                keyspace: 1, blockBytes: blockBytes, indexBlockBytes: maker.pick([1, 300, 4096]),
                isCompressed: maker.below(2) == 0, filterPrefixLength: 8, isNumbered: true))
        var ends: [[UInt8]] = []
        for conversation in 1...30 as ClosedRange<UInt64> {
            var key = OrderedKey()
            for number in 1...UInt64(1 + maker.below(maker.pick([3, 20, 90]))) {
                key = OrderedKey()
                key.append(conversation)
                key.append(number)
                model.rows.append(
                    ModelRow(
                        key: InternalKey.make(userKey: key.bytes, sequence: number, kind: .put),
                        value: maker.bytes(20 + maker.below(100))))
            }
            ends.append(model.rows[model.rows.count - 1].key)
        }
        let file = MemoryFile()
        _ = try model.write(to: file)
        // Nothing is kept, so that each block entered is a read.
        let reader = try TableReader.open(
            file: file, fileID: 7, cache: BlockCache(budgetBytes: 0))
        _ = try reader.verify()
        let rowBytesMax = 120 + 24 + 16
        for end in ends {
            let iterator = reader.makeIterator()
            try iterator.seekForPrevious(end)
            let reads = file.reads
            var bytes = 0
            while let row = iterator.row, row.key.starts(with: end[..<8]) {
                bytes += row.key.count + row.value.count
                if bytes > blockBytes - rowBytesMax { break }
                #expect(file.reads == reads, "seed \(seed)")
                try iterator.previous()
            }
        }
        let iterator = reader.makeIterator()
        try iterator.seekToFirst()
        var (reads, bytes) = (file.reads, 0)
        while let row = iterator.row {
            if file.reads > reads { (reads, bytes) = (file.reads, 0) }
            bytes += row.value.count
            #expect(bytes <= 2 * blockBytes, "seed \(seed)")
            try iterator.next()
        }
    }

    @Test("may be empty, or hold range tombstones only")
    func holdsNothing() throws {
        for tombstones in [[], [RangeTombstone(lower: [1], upper: [2], sequence: 5)]] {
            var model = ModelTable(options: TableOptions(keyspace: 3))
            model.tombstones = tombstones
            let file = MemoryFile()
            let summary = try model.write(to: file)
            let reader = try TableReader.open(
                file: file, fileID: 7, cache: BlockCache(budgetBytes: 1 << 20))
            let iterator = reader.makeIterator()
            try iterator.seekToFirst()
            #expect(!iterator.isValid)
            try iterator.seekToLast()
            #expect(!iterator.isValid)
            try iterator.seekForPrevious(InternalKey.makeSeek(userKey: [9]))
            #expect(!iterator.isValid)
            #expect(try reader.row([1], at: 10) == nil)
            #expect(reader.rangeTombstones == tombstones)
            #expect(summary.isEmpty == tombstones.isEmpty)
            #expect(summary.smallestUserKey.elementsEqual(tombstones.isEmpty ? [] : [1]))
            #expect(summary.largestUserKey.elementsEqual(tombstones.isEmpty ? [] : [2]))
            try reader.verify()
        }
    }

    @Test("says what its rows are in its properties")
    func countsRows() throws {
        var model = ModelTable(options: TableOptions(keyspace: 9, isExpiring: true))
        func put(_ key: UInt8, _ sequence: UInt64, expiry: UInt64) {
            var value = ByteWriter()
            value.write(fixed: expiry)
            model.rows.append(
                ModelRow(
                    key: InternalKey.make(userKey: [key], sequence: sequence, kind: .put),
                    value: value.bytes))
        }
        put(1, 40, expiry: 700)
        put(2, 41, expiry: 300)
        model.rows.append(
            ModelRow(key: InternalKey.make(userKey: [3], sequence: 12, kind: .delete), value: []))
        let properties = try model.write(to: MemoryFile()).properties
        #expect(properties.rows == 3 && properties.deletes == 1 && properties.keyspace == 9)
        #expect(properties.minExpiry == 300 && properties.maxExpiry == 700)
        #expect(properties.minSequence == 12 && properties.maxSequence == 41)
        #expect(properties.rawKeyBytes == 27 && properties.rawValueBytes == 16)
        put(4, 50, expiry: 0)
        let forever = try model.write(to: MemoryFile()).properties
        #expect(forever.minExpiry == 300 && forever.maxExpiry == .max)
    }

    @Test("reports a failing disk as that")
    func reportsDisk() throws {
        var maker = TableMaker(seed: 1)
        let model = maker.table(rows: 50, style: 1)
        let failing = MemoryFile()
        failing.fail(writes: true)
        #expect(throws: TableError.disk(DiskError(.noSpace, "pwrite", "table.sst"))) {
            try model.write(to: failing)
        }
        failing.fail(sync: true)
        #expect(throws: TableError.disk(DiskError(.inputOutput, "fdatasync", "table.sst"))) {
            try model.write(to: failing)
        }
        let file = MemoryFile()
        _ = try model.write(to: file)
        let reader = try TableReader.open(file: file, fileID: 7, cache: BlockCache(budgetBytes: 0))
        file.fail(reads: true)
        #expect(throws: TableError.disk(DiskError(.inputOutput, "pread", "table.sst"))) {
            try reader.allRows()
        }
    }

    @Test("passes by blocks without a live row unread, both ways", arguments: 0..<20)
    func passesDeadBlocks(seed: Int) throws {
        var maker = TableMaker(seed: UInt64(seed) &+ 900)
        var model = ModelTable(
            options: TableOptions(
                keyspace: 1, blockBytes: 200, indexBlockBytes: 300,
                filterPrefixLength: 2, isNumbered: seed % 2 == 0, isExpiring: true))
        var isDead = false
        for number in 0..<400 as Range<UInt64> {
            var key = OrderedKey()
            key.append(UInt16(number / 100))
            key.append(number)
            if maker.below(25) == 0 { isDead.toggle() }
            let kind: RowKind = isDead && maker.below(3) == 0 ? .delete : .put
            let expiry: UInt64 = isDead ? 1 + UInt64(maker.below(50)) : maker.pick([0, 51, 90])
            let value = kind == .put ? withUnsafeBytes(of: expiry.littleEndian) { [UInt8]($0) } : []
            model.rows.append(
                ModelRow(
                    key: InternalKey.make(userKey: key.bytes, sequence: number, kind: kind),
                    value: value))
        }
        let file = MemoryFile()
        _ = try model.write(to: file)
        let reader = try TableReader.open(file: file, fileID: 7, cache: BlockCache(budgetBytes: 0))
        try reader.verify()
        let blocks = try reader.layout().blocks.filter { [.data, .columns].contains($0.role) }
        let shown = blocks.map { block in
            let first = model.lowerBound(block.firstKey)
            let rows = model.rows[first..<(first + block.rows)]
            return rows.allSatisfy { $0.isDead(at: 50) } ? [] : Array(rows)
        }
        let indexes = try reader.layout().blocks.count { $0.role == .index }
        let expected = shown.flatMap { $0 }
        #expect(expected.count < 400 && expected.count > 0, "seed \(seed)")

        let iterator = TableIterator(reader, expiryHorizon: 50)
        let before = file.reads
        var forward: [ModelRow] = []
        try iterator.seekToFirst()
        while let row = iterator.row {
            forward.append(row)
            try iterator.next()
        }
        #expect(forward == expected, "seed \(seed)")
        let read = indexes + shown.count { !$0.isEmpty }
        #expect(file.reads - before == read, "seed \(seed)")

        var backward: [ModelRow] = []
        try iterator.seekToLast()
        while let row = iterator.row {
            backward.append(row)
            try iterator.previous()
        }
        #expect(backward.reversed() == expected, "seed \(seed)")

        for row in model.rows {
            try iterator.seek(row.key)
            let next = expected.first { InternalKey.compare($0.key, row.key) >= 0 }
            #expect(iterator.row == next, "seed \(seed)")
            try iterator.seekForPrevious(row.key)
            let previous = expected.last { InternalKey.compare($0.key, row.key) <= 0 }
            #expect(iterator.row == previous, "seed \(seed)")
        }
    }
}

extension ModelRow {
    /// True for a delete, and for a put whose expiry is not behind the horizon.
    fileprivate func isDead(at horizon: UInt64) -> Bool {
        guard kind == .put else { return true }
        let expiry = value.withUnsafeBytes {
            UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self))
        }
        return expiry > 0 && expiry <= horizon
    }
}
