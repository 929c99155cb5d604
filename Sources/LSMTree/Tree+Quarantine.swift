import Platform
import SortedTable
import Synchronization

// Tables in which damage was found.
//
// Whoever reads a bad block, a reader, a merge or the scrub, puts the whole table into
// **quarantine**: from then on a read that would have to look into the table fails with the one
// error that was found first, and every other read goes on. That is stricter than refusing the bad
// block alone, since damage of one kind (order, separators) makes sound blocks answer wrongly.
//
// Compaction does not read the table any more; ``CompactionPicker`` works around it. It goes when
// it can go unread, expired or under a range delete. Nothing of this is on disk: after a restart
// the next read or round of the scrub finds the damage again.
extension Tree {
    /// Any thread, also in the middle of a read: no I/O, no waiting.
    func noteDamage(_ fileID: UInt64, _ error: TableError) {
        state.withLock { _ = $0.quarantined.insert(fileID) }
        installLane.submit { [weak self] in self?.quarantine(fileID, error) }
    }

    /// On the install lane: has look-ups refuse the table, and tells the owner.
    private func quarantine(_ fileID: UInt64, _ error: TableError) {
        let isListed = state.withLock { state in
            if state.isClosed { return false }
            let old = state.view
            let isListed = old.keyspaces.contains { levels in
                levels.levels.joined().contains { $0.metadata.fileID == fileID }
            }
            // A snapshot met it in a table that sound ones have replaced meanwhile.
            guard isListed else {
                state.quarantined.remove(fileID)
                return false
            }
            show(
                View(active: old.active, frozen: old.frozen, keyspaces: old.keyspaces),
                in: &state)
            return true
        }
        guard isListed else { return }
        dropRetiredViews()
        onDamage(TreeError(error))
        // A table of level 0 may have to make way.
        wakeCompaction()
    }

    /// True when a merge met what put a table into quarantine.
    func isQuarantined(_ error: TableError) -> Bool {
        guard case .corrupt(let file, _, _, _) = error else { return false }
        return state.withLock { state in
            state.quarantined.contains { store.path($0) == file }
        }
    }

    /// On the compaction lane: gives up merges of tables that went into quarantine meanwhile.
    func discardDamaged() {
        if compactor.runs.isEmpty { return }
        let quarantined = state.withLock { $0.quarantined }
        if quarantined.isEmpty { return }
        let isDamaged = compactor.runs.contains { run in
            (run.plan.inputs + run.plan.outputs).contains { quarantined.contains($0.fileID) }
        }
        if isDamaged { compactor.discard() }
    }

    /// True while a table is in quarantine.
    package var hasDamage: Bool { state.withLock { !$0.quarantined.isEmpty } }

    /// True when a read of a key of `lower ..< upper` may need a table that is in quarantine, in
    /// whatever keyspace.
    package func isDamaged(_ lower: [UInt8], _ upper: [UInt8]?) -> Bool {
        let view = state.withLock { $0.view }
        return view.keyspaces.contains { levels in
            levels.levels.joined().contains {
                $0.health.isBad && $0.metadata.overlaps(lower, upper)
            }
        }
    }
}
