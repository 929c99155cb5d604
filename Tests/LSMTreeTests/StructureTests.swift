import Bytes
import SortedTable
import Testing

@testable import LSMTree

/// The memtable's skip list against a sorted array.
@Suite struct SkipListTests {
    @Test("rows come back in order, both ways, at every sequence", arguments: 0..<20)
    func order(seed: UInt64) throws {
        var generator = SplitMix64(seed: seed)
        let options = TreeOptions(keyspaces: [KeyspaceOptions(Harness.messages, name: "m")])
        let part = Memtable(options.keyspaces, firstSequence: 1)
        var history: [(key: [UInt8], value: [UInt8]?)] = []
        for sequence in 1...200 {
            let key = Harness.key(&generator)
            var batch = WriteBatch()
            let isPut = generator.next() % 4 != 0
            let value = [UInt8(truncatingIfNeeded: sequence)]
            if isPut {
                batch.put(Harness.messages, key: key, value: value)
            } else {
                batch.delete(Harness.messages, key: key)
            }
            history.append((key, isPut ? value : nil))
            part.insert(batch, first: UInt64(sequence), places: KeyspacePlaces(options))
        }
        for sequence in [0, 1, 50, 199, 200] {
            var newest: [[UInt8]: [UInt8]?] = [:]
            for row in history[..<sequence] { newest[row.key] = row.value }
            let expected = newest.sorted { $0.key.lexicographicallyPrecedes($1.key) }
            var source = MergeSource(part.parts[0], at: UInt64(sequence))
            defer { source.deallocate() }
            let shown = source.shown
            var forward: [[UInt8]] = []
            try source.seek(UnsafeRawBufferPointer(start: nil, count: 0))
            while shown.pointee.isValid {
                let (key, row) = ([UInt8](shown.pointee.userKey), shown.pointee)
                forward.append(key)
                let value = expected.first { $0.key == key }?.value
                #expect((value ?? nil) == (row.isDelete ? nil : [UInt8](row.value)))
                try source.next()
            }
            var backward: [[UInt8]] = []
            try source.seekBefore(nil)
            while shown.pointee.isValid {
                backward.append([UInt8](shown.pointee.userKey))
                try source.previous()
            }
            #expect(forward == expected.map(\.key), "seed \(seed), sequence \(sequence)")
            #expect(backward.reversed() == expected.map(\.key), "seed \(seed)")
        }
    }

    @Test("values larger than a chunk of the arena are kept")
    func largeValues() {
        let options = TreeOptions(keyspaces: [KeyspaceOptions(Harness.messages, name: "m")])
        let memtable = Memtable(options.keyspaces, firstSequence: 1)
        for index in 0..<6 {
            var batch = WriteBatch()
            let value = [UInt8](repeating: UInt8(index), count: index * 700_000)
            batch.put(Harness.messages, key: [UInt8(index)], value: value)
            memtable.insert(batch, first: UInt64(index + 1), places: KeyspacePlaces(options))
        }
        let list = memtable.parts[0].index.list
        for index in 0..<6 {
            let node = [UInt8(index)].withUnsafeBytes { list.find($0, at: 100) }
            #expect(node != 0)
            #expect(list.value(node).count == index * 700_000)
            #expect(list.value(node).allSatisfy { $0 == UInt8(index) })
        }
    }
}

/// Fragmented range tombstones against a list that is searched.
@Suite struct RangeTombstoneSetTests {
    @Test("fragments answer as the list of all tombstones does", arguments: 0..<50)
    func fragments(seed: UInt64) {
        // What is decided by the first 16 bytes, and what by those behind them.
        let start = [UInt8](repeating: 7, count: [0, 15, 16, 20][Int(seed % 4)])
        var generator = SplitMix64(seed: seed)
        var set = RangeTombstoneSet(keepsHistory: true)
        var all: [RangeTombstone] = []
        var kept = 0
        for sequence in 1...30 {
            let tombstone = RangeTombstone(
                lower: start + Harness.key(&generator), upper: start + Harness.key(&generator),
                sequence: UInt64(sequence))
            kept += set.insert(tombstone)
            all.append(tombstone)
        }
        #expect(kept == set.fragments.reduce(0) { $0 + $1.sequences.count }, "seed \(seed)")
        for (left, right) in zip(set.fragments, set.fragments.dropFirst()) {
            #expect(left.upper <= right.lower, "seed \(seed)")
        }
        let newest = RangeTombstoneSet(all)
        for _ in 0..<200 {
            let key = start + Harness.key(&generator)
            let limit = generator.next() % 40
            let covering = all.filter {
                !KeyOrder.less(key, $0.lower) && KeyOrder.less(key, $0.upper)
            }
            let expected = covering.map(\.sequence).filter { $0 <= limit }.max() ?? 0
            let found = key.withUnsafeBytes { set.newest(covering: $0, at: limit) }
            #expect(found == expected, "seed \(seed), key \(Hex.encode(key))")
            let top = key.withUnsafeBytes { newest.newest(covering: $0, at: .max) }
            #expect(top == covering.map(\.sequence).max() ?? 0, "seed \(seed)")
        }
    }
}

/// What a batch holds is what was put in.
@Suite struct WriteBatchTests {
    @Test("rows come back in order with their bytes")
    func rows() {
        var batch = WriteBatch()
        batch.put(Harness.messages, key: [1], value: [UInt8](repeating: 9, count: 300))
        batch.delete(Harness.heads, key: [])
        batch.deleteRange(Harness.dedup, from: [2], to: [3])
        batch.deleteRange(Harness.dedup, from: [3], to: [3])
        batch.deleteRange(Harness.dedup, from: [4], to: [3])
        var seen: [String] = []
        batch.forEach { row in
            seen.append(
                "\(row.kind) \(row.keyspace.rawValue) \(row.key.count) \(row.value.count)")
        }
        #expect(seen == ["put 1 1 300", "delete 2 0 0", "rangeDelete 3 1 1"])
        #expect(batch.count == 3)
        #expect(batch.byteCount == batch.withBytes { $0.count })
        var both = batch
        both.append(batch)
        #expect(both.count == 6)
        #expect(both.byteCount == 2 * batch.byteCount)
        batch.removeAll()
        #expect(batch.isEmpty && batch.byteCount == 0)
    }
}
