import Bytes
import ChatModel
import RaftCore
import Replication

/// What nodes say to each other, one frame at a time. Integers `v` are unsigned varints.
///
///     u8 kind | fields
///
///     1  formation ask       -
///     2  formation           u8 is formed | 16 cluster | v epoch | 32 key | v count
///                            | for each founder: v number | v incarnation
///     3  raft                messages, see RaftMessageFormat
///     4  propose             v request | v flight | v shard | v map epoch | v count
///                            | commands, prefixed
///     5  proposed            v request | u8 outcome | v index | v term | v offset
///     6  read ask            v request | v count | v shard …
///     7  read answer         v request | v count | for each: v shard | v index + 1, 0: lost
///     8  snapshot ask        v shard | v export, 0: a new one | u8 keyspace | u8 range
///                            | prefixed last key
///     9  snapshot chunk      v shard | v export | v index | v term | u64 hash | prefixed
///                            configuration | u8 keyspace | u8 range | u8 is finished
///                            | prefixed rows
///    10  snapshot refused    v shard | v export
///    11  presence            v count | for each: 16 user | v lease | u8 what
///    12  typing              16 conversation | 16 user
///    13  gossip              v load in millionths | u8 is ready | v groups led | v wall clock
///                            | v map epoch
///    14  state marks         v count | for each: v shard | v index | u64 hash
///    15  map                 as in commands.md
///
/// **Weakness.** Nodes trust each other: the transport has checked who they are.
enum PeerFrame: Equatable, Sendable {
    case formationAsk
    case formation(Formation?)
    case raft([GroupMessage])
    case propose(ForwardedBatch)
    case proposed(request: UInt64, ForwardOutcome)
    case readAsk(request: UInt64, shards: [GroupID])
    case readAnswer(request: UInt64, [ReadAnswer])
    case snapshotAsk(SnapshotCursor)
    case snapshotChunk(SnapshotChunk)
    case snapshotRefused(shard: GroupID, export: UInt64)
    case presence([PresenceNote])
    case typing(ConversationID, UserID)
    case gossip(Gossip)
    case stateMarks([StateMarks.Mark])
    /// The sender's map of the cluster, for one that goes by an older one.
    case map(ClusterMap)

    /// Commands of one shard that a node sends to the shard's leader.
    struct ForwardedBatch: Equatable, Sendable {
        let request: UInt64
        /// Batches under way together: once one of a flight is refused, the rest are.
        let flight: UInt64
        let shard: GroupID
        let epoch: UInt64
        let commands: [[UInt8]]
    }

    /// What became of a forwarded batch.
    enum ForwardOutcome: Equatable, Sendable {
        /// It stands in the leader's log: its first command is number `offset` of that entry.
        case accepted(index: LogIndex, term: Term, offset: Int)
        /// It is nowhere; another node may take it.
        case notLeader
        /// It is nowhere; there is too much to do.
        case overloaded
        /// It is nowhere; it is too large.
        case tooLarge
    }

    /// A shard's answer to a read; index nil: not confirmed.
    struct ReadAnswer: Equatable, Sendable {
        let shard: GroupID
        let index: LogIndex?
    }

    /// A sign of life of a socket on another node.
    struct PresenceNote: Equatable, Sendable {
        enum What: UInt8, Sendable {
            case active = 1
            case away = 2
            case left = 3
            case lost = 4
        }

        let user: UserID
        let lease: UInt64
        let what: What
    }

    /// How a node is.
    struct Gossip: Equatable, Sendable {
        var load: Double
        var isReady: Bool
        var groupsLed: Int
        /// The node's wall clock.
        var wallMs: Milliseconds
        /// Which map of the cluster it goes by.
        var mapEpoch: UInt64
    }
}

/// Where a receiver of a snapshot stands.
struct SnapshotCursor: Equatable, Sendable {
    var shard: GroupID
    /// The sender's name for the pinned state; 0: pin one.
    var export: UInt64
    var keyspace: UInt8
    /// Which of the shard's ranges.
    var range: UInt8
    /// Rows behind this key are wanted.
    var lastKey: [UInt8]
}

/// A part of a snapshot.
struct SnapshotChunk: Equatable, Sendable {
    var shard: GroupID
    var export: UInt64
    var index: LogIndex
    var term: Term
    var hash: UInt64
    /// The configuration as of the index, encoded.
    var configuration: [UInt8]
    var keyspace: UInt8
    var range: UInt8
    /// Nothing of this range follows.
    var isFinished: Bool
    /// Rows as the tree packs them.
    var rows: [UInt8]
}
