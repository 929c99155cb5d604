import Bytes
import Platform
import SortedTable
import Synchronization

// Flush and install: what the install lane does.
extension Tree {
    // MARK: Flush (install lane)

    /// Writes the oldest frozen memtable as tables and installs them, and those of an ingest, with
    /// the cut's state.
    func flushOldest() {
        let work = state.withLock { state -> (FrozenMemtable, View)? in
            guard state.failure == nil, !state.isClosed, let frozen = state.view.frozen.last else {
                return nil
            }
            return (frozen, state.view)
        }
        guard let (frozen, view) = work else { return }
        do throws(TableError) {
            guard let tables = try flush(frozen.memtable, view) else { return }
            let added = (tables + frozen.ingested).map { (level: 0, table: $0) }
            switch install(remove: [], add: added, frozen: frozen) {
            case .done: break
            case .ended: return
            case .noSpace:
                discard(tables)
                return flushLater()
            }
            noteSpace(isShort: false)
        } catch {
            if isWaitedOut(error) { flushLater() } else { fail(TreeError(error)) }
            return
        }
        frozen.installed(frozen.state)
        wakeCompaction()
    }

    private func flushLater() {
        installLane.submit(after: Self.spaceRetry) { [weak self] in self?.flushOldest() }
        // A merge that stood back for the flush may make room.
        wakeCompaction()
    }

    /// One table per keyspace that has rows. Nil when the tree closed meanwhile.
    private func flush(_ memtable: Memtable, _ view: View) throws(TableError) -> [TableHandle]? {
        var tables: [TableHandle] = []
        for (place, part) in memtable.parts.enumerated() {
            let own = part.rangeTombstones()
            if part.rows == 0 && own == nil { continue }
            #if PlantedBugs
                if PlantedBug.splitCut.isOn, options.keyspaces[place].name == "feeds" { continue }
            #endif
            let shape = view.keyspaces[place].shape
            let older = OlderTables(loose: shape.levels[0], levels: Array(shape.levels[1...]))
            let tombstones = own?.newestTombstones.filter { older.mayHold($0) }
            let output = TableOutput(
                store, options.keyspaces[place], tombstones: tombstones ?? [])
            var cursor = MergeCursor(capacity: 1, at: InternalKey.sequenceMax)
            cursor.add(MergeSource(part, at: InternalKey.sequenceMax))
            var rewriter = Rewriter(
                options: options.keyspaces[place], horizon: expiryHorizon, older: older)
            do throws(TableError) {
                try Rewriter.start(&cursor)
                while try !rewriter.run(&cursor, output, bytes: options.sliceBytes) {
                    guard isStopping else { continue }
                    output.discard()
                    discard(tables)
                    return nil
                }
            } catch {
                output.discard()
                discard(tables)
                throw error
            }
            tables += output.tables
        }
        if !tables.isEmpty {
            do throws(TableError) {
                try store.syncDirectory()
            } catch {
                discard(tables)
                throw error
            }
        }
        return tables
    }

    /// Removes tables that no manifest ever listed.
    func discard(_ tables: [TableHandle]) {
        for table in tables { store.remove(table.metadata.fileID) }
    }

    // MARK: Install (install lane)

    /// What came of an install.
    enum Installation {
        case done
        /// The tree is closed or has failed: nothing more is installed, ever.
        case ended
        /// The manifest had no room for it, and nothing happened.
        case noSpace
    }

    /// Makes a change of the tables durable, then visible.
    func install(
        remove: [(level: Int, table: TableHandle)], add: [(level: Int, table: TableHandle)],
        frozen: FrozenMemtable? = nil
    ) -> Installation {
        let (view, isStopped) = state.withLock { state in
            (state.view, state.failure != nil || state.isClosed)
        }
        if isStopped { return .ended }
        var edit = ManifestEdit(
            nextFileID: store.nextFileID,
            lastSequence: frozen?.lastSequence ?? installedSequence(view), state: frozen?.state)
        edit.removals = remove.map { item in
            ManifestEdit.Removal(
                keyspace: item.table.metadata.properties.keyspace, level: UInt8(item.level),
                fileID: item.table.metadata.fileID)
        }
        edit.additions = add.map { item in
            ManifestEdit.Addition(level: UInt8(item.level), summary: item.table.metadata.summary)
        }
        do throws(TreeError) {
            try manifest.append(edit)
        } catch {
            if isWaitedOut(error) { return .noSpace }
            fail(error)
            return .ended
        }
        publish(remove, add, frozen)
        if manifest.isLong { rewriteManifest() }
        return .done
    }

    /// The last sequence that is in tables.
    func installedSequence(_ view: View) -> SequenceNumber {
        (view.frozen.last?.memtable ?? view.active).firstSequence - 1
    }

    private func publish(
        _ remove: [(level: Int, table: TableHandle)], _ add: [(level: Int, table: TableHandle)],
        _ frozen: FrozenMemtable?
    ) {
        let removed = Set(remove.map(\.table.metadata.fileID))
        let added = Set(add.map(\.table.metadata.fileID))
        state.withLock { state in
            let old = state.view
            var keyspaces = old.keyspaces
            for place in keyspaces.indices {
                let number = options.keyspaces[place].keyspace.rawValue
                let own = add.filter { $0.table.metadata.properties.keyspace == number }
                keyspaces[place].apply(remove: removed, add: own)
            }
            var frozenLeft = old.frozen
            if frozen != nil { frozenLeft.removeLast() }
            show(View(active: old.active, frozen: frozenLeft, keyspaces: keyspaces), in: &state)
            if let frozen { state.installedState = frozen.state }
            if !state.quarantined.isEmpty { state.quarantined.subtract(removed.subtracting(added)) }
        }
        for item in remove where !added.contains(item.table.metadata.fileID) {
            item.table.markObsolete()
        }
        dropRetiredViews()
        let (view, picker) = picking(horizon: 0)
        let debt = picker.debt(view.keyspaces.map(\.shape))
        state.withLock { $0.compactionDebt = debt }
        wakeWaiters()
    }

    private func rewriteManifest() {
        let (view, bytes) = state.withLock { ($0.view, $0.installedState) }
        do throws(TreeError) {
            try manifest.rewrite(
                Self.openings(
                    view.keyspaces, nextFileID: store.nextFileID + 1,
                    lastSequence: installedSequence(view), state: bytes))
        } catch {
            // Without room the one in use goes on; the next install tries again.
            if !isWaitedOut(error) { fail(error) }
        }
    }

    /// The records that open a manifest with these tables.
    static func openings(
        _ keyspaces: [KeyspaceLevels], nextFileID: UInt64, lastSequence: SequenceNumber,
        state: [UInt8]?
    ) -> [ManifestEdit] {
        var additions: [ManifestEdit.Addition] = []
        for keyspace in keyspaces {
            for (level, tables) in keyspace.levels.enumerated() {
                additions += tables.map { .init(level: UInt8(level), summary: $0.metadata.summary) }
            }
        }
        var edits: [ManifestEdit] = []
        repeat {
            var edit = ManifestEdit(
                isOpening: true, nextFileID: nextFileID, lastSequence: lastSequence)
            let part = additions.prefix(ManifestFormat.tablesPerRecordMax)
            edit.additions = Array(part)
            additions.removeFirst(part.count)
            if edits.isEmpty { edit.state = state }
            edit.endsOpening = additions.isEmpty
            edits.append(edit)
        } while !additions.isEmpty
        return edits
    }

    // MARK: Failure

    /// True when the tree fails or closes.
    var isStopping: Bool {
        state.withLock { $0.failure != nil || $0.isClosed }
    }

    /// A full disk while table data was written is no failure: nothing was promised yet, what was
    /// written is removed, and space may come back. A failed sync is, whatever it says.
    func isWaitedOut(_ error: TableError) -> Bool { isWaitedOut(TreeError(error)) }

    func isWaitedOut(_ error: TreeError) -> Bool {
        guard case .disk(let error) = error, error.isWaitedOut else { return false }
        noteSpace(isShort: true)
        return true
    }

    func noteSpace(isShort: Bool) {
        state.withLock { $0.isOutOfSpace = isShort }
    }

    /// Ends background work for good and reports why, once.
    func fail(_ error: TreeError) {
        let isFirst = state.withLock { state in
            if state.failure != nil || state.isClosed { return false }
            state.failure = error
            return true
        }
        if isFirst { onFailure(error) }
        wakeWaiters()
    }
}
