import SortedTable
import Synchronization

/// The newest rows of all keyspaces, in memory: one arena, one skip list per keyspace, and for
/// numbered keyspaces ``NumberedRuns`` before it.
///
/// A list per keyspace, not a prefix per key: searches are shorter, and each list keeps its own
/// splice, so a batch that touches four keyspaces disturbs none of them.
///
/// One writer; any number of readers at sequences that were published (see ``SkipList``).
final class Memtable: Sendable {
    /// One keyspace's part.
    final class Part: Sendable {
        let index: MemtableIndex
        private let listWriter: SkipListWriter
        private let runsWriter: NumberedRunsWriter?
        /// A fragment, and the headers of its bounds' arrays.
        private static let fragmentBytes =
            MemoryLayout<RangeTombstoneSet.Fragment>.stride + 2 * 32
        /// Range deletes; readers take the value.
        private let tombstones = Mutex(RangeTombstoneSet(keepsHistory: true))
        /// Lets readers skip the lock when there are none.
        private let hasTombstones = Atomic<Bool>(false)
        private let rowCount = Atomic<Int>(0)

        init(_ options: KeyspaceOptions, arena: Arena, seed: UInt64) {
            listWriter = SkipListWriter(arena: arena, seed: seed)
            if options.isNumbered, let length = options.filterPrefixLength {
                runsWriter = NumberedRunsWriter(arena: arena, prefixLength: length, seed: seed)
            } else {
                runsWriter = nil
            }
            index = MemtableIndex(list: listWriter.list, runs: runsWriter?.runs)
        }

        /// Rows inserted, range deletes excluded.
        var rows: Int { rowCount.load(ordering: .acquiring) }

        /// The range deletes so far.
        func rangeTombstones() -> RangeTombstoneSet? {
            guard hasTombstones.load(ordering: .acquiring) else { return nil }
            return tombstones.withLock { $0 }
        }

        /// The newest range delete over `key` at or below `sequence`; 0 when there is none.
        @inline(__always)
        func newestTombstone(
            covering key: UnsafeRawBufferPointer, at sequence: SequenceNumber
        ) -> SequenceNumber {
            guard hasTombstones.load(ordering: .acquiring) else { return 0 }
            return tombstones.withLock { $0.newest(covering: key, at: sequence) }
        }

        fileprivate func insert(
            _ row: WriteBatch.Row, _ sequence: SequenceNumber
        ) -> Int {
            if row.kind == .rangeDelete {
                let tombstone = RangeTombstone(
                    lower: [UInt8](row.key), upper: [UInt8](row.value), sequence: sequence)
                let kept = tombstones.withLock { $0.insert(tombstone) }
                hasTombstones.store(true, ordering: .releasing)
                // What is kept of older ones grows with each that overlaps them: counted, so that a
                // cut comes before it is much.
                return row.key.count + row.value.count + Self.fragmentBytes
                    + kept * MemoryLayout<SequenceNumber>.size
            }
            rowCount.add(1, ordering: .releasing)
            let trailer = sequence &<< 8 | UInt64(row.kind.rawValue)
            if let runsWriter,
                let bytes = runsWriter.insert(key: row.key, trailer: trailer, value: row.value)
            {
                return bytes
            }
            return listWriter.insert(key: row.key, trailer: trailer, value: row.value)
        }
    }

    /// One per keyspace, in the order of the options.
    let parts: [Part]
    /// The first sequence that may stand here.
    let firstSequence: SequenceNumber
    private let arena = Arena()
    private let usedBytes = Atomic<Int>(0)

    init(_ keyspaces: [KeyspaceOptions], firstSequence: SequenceNumber) {
        let arena = self.arena
        parts = keyspaces.enumerated().map { place, options in
            Part(options, arena: arena, seed: UInt64(place))
        }
        self.firstSequence = firstSequence
    }

    /// Bytes that rows took.
    var bytes: Int { usedBytes.load(ordering: .relaxed) }

    /// Inserts the rows of `batch` with the sequences from `first` on.
    func insert(_ batch: WriteBatch, first: SequenceNumber, places: KeyspacePlaces) {
        var sequence = first
        var used = 0
        batch.forEach { row in
            used += parts[places[row.keyspace]].insert(row, sequence)
            sequence += 1
        }
        usedBytes.add(used, ordering: .relaxed)
    }
}

/// Where a keyspace's rows stand: what a look-up needs, without a reference count to touch. Valid
/// as long as the memtable's part is.
struct MemtableIndex: Sendable {
    let list: SkipList
    /// Of a numbered keyspace. Where both have rows of a key, those of the list are newer.
    let runs: NumberedRuns?

    /// The newest row of `key` at or below `sequence`.
    @inline(__always)
    func find(_ key: UnsafeRawBufferPointer, at sequence: SequenceNumber) -> MemtableRow? {
        if runs == nil || !list.isEmpty {
            let node = list.find(key, at: sequence)
            if node != 0 {
                return MemtableRow(trailer: list.trailer(node), value: list.value(node))
            }
        }
        guard let row = runs?.find(key, at: sequence) else { return nil }
        return MemtableRow(trailer: NumberedRuns.trailer(row), value: NumberedRuns.value(row))
    }
}

/// A row that was found. Valid as long as the memtable's part is.
struct MemtableRow {
    /// Sequence and kind: sequence << 8 | kind.
    let trailer: UInt64
    let value: UnsafeRawBufferPointer
}

/// From a keyspace's number to its place in the options, without a search.
// Sendable: filled by init and never written again.
final class KeyspacePlaces: @unchecked Sendable {
    private static let none: UInt8 = 0xFF
    private let places: UnsafeMutablePointer<UInt8>

    init(_ options: TreeOptions) {
        places = .allocate(capacity: 256)
        places.initialize(repeating: Self.none, count: 256)
        for (index, keyspace) in options.keyspaces.enumerated() {
            places[Int(keyspace.keyspace.rawValue)] = UInt8(index)
        }
    }

    deinit { places.deallocate() }

    /// The place of a keyspace.
    ///
    /// - Precondition: the keyspace is in the options.
    @inline(__always)
    subscript(keyspace: Keyspace) -> Int {
        let place = places[Int(keyspace.rawValue)]
        precondition(place != Self.none, "this keyspace is not in the tree's options")
        return Int(place)
    }

    /// The place of a keyspace read from disk, or nil.
    func find(_ rawValue: UInt8) -> Int? {
        let place = places[Int(rawValue)]
        return place == Self.none ? nil : Int(place)
    }
}
