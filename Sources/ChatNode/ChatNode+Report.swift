import ChatEngine
package import ChatModel
package import LSMTree
import RaftCore
package import RecordLog
package import Replication
package import Session
import ShardStore
import Synchronization

/// How the storage of a node stands, for `/status` and `/metrics`.
package struct StorageReport: Sendable {
    /// One level of all keyspaces.
    package struct Level: Sendable {
        /// Table files.
        package var tables = 0
        /// Their bytes.
        package var bytes: UInt64 = 0
    }

    /// Bytes in the memtable that takes writes.
    package var memtableBytes: Int
    /// Level 0 first.
    package var levels: [Level]
    /// Room, budget and ballast.
    package var disk: DiskReport
    /// What the log takes on the disk.
    package var log: LogSpace
    /// Bytes of tables that nobody can read any more, by keyspace and level.
    package var garbage: TreeGarbage
    /// How far the scrub is.
    package var scrub: ScrubStatistics
    /// Tables in which damage was found.
    package var quarantined: [QuarantinedTable]
}

extension ChatNode {
    /// How the storage stands now. Any thread.
    package func storageReport() -> StorageReport {
        let statistics = store.tree.statistics
        var levels: [StorageReport.Level] = []
        for keyspace in statistics.keyspaces {
            for (number, level) in keyspace.levels.enumerated() {
                if levels.count <= number { levels.append(StorageReport.Level()) }
                levels[number].tables += level.tables
                levels[number].bytes += level.bytes
            }
        }
        return StorageReport(
            memtableBytes: statistics.memtableBytes, levels: levels, disk: disk.report,
            log: store.replicator.logSpace.space, garbage: store.tree.garbage,
            scrub: statistics.scrub, quarantined: statistics.quarantined)
    }
}

/// The newest reports of the consensus lane.
final class SharedReports: Sendable {
    private let state = Mutex<(shards: [ShardReport], verified: [GroupID: LogIndex])>(([], [:]))

    func get() -> [ShardReport] {
        state.withLock { state in
            state.shards.map { shard in
                var report = shard
                report.verifiedIndex = state.verified[shard.shard]
                return report
            }
        }
    }

    func set(_ reports: [ShardReport]) { state.withLock { $0.shards = reports } }

    func set(verified: [GroupID: LogIndex]) { state.withLock { $0.verified = verified } }
}

/// How a node of a cluster is, as its peers and clients see it.
package struct NodeReport: Equatable, Sendable {
    /// Its number.
    package var number: NodeNumber
    /// Where clients reach it; empty when it did not say.
    package var url: String
    /// Where its peers reach it.
    package var peerAddress: String
    /// True for the node that reports.
    package var isSelf: Bool
    /// True when frames get through to it.
    package var isConnected: Bool
    /// True when it serves clients.
    package var isReady: Bool
    /// True while its replicas leave their groups.
    package var isLeaving = false
    /// 0…1.
    package var load: Double
    /// Shards that it leads.
    package var groupsLed: Int
    /// Why its channel was refused, if it was.
    package var refusal: String?
}

extension ChatNode {
    /// Sockets against what one node takes, 0…1.
    package var load: Double {
        min(1, Double(meters.sockets.load(ordering: .relaxed)) / 50_000)
    }

    /// All nodes of the cluster, ascending; one when it is alone. Any thread.
    package func nodeReports() -> [NodeReport] {
        if cluster.isAlone {
            return [
                NodeReport(
                    number: cluster.node, url: configuration.publicURL ?? "", peerAddress: "",
                    isSelf: true, isConnected: true,
                    isReady: meters.isReady, load: load,
                    groupsLed: leadership.count)
            ]
        }
        let refusals = cluster.refusals
        return cluster.map.nodes.map { node in
            let isSelf = node.number == cluster.node
            let peer = cluster.peer(node.number)
            let gossip = peer?.gossip
            return NodeReport(
                number: node.number, url: node.url, peerAddress: node.peerAddress, isSelf: isSelf,
                isConnected: isSelf || peer?.isConnected ?? false,
                isReady: isSelf
                    ? meters.isReady : gossip?.isReady ?? false,
                isLeaving: node.isLeaving, load: isSelf ? load : gossip?.load ?? 0,
                groupsLed: isSelf ? leadership.count : gossip?.groupsLed ?? 0,
                refusal: refusals[node.number])
        }
    }

    /// The node where a user's sockets should go: the same for everybody who asks, as long as the
    /// same nodes live. Nil when this node is alone.
    package func home(of user: UserID) -> NodeReport? {
        if cluster.isAlone { return nil }
        let reports = nodeReports().filter(\.isReady)
        let order = Placement.homes(of: user, among: reports.map(\.number))
        return reports.first { $0.number == order.first }
    }

    /// What keeps the node from serving, for people.
    var whatIsAwaited: String {
        var shards: [String: [String]] = [:]
        for report in shardReports() {
            let leader = report.leader.map { number in
                let isHere = number == cluster.node || cluster.peer(number)?.isConnected == true
                return "led by node \(number)" + (isHere ? "" : ", which is not connected")
            }
            shards[leader ?? "without a leader", default: []].append("\(report.shard)")
        }
        let parts = shards.sorted { $0.key < $1.key }.map {
            "\($0.value.joined(separator: ", ")) (\($0.key))"
        }
        return "not ready: waits for shards " + parts.joined(separator: "; ")
    }

    /// Newest pages served from memory, looked up in the rows, and readers that shared a look-up.
    package var pageCounts: (hits: UInt64, misses: UInt64, shared: UInt64) { tails.counts }

    /// How all shards stood here half a second ago at most. Any thread.
    package func shardReports() -> [ShardReport] { reports.get() }

    /// The map that this node goes by: as configured, or as the meta shard has it. Any thread.
    package var clusterMap: ClusterMap { cluster.map }

    /// This node's number.
    package var clusterNode: NodeNumber { cluster.node }

    /// Shards that this node leads.
    package var groupsLed: Int { leadership.count }

    /// Hands a shard, led here, to a node.
    package func transfer(
        shard: UInt32, to node: NodeNumber, answer: @escaping Answer<Void>
    ) {
        if !consensusBox.put(.transfer(shard, node, answer)) { refuse(answer, Self.overloaded) }
    }

    /// Gives all leaderships away, as far as others can take them, and calls `done`: what a
    /// graceful stop begins with.
    package func handOver(done: @escaping @Sendable () -> Void) {
        if cluster.isAlone { return later(done) }
        // Others must not hand theirs to this one meanwhile.
        meters.isHandingOver.store(true, ordering: .relaxed)
        tellHowItIs()
        consensusBox.putCompletion(.handOver(done: done))
    }
}
