import Platform
import SortedTable
import Synchronization

/// Makes, opens and removes the tree's files.
final class TableStore: Sendable {
    let fileSystem: any FileSystem
    let directory: String
    let options: TreeOptions
    let cache: BlockCache
    let graveyard: Graveyard
    let alarm = TableAlarm()
    private let nextID = Atomic<UInt64>(1)

    init(
        fileSystem: any FileSystem, directory: String, options: TreeOptions, cache: BlockCache,
        graveyard: Graveyard
    ) {
        self.fileSystem = fileSystem
        self.directory = directory
        self.options = options
        self.cache = cache
        self.graveyard = graveyard
    }

    /// Ids from here on were never given out.
    var nextFileID: UInt64 { nextID.load(ordering: .acquiring) }

    /// A file id that no other file ever had.
    func takeFileID() -> UInt64 {
        nextID.wrappingAdd(1, ordering: .relaxed).oldValue
    }

    /// Never gives out ids below `floor`; before any is taken.
    func raiseFileIDs(to floor: UInt64) {
        if floor > nextFileID { nextID.store(floor, ordering: .releasing) }
    }

    func path(_ fileID: UInt64) -> String { directory + "/" + TableName.make(fileID) }

    func tableOptions(_ keyspace: KeyspaceOptions) -> TableOptions {
        TableOptions(
            keyspace: keyspace.keyspace.rawValue, blockBytes: options.blockBytes,
            isCompressed: options.isCompressed,
            filterBitsPerKey: options.filterBitsPerKey,
            filterPrefixLength: keyspace.filterPrefixLength, isNumbered: keyspace.isNumbered,
            isExpiring: keyspace.isExpiring, isPointRead: keyspace.isPointRead)
    }

    func create(_ fileID: UInt64) throws(TableError) -> any File {
        do {
            return try fileSystem.open(path(fileID), .create)
        } catch {
            throw .disk(error)
        }
    }

    /// Opens a table that was just written.
    func open(_ summary: TableSummary, _ file: any File) throws(TableError) -> TableHandle {
        let health = TableHealth(fileID: summary.fileID, alarm: alarm)
        let reader = try TableReader.open(
            file: file, fileID: summary.fileID, cache: cache, onDamage: { health.condemn($0) })
        return TableHandle(
            summary: summary, reader: reader, health: health, file: file, cache: cache,
            graveyard: graveyard)
    }

    /// Opens a table that the manifest lists.
    func open(_ summary: TableSummary) throws(TableError) -> TableHandle {
        let file: any File
        do {
            file = try fileSystem.open(path(summary.fileID), .read)
            let size = try file.size()
            if size != summary.bytes {
                throw TableError.corrupt(
                    file: file.path, offset: 0, expected: "\(summary.bytes) bytes",
                    found: "\(size) bytes")
            }
        } catch let error as TableError {
            throw error
        } catch let error as DiskError where error.reason == .notFound {
            // The manifest is older than the files are: its end has rotted, or a file was taken.
            throw .corrupt(
                file: path(summary.fileID), offset: 0, expected: "a table that the manifest lists",
                found: "no file")
        } catch let error as DiskError {
            throw .disk(error)
        } catch {
            preconditionFailure("only disk and table errors are thrown here: \(error)")
        }
        let handle = try open(summary, file)
        if handle.reader.properties != summary.properties {
            throw .corrupt(
                file: file.path, offset: 0, expected: "the properties in the manifest",
                found: "others")
        }
        return handle
    }

    /// Removes a file that nobody needs; one that stays is removed at the next open.
    func remove(_ fileID: UInt64) {
        cache.removeAll(fileID: fileID)
        try? fileSystem.unlink(path(fileID))
    }

    /// Makes the names of new tables durable.
    func syncDirectory() throws(TableError) {
        do {
            try fileSystem.syncDirectory(directory)
        } catch {
            throw .disk(error)
        }
    }
}
