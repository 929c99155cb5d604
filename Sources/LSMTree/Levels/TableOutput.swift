import Platform
import SortedTable

/// Writes sorted rows as one or more tables and clips range tombstones to them.
///
/// Tables are cut between user keys only, and a tombstone that crosses a cut goes to both sides:
/// so the tables of a level divide the key space, and a table says all about its part.
final class TableOutput {
    private let store: TableStore
    private let keyspace: KeyspaceOptions
    /// Nil: everything in one table.
    private let cutter: OutputCutter?
    private let tombstones: [RangeTombstone]
    private var writer: TableWriter?
    private var file: (any File)?
    private var fileID: UInt64 = 0
    /// Where the table under way starts; nil: at the start of the key space.
    private var start: [UInt8]?
    private var firstTombstone = 0
    /// Finished tables.
    private(set) var tables: [TableHandle] = []
    private var madeFiles: [UInt64] = []

    /// - Parameter tombstones: disjoint and ascending, as ``RangeTombstoneSet/newestTombstones``.
    init(
        _ store: TableStore, _ keyspace: KeyspaceOptions, tombstones: [RangeTombstone],
        cutter: OutputCutter? = nil
    ) {
        self.store = store
        self.keyspace = keyspace
        self.tombstones = tombstones
        self.cutter = cutter
    }

    /// Adds a row; keys ascend and differ.
    func add(
        _ internalKey: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer
    ) throws(TableError) {
        let userKey = InternalKey.userKey(internalKey)
        let size = writer?.estimatedBytes ?? 0
        if let cutter, cutter.mustCut(before: userKey, tableBytes: size), writer != nil {
            try finishTable(before: [UInt8](userKey))
        }
        if writer == nil { try startTable() }
        try writer?.add(internalKey: internalKey, value: value)
    }

    /// Finishes the last table. Files are synced, their directory is not.
    func finish() throws(TableError) {
        try finishTable(before: nil)
    }

    /// Removes what was written; for errors.
    func discard() {
        writer = nil
        file?.close()
        file = nil
        tables = []
        for fileID in madeFiles { store.remove(fileID) }
    }

    private func startTable() throws(TableError) {
        fileID = store.takeFileID()
        let made = try store.create(fileID)
        madeFiles.append(fileID)
        file = made
        writer = TableWriter(
            file: made, fileID: fileID, options: store.tableOptions(keyspace))
    }

    private func finishTable(before end: [UInt8]?) throws(TableError) {
        let clipped = clip(to: end)
        if writer == nil && !clipped.isEmpty { try startTable() }
        start = end
        guard var open = writer.take(), let file else { return }
        for tombstone in clipped { open.add(tombstone) }
        let summary = try open.finish()
        tables.append(try store.open(summary, file))
        self.file = nil
        cutter?.reset()
    }

    /// The tombstones of `start ..< end`.
    private func clip(to end: [UInt8]?) -> [RangeTombstone] {
        var result: [RangeTombstone] = []
        var index = firstTombstone
        while index < tombstones.count {
            var tombstone = tombstones[index]
            if let end, !KeyOrder.less(tombstone.lower, end) { break }
            if let start, KeyOrder.less(tombstone.lower, start) { tombstone.lower = start }
            let crosses = end.map { KeyOrder.less($0, tombstone.upper) } ?? false
            if crosses, let end { tombstone.upper = end }
            if KeyOrder.less(tombstone.lower, tombstone.upper) { result.append(tombstone) }
            if crosses { break }
            index += 1
        }
        firstTombstone = index
        return result
    }
}

/// Decides where compaction ends one table and starts the next: at the size limit; sooner when the
/// table would overlap too much of the level below; and from half the size on at the borders of
/// that level's tables, so that a later compaction drags fewer bytes along.
final class OutputCutter {
    private let tableBytes: Int
    private let burdenMax: UInt64
    private let below: [TableMetadata]
    private var next = 0
    private var burden: UInt64 = 0
    private var hasRow = false

    /// - Parameters:
    ///   - tableBytes: the size limit.
    ///   - below: the tables of the level under the output, ascending.
    init(_ options: TreeOptions, tableBytes: Int, below: [TableMetadata]) {
        self.tableBytes = tableBytes
        burdenMax = UInt64(options.grandparentTables * tableBytes)
        self.below = below
    }

    /// True when a table that has `tableBytes` must end before `key`. Called once per row.
    func mustCut(before key: UnsafeRawBufferPointer, tableBytes size: Int) -> Bool {
        var crossed = false
        while next < below.count, below[next].endsBefore(key) {
            if hasRow { burden += below[next].bytes }
            crossed = true
            next += 1
        }
        hasRow = true
        if size >= tableBytes { return true }
        if burden > burdenMax { return true }
        return crossed && size >= tableBytes / 2
    }

    /// Starts the next table.
    func reset() {
        burden = 0
    }
}
