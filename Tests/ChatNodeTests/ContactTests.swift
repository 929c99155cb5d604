import ChatModel
import RaftCore
import Replication
import ShardStore
import Testing

@testable import ChatNode

/// What a node knows of its cluster, and what it tells of itself by that.
struct ContactTests {
    @Test("A node without the others is not ready, and is again when one is back")
    func cutOff() {
        let cluster = started(seed: 21)
        #expect(cluster.run { cluster.node(3)?.meters.isReady == true })
        cluster.kill(1)
        cluster.kill(2)
        #expect(cluster.run { cluster.node(3)?.meters.isReady == false })
        cluster.start(2)
        #expect(cluster.run { cluster.node(3)?.meters.isReady == true })
    }

    @Test("A wiped node finds one who joined after its configuration was written, and leads")
    func joiner() {
        let cluster = started(seed: 22)
        add(4, to: cluster)
        #expect(cluster.run { cluster.isReady(4) })
        let leads = cluster.run {
            let leader = cluster.node(2)?.store.replicator.leader(of: ShardMap.meta)
            return leader.map { ReplicaName.node(of: $0) } == 4
        }
        #expect(leads, "the placement has node 4 lead the meta shard")
        cluster.wipe(1)
        cluster.start(1)
        #expect(cluster.run { cluster.isReady(1) })
        #expect(cluster.node(1)?.cluster.map.nodes.map(\.number) == [1, 2, 3, 4])
    }

    @Test("A node that is removed leaves its groups first, and hears of both")
    func removed() throws {
        let cluster = started(seed: 23)
        try remove(3, from: cluster)
        #expect(cluster.run { cluster.node(3)?.meters.isReady == false })
        #expect(cluster.run { cluster.node(3)?.cluster.map.nodes.map(\.number) == [1, 2] })
        #expect(cluster.incidents.value.contains { $0.contains("is leaving the cluster") })
        #expect(cluster.incidents.value.contains { $0.contains("was removed from the cluster") })
        #expect(Self.voters(cluster, seenBy: 1).allSatisfy { $0 == [1, 2] })
    }

    @Test("Of two nodes one can be removed: its votes count until the groups have changed")
    func twoToOne() throws {
        let cluster = started(seed: 24)
        try remove(3, from: cluster)
        #expect(cluster.run { cluster.node(1)?.cluster.map.nodes.count == 2 })
        cluster.kill(3)
        try remove(2, from: cluster)
        #expect(cluster.run { cluster.node(1)?.cluster.map.nodes.map(\.number) == [1] })
        cluster.kill(2)
        #expect(Self.voters(cluster, seenBy: 1).allSatisfy { $0 == [1] })
        #expect(cluster.run { cluster.node(1)?.leadership.count == 3 })
    }

    @Test("A removal that leaves no majority is refused, and so are two at a time")
    func refusals() throws {
        let cluster = started(seed: 25)
        cluster.kill(3)
        #expect(cluster.run { cluster.node(1)?.cluster.isConnected(3) == false })
        #expect(throws: ServiceError.self) { try remove(2, from: cluster) }
        try remove(3, from: cluster)
        #expect(throws: ServiceError.self) { try remove(2, from: cluster) }
        #expect(cluster.run { cluster.node(2)?.cluster.map.nodes.map(\.number) == [1, 2] })
    }

    @Test("Nobody takes the place of a node that is alive, or a number twice")
    func replacements() throws {
        let cluster = started(seed: 26)
        let elsewhere = ClusterMap.Node(number: 2, peerAddress: "other:1", url: "")
        #expect(refusal(cluster.call(1) { $0.replaceNode(elsewhere, answer: $1) }) == .conflict)
        #expect(refusal(cluster.call(1) { $0.addNode(elsewhere, answer: $1) }) == .conflict)
        let nobody = ClusterMap.Node(number: 9, peerAddress: "n9:1", url: "")
        #expect(refusal(cluster.call(1) { $0.replaceNode(nobody, answer: $1) }) == .notFound)
        cluster.kill(2)
        #expect(cluster.run { cluster.node(1)?.cluster.isConnected(2) == false })
        #expect(refusal(cluster.call(1) { $0.replaceNode(elsewhere, answer: $1) }) == nil)
        #expect(cluster.run { cluster.node(3)?.cluster.map.epoch == 2 })
    }

    private func started(seed: UInt64) -> SimulatedCluster {
        let cluster = SimulatedCluster(seed: seed)
        for number in cluster.numbers { cluster.start(number) }
        #expect(cluster.run { cluster.numbers.allSatisfy { cluster.isReady($0) } })
        return cluster
    }

    private func remove(_ number: NodeNumber, from cluster: SimulatedCluster) throws {
        let answer: Result<Void, ServiceError>? = cluster.call(1) {
            $0.removeNode(number, answer: $1)
        }
        try #require(answer).get()
    }

    private func refusal(_ answer: Result<Void, ServiceError>?) -> ErrorCode? {
        if case .failure(let error)? = answer { error.code } else { nil }
    }

    /// The nodes that vote in each shard, as decided.
    private static func voters(
        _ cluster: SimulatedCluster, seenBy number: NodeNumber
    ) -> [[NodeNumber]] {
        (0...2 as ClosedRange<UInt32>).map { shard in
            guard let replica = cluster.node(number)?.store.replicator.replica(of: shard) else {
                return []
            }
            return replica.configuration(at: replica.commitIndex).voters.map {
                ReplicaName.node(of: $0)
            }.sorted()
        }
    }

    private func add(_ number: NodeNumber, to cluster: SimulatedCluster) {
        cluster.wipe(number)
        cluster.start(number)
        let node = ClusterMap.Node(number: number, peerAddress: "n\(number):1", url: "")
        let answer: Result<Void, ServiceError>? = cluster.call(1) { $0.addNode(node, answer: $1) }
        #expect((try? answer?.get()) != nil)
    }
}
