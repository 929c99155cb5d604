import Foundation
import Glibc
import Platform
import Synchronization

/// Keeps the files of a directory out of the kernel's page cache, so that what an engine does not
/// hold in its own memory comes from the disk: for all engines alike, however they read.
///
/// Pages that a process has mapped (LevelDB reads so) stay in spite of `POSIX_FADV_DONTNEED`; their
/// mappings are emptied first. Pages that were not written back yet stay too.
final class PageCacheDropper: Sendable {
    private let directory: String
    private let lane = ThreadScheduler().lane("page-cache")

    /// Drops the pages now and every 20 ms until ``stop()``.
    init(_ directory: String) {
        self.directory = directory
        Self.drop(directory)
        lane.submit(after: .milliseconds(20)) { [weak self] in self?.tick() }
    }

    /// Ends it.
    func stop() { lane.stop() }

    private func tick() {
        Self.drop(directory)
        lane.submit(after: .milliseconds(20)) { [weak self] in self?.tick() }
    }

    /// Drops what the page cache holds of the files.
    static func drop(_ directory: String) {
        unmapPages(directory)
        for (path, _) in Meter.files(of: directory) {
            let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { continue }
            posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
            Glibc.close(descriptor)
        }
    }

    /// A shared mapping of a file loses nothing by it: its pages are read again when touched.
    private static func unmapPages(_ directory: String) {
        guard let data = FileManager.default.contents(atPath: "/proc/self/maps") else { return }
        let text = String(decoding: data, as: UTF8.self)
        for line in text.split(separator: "\n") where line.contains(directory) {
            // proc(5): "start-end r--s offset device inode path".
            let fields = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
            let bounds = fields[0].split(separator: "-").compactMap { UInt(String($0), radix: 16) }
            guard fields.count == 6, fields[1].hasSuffix("s"), bounds.count == 2 else { continue }
            madvise(
                UnsafeMutableRawPointer(bitPattern: bounds[0]), Int(bounds[1] - bounds[0]),
                MADV_DONTNEED)
        }
    }
}

/// Watches how much disk a directory takes.
final class DiskWatch: Sendable {
    private let directory: String
    private let lane = ThreadScheduler().lane("disk-watch")
    private let most = Mutex<UInt64>(0)

    /// Looks ten times a second until ``stop()``.
    init(_ directory: String) {
        self.directory = directory
        lane.submit { [weak self] in self?.tick() }
    }

    /// Ends it; the most bytes that were seen.
    func stop() -> UInt64 {
        lane.stop()
        return most.withLock { $0 }
    }

    private func tick() {
        let bytes = Meter.diskBytes(directory)
        most.withLock { $0 = max($0, bytes) }
        lane.submit(after: .milliseconds(100)) { [weak self] in self?.tick() }
    }
}
