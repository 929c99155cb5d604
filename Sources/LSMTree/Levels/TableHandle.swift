import Platform
import SortedTable
import Synchronization

/// An open table. Versions share handles; the file of one that no version lists any more is removed
/// when the last snapshot lets go of it.
final class TableHandle: Sendable {
    let metadata: TableMetadata
    let reader: TableReader
    /// The first and last user key, for look-ups.
    let bounds: TableBounds
    /// Fragments of the table's range tombstones, or nil.
    let tombstones: RangeTombstoneSet?
    private let file: any File
    private let cache: BlockCache
    private let graveyard: Graveyard
    private let isObsolete = Atomic<Bool>(false)

    init(
        summary: TableSummary, reader: TableReader, file: any File, cache: BlockCache,
        graveyard: Graveyard
    ) {
        let tombstones = reader.rangeTombstones
        let set = RangeTombstoneSet(tombstones)
        metadata = TableMetadata(summary: summary, tombstones: set.newestTombstones)
        bounds = TableBounds(metadata)
        self.reader = reader
        self.tombstones = set.isEmpty ? nil : set
        self.file = file
        self.cache = cache
        self.graveyard = graveyard
    }

    /// Says that a durable manifest no longer lists the table.
    func markObsolete() {
        isObsolete.store(true, ordering: .releasing)
    }

    deinit {
        bounds.deallocate()
        file.close()
        if isObsolete.load(ordering: .acquiring) {
            graveyard.bury(fileID: metadata.fileID, cache: cache)
        }
    }
}

/// Copies of a table's first and last user key that readers look at without touching an array.
// Sendable: never written after init.
struct TableBounds: @unchecked Sendable {
    let smallest: UnsafeRawBufferPointer
    let largest: UnsafeRawBufferPointer
    private let memory: UnsafeMutableRawBufferPointer

    init(_ metadata: TableMetadata) {
        let split = metadata.smallest.count
        memory = .allocate(byteCount: split + metadata.largest.count, alignment: 8)
        memory.copyBytes(from: metadata.smallest + metadata.largest)
        smallest = UnsafeRawBufferPointer(rebasing: memory[..<split])
        largest = UnsafeRawBufferPointer(rebasing: memory[split...])
    }

    func deallocate() { memory.deallocate() }
}

/// Removes files on the install lane, whoever let go of them last: a reader must not wait for the
/// disk, and must not fail when a removal does.
final class Graveyard: Sendable {
    private let fileSystem: any FileSystem
    private let directory: String
    private let lane: any Lane
    private let isClosed = Atomic<Bool>(false)

    init(fileSystem: any FileSystem, directory: String, lane: any Lane) {
        self.fileSystem = fileSystem
        self.directory = directory
        self.lane = lane
    }

    /// Ends removals: the lane stops. What is left is removed at the next open.
    func close() {
        isClosed.store(true, ordering: .releasing)
    }

    func bury(fileID: UInt64, cache: BlockCache) {
        cache.removeAll(fileID: fileID)
        if isClosed.load(ordering: .acquiring) { return }
        lane.submit { [fileSystem, directory] in
            // A file that stays is an orphan, and the next open removes it.
            try? fileSystem.unlink(directory + "/" + TableName.make(fileID))
        }
    }
}
