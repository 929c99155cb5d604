import Bytes
import Platform
import RecordLog
import SortedTable

/// Writes the manifest. Belongs to the install lane: one caller at a time.
// Sendable: only jobs of the install lane, and `open` before the lane has any, touch it.
final class Manifest: @unchecked Sendable {
    private let store: TableStore
    private var writer: RecordFileWriter?
    private var id: UInt64 = 0
    private var openingBytes: UInt64 = 0

    init(_ store: TableStore) {
        self.store = store
    }

    /// True when the edits since the last ``rewrite(_:)`` are large enough for another.
    var isLong: Bool {
        (writer?.endBytes ?? 0) > openingBytes * 2 + store.options.manifestBytes
    }

    /// Makes one edit durable. After a failure the manifest takes nothing more, but for a disk
    /// without room: then nothing happened.
    func append(_ edit: ManifestEdit) throws(TreeError) {
        guard let writer else { preconditionFailure("the manifest is open before edits") }
        do throws(LogError) {
            try writer.append(type: ManifestFormat.editType, payload: edit.encode())
            try writer.sync()
        } catch {
            throw TreeError(error, file: writer.file.path)
        }
    }

    /// Starts a new manifest with the whole tree in it and points `CURRENT` at it.
    ///
    /// The order makes a crash at any point leave a whole manifest behind: the new file and its
    /// name are durable before `CURRENT` names it, and the old file goes when that is durable. When
    /// the disk has no room the old one stays in use.
    func rewrite(_ openings: [ManifestEdit]) throws(TreeError) {
        let old = id
        let fileSystem = store.fileSystem
        let fresh = store.takeFileID()
        let path = store.directory + "/" + ManifestFormat.name(fresh)
        let next: RecordFileWriter
        do throws(TreeError) {
            next = try write(openings, fresh, path)
            try asTreeError(disk: { () throws(DiskError) in
                try fileSystem.syncDirectory(store.directory)
                try pointCurrent(to: fresh)
            })
        } catch {
            // Without room the old one goes on, and what there is of the new one gives its back.
            if case .disk(let disk) = error, disk.isWaitedOut { try? fileSystem.unlink(path) }
            throw error
        }
        writer?.file.close()
        writer = next
        id = fresh
        openingBytes = next.durableBytes
        if old != 0 {
            // One that stays is removed at the next open.
            try? fileSystem.unlink(store.directory + "/" + ManifestFormat.name(old))
        }
    }

    private func write(
        _ openings: [ManifestEdit], _ id: UInt64, _ path: String
    ) throws(TreeError) -> RecordFileWriter {
        let file = try asTreeError(disk: { () throws(DiskError) in
            try store.fileSystem.open(path, .create)
        })
        let writer = RecordFileWriter(file, id: id)
        do throws(LogError) {
            for opening in openings {
                try writer.append(type: ManifestFormat.openingType, payload: opening.encode())
            }
            try writer.sync()
        } catch {
            file.close()
            throw TreeError(error, file: path)
        }
        return writer
    }

    private func pointCurrent(to id: UInt64) throws(DiskError) {
        let fileSystem = store.fileSystem
        let newPath = store.directory + "/" + ManifestFormat.newCurrentName
        if try fileSystem.exists(newPath) { try fileSystem.unlink(newPath) }
        let file = try fileSystem.open(newPath, .create)
        defer { file.close() }
        try file.write(ManifestFormat.current(id), at: 0)
        try file.sync()
        try fileSystem.rename(
            newPath, to: store.directory + "/" + ManifestFormat.currentName)
        try fileSystem.syncDirectory(store.directory)
    }

    /// Closes the file.
    func close() {
        writer?.file.close()
        writer = nil
    }

    /// The id of the manifest that `CURRENT` names.
    var currentID: UInt64 { id }
}

extension TreeError {
    /// A record file's error as the tree's.
    init(_ error: LogError, file: String) {
        switch error {
        case .disk(let error): self = .disk(error)
        case .rot(let file, let offset, let expected, let found):
            self = .corrupt(file: file, offset: offset, expected: expected, found: found)
        case .dead:
            self = .disk(DiskError(.closed, "append", file))
        case .released(let position):
            self = .corrupt(
                file: file, offset: position.offset, expected: "a record", found: "none")
        case .rejected(let position, let why):
            self = .corrupt(
                file: file, offset: position.offset, expected: "a manifest record", found: why)
        }
    }
}
