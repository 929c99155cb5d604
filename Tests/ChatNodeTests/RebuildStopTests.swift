import Bytes
import ChatModel
import Replication
import Session
import ShardStore
import Simulation
import Testing

@testable import ChatNode

/// Nodes that are stopped while they are rebuilt.
@Suite struct RebuildStopTests {
    @Test("A node may be stopped at any moment of its rebuild, and the next start is sound")
    func stops() throws {
        let cluster = SimulatedCluster(seed: 61)
        for number in cluster.numbers { cluster.start(number) }
        #expect(cluster.run { cluster.numbers.allSatisfy { cluster.isReady($0) } })
        let request = Registration(
            username: "ann", password: "a good password", displayName: nil, deviceName: "test")
        guard case .success? = cluster.call(1, { $0.register(request, answer: $1) }) else {
            Issue.record("nobody registers")
            return
        }
        // A cut behind which the log is let go: who comes anew needs a snapshot.
        cluster.pass(seconds: 700)
        // The apply lane has much to do, so that installs wait for it.
        cluster.onMachine = { number, machine in
            if number != 3 { return }
            machine.waitsForDisk(
                lanes: ["apply"],
                LaneDelay(minimumNanoseconds: 20_000_000, meanNanoseconds: 50_000_000))
        }
        var random = SplitMix64(seed: 61)
        for round in 0..<24 {
            cluster.wipe(3)
            cluster.incidents.change { $0 = [] }
            cluster.start(3)
            let isFetching = cluster.run {
                cluster.incidents.value.contains { $0.contains("fetching shard") }
            }
            #expect(isFetching, "round \(round)")
            let now = cluster.scheduler.clock.monotonicNanoseconds()
            let end = now + random.next() % 400_000_000
            cluster.run { cluster.scheduler.clock.monotonicNanoseconds() >= end }
            cluster.node(3)?.stop()
            cluster.kill(3)
            cluster.start(3)
            let isReady = cluster.run { cluster.isReady(3) }
            #expect(isReady, "round \(round): \(cluster.failure(3) ?? "")")
            #expect(!cluster.incidents.value.contains { $0.contains("damaged") })
        }
        for shard in 0...2 as ClosedRange<UInt32> {
            let isEqual = cluster.run {
                let (own, other) = (
                    cluster.node(3)?.store.position(of: shard),
                    cluster.node(1)?.store.position(of: shard)
                )
                return own != nil && own?.index == other?.index && own?.hash == other?.hash
            }
            #expect(isEqual, "shard \(shard)")
        }
    }
}
