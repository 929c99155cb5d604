import Synchronization

/// Points that the runs together must reach: a simulation that never gets somewhere proves nothing
/// about it.
package enum ReachMark: String, Sendable, CaseIterable {
    case election = "a leader was elected"
    case leaderLost = "a leader stepped down"
    case powerCut = "power was cut"
    case powerCutAll = "power was cut on all nodes at once"
    case killed = "a process was killed"
    case crashedInsideOperation = "power was cut inside a disk operation"
    case paused = "a machine was paused"
    case partitioned = "the network was partitioned"
    case oneWayCut = "a link was cut one way"
    case clogged = "a link was clogged"
    case frameLost = "a frame was lost"
    case queueOverflowed = "a queue of frames overflowed"
    case staleFrame = "a frame of an old channel arrived"
    case replayedFrame = "a frame arrived twice"
    case channelReset = "a channel was reset"
    case clockJumped = "a wall clock jumped"
    case clockDrifted = "a clock drifted"
    case diskStalled = "a disk stalled"
    case diskFull = "a disk was full"
    case syncFailed = "a sync failed"
    case writeFailed = "a write failed"
    case readFailed = "a read failed"
    case bitFlipped = "a bit rotted"
    case rotRebuilt = "a node with rot was rebuilt from its peers"
    case snapshotRestarted = "a snapshot was fetched anew"
    case mapChanged = "the cluster's map was changed"
    case oldMapRefused = "a batch of an older map was refused"
    case clientReset = "a client's socket broke"
    case diskWiped = "a disk was wiped"
    case rejoinedEmpty = "a node came back with an empty disk"
    case snapshotInstalled = "a shard snapshot was installed"
    case nodeStopped = "a node stopped itself"
    case gracefulStop = "a node was stopped gracefully"
    case noQuorum = "a request had no quorum"
    case retriedElsewhere = "a request was repeated on another node"
    case duplicateAnswered = "a repeat was answered as the first try"
    case edited = "a message was edited"
    case erased = "a message was erased"
    case memberRemoved = "a member was removed"
    case memberReturned = "a removed member came back"
    case resumed = "a client resumed elsewhere"
    case gapPulled = "a client pulled a gap"
    case readRefused = "a read was refused"
    case searched = "a search found something"
    case searchedOn = "a search went on behind its first part"
    case searchedAgain = "a node searched after a restart"
    case searchedOwn = "a message was searched for when it had just been acknowledged"
    case searchedErased = "a search asked for what was erased"
    case searchedAway = "one who was put out found what was said before"
    case searchIndexing = "a search was answered while an index was made anew"
    case searchRefused = "a search was refused"
    case indexRebuilt = "a search index was made anew"
    case oneNode = "a cluster of one ran"
    case threeNodes = "a cluster of three ran"
    case coreOnly = "a majority alone finished everything"
}

/// Counts of the marks reached in a run.
package final class ReachMarks: Sendable {
    private let counts = Mutex([UInt64](repeating: 0, count: ReachMark.allCases.count))

    /// None so far.
    package init() {}

    /// A point was reached.
    package func reach(_ mark: ReachMark) {
        guard let place = ReachMark.allCases.firstIndex(of: mark) else { return }
        counts.withLock { $0[place] += 1 }
    }

    /// How often, in the order of the marks.
    package var all: [UInt64] { counts.withLock { $0 } }

    /// How often this one.
    package func count(_ mark: ReachMark) -> UInt64 {
        ReachMark.allCases.firstIndex(of: mark).map { place in counts.withLock { $0[place] } } ?? 0
    }
}
