import BlobStore
import Bytes
import ChatEngine
import LSMTree
import Platform
import RaftCore
import RecordLog
import Replication
import ShardStore

/// Opens what a node keeps, and decides what becomes of a node whose log or tables are damaged.
///
/// A node of a cluster whose durable bytes can't be read has forgotten promises: votes, entries it
/// acknowledged. It must not go on as who it was. It sets the damaged files aside, takes a new
/// incarnation, and its shards are let into their groups again as learners, from the tables that
/// are sound or from nothing. A node that is alone has nobody to ask: it does not start.
struct NodeOpening {
    let directory: DataDirectory
    let configuration: NodeConfiguration
    let seams: NodeSeams
    let shards: ShardMap
    let consensusBox: InputBox<ConsensusLoop.Input>
    let apply: InputBox<ApplyLoop.Input>
    let hooks: ChatNode.Hooks
    let fail: @Sendable (NodeFailure) -> Void

    /// The file that says: the tables were found damaged, begin anew.
    static let rebuildMark = "REBUILD"

    /// Has the next start begin anew, from the peers. When that can't be written down, the next
    /// start finds the damage again.
    static func markForRebuild(_ directory: DataDirectory, _ seams: NodeSeams) {
        let path = directory.path + "/" + rebuildMark
        do {
            if try seams.fileSystem.exists(path) { return }
            let file = try seams.fileSystem.open(path, .create)
            defer { file.close() }
            try file.sync()
            try seams.fileSystem.syncDirectory(directory.path)
        } catch {
            return
        }
    }

    func open() throws -> (ShardStore, BlobStore, ClusterLinks) {
        let files = seams.fileSystem
        let policy = configuration.diskPolicy
        if let budget = configuration.diskBudget, budget < policy.budgetMin {
            throw StartFailure(
                "a disk budget of \(budget >> 20) MB is too small: with this much memory it is "
                    + "\(policy.budgetMin >> 20) MB at least")
        }
        try DiskWatch.makeRoom(files, directory.path, policy: policy)
        var isMarked = false
        if hasPeers { isMarked = try files.exists(directory.path + "/" + Self.rebuildMark) }
        if isMarked {
            try setAside(isTreeSound: false, "its tables were found damaged")
        }
        do {
            return try openOnce()
        } catch let error as ShardStoreError where hasPeers {
            switch error {
            case .log(let damage) where damage.isRot:
                try setAside(isTreeSound: true, "\(error)")
            case .tree(let damage) where damage.isDamage:
                try setAside(isTreeSound: false, "\(error)")
            default: throw explain(error)
            }
            return try openOnce()
        } catch {
            throw explain(error)
        }
    }

    /// What looks after the disk of a store that is open; a failure closes it.
    func watch(
        _ store: ShardStore, _ blobs: BlobStore, _ search: SearchFigures
    ) throws -> DiskWatch {
        do {
            return try DiskWatch(
                seams.fileSystem, directory.path, budget: configuration.diskBudget,
                policy: configuration.diskPolicy, store: store, blobs: blobs,
                search: search, notice: hooks.incident)
        } catch {
            store.close()
            throw StartFailure("\(error)")
        }
    }

    /// What keeps the search index of a store that is open.
    func indexer(
        _ store: ShardStore, _ touches: SearchTouches, _ figures: SearchFigures, _ disk: DiskWatch
    ) -> SearchIndexer {
        SearchIndexer(
            store: store, shards: shards, directory: directory.searchPath, seams: seams,
            tailEventsMax: configuration.searchTailEventsMax, touches: touches, figures: figures,
            hasRoom: { disk.room == .ample }, notice: hooks.incident)
    }

    private var hasPeers: Bool { configuration.cluster.map { $0.nodes.count > 1 } ?? false }

    private func explain(_ error: any Error) -> any Error {
        if error is StartFailure { return error }
        if Self.isFull(error) {
            return StartFailure(
                "\(error). The disk of \(directory.path) is full; nothing was lost: make room and "
                    + "start again")
        }
        guard Self.isDamage(error) else { return StartFailure("\(error)") }
        return StartFailure(
            "\(error). Nothing that holds data was removed or repaired: restore the file from a "
                + "copy of this directory, or see what is left with magpie-dump db check and "
                + "db repair")
    }

    private static func isFull(_ error: any Error) -> Bool {
        switch error as? ShardStoreError {
        case .tree(let error): error.isFull
        case .log(.disk(let error)): error.reason == .noSpace
        default: (error as? DiskError)?.reason == .noSpace
        }
    }

    private static func isDamage(_ error: any Error) -> Bool {
        switch error as? ShardStoreError {
        case .tree(let error): error.isDamage
        case .log(let error): error.isRot
        default: true
        }
    }

    private func openOnce() throws -> (ShardStore, BlobStore, ClusterLinks) {
        let superblock = directory.superblock
        guard let formation = superblock.formation else {
            throw StartFailure("\(directory.path) belongs to no cluster yet")
        }
        let cluster = ClusterLinks(
            superblock, formation, nodes: configuration.cluster?.nodes ?? [],
            shards: shards.all.count, port: hasPeers ? seams.peers : nil)
        var opened: ShardStore?
        do {
            let store = try openStore(superblock, formation)
            opened = store
            try requireNobodyMissing(store, formation)
            let blobs = try BlobStore.open(
                fileSystem: seams.fileSystem, directory: directory.blobPath, random: seams.random)
            for damage in blobs.damage { hooks.incident("\(damage)") }
            return (store, blobs, cluster)
        } catch {
            opened?.close()
            throw error
        }
    }

    private func hasMap(_ store: ShardStore) throws -> Bool {
        do {
            return try ChatQueries(store.tree.snapshot()).clusterMap() != nil
        } catch let error as TreeError {
            throw ShardStoreError.tree(error)
        }
    }

    private func openStore(_ superblock: Superblock, _ formation: Formation) throws -> ShardStore {
        var tree = TreeOptions(keyspaces: KeySchema.all)
        tree.sizeForNode(memtableBytes: configuration.memtableBytes)
        tree.scrubBytesPerSecond = configuration.scrubBytesPerSecond
        tree.blockCacheBytes = configuration.memoryBudget / 2
        var options = ShardStoreOptions(tree: tree)
        // What a cut releases is used again.
        options.replication.log = .init(
            segmentBytes: configuration.segmentBytes,
            recycledMax: max(2, configuration.memtableBytes / configuration.segmentBytes))
        options.replication.pinnedSegmentsMax = configuration.pinnedSegmentsMax
        options.replication.raft.entryBytesMax = 2 * NodeLimits.entryBytesMax
        options.replication.raft.unappliedBytesMax = NodeLimits.unappliedBytesMax
        options.replication.raft.electionTicks = 12
        options.replication.raft.heartbeatTicks = 2
        #if PlantedBugs
            // One entry a message, so that an old one can be counted before an own one is there.
            if PlantedBug.commitOldTerm.isOn { options.replication.raft.messageBytesMax = 1 }
        #endif
        options.replication.seed = superblock.incarnation
        options.replication.hasPeers = hasPeers
        return try ShardStore.open(
            fileSystem: seams.fileSystem, directory: directory.path, scheduler: seams.scheduler,
            options: options, shards: placements(superblock, formation),
            isOwn: { ReplicaName.node(of: $0) == superblock.number },
            completed: { [consensusBox] in
                consensusBox.putCompletion(.logTurn($0), isHandedOver: true)
            },
            installed: { [consensusBox, apply] cut in
                consensusBox.putCompletion(.installed(cut))
                apply.putCompletion(
                    .installed(cut.positions.map { (shard: $0.shard, index: $0.index) }))
            },
            onTreeFailure: { [fail] in fail(.tree($0)) },
            onTreeDamage: { [fail, hooks, hasPeers] damage in
                // What this node can't read its peers have: it stops, and gets it from them.
                if hasPeers { return fail(.tree(damage)) }
                hooks.incident(
                    "\(damage). The table is in quarantine: what needs it fails, everything else "
                        + "goes on")
            })
    }

    /// Founders begin with all founders as voters; who comes later begins outside and is let in.
    private func placements(
        _ superblock: Superblock, _ formation: Formation
    ) -> [ShardPlacement] {
        let number = superblock.number
        let isFounder = formation.founders.contains {
            $0.number == number && $0.incarnation == superblock.incarnation
        }
        return shards.all.map { shard in
            let voters = formation.founders.map {
                ReplicaName.replica(of: shard, node: $0.number, incarnation: $0.incarnation)
            }
            return ShardPlacement(
                shard: shard,
                replica: ReplicaName.replica(
                    of: shard, node: number, incarnation: superblock.incarnation),
                configuration: Configuration(voters: isFounder ? voters : []))
        }
    }

    /// A node that is configured to be alone must not act for a group that has others. Nor may a
    /// file leave out a founder that its groups still have, while no map but the files' is known:
    /// a leader would take it for removed.
    private func requireNobodyMissing(_ store: ShardStore, _ formation: Formation) throws {
        if hasPeers, try hasMap(store) { return }
        let named = Set(configuration.cluster?.nodes.map(\.number) ?? [])
            .union([directory.superblock.number])
        let founders = Set(formation.founders.map(\.number))
        for shard in shards.all {
            let others = (store.replicator.status(of: shard)?.configuration.members ?? [])
                .map(ReplicaName.node(of:))
                .filter { !named.contains($0) && (!hasPeers || founders.contains($0)) }
            guard others.isEmpty else {
                let nodes = Set(others).sorted().map { "\($0)" }.joined(separator: ", ")
                throw StartFailure(
                    "\(directory.path) belongs to a cluster with the nodes \(nodes): name them in "
                        + "the configuration file")
            }
        }
    }

    /// Puts damaged files where nobody reads them but people, and becomes somebody else.
    private func setAside(isTreeSound: Bool, _ reason: String) throws {
        let files = seams.fileSystem
        let old = directory.superblock
        let target = "\(directory.path)/damaged-\(String(old.incarnation, radix: 16))"
        hooks.incident(
            "\(reason). The damaged files go to \(target); this node is rebuilt from its peers")
        var block = old
        block.incarnation = seams.random.word() | 1
        // First: a start that finds only a part of the files must not do so as the old self.
        try directory.rewrite(block)
        for name in isTreeSound ? ["log"] : ["log", "tree"] {
            let source = "\(directory.path)/\(name)"
            guard try files.exists(source) else { continue }
            try files.makeDirectory("\(target)/\(name)")
            // The tree's CURRENT goes first: without it there is no tree that lacks tables.
            for file in try files.list(source).reversed() {
                try files.rename("\(source)/\(file)", to: "\(target)/\(name)/\(file)")
            }
            try files.syncDirectory("\(target)/\(name)")
            try files.syncDirectory(source)
        }
        let mark = directory.path + "/" + Self.rebuildMark
        if try files.exists(mark) {
            try files.unlink(mark)
            try files.syncDirectory(directory.path)
        }
    }
}

extension LogError {
    /// True when bytes that were durable can't be read.
    var isRot: Bool { if case .rot = self { true } else { false } }
}

extension TreeError {
    /// True when bytes that were durable can't be read.
    var isDamage: Bool { if case .corrupt = self { true } else { false } }
    /// True when the disk has no room.
    var isFull: Bool {
        if case .disk(let error) = self { error.reason == .noSpace } else { false }
    }
}
