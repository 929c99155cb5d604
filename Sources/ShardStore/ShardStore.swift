import Bytes
package import LSMTree
package import Platform
package import RaftCore
package import RecordLog
package import Replication

/// A shard's number: that of its Raft group.
package typealias ShardID = GroupID

/// Why a store cannot be opened.
package enum ShardStoreError: Error, Sendable, CustomStringConvertible {
    /// The tree.
    case tree(TreeError)
    /// The log.
    case log(LogError)
    /// The manifest speaks of other shards or replicas than the node.
    case foreign(String)

    /// One line for people.
    package var description: String {
        switch self {
        case .tree(let error): error.description
        case .log(let error): error.description
        case .foreign(let what): what
        }
    }
}

/// A shard placed on the node.
package struct ShardPlacement: Equatable, Sendable {
    /// The shard.
    package let shard: ShardID
    /// The placement's name; never reused.
    package let replica: ReplicaID
    /// Who is in the group before its log says anything else.
    package let configuration: Configuration

    /// A placement.
    package init(
        shard: ShardID, replica: ReplicaID, configuration: Configuration
    ) {
        self.shard = shard
        self.replica = replica
        self.configuration = configuration
    }
}

/// Limits of a store.
package struct ShardStoreOptions: Sendable {
    /// The tree.
    package var tree: TreeOptions
    /// The groups and their log.
    package var replication = ReplicatorOptions()
    /// A store that was written to is cut at least this often, so that what is erased leaves the
    /// log: 10 minutes.
    package var dirtyMsMax: UInt64 = 600_000
    /// A cut is made so soon after a range delete, for then the tables that lie under it can go
    /// unread: 10 seconds.
    package var rangeDeleteMsMax: UInt64 = 10_000
    /// Bytes of applied entries above which a cut is made although the memtable has room, so that
    /// the log stays short and a restart quick.
    package var logBytesMax = 256 << 20

    /// The defaults for a tree.
    package init(tree: TreeOptions) {
        self.tree = tree
    }
}

/// What a cut made durable, on its way from the tree to the log.
package struct InstalledCut: Sendable {
    /// How far each shard's rows go in it.
    package let positions: [ShardPosition]
    /// Shards in whose rows something was erased since the cut before: older entries hold it in
    /// clear.
    package let erased: Set<ShardID>
}

/// Where log and tree meet: it knows how far each shard is applied, makes the cuts that tie the two
/// together, and lets the log go behind them.
///
///     consensus lane:  replicator ── committed entries ──▶ owner
///     apply lane:      owner ── apply(…batch) ──▶ tree,  cutIfNeeded ──▶ tree.cut(positions)
///     tree's lane:     cut installed ──▶ owner ──▶ consensus lane: release(positions)
///
/// **Invariant.** The tables named by the manifest hold exactly the batches up to the positions in
/// the same manifest record, of all keyspaces and all shards; everything above is in the log. So a
/// recovered store is a prefix of the applied batches that holds every acknowledged one.
// `positions` and what follows it are confined to the apply lane, the replicator to the consensus
// lane; the rest is immutable.
package final class ShardStore: @unchecked Sendable {
    /// The rows.
    package let tree: Tree
    /// The groups; confined to the consensus lane.
    package let replicator: Replicator
    private let options: ShardStoreOptions
    private let installed: @Sendable (InstalledCut) -> Void
    private let lanes: [any Lane]
    private var positions: [ShardPosition]
    private var places: [GroupID: Int] = [:]
    private var dirtySinceMs: UInt64?
    private var hasRangeDeletes = false
    private var rangeDeletedSinceMs: UInt64?
    private var appliedBytes = 0
    /// Shards in which something was erased since the last cut.
    private var erased: Set<ShardID> = []

    private init(
        tree: Tree, replicator: Replicator, lanes: [any Lane], options: ShardStoreOptions,
        positions: [ShardPosition],
        installed: @escaping @Sendable (InstalledCut) -> Void
    ) {
        self.tree = tree
        self.replicator = replicator
        self.lanes = lanes
        self.options = options
        self.positions = positions
        self.installed = installed
        for (place, position) in positions.enumerated() { places[position.shard] = place }
    }

    /// Opens the tree in `DIR/tree` and the log in `DIR/log`, or makes them. Blocks on the disk.
    ///
    /// Every committed entry above the newest cut comes out of the replicator again, as committed,
    /// in the order of its shard: recovery and work are one path. What recovery acted on is durable
    /// when this returns.
    ///
    /// - Parameters:
    ///   - shards: the shards placed here.
    ///   - isOwn: true for replica ids that this node ever had. Tables of a former incarnation,
    ///     whose log could not be trusted any more, are a start for the present one: rows are
    ///     decided.
    ///   - isCheckpoint: a tree alone is opened, whose log is elsewhere; else a log that is gone is
    ///     rot.
    ///   - completed: called on the log's lane; hand it to `replicator.completed` on the consensus
    ///     lane.
    ///   - installed: called on a lane of the tree when a cut is durable; hand it to
    ///     ``release(_:)`` on the consensus lane.
    ///   - onTreeFailure: called once when the tree's background work fails for good.
    ///   - onTreeDamage: called on a lane of the tree for each table that goes into quarantine.
    package static func open(
        fileSystem: any FileSystem, directory: String, scheduler: any Scheduler,
        options: ShardStoreOptions, shards: [ShardPlacement],
        isOwn: (ReplicaID) -> Bool = { _ in false }, isCheckpoint: Bool = false,
        completed: @escaping @Sendable (LogCompletion) -> Void,
        installed: @escaping @Sendable (InstalledCut) -> Void,
        onTreeFailure: @escaping @Sendable (TreeError) -> Void,
        onTreeDamage: @escaping @Sendable (TreeError) -> Void = { _ in }
    ) throws(ShardStoreError) -> ShardStore {
        let tree: Tree
        do throws(TreeError) {
            tree = try Tree.open(
                fileSystem: fileSystem, directory: directory + "/tree", options: options.tree,
                scheduler: scheduler, onFailure: onTreeFailure, onDamage: onTreeDamage)
        } catch {
            throw .tree(error)
        }
        let lanes =
            [scheduler.hotLane("log")] + ["log-files", "log-read"].map { scheduler.lane($0) }
        do throws(ShardStoreError) {
            let (positions, hasBegun) = try recoveredPositions(
                tree, shards, isOwn, directory: directory)
            var options = options
            // Every store that was open left a segment.
            if hasBegun { options.replication.log.mayBeNew = isCheckpoint }
            let replicator = try openLog(
                fileSystem, directory + "/log", positions, options, lanes, completed: completed)
            return ShardStore(
                tree: tree, replicator: replicator, lanes: lanes, options: options,
                positions: positions, installed: installed)
        } catch {
            tree.close()
            for lane in lanes { lane.stop() }
            throw error
        }
    }

    /// How far each shard is in the tables, and whether one of the present replicas wrote some.
    private static func recoveredPositions(
        _ tree: Tree, _ shards: [ShardPlacement], _ isOwn: (ReplicaID) -> Bool,
        directory: String
    ) throws(ShardStoreError) -> (positions: [ShardPosition], hasBegun: Bool) {
        let shards = shards.sorted { $0.shard < $1.shard }
        var positions = shards.map {
            ShardPosition(
                shard: $0.shard, replica: $0.replica, configuration: $0.configuration)
        }
        guard let state = tree.installedState else { return (positions, false) }
        guard let known = try? CutStateFormat.decode(state) else {
            throw .foreign("\(directory)/tree: the manifest's cut state does not decode")
        }
        var hasBegun = false
        for position in known {
            guard
                let place = shards.firstIndex(where: {
                    $0.shard == position.shard
                        && ($0.replica == position.replica || isOwn(position.replica))
                })
            else {
                throw .foreign(
                    "\(directory)/tree speaks of shard \(position.shard) as replica "
                        + "\(position.replica), which this node is not")
            }
            let replica = positions[place].replica
            // Before its first entry a group is as its placement says.
            if position.index > 0 {
                positions[place] = position
                if position.replica == replica { hasBegun = true }
            }
            positions[place].replica = replica
        }
        return (positions, hasBegun)
    }

    private static func openLog(
        _ fileSystem: any FileSystem, _ directory: String, _ positions: [ShardPosition],
        _ options: ShardStoreOptions, _ lanes: [any Lane],
        completed: @escaping @Sendable (LogCompletion) -> Void
    ) throws(ShardStoreError) -> Replicator {
        let starts = positions.map {
            GroupStart(
                group: $0.shard, replica: $0.replica, appliedIndex: $0.index, appliedTerm: $0.term,
                configuration: $0.configuration)
        }
        do throws(LogError) {
            return try Replicator.open(
                fileSystem, directory, groups: starts, options: options.replication,
                lane: lanes[0], fileLane: lanes[1], readLane: lanes[2], complete: completed)
        } catch {
            throw .log(error)
        }
    }

    // MARK: Apply lane

    /// Puts the batch of a committed entry into the tree, visible at once and in all keyspaces, and
    /// moves the shard's position. An entry that carries no rows only moves the position.
    ///
    /// - Parameters:
    ///   - payloadBytes: what the entry takes in the log.
    ///   - configuration: set when the entry changes who is in the group.
    ///   - isErasing: the batch erases something that older entries hold in clear: from the next
    ///     cut on they are not kept for long, and the segments that hold them are wiped.
    ///
    /// - Precondition: entries of a shard come in order, each once.
    package func apply(
        shard: GroupID, index: LogIndex, term: Term, payloadBytes: Int, _ batch: WriteBatch,
        configuration: Configuration? = nil, isErasing: Bool = false
    ) {
        guard let place = places[shard] else {
            preconditionFailure("shard \(shard) is not placed here")
        }
        precondition(
            index == positions[place].index + 1, "entries of a shard are applied in order")
        tree.apply(batch)
        if batch.rangeDeletes > 0 { hasRangeDeletes = true }
        positions[place].index = index
        positions[place].term = term
        positions[place].hash = batch.withBytes {
            Checksum.xxh3($0, seed: positions[place].hash ^ index)
        }
        if let configuration { positions[place].configuration = configuration }
        appliedBytes += payloadBytes
        if isErasing { erased.insert(shard) }
    }

    /// Takes a shard's state that came as a snapshot, in the place of whatever rows it had: the
    /// tables, and how far they go, become durable together. Then `done` is called, on a lane of
    /// the tree.
    ///
    /// False, and nothing happened, when the shard has come further meanwhile.
    ///
    /// - Precondition: ``canInstall``; the ingest is sealed.
    package func install(
        _ position: ShardPosition, _ ingest: TreeIngest, done: @escaping @Sendable () -> Void
    ) -> Bool {
        guard let place = places[position.shard], positions[place].index < position.index else {
            return false
        }
        let before = positions
        positions[place] = position
        positions[place].replica = before[place].replica
        let installed = installed
        let cut = takeCut()
        tree.install(
            ingest, state: CutStateFormat.encode(cut.positions),
            memtableState: CutStateFormat.encode(before)
        ) { _ in
            installed(cut)
            done()
        }
        return true
    }

    /// True when the tree can take a snapshot now: try again later otherwise.
    package var canInstall: Bool { tree.canCut }

    /// How far a shard is applied; nil when it is not here.
    package func position(of shard: GroupID) -> ShardPosition? {
        places[shard].map { positions[$0] }
    }

    /// Makes a cut when the memtable is full, the log long or old, and the tree can take one. Call
    /// it after each drain and on a timer. True when it made one.
    @discardableResult
    package func cutIfNeeded(nowMs: UInt64) -> Bool {
        if tree.memtableBytes > 0 || appliedBytes > 0 {
            if dirtySinceMs == nil { dirtySinceMs = nowMs }
        }
        if hasRangeDeletes, rangeDeletedSinceMs == nil { rangeDeletedSinceMs = nowMs }
        let isOld =
            dirtySinceMs.map { nowMs >= $0 &+ options.dirtyMsMax } ?? false
            || rangeDeletedSinceMs.map { nowMs >= $0 &+ options.rangeDeleteMsMax } ?? false
        guard tree.shouldCut || isOld || appliedBytes >= options.logBytesMax else { return false }
        return cut()
    }

    /// Makes a cut now, unless the tree has as many frozen memtables as it may; true when it did.
    @discardableResult
    package func cut() -> Bool {
        guard tree.canCut else { return false }
        let installed = installed
        let cut = takeCut()
        tree.cut(state: CutStateFormat.encode(cut.positions)) { _ in installed(cut) }
        return true
    }

    /// What a cut made now holds; with it counting begins anew.
    private func takeCut() -> InstalledCut {
        defer {
            dirtySinceMs = nil
            (hasRangeDeletes, rangeDeletedSinceMs) = (false, nil)
            appliedBytes = 0
            erased = []
        }
        return InstalledCut(positions: positions, erased: erased)
    }

    // MARK: Consensus lane

    /// Lets the log behind an installed cut go.
    package func release(_ cut: InstalledCut) {
        replicator.release(
            applied: cut.positions.map { (group: $0.shard, index: $0.index) }, erased: cut.erased)
    }

    /// Ends the lanes and closes the files. What was acknowledged is in the log; a last cut makes
    /// the next start short. Called when the consensus and apply lanes have ended.
    package func close() {
        replicator.stop()
        for lane in lanes { lane.stop() }
        if appliedBytes > 0 { cut() }
        tree.close(isFlushing: true)
    }
}
