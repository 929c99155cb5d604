package import ChatModel
package import Platform
import Replication
package import Secrets

/// What a node is told at start. Everything else is derived.
package struct NodeConfiguration: Sendable {
    /// Where everything lies.
    package var directory: String
    /// What it takes from clients.
    package var limits = Limits()
    /// Public URL, or nil to follow the request's Host.
    package var publicURL: String?
    /// Bytes for memtables and caches together.
    package var memoryBudget = 512 << 20
    /// Bytes of disk that it may take; nil: as many as the volume has.
    package var diskBudget: UInt64?
    /// Bytes per second at which tables are read again to find rot; 0: they are not.
    package var scrubBytesPerSecond = 4 << 20
    /// Cost of one password hash.
    package var passwordCost = PasswordHash.Cost.standard
    /// Threads for cold reads.
    package var readLanes = 2
    /// Threads for password hashing.
    package var hashLanes = 2
    /// Bytes of one log segment.
    package var segmentBytes = 8 << 20
    /// Segments that one shard may hold back for a peer that lags; see ``ReplicatorOptions``.
    package var pinnedSegmentsMax: UInt64 = 32
    /// The cluster it is a part of; nil: it is alone.
    package var cluster: ClusterConfiguration?
    /// Shards beside the meta shard; fixed when the directory is made.
    package var dataShards: UInt32 = 16
    /// Changes that a shard's search index holds in memory before it makes them durable.
    package var searchTailEventsMax = 2_048
    /// The clockwork of consensus: heartbeats every two ticks, elections after 12 to 24 without.
    package var tick = Duration.milliseconds(50)

    /// The defaults, in `directory`.
    package init(directory: String) {
        self.directory = directory
    }

    /// A memtable takes 4 GiB at most, and more than twice this before writes wait.
    var memtableBytes: Int { min(memoryBudget / 8, 512 << 20) }

    var diskPolicy: DiskPolicy {
        DiskPolicy(
            memtableBytes: memtableBytes,
            logBytes: segmentBytes * Int(clamping: pinnedSegmentsMax / 4))
    }
}

/// The world as a node sees it: production and the simulator differ here and nowhere else.
package struct NodeSeams: Sendable {
    /// The disk.
    package var fileSystem: any FileSystem
    /// Time.
    package var clock: any Clock
    /// Chance.
    package var random: any RandomSource
    /// Threads.
    package var scheduler: any Scheduler
    /// Other nodes; nil for a node without a cluster.
    package var peers: PeerPort?

    /// The world.
    package init(
        fileSystem: any FileSystem, clock: any Clock, random: any RandomSource,
        scheduler: any Scheduler, peers: PeerPort? = nil
    ) {
        self.fileSystem = fileSystem
        self.clock = clock
        self.random = random
        self.scheduler = scheduler
        self.peers = peers
    }
}

/// Every limit of a node's own queues and tables, in one place. When one is full the caller is
/// told `unavailable` with a time to come back.
enum NodeLimits {
    /// Commands that wait for the consensus lane.
    static let proposalsMax = 32_768
    /// A day.
    static let dayMs: Milliseconds = 24 * 3_600_000
    /// Bytes of those commands.
    static let proposalBytesMax = 64 << 20
    /// Bytes of frames of other nodes that wait for the consensus lane; more is dropped, as by a
    /// network that loses frames.
    static let peerBytesMax = 64 << 20
    /// What a frame counts beside its bytes.
    static let peerFrameOverhead = 256
    /// Bytes of a shard's log entries that are proposed and not yet applied.
    static let unappliedBytesMax = 8 << 20
    /// Inputs that wait for the apply lane, completions apart.
    static let applyInputsMax = 65_536
    /// Questions that wait for a read lane, and changes that wait behind another of their user.
    static let questionsMax = 16_384
    /// Sign-ins and registrations that wait for a hash lane.
    static let hashesMax = 4_096
    /// Bytes of commands in one log entry.
    static let entryBytesMax = 512 << 10
    /// Pieces of blobs that wait to be written or read.
    static let blobJobsMax = 2_048
    /// Uploads under way.
    static let uploadsMax = 256
    /// Tickets that are out.
    static let ticketsMax = 65_536
    /// Users whose sending rate is watched.
    static let senderBucketsMax = 262_144
    /// Conversations whose feeds wait in memory; the rest wait in the `work` keyspace.
    static let dirtyConversationsMax = 65_536
    /// Feed touches proposed and not yet applied.
    static let touchesInFlightMax = 4_096
    /// From an erasure until older tables are merged: well above the 10 minutes of a cut.
    static let erasedMsMax: Milliseconds = 6 * 3_600_000
    /// Longer than what was applied waits for a cut to put it into tables.
    static let erasedSettleMs: Milliseconds = 1_200_000
    /// States of shards that are pinned for other nodes, those being pinned included.
    static let exportsMax = 4
    /// Such a state is let go of when nobody has asked for it for so long.
    static let exportIdleMs: Milliseconds = 60_000
    /// And so long after its last rows were sent: they may be asked for again.
    static let exportGraceMs: Milliseconds = 15_000
    /// So long a first question is taken for a repeated one, and answered from the same state.
    static let exportFreshMs: Milliseconds = 10_000
    /// How often it is looked for states whose time is over.
    static let exportCheck = Duration.seconds(10)
    /// Last seen times written in one go.
    static let lastSeenRowsMax = 4_096
    /// Users asked about in one presence question or watch.
    static let presenceUsersMax = 512
    /// When an overloaded node wants to be asked again.
    static let retryMs: Milliseconds = 500
    /// Searches that wait for the indexer or for a search lane.
    static let searchesMax = 1_024
    /// Items of touched entries that wait for the indexer.
    static let searchTouchesMax = 65_536
    /// The indexer looks so long after the first entry that touched something, unless it is asked.
    static let searchDelay = Duration.milliseconds(100)
    /// Changes that a shard's index holds in memory while it cannot make them durable; above it the
    /// index is made anew.
    static let searchHeldEventsMax = 8_192
    /// So many changes are prepared for searches once and for all; fewer again with what follows.
    static let searchStageEvents = 128
    /// Bytes of those changes.
    static let searchTailBytesMax = 8 << 20
    /// Rows that the indexer looks at in one turn.
    static let searchTurnRows = 1_024
    /// Rows that it looks at before it answers one who asks; what is left is said to be missing.
    static let searchCatchUpRows = 8_192
    /// Rows that a rebuild of an index reads in one turn.
    static let searchScanRows = 512
    /// The least that a rebuild rests between two turns: 1 ms.
    static let searchRestNs: UInt64 = 1_000_000
    /// From an error of an index to the next try.
    static let searchPauseNsMin: UInt64 = 1_000_000_000
    /// And at most.
    static let searchPauseNsMax: UInt64 = 300_000_000_000
    /// Postings and documents that one search may look at.
    static let searchWorkMax = 20_000_000
    /// How long one search may look for more.
    static let searchNsMax: UInt64 = 2_000_000_000
}
