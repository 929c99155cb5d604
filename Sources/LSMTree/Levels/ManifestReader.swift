package import Platform
import RecordLog
import SortedTable

/// Reads manifests: for the tree when it opens, and for tools.
package enum ManifestReader {
    /// The manifest id in `CURRENT`; nil when the directory has no `CURRENT`.
    package static func currentID(
        fileSystem: any FileSystem, directory: String
    ) throws(TreeError) -> UInt64? {
        let path = directory + "/" + ManifestFormat.currentName
        let bytes = try asTreeError(disk: { () throws(DiskError) -> [UInt8]? in
            guard try fileSystem.exists(path) else { return nil }
            let file = try fileSystem.open(path, .read)
            defer { file.close() }
            return try file.read(64, at: 0)
        })
        guard let bytes else { return nil }
        guard let id = ManifestFormat.currentID(bytes) else {
            throw .corrupt(
                file: path, offset: 0, expected: "a manifest id and its checksum",
                found: "\(bytes.count) other bytes")
        }
        return id
    }

    /// Visits the records of the manifest `id` in order, with their offsets.
    package static func read(
        fileSystem: any FileSystem, directory: String, id: UInt64,
        _ visit: (_ offset: UInt64, ManifestEdit) throws(TreeError) -> Void
    ) throws(TreeError) {
        let path = directory + "/" + ManifestFormat.name(id)
        let file = try asTreeError(disk: { () throws(DiskError) in
            try fileSystem.open(path, .read)
        })
        defer { file.close() }
        var refusal: TreeError?
        do throws(LogError) {
            _ = try RecordFileReader.readAll(file, id: id) {
                (position, type, payload) throws(LogError) in
                let edit: ManifestEdit
                do {
                    edit = try ManifestEdit.decode(type: type, payload)
                } catch {
                    throw .rejected(position, "\(error)")
                }
                do throws(TreeError) {
                    try visit(position.offset, edit)
                } catch {
                    refusal = error
                    throw .rejected(position, "\(error)")
                }
            }
        } catch {
            throw refusal ?? TreeError(error, file: path)
        }
    }
}

/// The tree that a manifest's records add up to.
struct ManifestContents {
    struct Listed {
        var keyspace: UInt8
        var level: Int
        var summary: TableSummary
    }

    private(set) var nextFileID: UInt64 = 1
    private(set) var lastSequence: SequenceNumber = 0
    private(set) var state: [UInt8]?
    private(set) var isOpened = false
    private var tables: [UInt64: Listed] = [:]

    /// The listed tables, by file id.
    var listed: [Listed] {
        tables.values.sorted { $0.summary.fileID < $1.summary.fileID }
    }

    /// Takes the next record. Answers what is wrong with it, or nil.
    mutating func apply(_ edit: ManifestEdit) -> String? {
        guard edit.isOpening != isOpened else {
            return isOpened ? "an opening record in the middle" : "an edit before the opening"
        }
        if edit.nextFileID < nextFileID { return "a file id that goes back" }
        if edit.lastSequence < lastSequence { return "a sequence that goes back" }
        for removal in edit.removals {
            guard let old = tables.removeValue(forKey: removal.fileID),
                old.keyspace == removal.keyspace, old.level == Int(removal.level)
            else { return "table \(removal.fileID) removed where it is not" }
        }
        for addition in edit.additions {
            let id = addition.summary.fileID
            guard tables[id] == nil else { return "table \(id) added twice" }
            guard !addition.summary.isEmpty, id < edit.nextFileID else {
                return "table \(id) is empty or from the future"
            }
            tables[id] = Listed(
                keyspace: addition.summary.keyspace, level: Int(addition.level),
                summary: addition.summary)
        }
        nextFileID = edit.nextFileID
        lastSequence = edit.lastSequence
        if let state = edit.state { self.state = state }
        if edit.endsOpening { isOpened = true }
        return nil
    }
}
