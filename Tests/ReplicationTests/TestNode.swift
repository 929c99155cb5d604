import Platform
import RaftCore
import RecordLog
import Replication
import Simulation
import Synchronization

/// A replicator on a simulated disk, with its owner's part played by the test.
final class TestNode {
    static let directory = "/data/log"

    let disk: SimulatedFileSystem
    let scheduler: SimulatedScheduler
    let lane: any Lane
    let replicator: Replicator
    private let mail: Mail
    /// Everything committed since the start.
    private(set) var committed: [CommittedEntry] = []
    private(set) var roleChanges: [GroupRoleChange] = []
    private(set) var failures: [LogError] = []
    /// Groups that were told to fetch a snapshot.
    private(set) var snapshotsNeeded: [GroupSnapshotNeed] = []
    private var said: [GroupMessage] = []
    /// True: what comes out is applied at once.
    var appliesAtOnce = true
    /// A group whose entries are not applied: they stay live and in memory.
    var heldGroup: GroupID?

    /// The owner's queue of completions.
    private final class Mail: Sendable {
        let waiting = Mutex<[LogCompletion]>([])
    }

    init(
        _ disk: SimulatedFileSystem, groups: [GroupStart], seed: UInt64 = 1,
        segmentBytes: Int = 1 << 16, adjust: (inout ReplicatorOptions) -> Void = { _ in }
    ) throws(LogError) {
        self.disk = disk
        scheduler = SimulatedScheduler(seed: seed)
        lane = scheduler.lane("log")
        let mail = Mail()
        self.mail = mail
        var options = ReplicatorOptions()
        options.log = SegmentLogOptions(segmentBytes: segmentBytes)
        adjust(&options)
        replicator = try Replicator.open(
            disk, Self.directory, groups: groups, options: options, lane: lane,
            fileLane: scheduler.lane("files"),
            complete: { completion in mail.waiting.withLock { $0.append(completion) } })
    }

    /// Gives the replicator a turn: takes what is decided and starts the log's next turn.
    func drain() {
        var output: ReplicatorOutput
        repeat {
            output = replicator.drain()
            committed.append(contentsOf: output.committed)
            roleChanges.append(contentsOf: output.roleChanges)
            if let failure = output.failure { failures.append(failure) }
            snapshotsNeeded.append(contentsOf: output.snapshotsNeeded)
            said.append(contentsOf: output.messages)
            guard appliesAtOnce else { continue }
            for entry in output.committed where entry.group != heldGroup {
                replicator.applied(group: entry.group, through: entry.entry.index)
            }
        } while output.hasMore
    }

    /// What the replicas have said since this was last called.
    func takeMessages() -> [GroupMessage] {
        defer { said = [] }
        return said
    }

    /// Lets the lanes run and hands completions over; false when there were none.
    @discardableResult
    func work() -> Bool {
        scheduler.runUntilIdle()
        let waiting = mail.waiting.withLock { waiting in
            defer { waiting = [] }
            return waiting
        }
        for completion in waiting { replicator.completed(completion) }
        return !waiting.isEmpty
    }

    /// Turns until nothing moves.
    func settle() {
        repeat { drain() } while work()
        drain()
    }

    /// Proposes, and fails the test's expectation with nil when refused.
    func propose(_ group: GroupID, _ text: String) -> (index: LogIndex, term: Term)? {
        guard
            case .accepted(let index, let term) = replicator.propose(
                group: group, payload: [UInt8](text.utf8))
        else { return nil }
        return (index, term)
    }

    /// Payloads of commands committed in a group, as text.
    func texts(_ group: GroupID) -> [String] {
        committed.filter { $0.group == group && $0.entry.kind == .command }
            .map { String(decoding: $0.entry.payload, as: UTF8.self) }
    }

    /// The last index committed in a group; 0 when none was.
    func lastCommitted(_ group: GroupID) -> LogIndex {
        committed.last { $0.group == group }?.entry.index ?? 0
    }

    /// The term of the last entry committed in a group.
    func lastTerm(_ group: GroupID) -> Term {
        committed.last { $0.group == group }?.entry.term ?? 0
    }

    /// Segment files on the disk.
    var segmentCount: Int { disk.paths.count { $0.hasSuffix(".log") } }
}
