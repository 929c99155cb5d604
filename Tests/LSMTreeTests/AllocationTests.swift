import Bytes
import CAllocationCount
import Simulation
import SortedTable
import Testing

@testable import LSMTree

/// What a row costs the allocator once things are warm: nothing.
///
/// The counter stands in front of the allocator of this whole program and counts by thread, so
/// suites that run beside this one do not disturb it.
@Suite(.enabled(if: allocation_count() != .max, "a sanitizer has an allocator of its own"))
struct AllocationTests {
    private static let rows = 20_000
    private let tree: Tree

    /// A tree with rows in the memtable, in level 0 and below, every block of it in the cache.
    init() throws {
        var options = TreeOptions(keyspaces: [
            KeyspaceOptions(Harness.messages, name: "messages", filterPrefixLength: 8),
            KeyspaceOptions(
                Harness.heads, name: "heads", filterPrefixLength: 8, isNumbered: true),
        ])
        options.memtableBytes = 1 << 19
        options.levelBaseBytes = 1 << 20
        options.tableBytes = 1 << 18
        options.blockCacheBytes = 64 << 20
        let scheduler = SimulatedScheduler(seed: 1)
        tree = try Harness.open(SimulatedFileSystem(seed: 1), options, scheduler)
        var generator = SplitMix64(seed: 1)
        for number in 0..<(2 * Self.rows) {
            let isLast = number + 1 == 2 * Self.rows
            apply(generator.next() % UInt64(Self.rows))
            if isLast || !tree.shouldCut { continue }
            tree.cut(state: []) { _ in }
            scheduler.runUntilIdle()
        }
        for keyspace in [Harness.messages, Harness.heads] {
            let iterator = try tree.snapshot().makeIterator(keyspace)
            try iterator.seekToFirst()
            while iterator.isValid { try iterator.next() }
            // Filters, which a scan does not ask.
            for number in 0..<UInt64(Self.rows) {
                let reader = tree.reader()
                _ = try Self.withKey(number) { try reader.value(of: $0, in: keyspace) }
            }
        }
        let levels = tree.statistics.keyspaces[0].levels.filter { $0.rows > 0 }
        #expect(levels.count >= 2 && tree.memtableBytes > 0, "rows stand in several places")
        #expect(tree.statistics.cache.evictions == 0, "everything is cached")
    }

    private static func withKey<Value>(
        _ number: UInt64, _ body: (UnsafeRawBufferPointer) throws -> Value
    ) rethrows -> Value {
        let words = ((number >> 7).bigEndian, number.bigEndian)
        return try withUnsafeBytes(of: words, body)
    }

    private func apply(_ number: UInt64) {
        var batch = WriteBatch()
        fill(&batch, number)
        tree.apply(batch)
    }

    private func fill(_ batch: inout WriteBatch, _ number: UInt64) {
        let value: (UInt64, UInt64, UInt64) = (number, number, number)
        Self.withKey(number) { key in
            withUnsafeBytes(of: value) { value in
                batch.put(Harness.messages, key: key, value: value)
                batch.put(Harness.heads, key: key, value: value)
            }
        }
    }

    private func allocations(_ body: () throws -> Void) rethrows -> UInt64 {
        let before = allocation_count()
        try body()
        return allocation_count() - before
    }

    /// Where allocated things are put, so that no optimizer does without them; one test uses it.
    nonisolated(unsafe) private static var shelf: Any?

    @Test("the counter sees raw memory, an object and an array")
    func counts() {
        func raw(alignment: Int) -> UInt64 {
            allocations {
                let memory = UnsafeMutableRawPointer.allocate(
                    byteCount: 100, alignment: alignment)
                Self.shelf = memory
                memory.deallocate()
            }
        }
        final class Thing { var number = 1 }
        let object = allocations { Self.shelf = Thing() }
        let array = allocations { Self.shelf = [UInt8](repeating: 1, count: 100) }
        #expect([raw(alignment: 8), raw(alignment: 64), object, array].allSatisfy { $0 >= 1 })
        #expect(allocations {} == 0)
    }

    @Test("a look-up of a cached row allocates nothing")
    func hit() throws {
        for keyspace in [Harness.messages, Harness.heads] {
            var generator = SplitMix64(seed: 2)
            var found = 0
            let count = try allocations {
                for _ in 0..<5_000 {
                    let reader = tree.reader()
                    let value = try Self.withKey(generator.next() % UInt64(Self.rows)) { key in
                        try reader.value(of: key, in: keyspace)
                    }
                    if value?.count == 24 { found += 1 }
                }
            }
            #expect(count == 0)
            #expect(found > 4_000)
        }
    }

    @Test("a step of an iterator allocates nothing, in and between blocks, forward and backward")
    func next() throws {
        for keyspace in [Harness.messages, Harness.heads] {
            let iterator = try tree.snapshot().makeIterator(keyspace)
            var rows = 0
            try iterator.seekToFirst()
            let forward = try allocations {
                while iterator.isValid {
                    rows += iterator.value.count / 24
                    try iterator.next()
                }
            }
            #expect(forward == 0)
            try iterator.seekToLast()
            let backward = try allocations {
                while iterator.isValid {
                    rows -= iterator.value.count / 24
                    try iterator.previous()
                }
            }
            #expect(backward == 0)
            #expect(rows == 0)
        }
    }

    /// A memtable takes its memory in pieces of 1 MiB: rows of this test fill less than one, so at
    /// most one of its turns finds the last piece full.
    @Test("an applied row allocates nothing but pieces of the memtable")
    func appliedRow() {
        var batch = WriteBatch()
        fill(&batch, 0)
        var generator = SplitMix64(seed: 3)
        let before = tree.memtableBytes
        let turns = (0..<40).map { _ in
            allocations {
                for _ in 0..<100 {
                    batch.removeAll()
                    fill(&batch, generator.next() % UInt64(Self.rows))
                    tree.apply(batch)
                }
            }
        }
        let bytes = tree.memtableBytes - before
        #expect(bytes > 400_000 && bytes < Arena.chunkBytes)
        #expect(turns.count { $0 > 0 } <= 1, "\(turns)")
    }
}
