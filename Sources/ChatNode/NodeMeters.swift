import LSMTree
package import Synchronization

/// Why a node must stop: it can no longer keep what it promises.
package enum NodeFailure: Error, Sendable, CustomStringConvertible {
    /// A write or sync of the log failed.
    case log(any Error)
    /// The tree's background work failed.
    case tree(any Error)
    /// A sync of a media volume failed.
    case blobs(any Error)
    /// A decided entry could not be applied.
    case apply(shard: UInt32, index: UInt64, any Error)
    /// A shard's rows are not those of another node's replica.
    case diverged(shard: UInt32, index: UInt64, node: UInt16)

    /// One message for the person at the terminal.
    package var description: String {
        switch self {
        case .log(let error):
            "the log cannot be written: \(error). The node stops so that nothing unsafe is "
                + "acknowledged; check the disk, then start it again"
        case .tree(let error):
            "the tables cannot be kept: \(error). The node stops; check the disk, then start it "
                + "again"
        case .blobs(let error):
            "the media volumes cannot be written: \(error). The node stops; check the disk, then "
                + "start it again"
        case .apply(let shard, let index, let reason):
            "entry \(index) of shard \(shard) cannot be applied: \(reason). The node stops; keep "
                + "the data directory for a report"
        case .diverged(let shard, let index, let node):
            "shard \(shard) differs from node \(node)'s as of entry \(index): one of the two is "
                + "wrong. The node stops; keep both data directories for a report, and bring this "
                + "node back with an empty one"
        }
    }
}

extension NodeFailure {
    /// True when tables were found damaged: what they hold must come from elsewhere.
    var isDamage: Bool {
        switch self {
        case .tree(let error), .apply(_, _, let error):
            (error as? TreeError)?.isDamage ?? false
        case .log, .blobs, .diverged: false
        }
    }
}

/// What a node counts. Written by its lanes, read by anyone.
package final class NodeMeters: Sendable {
    /// Commands applied since the start.
    package let commands = Atomic<UInt64>(0)
    /// Log entries applied since the start.
    package let entries = Atomic<UInt64>(0)
    /// Turns of the log.
    package let logTurns = Atomic<UInt64>(0)
    /// Microseconds that they took: waiting, writing, syncing.
    package let logTurnMicroseconds = Atomic<UInt64>(0)
    /// The longest of them.
    package let logTurnMicrosecondsMax = Atomic<UInt64>(0)
    /// Live sockets.
    package let sockets = Atomic<Int>(0)
    /// Events handed to sockets since the start.
    package let deliveries = Atomic<Int>(0)
    /// Errors that a client was told to look up in the log.
    package let incidents = Atomic<UInt64>(0)
    /// Frames of other nodes that were dropped because the consensus lane could not keep up.
    package let peerFramesDropped = Atomic<UInt64>(0)
    /// Bytes of frames of other nodes that wait for the consensus lane.
    let peerBytesWaiting = Atomic<Int>(0)
    /// How many of 1,024 new commands are refused, since writes come faster than tables.
    private let refusedShare = Atomic<UInt32>(0)
    /// Commands refused for that reason since the start.
    package let refusals = Atomic<UInt64>(0)
    /// The sum of the shares: a command is refused whenever it passes a multiple of 1,024, so that
    /// the refusals lie evenly among the commands.
    private let shareSum = Atomic<UInt32>(0)
    /// True once everything that the log held at the start is applied.
    let isCaughtUp = Atomic<Bool>(false)
    /// True while the cluster counts this node in and it reaches the leaders of all shards.
    let isInTouch = Atomic<Bool>(true)
    /// True once the node gives its leaderships away, since it is about to stop.
    let isHandingOver = Atomic<Bool>(false)
    /// True once the node stops or has failed.
    package let isStopping = Atomic<Bool>(false)

    /// True when the node serves: clients are well advised to come here.
    package var isReady: Bool {
        isCaughtUp.load(ordering: .acquiring) && isInTouch.load(ordering: .relaxed)
            && !isHandingOver.load(ordering: .relaxed)
    }

    /// Whether one more command is taken.
    func admits() -> Bool {
        let share = refusedShare.load(ordering: .relaxed)
        if share == 0 { return true }
        let (old, new) = shareSum.wrappingAdd(share, ordering: .relaxed)
        if old &>> 10 == new &>> 10 { return true }
        refusals.add(1, ordering: .relaxed)
        return false
    }

    func note(pressure: Double) {
        refusedShare.store(UInt32(min(1, max(0, pressure)) * 1_024), ordering: .relaxed)
    }

    func logTurn(microseconds: UInt64) {
        logTurns.add(1, ordering: .relaxed)
        logTurnMicroseconds.add(microseconds, ordering: .relaxed)
        if microseconds > logTurnMicrosecondsMax.load(ordering: .relaxed) {
            logTurnMicrosecondsMax.store(microseconds, ordering: .relaxed)
        }
    }

    /// Whether a frame of another node may wait; when too many bytes do it counts as dropped.
    func takesPeerFrame(bytes: Int) -> Bool {
        let cost = bytes + NodeLimits.peerFrameOverhead
        let waiting = peerBytesWaiting.add(cost, ordering: .relaxed).newValue
        if waiting <= NodeLimits.peerBytesMax { return true }
        peerBytesWaiting.subtract(cost, ordering: .relaxed)
        peerFramesDropped.add(1, ordering: .relaxed)
        return false
    }

    func tookPeerFrame(bytes: Int) {
        peerBytesWaiting.subtract(bytes + NodeLimits.peerFrameOverhead, ordering: .relaxed)
    }

    func applied(commands count: Int) {
        commands.add(UInt64(count), ordering: .relaxed)
        entries.add(1, ordering: .relaxed)
    }
}
