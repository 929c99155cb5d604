/// The one door to the disk. Everything Magpie keeps goes through this seam, so that a simulated
/// twin can crash, lose and corrupt it.
///
/// What the operations promise is what Linux file systems promise, and no more:
/// - written bytes are durable only after ``File/sync()``;
/// - a created, renamed, linked or removed name is durable only after ``syncDirectory(_:)``;
/// - a rename replaces its target atomically, durable as above.
///
/// Paths are absolute or relative to the working directory, `/`-separated. Every call may block
/// and may be made from any thread, but never from Swift's cooperative pool.
package protocol FileSystem: Sendable {
    /// Opens a file; ``OpenMode/create`` fails with ``DiskError/Reason/exists`` when there is one.
    func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> any File
    /// Names in a directory, sorted by bytes, without `.` and `..`.
    func list(_ directory: String) throws(DiskError) -> [String]
    /// Makes a directory and its missing parents; one that exists is fine. What it made is durable
    /// when it returns.
    func makeDirectory(_ path: String) throws(DiskError)
    /// Renames `source` to `target`, replacing a target that exists.
    func rename(_ source: String, to target: String) throws(DiskError)
    /// Makes a second name for a file (hard link).
    func link(_ source: String, as target: String) throws(DiskError)
    /// Removes a name. Open handles stay usable.
    func unlink(_ path: String) throws(DiskError)
    /// Makes the names in a directory durable.
    func syncDirectory(_ path: String) throws(DiskError)
    /// True when the name exists.
    func exists(_ path: String) throws(DiskError) -> Bool
    /// Takes an exclusive lock that lasts until the lock is released or the process ends; the
    /// file holds `note` (who holds it). Fails with `.locked(holder)` when somebody else has it.
    func lock(_ path: String, note: String) throws(DiskError) -> any DirectoryLock
    /// Bytes free for this user on the volume of `path`.
    func freeBytes(_ path: String) throws(DiskError) -> UInt64
}

/// How a file is opened.
package enum OpenMode: Sendable {
    /// Existing file, reads only.
    case read
    /// Existing file, reads and writes.
    case readWrite
    /// New file, reads and writes; fails when the name exists.
    case create
}

/// An open file. Reads and writes give their offset; there is no cursor. Safe to call from
/// several threads at once as pread and pwrite are.
package protocol File: AnyObject, Sendable {
    /// The path it was opened with, for messages.
    var path: String { get }
    /// Bytes in the file.
    func size() throws(DiskError) -> UInt64
    /// Reads up to `target.count` bytes at `offset`; fewer only at the end of the file.
    func read(into target: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(DiskError)
        -> Int
    /// The bytes of the file as they are now, to be read at any place. The file must not change
    /// while they are in use; it may be closed and unlinked.
    func map() throws(DiskError) -> MappedBytes
    /// Writes all of `source` at `offset`.
    func write(_ source: UnsafeRawBufferPointer, at offset: UInt64) throws(DiskError)
    /// Makes all written bytes and the size durable (fdatasync). A failure is never retried: the
    /// caller must stop trusting the file.
    func sync() throws(DiskError)
    /// Reserves space so that later writes inside `size` need none; grows the file to `size`.
    func preallocate(_ size: UInt64) throws(DiskError)
    /// Cuts or extends the file.
    func truncate(_ size: UInt64) throws(DiskError)
    /// Closes the descriptor; later calls fail with `.closed`. Closing twice is fine.
    func close()
}

/// A held lock on a data directory.
package protocol DirectoryLock: AnyObject, Sendable {
    /// Gives the lock back.
    func release()
}

/// An operating failure at the disk, with what was tried on which file.
package struct DiskError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What went wrong.
    package enum Reason: Equatable, Sendable {
        case notFound
        case exists
        case noSpace
        case denied
        case locked(holder: String)
        case closed
        case inputOutput
        /// Any other errno.
        case system(Int32)
    }

    /// What went wrong.
    package let reason: Reason
    /// The call, e.g. `pwrite`.
    package let operation: String
    /// The file or directory.
    package let path: String

    /// An error of `operation` on `path`.
    package init(_ reason: Reason, _ operation: String, _ path: String) {
        self.reason = reason
        self.operation = operation
        self.path = path
    }

    /// True when the disk had no room: the call did nothing that counts, and room may come back. A
    /// failed sync is never so, whatever it says.
    package var isWaitedOut: Bool { reason == .noSpace && !operation.contains("sync") }

    /// One line for people.
    package var description: String { "\(operation) \(path): \(reason)" }
}
