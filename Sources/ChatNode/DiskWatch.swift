import BlobStore
import LSMTree
import Platform
import RecordLog
import Replication
import ShardStore
import Synchronization

/// How a node's disk stands, for `/status` and `/metrics`.
package struct DiskReport: Equatable, Sendable {
    /// What is refused.
    package var room = DiskRoom.ample
    /// Bytes that the node may still take: of the volume, and of its budget.
    package var freeBytes: UInt64 = 0
    /// Bytes that the node has taken: tables, log, media, search index, ballast.
    package var usedBytes: UInt64 = 0
    /// Bytes of ballast that are written.
    package var ballastBytes: UInt64 = 0
    /// Times that the ballast was given up since the start.
    package var ballastGivenUp: UInt64 = 0
    /// True while a flush, a compaction or the log waits for room.
    package var isWaiting = false
}

/// Looks after the disk once a second: what is free, what is refused, the ballast, the scrub.
/// Everything that follows from a full disk follows here; see ``DiskPolicy``.
///
/// The disk lane owns it; ``room`` and ``report`` are for anyone.
// `policy`, `ballast` and `pausedTurns` are confined to the disk lane; the rest is immutable or
// locked.
final class DiskWatch: @unchecked Sendable {
    /// Bytes of ballast written per second.
    private static let ballastBytesPerSecond: UInt64 = 8 << 20

    private let files: any FileSystem
    private let directory: String
    private let budget: UInt64?
    private let store: ShardStore
    private let blobs: BlobStore
    private let search: SearchFigures
    private let notice: @Sendable (String) -> Void
    private var policy: DiskPolicy
    private let ballast: Ballast
    private let latest = Mutex(DiskReport())
    private let isShort = Atomic<Bool>(false)
    /// Turns to wait after the ballast could not be written: what is free may not be to be had.
    private static let ballastPause = 60
    private var pausedTurns = 0

    init(
        _ files: any FileSystem, _ directory: String, budget: UInt64?, policy: DiskPolicy,
        store: ShardStore, blobs: BlobStore, search: SearchFigures,
        notice: @escaping @Sendable (String) -> Void
    ) throws(DiskError) {
        self.files = files
        self.directory = directory
        self.budget = budget
        self.policy = policy
        self.store = store
        self.blobs = blobs
        self.search = search
        self.notice = notice
        ballast = try Ballast(files, directory, size: policy.ballastBytes)
    }

    /// Gives the ballast up before a start that would find too little room for its own files.
    static func makeRoom(
        _ files: any FileSystem, _ directory: String, policy: DiskPolicy
    ) throws(DiskError) {
        if try files.freeBytes(directory) >= policy.softBytes / 4 { return }
        try Ballast(files, directory, size: policy.ballastBytes).giveUp()
    }

    /// How much room there is. Any thread; cheap.
    var room: DiskRoom {
        isShort.load(ordering: .relaxed) ? latest.withLock { $0.room } : .ample
    }

    /// As it was a second ago at most. Any thread.
    var report: DiskReport { latest.withLock { $0 } }

    /// Takes a reading and does what follows. A disk that cannot be asked changes nothing.
    func tick() {
        guard var report = try? reading() else { return }
        let step = policy.take(
            .init(
                freeBytes: report.freeBytes, ballastBytes: report.ballastBytes,
                isWaiting: report.isWaiting))
        report.room = policy.room
        do throws(DiskError) {
            switch step {
            case .keep: break
            case .giveUp:
                try ballast.giveUp()
                report.ballastGivenUp += 1
                notice("the disk is nearly full: the ballast file was given up")
            case .write where pausedTurns > 0: pausedTurns -= 1
            case .write:
                try ballast.write(Self.ballastBytesPerSecond)
                if ballast.bytes == policy.ballastBytes { notice("the ballast file is whole") }
            }
        } catch {
            pausedTurns = Self.ballastPause
            notice("the ballast file, tried again in a minute: \(error)")
        }
        report.ballastBytes = ballast.bytes
        let before = latest.withLock { latest in
            defer { latest = report }
            return latest.room
        }
        isShort.store(report.room != .ample, ordering: .relaxed)
        if before != report.room { notice(sentence(report)) }
    }

    private func reading() throws(DiskError) -> DiskReport {
        var report = latest.withLock { $0 }
        let log = store.replicator.logSpace
        let statistics = store.tree.statistics
        report.ballastBytes = ballast.bytes
        report.usedBytes =
            statistics.tableBytes + statistics.obsolete.bytes + log.space.bytes
            + blobs.bytes + search.get().bytes + ballast.bytes
        report.freeBytes = try files.freeBytes(directory)
        if let budget {
            let left = budget > report.usedBytes ? budget - report.usedBytes : 0
            report.freeBytes = min(report.freeBytes, left)
        }
        report.isWaiting = statistics.isOutOfSpace || log.isOutOfSpace
        return report
    }

    private func sentence(_ report: DiskReport) -> String {
        let free = "\(report.freeBytes >> 20) MB are free for this node"
        switch report.room {
        case .ample: return "the disk has room again: \(free)"
        case .short:
            return "the disk is nearly full, new messages are refused: \(free), and there must be "
                + "\(policy.softBytes >> 20) MB beside the ballast"
        case .exhausted: return "the disk is full, erasures alone are taken: \(free)"
        }
    }
}
