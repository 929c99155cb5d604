import Bytes
import Platform
import SortedTable
import Testing

@Suite("The block cache")
struct BlockCacheTests {
    /// A table of so many rows of 100-byte values, about 30 a block.
    private func table(rows: Int, fileID: UInt64, to file: MemoryFile) throws {
        var model = ModelTable(options: TableOptions(keyspace: 1, blockBytes: 4096))
        for number in 0..<rows {
            var key = OrderedKey()
            key.append(UInt64(number))
            model.rows.append(
                ModelRow(
                    key: InternalKey.make(userKey: key.bytes, sequence: 1, kind: .put),
                    value: [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 100)))
        }
        _ = try model.write(fileID: fileID, to: file)
    }

    private func get(_ reader: TableReader, _ number: Int) throws -> ModelRow? {
        var key = OrderedKey()
        key.append(UInt64(number))
        return try reader.row(key.bytes, at: 9)
    }

    @Test("reads a block from the disk once while it has room")
    func keepsBlocks() throws {
        let file = MemoryFile()
        try table(rows: 3000, fileID: 1, to: file)
        let cache = BlockCache(budgetBytes: 8 << 20)
        let reader = try TableReader.open(file: file, fileID: 1, cache: cache)
        _ = try reader.allRows()
        let reads = file.reads
        _ = try reader.allRows()
        for number in 0..<3000 where number % 7 == 0 { #expect(try get(reader, number) != nil) }
        let filterReads = 3
        #expect(file.reads <= reads + filterReads)
        #expect(cache.statistics.hits > 3000 / 7 && cache.statistics.evictions == 0)
    }

    @Test("keeps its budget, and what was looked up twice survives a scan")
    func resistsScans() throws {
        let hotFile = MemoryFile()
        let coldFile = MemoryFile()
        try table(rows: 1000, fileID: 1, to: hotFile)
        try table(rows: 12_000, fileID: 2, to: coldFile)
        let cache = BlockCache(budgetBytes: 600_000, shardsMax: 1)
        let hot = try TableReader.open(file: hotFile, fileID: 1, cache: cache)
        let cold = try TableReader.open(file: coldFile, fileID: 2, cache: cache)
        for _ in 0..<4 {
            for number in 0..<1000 where number % 10 == 0 { _ = try get(hot, number) }
        }
        _ = try cold.allRows()
        let statistics = cache.statistics
        #expect(statistics.evictions > 100)
        #expect(statistics.bytes + statistics.fixedBytes <= cache.budgetBytes)
        let reads = hotFile.reads
        for number in 0..<1000 where number % 10 == 0 { _ = try get(hot, number) }
        #expect(hotFile.reads == reads, "hot blocks were pushed out by a scan")
    }

    @Test("keeps the hottest blocks though all blocks of a segment are hot")
    func keepsHottest() throws {
        let file = MemoryFile()
        try table(rows: 12_000, fileID: 1, to: file)
        let cache = BlockCache(budgetBytes: 700_000, shardsMax: 1)
        let reader = try TableReader.open(file: file, fileID: 1, cache: cache)
        // Block number n is asked for n times more rarely than the first.
        let blocks = 400
        var sums: [Double] = []
        for number in 1...blocks { sums.append((sums.last ?? 0) + 1 / Double(number)) }
        let total = sums[blocks - 1]
        var random = SplitMix64(seed: 5)
        let asked = 20_000
        let reads = file.reads
        for _ in 0..<asked {
            let drawn = Double(random.next() % 1_000_000) / 1_000_000 * total
            let block = sums.firstIndex { $0 > drawn } ?? 0
            _ = try get(reader, block * 30)
        }
        // What a cache would miss that always held the first blocks, as many as there is room for.
        let room = 700_000 / 4_400
        let least = Double(asked) * (1 - sums[room - 1] / total)
        #expect(Double(file.reads - reads) < 2.1 * least, "\(file.reads - reads), least \(least)")
    }

    @Test("forgets the blocks of a removed file, and gives fixed bytes back")
    func forgetsFiles() throws {
        let file = MemoryFile()
        try table(rows: 2000, fileID: 1, to: file)
        let cache = BlockCache(budgetBytes: 4 << 20)
        do {
            let reader = try TableReader.open(file: file, fileID: 1, cache: cache)
            _ = try reader.allRows()
            #expect(cache.statistics.blocks > 50 && cache.statistics.fixedBytes > 0)
            cache.removeAll(fileID: 1)
            #expect(cache.statistics.blocks == 0 && cache.statistics.bytes == 0)
            #expect(try reader.allRows().count == 2000)
        }
        #expect(cache.statistics.fixedBytes == 0)
        cache.removeAll(fileID: 1)
        #expect(cache.statistics.bytes == 0)
    }

    @Test("does not evict what an iterator stands in, and its bytes stay right")
    func pinsBlocks() throws {
        let file = MemoryFile()
        try table(rows: 3000, fileID: 1, to: file)
        let cache = BlockCache(budgetBytes: 60_000, shardsMax: 1)
        let reader = try TableReader.open(file: file, fileID: 1, cache: cache)
        let iterators = (0..<4).map { _ in reader.makeIterator() }
        for (place, iterator) in iterators.enumerated() {
            var key = OrderedKey()
            key.append(UInt64(place * 500))
            try iterator.seek(InternalKey.makeSeek(userKey: key.bytes))
        }
        _ = try reader.allRows()
        for (place, iterator) in iterators.enumerated() {
            let expected = UInt8(truncatingIfNeeded: place * 500)
            #expect(iterator.row?.value == [UInt8](repeating: expected, count: 100))
        }
    }

    @Test("keeps its budget and answers rightly under many threads", arguments: [1, 8])
    func isThreadSafe(shards: Int) async throws {
        let budget = 400_000 * shards
        let cache = BlockCache(budgetBytes: budget, shardsMax: shards)
        let readers = try (1...3).map { id in
            let file = MemoryFile()
            try table(rows: 4000, fileID: UInt64(id), to: file)
            return try TableReader.open(file: file, fileID: UInt64(id), cache: cache)
        }
        let outcomes = await withTaskGroup(of: (wrong: Int, peak: Int).self) { group in
            for worker in 0..<6 {
                group.addTask { hammer(readers, cache, worker) }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.map(\.wrong) == [0, 0, 0, 0, 0, 0])
        #expect(outcomes.allSatisfy { $0.peak <= budget })
    }
}

/// Random reads by one thread: wrong answers, and the most bytes the cache was seen to hold.
private func hammer(
    _ readers: [TableReader], _ cache: BlockCache, _ worker: Int
) -> (wrong: Int, peak: Int) {
    var random = SplitMix64(seed: UInt64(worker))
    var wrong = 0
    var peak = 0
    for step in 0..<1500 {
        let number = Int(random.next() % 4000)
        let reader = readers[Int(random.next() % 3)]
        var key = OrderedKey()
        key.append(UInt64(number))
        let row = try? reader.row(key.bytes, at: 9)
        if row?.value.first != UInt8(truncatingIfNeeded: number) { wrong += 1 }
        if step % 50 == 0 {
            let now = cache.statistics
            peak = max(peak, now.bytes + now.fixedBytes)
            if worker == 0 { cache.removeAll(fileID: 2) }
        }
    }
    return (wrong, peak)
}
