import Platform
package import SortedTable
import Synchronization

/// A second tree directory that was made of a tree as it stood at one moment.
package struct Checkpoint: Equatable, Sendable {
    /// Where it is.
    package let directory: String
    /// Table files in it.
    package let tables: Int
    /// Their bytes; on the disk only once, as long as both directories have them.
    package let bytes: UInt64
    /// The last sequence in it.
    package let lastSequence: SequenceNumber
    /// The state of the newest cut in it; nil when there was none.
    package let state: [UInt8]?
}

// **Order of writing.** Links, then a manifest of its own, both durable with their names; then
// CURRENT. A tree opens by CURRENT alone, so a crash leaves either a whole checkpoint or none, and
// what it leaves of none is cleared by the next one in that place.
extension Tree {
    /// Makes `directory`, on the same volume, a tree that holds what is durable in this one: the
    /// tables by hard links, and a new manifest with them and the newest installed cut's state.
    /// Rows in memory need a cut first, which may still be on its way to the disk.
    ///
    /// Returns at once; `done` is called on a lane of the tree, and never when the tree is closed
    /// before. Costs a link for each table: writes, cuts and compactions go on, an install waits
    /// for the links. When it fails, nothing of it is left and the tree is as before.
    package func checkpoint(
        to directory: String, done: @escaping @Sendable (Result<Checkpoint, TreeError>) -> Void
    ) {
        installLane.submit { [weak self] in
            guard let self else { return }
            if let error = ending { return done(.failure(error)) }
            do throws(TreeError) {
                done(.success(try makeCheckpoint(directory)))
            } catch {
                done(.failure(error))
            }
        }
    }

    private func makeCheckpoint(_ directory: String) throws(TreeError) -> Checkpoint {
        let files = store.fileSystem
        // The view keeps the files under their names: what compaction replaces is removed later.
        let (view, bytes) = state.withLock { ($0.view, $0.installedState) }
        defer { withExtendedLifetime(view) {} }
        try asTreeError(disk: { () throws(DiskError) in
            try files.makeDirectory(directory)
            try Self.clear(directory, files)
        })
        do throws(TreeError) {
            let tables = view.keyspaces.flatMap { $0.levels.joined() }.map(\.metadata)
            try asTreeError(disk: { () throws(DiskError) in
                for table in tables {
                    let name = TableName.make(table.fileID)
                    try files.link(store.path(table.fileID), as: directory + "/" + name)
                }
            })
            let target = TableStore(
                fileSystem: files, directory: directory, options: options, cache: store.cache,
                graveyard: store.graveyard)
            target.raiseFileIDs(to: store.nextFileID)
            let manifest = Manifest(target)
            defer { manifest.close() }
            let last = installedSequence(view)
            try manifest.rewrite(
                Self.openings(
                    view.keyspaces, nextFileID: target.nextFileID + 1, lastSequence: last,
                    state: bytes))
            return Checkpoint(
                directory: directory, tables: tables.count,
                bytes: tables.reduce(0) { $0 + $1.bytes }, lastSequence: last, state: bytes)
        } catch {
            // What can't be removed now is removed by the next checkpoint there.
            try? Self.clear(directory, files, isFailed: true)
            throw error
        }
    }

    /// Removes what a checkpoint that did not come to its end left in `directory`.
    ///
    /// - Parameter isFailed: CURRENT goes as well, and first.
    private static func clear(
        _ directory: String, _ files: any FileSystem, isFailed: Bool = false
    ) throws(DiskError) {
        let current = directory + "/" + ManifestFormat.currentName
        if try files.exists(current) {
            guard isFailed else { throw DiskError(.exists, "checkpoint", current) }
            try files.unlink(current)
            try files.syncDirectory(directory)
        }
        for name in try files.list(directory) {
            let isOurs =
                TableName.fileID(name) != nil || ManifestFormat.id(name) != nil
                || name == ManifestFormat.newCurrentName
            if isOurs { try files.unlink(directory + "/" + name) }
        }
    }
}
