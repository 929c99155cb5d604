import Platform
package import SortedTable

/// What can still be read of a tree's manifests.
///
/// A manifest is read up to the first record that can't be, or that does not follow on those
/// before: records before the damage are as good as ever. Of several manifests (a crash while one
/// was replaced leaves two) the one that `CURRENT` names counts, else the newest whose opening is
/// whole.
package struct RepairHistory {
    /// A table as the records list it.
    package struct Listed: Sendable {
        /// Its level.
        package let level: Int
        /// What the manifest says of it.
        package let summary: TableSummary
    }

    /// What is wrong with `CURRENT`; nil when it names a manifest.
    package private(set) var currentDamage: String?
    /// The manifest that was read; nil when none has a whole opening.
    package private(set) var manifest: UInt64?
    /// Why its records end before the file does; nil when it is whole.
    package private(set) var damage: TreeError?
    /// Manifests that count before the one that was read, but whose opening is not whole, and why.
    package private(set) var unreadable: [(name: String, why: TreeError)] = []
    /// Records taken.
    package private(set) var records = 0
    /// The tables after the last of them, by file id.
    package private(set) var listed: [Listed] = []
    /// Tables that a record removed for good.
    package private(set) var removed: Set<UInt64> = []
    /// The owner's bytes after the last record.
    package private(set) var state: [UInt8]?
    /// The last sequence in tables after the last record.
    package private(set) var lastSequence: SequenceNumber = 0
    /// Ids from here on were free after the last record.
    package private(set) var nextFileID: UInt64 = 1

    /// Reads what there is in `directory`.
    init(fileSystem: any FileSystem, directory: String) throws {
        let names = try fileSystem.list(directory)
        var ids = names.compactMap(ManifestFormat.id).sorted(by: >)
        do throws(TreeError) {
            let current = try ManifestReader.currentID(
                fileSystem: fileSystem, directory: directory)
            if let current, let place = ids.firstIndex(of: current) {
                ids.remove(at: place)
                ids.insert(current, at: 0)
            } else if let current {
                currentDamage = "it names \(ManifestFormat.name(current)), which is not there"
            } else {
                currentDamage = "it is not there"
            }
        } catch {
            guard error.isUnreadable else { throw error }
            currentDamage = "\(error)"
        }
        for id in ids where manifest == nil {
            try read(fileSystem, directory, id)
        }
    }

    /// Takes the manifest `id` when its opening is whole.
    private mutating func read(
        _ fileSystem: any FileSystem, _ directory: String, _ id: UInt64
    ) throws {
        let path = directory + "/" + ManifestFormat.name(id)
        var contents = ManifestContents()
        var count = 0
        var gone: Set<UInt64> = []
        var end: TreeError?
        do throws(TreeError) {
            try ManifestReader.read(fileSystem: fileSystem, directory: directory, id: id) {
                (offset, edit) throws(TreeError) in
                var next = contents
                if let problem = next.apply(edit) {
                    throw .corrupt(
                        file: path, offset: offset, expected: "a record that fits", found: problem)
                }
                contents = next
                count += 1
                gone.formUnion(edit.removals.map(\.fileID))
                gone.subtract(edit.additions.map(\.summary.fileID))
            }
        } catch {
            guard error.isUnreadable else { throw error }
            end = error
        }
        guard contents.isOpened else {
            let why = TreeError.corrupt(
                file: path, offset: 0, expected: "the opening records", found: "the end")
            unreadable.append((ManifestFormat.name(id), end ?? why))
            return
        }
        manifest = id
        damage = end
        records = count
        listed = contents.listed.map { Listed(level: $0.level, summary: $0.summary) }
        removed = gone
        state = contents.state
        lastSequence = contents.lastSequence
        nextFileID = contents.nextFileID
    }
}
