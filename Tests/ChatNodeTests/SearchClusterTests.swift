import ChatModel
import Replication
import Session
import Simulation
import Testing

@testable import ChatNode

/// Searches at the nodes of a cluster, each of which has an index of its own.
@Suite("Searches in a cluster")
struct SearchClusterTests {
    private static func register(_ name: String, _ cluster: SimulatedCluster) throws -> Identity {
        let request = Registration(
            username: name, password: "a good password", displayName: nil, deviceName: "test")
        let answer = cluster.call(1) { $0.register(request, answer: $1) }
        let signedIn = try #require(answer).get()
        return Identity(
            user: signedIn.user.id, device: signedIn.device, expiresAtMs: signedIn.expiresAtMs)
    }

    private static func send(
        _ text: String, _ number: UInt64, at node: NodeNumber, to peer: Identity, by user: Identity,
        _ cluster: SimulatedCluster
    ) throws {
        let answer: Result<CommandResult, ServiceError>? = cluster.call(node) {
            $0.submit(
                .send(
                    .user(peer.user), cid: ClientMessageID(high: 0x8000, low: number),
                    content: .init(text: text)), by: user, answer: $1)
        }
        if case .success(.sent)? = answer { return }
        Issue.record("message \(number): \(String(describing: answer))")
    }

    private static func find(
        _ text: String, at node: NodeNumber, by user: Identity, _ cluster: SimulatedCluster
    ) throws -> [EntrySequence] {
        for _ in 0..<200 {
            let answer = cluster.call(node) {
                $0.search(SearchQuery(text: text, limit: 100), for: user, answer: $1)
            }
            let view = try #require(answer).get()
            if !view.isIndexing { return view.hits.map(\.entry.seq) }
            cluster.pass(seconds: 1)
        }
        Issue.record("the index of node \(node) is never whole")
        return []
    }

    @Test("Every node finds what was acknowledged by any, a node that came by snapshot too")
    func nodes() throws {
        let cluster = SimulatedCluster(seed: 91)
        for number in cluster.numbers { cluster.start(number) }
        #expect(cluster.run { cluster.numbers.allSatisfy { cluster.isReady($0) } })
        let ann = try Self.register("ann", cluster)
        let bob = try Self.register("bob", cluster)
        for number in 0..<30 as Range<UInt64> {
            let node = NodeNumber(1 + number % 3)
            try Self.send("word w\(number)", number, at: node, to: bob, by: ann, cluster)
            let other = NodeNumber(1 + (number + 1) % 3)
            let found = try Self.find("\"w\(number)\"", at: other, by: bob, cluster)
            #expect(found.count == 1, "message \(number) at node \(other)")
        }
        let all = try Self.find("word", at: 1, by: ann, cluster)
        #expect(all.count == 30)
        // A cut behind which the log is let go: who comes anew needs a snapshot.
        cluster.pass(seconds: 700)
        cluster.wipe(3)
        cluster.incidents.change { $0 = [] }
        cluster.start(3)
        #expect(cluster.run { cluster.isReady(3) }, "\(cluster.failure(3) ?? "")")
        #expect(cluster.incidents.value.contains { $0.contains("is here, up to") })
        #expect(try Self.find("word", at: 3, by: ann, cluster) == all)
        try Self.send("word last", 100, at: 3, to: bob, by: ann, cluster)
        for node in cluster.numbers {
            #expect(try Self.find("word", at: node, by: bob, cluster).count == 31, "node \(node)")
        }
        let report = try #require(cluster.node(3)?.searchReport())
        #expect(report.indexing.isEmpty)
        cluster.node(3)?.stop()
        cluster.kill(3)
        cluster.start(3)
        #expect(cluster.run { cluster.isReady(3) }, "\(cluster.failure(3) ?? "")")
        #expect(try Self.find("word", at: 3, by: bob, cluster).count == 31)
    }
}
