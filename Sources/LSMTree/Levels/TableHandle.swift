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
    let health: TableHealth
    private let file: any File
    private let cache: BlockCache
    private let graveyard: Graveyard
    private let isObsolete = Atomic<Bool>(false)

    init(
        summary: TableSummary, reader: TableReader, health: TableHealth, file: any File,
        cache: BlockCache, graveyard: Graveyard
    ) {
        let tombstones = reader.rangeTombstones
        let set = RangeTombstoneSet(tombstones)
        metadata = TableMetadata(summary: summary, tombstones: set.newestTombstones)
        bounds = TableBounds(metadata)
        self.reader = reader
        self.health = health
        self.tombstones = set.isEmpty ? nil : set
        self.file = file
        self.cache = cache
        self.graveyard = graveyard
    }

    /// Says that a durable manifest no longer lists the table.
    func markObsolete() {
        isObsolete.store(true, ordering: .releasing)
        graveyard.expect(bytes: metadata.bytes)
    }

    /// Throws what was found wrong with the table, if anything was.
    @inline(__always)
    func requireSound() throws(TableError) {
        if health.isBad { try health.refuse() }
    }

    deinit {
        bounds.deallocate()
        file.close()
        if isObsolete.load(ordering: .acquiring) {
            graveyard.bury(fileID: metadata.fileID, bytes: metadata.bytes, cache: cache)
        }
    }
}

/// Whether a table is in quarantine: any thread that finds damage says so here, once and for good.
final class TableHealth: Sendable {
    private let fileID: UInt64
    private let alarm: TableAlarm
    private let isCondemned = Atomic<Bool>(false)
    private let finding = Mutex<TableError?>(nil)

    init(fileID: UInt64, alarm: TableAlarm) {
        self.fileID = fileID
        self.alarm = alarm
    }

    /// True once damage was found.
    var isBad: Bool { isCondemned.load(ordering: .acquiring) }

    /// The first damage that was found.
    var damage: TableError? { finding.withLock { $0 } }

    func refuse() throws(TableError) {
        if let damage { throw damage }
    }

    /// Notes damage; the first is told.
    func condemn(_ error: TableError) {
        let isFirst = finding.withLock { finding in
            if finding != nil { return false }
            finding = error
            return true
        }
        guard isFirst else { return }
        isCondemned.store(true, ordering: .releasing)
        alarm.sound(fileID, error)
    }
}

/// Who hears of damaged tables: the tree, as soon as there is one.
final class TableAlarm: Sendable {
    private let listener = Mutex<(@Sendable (UInt64, TableError) -> Void)?>(nil)

    func listen(_ listener: @escaping @Sendable (UInt64, TableError) -> Void) {
        self.listener.withLock { $0 = listener }
    }

    func sound(_ fileID: UInt64, _ error: TableError) {
        listener.withLock { $0 }?(fileID, error)
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

/// Table files that are no part of the tree any more.
package struct ObsoleteFiles: Equatable, Sendable {
    /// How many.
    package var files = 0
    /// Their bytes.
    package var bytes: UInt64 = 0
}

/// Removes files on the install lane, whoever let go of them last: a reader must not wait for the
/// disk, and must not fail when a removal does.
final class Graveyard: Sendable {
    private let fileSystem: any FileSystem
    private let directory: String
    private let lane: any Lane
    private let isClosed = Atomic<Bool>(false)
    /// Files that no manifest lists any more and that are still there.
    private let obsolete = Mutex(ObsoleteFiles())

    init(fileSystem: any FileSystem, directory: String, lane: any Lane) {
        self.fileSystem = fileSystem
        self.directory = directory
        self.lane = lane
    }

    /// Ends removals: the lane stops. What is left is removed at the next open.
    func close() {
        isClosed.store(true, ordering: .releasing)
    }

    /// Files that wait for their readers, or for the lane, to be removed; and those whose removal
    /// failed.
    var waiting: ObsoleteFiles { obsolete.withLock { $0 } }

    /// A file of so many bytes will be buried when its readers are gone.
    func expect(bytes: UInt64) {
        obsolete.withLock { obsolete in
            obsolete.files += 1
            obsolete.bytes += bytes
        }
    }

    func bury(fileID: UInt64, bytes: UInt64, cache: BlockCache) {
        cache.removeAll(fileID: fileID)
        if isClosed.load(ordering: .acquiring) { return }
        lane.submit { [self] in
            do throws(DiskError) {
                try fileSystem.unlink(directory + "/" + TableName.make(fileID))
            } catch {
                // A file that stays is an orphan, and the next open removes it.
                return
            }
            obsolete.withLock { obsolete in
                obsolete.files -= 1
                obsolete.bytes -= bytes
            }
        }
    }
}
