import RaftCore
import Replication
import ShardStore

/// Replicas of a shard are compared while they work: every so many entries each notes the hash of
/// its state, leaders tell theirs, and who has noted the same entry compares.
///
/// The hash is a chain over the applied write batches, so one difference, ever, shows for good.
struct StateMarks {
    /// A shard's hash as of an entry.
    struct Mark: Equatable, Sendable {
        let shard: GroupID
        let index: LogIndex
        let hash: UInt64
    }

    /// Entries between marks.
    private static let interval: LogIndex = 64
    /// Marks of a shard that are remembered: replicas that lag by more are compared later.
    private static let marksMax = 32

    private var marks: [GroupID: [Mark]] = [:]
    /// The last entry at which a shard was found equal to another replica's.
    private(set) var verified: [GroupID: LogIndex] = [:]

    /// Notes a position that was reached.
    mutating func note(_ position: ShardPosition) {
        guard position.index % Self.interval == 0 else { return }
        var own = marks[position.shard, default: []]
        own.append(Mark(shard: position.shard, index: position.index, hash: position.hash))
        if own.count > Self.marksMax { own.removeFirst() }
        marks[position.shard] = own
    }

    /// The newest mark of a shard.
    func newest(of shard: GroupID) -> Mark? { marks[shard]?.last }

    /// Compares with another replica's mark; false when the states differ.
    mutating func agrees(with other: Mark) -> Bool {
        guard let own = marks[other.shard]?.first(where: { $0.index == other.index }) else {
            return true
        }
        guard own.hash == other.hash else { return false }
        verified[other.shard] = max(verified[other.shard, default: 0], other.index)
        return true
    }
}
