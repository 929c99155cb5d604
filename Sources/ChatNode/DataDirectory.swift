import Platform
import Replication
import Synchronization

/// Why a node cannot start: one message for the person at the terminal.
package struct StartFailure: Error, Sendable, CustomStringConvertible {
    /// What is wrong, where, and what to do.
    package let description: String

    /// A failure.
    package init(_ description: String) { self.description = description }
}

/// A node's directory: its lock and its superblock.
///
/// ```
/// DIR/LOCK         held while the node runs; says who holds it
/// DIR/SUPERBLOCK   who this node is (two checksummed copies)
/// DIR/log/         the replicated log
/// DIR/tree/        the sorted tables
/// DIR/blobs/       media volumes
/// DIR/search/      the search index, a directory for each shard
/// DIR/ballast      room to give up when the disk is full
/// ```
final class DataDirectory: Sendable {
    let path: String
    private let block: Mutex<Superblock>
    private let files: any FileSystem
    private let lock: any DirectoryLock

    /// Takes the directory, making it for node `number` when it is missing.
    init(_ path: String, number: NodeNumber, seams: NodeSeams) throws {
        let files = seams.fileSystem
        self.path = path
        do {
            try files.makeDirectory(path)
            lock = try files.lock(path + "/LOCK", note: "magpie")
        } catch {
            throw Self.explain(error, path: path)
        }
        do {
            let superblock = try Superblock.openOrCreate(in: path, number: number, seams: seams)
            block = Mutex(superblock)
            self.files = files
            guard superblock.number == number else {
                throw StartFailure(
                    "\(path) belongs to node \(superblock.number) of a cluster, and this is to be "
                        + "node \(number): give each node a directory of its own, and name it with "
                        + "the cluster's nodes in its configuration file (--config)")
            }
        } catch {
            lock.release()
            throw error
        }
    }

    var superblock: Superblock { block.withLock { $0 } }

    /// Writes who the node is from now on, durably.
    func rewrite(_ superblock: Superblock) throws {
        try superblock.write(in: path, files)
        block.withLock { $0 = superblock }
    }

    var blobPath: String { path + "/blobs" }
    var searchPath: String { path + "/search" }

    func release() { lock.release() }

    private static func explain(_ error: DiskError, path: String) -> StartFailure {
        switch error.reason {
        case .locked(let holder):
            StartFailure(
                "the data directory \(path) is in use by \(holder); "
                    + "stop that server or choose another --data")
        case .denied:
            StartFailure(
                "the data directory \(path) cannot be read or written by this user; "
                    + "change its owner or choose another --data")
        default:
            StartFailure("the data directory \(path) cannot be used: \(error)")
        }
    }
}
