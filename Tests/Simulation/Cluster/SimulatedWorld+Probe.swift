import Bytes
import ChatEngine
import ChatModel
import ChatNode
import LSMTree
import RaftCore
import Replication
import ShardStore

// What the simulator looks up in the nodes: it stands outside of the cluster and sees all of it.
extension SimulatedWorld {
    private static let probeMs: UInt64 = 200
    private static let rowsMs: UInt64 = 120_000
    /// Segments that groups may pin, that are kept for reuse, and that are under way.
    private static let segmentsMax = 32

    /// The shards of the cluster.
    var shards: [GroupID] { Array(0...options.dataShards) }

    /// Looks at all replicas, again and again.
    func startProbing() {
        probe()
        compareRowsLater()
    }

    private func probe() {
        later(ms: Self.probeMs) { [self] in
            for member in members { look(at: member) }
            probe()
        }
    }

    private func compareRowsLater() {
        later(ms: Self.rowsMs) { [self] in
            compareRows()
            for member in members { checkLogSize(of: member) }
            compareRowsLater()
        }
    }

    /// Checks one node's replicas as they are now.
    private func look(at member: SimulatedMember) {
        guard let node = member.node else {
            member.quietProbes = 0
            return
        }
        let store = node.store
        ownership.goes(member.number, by: node.clusterMap)
        if member.isDamaged, member.isServing, votesEverywhere(store) { member.isDamaged = false }
        if store.tree.memtableBytes > options.memtableBytesMax {
            verdict.fail(
                .bounds,
                "node \(member.number) has \(store.tree.memtableBytes) bytes of rows in "
                    + "memory, \(options.memoryBudget) are given for everything")
        }
        var lasts: [UInt64] = []
        defer {
            member.quietProbes = lasts == member.lastIndexes ? member.quietProbes + 1 : 0
            member.lastIndexes = lasts
        }
        for shard in shards {
            guard let replica = store.replicator.replica(of: shard) else { continue }
            lasts += [replica.log.lastIndex, replica.durableIndex, replica.term]
            if let rule = replica.brokenInvariant() {
                verdict.fail(
                    .consensus, "node \(member.number), shard \(shard): not so: \(rule)")
            }
            replicas.saw(
                member.number, shard: shard, term: replica.term,
                isLeader: replica.role == .leader)
            if replica.role == .leader {
                replicas.decided(
                    member.number, shard: shard, term: replica.term, index: replica.commitIndex,
                    of: replica.log.term(at: replica.commitIndex))
            }
            if let position = store.position(of: shard) {
                replicas.stands(
                    member.number, shard: shard, index: position.index, term: position.term,
                    hash: position.hash)
            }
        }
    }

    /// What a member's replicas have on disk by their own account.
    func promises(of member: SimulatedMember) -> [ReplicaPromise] {
        guard let store = member.node?.store else { return [] }
        return shards.compactMap { shard in
            store.replicator.replica(of: shard).map { ReplicaPromise(shard: shard, $0) }
        }
    }

    /// A member's process has recovered: nothing it did before counts as forgotten.
    func checkRecovery(of member: SimulatedMember) {
        guard let store = member.node?.store else { return }
        var recovered: [UInt32: Replica] = [:]
        for shard in shards { recovered[shard] = store.replicator.replica(of: shard) }
        replicas.recovered(member.number, recovered)
    }

    /// A short account of a member's replicas, for people.
    func account(of member: SimulatedMember) -> String {
        guard let store = member.node?.store else { return "no process" }
        return shards.compactMap { shard in
            guard let status = store.replicator.status(of: shard) else { return nil }
            return "shard \(shard): \(status.role) in term \(status.term), commit "
                + "\(status.commitIndex), applied \(status.appliedIndex), durable "
                + "\(status.durableIndex), last \(status.lastIndex), base \(status.baseIndex), "
                + "voters \(status.configuration.voters.map { $0 >> 48 }), "
                + "outgoing \(status.configuration.outgoing.map { $0 >> 48 }), learners "
                + "\(status.configuration.learners.map { $0 >> 48 })"
        }.joined(separator: "\n             ")
    }

    // MARK: Wholeness

    /// True when a node's replicas are voters of all shards, and that is decided: while a joint
    /// configuration holds, the replica that is being replaced counts too.
    private func votesEverywhere(_ store: ShardStore) -> Bool {
        shards.allSatisfy { shard in
            guard let replica = store.replicator.replica(of: shard) else { return false }
            let configuration = replica.configuration
            return configuration.voters.contains(replica.id) && !configuration.isJoint
                && replica.configuration(at: replica.commitIndex) == configuration
        }
    }

    /// True when every member serves and is a voter of every shard, with nobody else beside: then
    /// one of them may lose its disk.
    var isWhole: Bool {
        let voices = members.compactMap { member -> [Configuration]? in
            guard member.isServing, !member.isUnsound, let store = member.node?.store else {
                return nil
            }
            return shards.compactMap { store.replicator.status(of: $0)?.configuration }
        }
        guard voices.count == members.count else { return false }
        return shards.indices.allSatisfy { shard in
            let configurations = voices.compactMap { $0.count > shard ? $0[shard] : nil }
            guard let first = configurations.first, configurations.count == members.count else {
                return false
            }
            let isSettled = first.voters.count == members.count && first.learners.isEmpty
            return isSettled && configurations.allSatisfy { $0 == first } && !first.isJoint
        }
    }

    /// True when all replicas of all shards are applied equally far, and nothing is being written.
    var isLevel: Bool {
        guard members.allSatisfy({ $0.node?.store.tree.isQuiet == true }) else { return false }
        return shards.allSatisfy { shard in
            let indexes = members.map { $0.node?.store.position(of: shard)?.index }
            return indexes.allSatisfy { $0 != nil && $0 == indexes[0] }
        }
    }

    /// A log is released behind what the slowest follower may hold back, and reuses its files.
    private func checkLogSize(of member: SimulatedMember) {
        let segments = member.disk.paths.count { path in
            path.hasSuffix(".log") && !path.contains("/damaged-")
        }
        if segments > Self.segmentsMax {
            verdict.fail(
                .bounds, "node \(member.number) keeps \(segments) segments of its log")
        }
    }

    // MARK: Rows

    /// Compares the rows of every shard between the nodes that are applied equally far.
    func compareRows() {
        let horizon = members.compactMap { $0.node?.store.tree.expiryHorizon }.max() ?? 0
        for shard in shards {
            var seen: [LogIndex: (node: UInt16, digests: [UInt64])] = [:]
            for member in members {
                // While a snapshot is being installed, the position is ahead of the rows.
                guard let store = member.node?.store, store.tree.isQuiet,
                    let position = store.position(of: shard), position.index > 0,
                    let digests = digests(store.tree.snapshot(), shard, horizon)
                else { continue }
                guard let other = seen[position.index] else {
                    seen[position.index] = (member.number, digests)
                    continue
                }
                for (keyspace, pair) in zip(KeySchema.all, zip(digests, other.digests))
                where pair.0 != pair.1 {
                    verdict.fail(
                        .recovery,
                        "nodes \(other.node) and \(member.number) are both at index "
                            + "\(position.index) of shard \(shard), but their rows of "
                            + "\(keyspace.name) differ")
                }
            }
        }
    }

    /// What does not agree between people's feeds and their conversations on some node; nil when
    /// all does.
    func feedProblem(of people: [UserID]) -> String? {
        for member in members {
            guard let store = member.node?.store else { return "node \(member.number) is down" }
            let queries = ChatQueries(store.tree.snapshot())
            for person in people {
                if let problem = try? queries.feedProblem(of: person) {
                    return "node \(member.number): \(problem)"
                }
            }
        }
        return nil
    }

    /// A digest of a shard's rows in every keyspace; nil when they cannot be read now.
    private func digests(
        _ snapshot: Snapshot, _ shard: GroupID, _ horizon: UInt64
    ) -> [UInt64]? {
        try? KeySchema.all.map { keyspace in
            var digest: UInt64 = 0
            for bounds in bounds(of: shard) {
                let rows = try snapshot.makeIterator(
                    keyspace.keyspace, lower: bounds.lower, upper: bounds.upper)
                try rows.seekToFirst()
                while rows.isValid {
                    if !keyspace.isExpiring || Self.lives(rows.value, past: horizon) {
                        digest = Checksum.xxh3(rows.key, seed: digest)
                        digest = Checksum.xxh3(rows.value, seed: digest)
                    }
                    try rows.next()
                }
            }
            return digest
        }
    }

    /// An expired row may have left one node's tables and not yet another's.
    private static func lives(_ value: UnsafeRawBufferPointer, past horizon: UInt64) -> Bool {
        guard value.count >= 8 else { return true }
        let expiry = value.loadUnaligned(as: UInt64.self).littleEndian
        return expiry == 0 || expiry > horizon
    }

    private func bounds(of shard: GroupID) -> [(lower: [UInt8], upper: [UInt8])] {
        let own = KeySchema.bounds(shard: UInt16(shard))
        if shard == 0 { return [own] }
        let (count, shards) = (UInt32(Slot.count), options.dataShards)
        let first = ((shard - 1) * count + shards - 1) / shards
        let next = (shard * count + shards - 1) / shards
        let slots = Slot(rawValue: UInt16(first))...Slot(rawValue: UInt16(next - 1))
        return [KeySchema.bounds(slots: slots), own]
    }
}
