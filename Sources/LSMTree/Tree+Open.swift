package import Platform
package import SortedTable

/// What a tree directory held.
struct RecoveredTree {
    var keyspaces: [KeyspaceLevels]
    var lastSequence: SequenceNumber
    var state: [UInt8]?
}

extension Tree {
    /// Opens the tree in `directory`, or makes one. Blocks on the disk.
    ///
    /// Everything recovered is on the platter when this returns: the manifest is written anew and
    /// synced, since what was read may have been page cache. Files that no manifest lists are
    /// removed.
    ///
    /// - Parameters:
    ///   - cache: shared with other trees; nil: one of the options' size.
    ///   - onFailure: called once, on a lane of the tree, when background work fails for good.
    ///   - onDamage: called on a lane of the tree for each table that goes into quarantine.
    package static func open(
        fileSystem: any FileSystem, directory: String, options: TreeOptions,
        scheduler: any Scheduler, cache: BlockCache? = nil,
        onFailure: @escaping @Sendable (TreeError) -> Void,
        onDamage: @escaping @Sendable (TreeError) -> Void = { _ in }
    ) throws(TreeError) -> Tree {
        let installLane = scheduler.lane("tree-install")
        let compactionLane = scheduler.lane("tree-compact")
        let graveyard = Graveyard(
            fileSystem: fileSystem, directory: directory, lane: installLane)
        let store = TableStore(
            fileSystem: fileSystem, directory: directory, options: options,
            cache: cache ?? BlockCache(budgetBytes: options.blockCacheBytes),
            graveyard: graveyard)
        do throws(TreeError) {
            let manifest = Manifest(store)
            let recovered = try recover(store, manifest)
            let tree = Tree(
                options: options, store: store, manifest: manifest, recovered: recovered,
                installLane: installLane, compactionLane: compactionLane, onFailure: onFailure,
                onDamage: onDamage)
            store.alarm.listen { [weak tree] in tree?.noteDamage($0, $1) }
            tree.wakeCompaction()
            return tree
        } catch {
            installLane.stop()
            compactionLane.stop()
            throw error
        }
    }

    private static func recover(
        _ store: TableStore, _ manifest: Manifest
    ) throws(TreeError) -> RecoveredTree {
        let (fileSystem, directory) = (store.fileSystem, store.directory)
        let names = try asTreeError(disk: { () throws(DiskError) in
            try fileSystem.makeDirectory(directory)
            try fileSystem.syncDirectory(parent(directory))
            return try fileSystem.list(directory)
        })
        let current = try ManifestReader.currentID(fileSystem: fileSystem, directory: directory)
        var contents = ManifestContents()
        if let current {
            contents = try readManifest(store, current)
        } else if let table = names.first(where: { TableName.fileID($0) != nil }) {
            // CURRENT is durable before the first table is made.
            throw .corrupt(
                file: directory + "/" + ManifestFormat.currentName, offset: 0,
                expected: "a manifest id, as there is a table \(table)", found: "no file")
        }
        let keyspaces = try openTables(store, contents)
        let highest = names.compactMap { TableName.fileID($0) ?? ManifestFormat.id($0) }.max() ?? 0
        store.raiseFileIDs(to: max(contents.nextFileID, highest + 1))
        try manifest.rewrite(
            openings(
                keyspaces, nextFileID: store.nextFileID + 1,
                lastSequence: contents.lastSequence, state: contents.state))
        let live = Set(contents.listed.map(\.summary.fileID))
        removeOrphans(names, live: live, manifest: manifest.currentID, store)
        return RecoveredTree(
            keyspaces: keyspaces, lastSequence: contents.lastSequence, state: contents.state)
    }

    private static func readManifest(
        _ store: TableStore, _ id: UInt64
    ) throws(TreeError) -> ManifestContents {
        let path = store.directory + "/" + ManifestFormat.name(id)
        var contents = ManifestContents()
        try ManifestReader.read(
            fileSystem: store.fileSystem, directory: store.directory, id: id
        ) { (offset, edit) throws(TreeError) in
            if let problem = contents.apply(edit) {
                throw .corrupt(
                    file: path, offset: offset, expected: "a record that fits", found: problem)
            }
        }
        guard contents.isOpened else {
            throw .corrupt(
                file: path, offset: 0, expected: "the opening records", found: "the end")
        }
        return contents
    }

    private static func openTables(
        _ store: TableStore, _ contents: ManifestContents
    ) throws(TreeError) -> [KeyspaceLevels] {
        let places = KeyspacePlaces(store.options)
        var keyspaces = store.options.keyspaces.map { _ in KeyspaceLevels() }
        var added: [[(level: Int, table: TableHandle)]] = keyspaces.map { _ in [] }
        for item in contents.listed {
            guard let place = places.find(item.keyspace) else {
                throw .unknownKeyspace(item.keyspace)
            }
            let table = try asTreeError { () throws(TableError) in try store.open(item.summary) }
            added[place].append((item.level, table))
        }
        for place in keyspaces.indices {
            if let disorder = keyspaces[place].addChecked(added[place]) {
                throw .corrupt(
                    file: store.path(disorder.metadata.fileID), offset: 0,
                    expected: "tables of a level that do not overlap", found: "an overlap")
            }
        }
        return keyspaces
    }

    private static func removeOrphans(
        _ names: [String], live: Set<UInt64>, manifest: UInt64, _ store: TableStore
    ) {
        for name in names {
            let isOrphan =
                if let id = TableName.fileID(name) {
                    !live.contains(id)
                } else if let id = ManifestFormat.id(name) {
                    id != manifest
                } else {
                    false
                }
            // One that stays is an orphan still, and the next open tries again.
            if isOrphan { try? store.fileSystem.unlink(store.directory + "/" + name) }
        }
    }

    private static func parent(_ directory: String) -> String {
        guard let slash = directory.lastIndex(of: "/") else { return "." }
        return slash == directory.startIndex ? "/" : String(directory[..<slash])
    }
}
