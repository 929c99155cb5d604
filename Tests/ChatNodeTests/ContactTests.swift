import ChatModel
import Replication
import ShardStore
import Testing

@testable import ChatNode

/// What a node knows of its cluster, and what it tells of itself by that.
struct ContactTests {
    @Test("A node without the others is not ready, and is again when one is back")
    func cutOff() {
        let cluster = SimulatedCluster(seed: 21)
        for number in cluster.numbers { cluster.start(number) }
        #expect(cluster.run { cluster.numbers.allSatisfy { cluster.isReady($0) } })
        #expect(cluster.run { cluster.node(3)?.meters.isReady == true })
        cluster.kill(1)
        cluster.kill(2)
        #expect(cluster.run { cluster.node(3)?.meters.isReady == false })
        cluster.start(2)
        #expect(cluster.run { cluster.node(3)?.meters.isReady == true })
    }

    @Test("A wiped node finds one who joined after its configuration was written, and leads")
    func joiner() {
        let cluster = SimulatedCluster(seed: 22)
        for number in cluster.numbers { cluster.start(number) }
        #expect(cluster.run { cluster.numbers.allSatisfy { cluster.isReady($0) } })
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

    @Test("A node that is removed hears of it, and is not ready")
    func removed() throws {
        let cluster = SimulatedCluster(seed: 23)
        for number in cluster.numbers { cluster.start(number) }
        #expect(cluster.run { cluster.numbers.allSatisfy { cluster.isReady($0) } })
        let answer: Result<Void, ServiceError>? = cluster.call(1) { node, answer in
            node.removeNode(3, answer: answer)
        }
        try #require(answer).get()
        #expect(cluster.run { cluster.node(3)?.meters.isReady == false })
        #expect(cluster.incidents.value.contains { $0.contains("was removed from the cluster") })
    }

    private func add(_ number: NodeNumber, to cluster: SimulatedCluster) {
        cluster.wipe(number)
        cluster.start(number)
        let node = ClusterMap.Node(number: number, peerAddress: "n\(number):1", url: "")
        let answer: Result<Void, ServiceError>? = cluster.call(1) { $0.addNode(node, answer: $1) }
        #expect((try? answer?.get()) != nil)
    }
}
