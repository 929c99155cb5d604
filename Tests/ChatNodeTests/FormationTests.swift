import Bytes
import ChatModel
import Platform
import RaftCore
import Replication
import ShardStore
import Simulation
import Testing

@testable import ChatNode

/// How nodes whose directories are empty find their cluster.
@Suite("ClusterFormation")
struct FormationTests {
    /// True when the node's disk says that it belongs to a cluster.
    private func hasFormed(_ cluster: SimulatedCluster, _ number: NodeNumber) -> Bool {
        cluster.superblock(number)?.formation != nil
    }

    @Test("A node that is alone founds its cluster at once")
    func alone() throws {
        let files = SimulatedFileSystem(seed: 1)
        let scheduler = SimulatedScheduler(seed: 1)
        let done = Box<Bool?>(nil)
        ClusterFormation.run(
            NodeConfiguration(directory: "/magpie"),
            seams: NodeSeams(
                fileSystem: files, clock: scheduler.clock, random: SimulatedRandom(seed: 1),
                scheduler: scheduler), notice: { _ in }
        ) { result in
            done.change { if case .success = result { $0 = true } else { $0 = false } }
        }
        scheduler.runUntilIdle()
        #expect(done.value == true)
        let bytes = try #require(files.contents("/magpie/SUPERBLOCK"))
        let block = try #require(Superblock.decode(bytes))
        let founders = block.formation?.founders
        #expect(founders == [.init(number: 1, incarnation: block.incarnation)])
    }

    @Test(
        "Three fresh nodes form one cluster, of the three", arguments: 1...4 as ClosedRange<UInt64>)
    func three(seed: UInt64) throws {
        let cluster = SimulatedCluster(seed: seed)
        for number in cluster.numbers { cluster.start(number) }
        #expect(cluster.run { cluster.numbers.allSatisfy { cluster.isReady($0) } }, "seed \(seed)")
        let blocks = try cluster.numbers.map { try #require(cluster.superblock($0)) }
        #expect(Set(blocks.map { $0.formation?.cluster }).count == 1)
        #expect(blocks.allSatisfy { $0.formation == blocks[0].formation })
        let founders = blocks.map {
            Formation.Founder(number: $0.number, incarnation: $0.incarnation)
        }
        #expect(blocks[0].formation?.founders == founders)
    }

    @Test("Nobody founds a cluster while a node is missing, and a start over finds the same")
    func missing() throws {
        let cluster = SimulatedCluster(seed: 5)
        cluster.start(1)
        cluster.start(2)
        cluster.pass(seconds: 30)
        #expect(!hasFormed(cluster, 1) && !hasFormed(cluster, 2))
        let before = cluster.superblock(2)?.incarnation
        cluster.kill(2)
        cluster.start(2)
        cluster.start(3)
        #expect(cluster.run { cluster.numbers.allSatisfy { cluster.isReady($0) } })
        #expect(cluster.superblock(2)?.incarnation == before)
        #expect(cluster.superblock(1)?.formation?.founders.count == 3)
    }

    @Test("A wiped node founds nothing, and comes back as somebody else", arguments: 1...3)
    func wiped(number: Int) throws {
        let wiped = NodeNumber(number)
        let cluster = SimulatedCluster(seed: 6)
        for number in cluster.numbers { cluster.start(number) }
        #expect(cluster.run { cluster.numbers.allSatisfy { cluster.isReady($0) } })
        let before = try #require(cluster.superblock(wiped))
        cluster.wipe(wiped)
        cluster.start(wiped)
        #expect(cluster.run { cluster.isReady(wiped) }, "\(cluster.failure(wiped) ?? "")")
        let after = try #require(cluster.superblock(wiped))
        #expect(after.formation == before.formation && after.incarnation != before.incarnation)
        // It is let in: a voter of every group again, as a new replica; its old one is out.
        let isVoter = cluster.run {
            (0...2 as ClosedRange<UInt32>).allSatisfy { shard in
                let status = cluster.node(wiped)?.store.replicator.status(of: shard)
                let voters = status?.configuration.voters ?? []
                return voters.count == 3
                    && voters.contains(
                        ReplicaName.replica(
                            of: shard, node: wiped, incarnation: after.incarnation))
            }
        }
        #expect(isVoter)
    }

    @Test("A wiped first node founds nothing while only one of the others is there")
    func wipedFirst() throws {
        let cluster = SimulatedCluster(seed: 7)
        for number in cluster.numbers { cluster.start(number) }
        #expect(cluster.run { cluster.numbers.allSatisfy { cluster.isReady($0) } })
        let formation = cluster.superblock(2)?.formation
        for number in cluster.numbers { cluster.kill(number) }
        cluster.wipe(1)
        cluster.wipe(3)
        cluster.start(1)
        cluster.start(3)
        cluster.pass(seconds: 20)
        #expect(!hasFormed(cluster, 1) && !hasFormed(cluster, 3))
        cluster.start(2)
        #expect(cluster.run { self.hasFormed(cluster, 1) && self.hasFormed(cluster, 3) })
        #expect(cluster.superblock(1)?.formation == formation)
        #expect(cluster.superblock(3)?.formation == formation)
    }

    @Test("A power cut at any disk operation of forming leaves nodes that form one cluster")
    func powerCuts() throws {
        let rehearsal = SimulatedCluster(seed: 8)
        for number in rehearsal.numbers { rehearsal.start(number, andOpens: false) }
        rehearsal.run { self.hasFormed(rehearsal, 1) }
        let operations = rehearsal.disk(1).operationCount
        #expect(operations > 8)
        for number in rehearsal.numbers {
            // Who adopts writes as much as who founds.
            for index in 0..<operations {
                let moment = CrashPlan.Moment.allCases[index % 3]
                try powerCut(number, CrashPlan(index: index, moment: moment, seed: UInt64(index)))
            }
        }
    }

    private func powerCut(_ number: NodeNumber, _ plan: CrashPlan) throws {
        let cluster = SimulatedCluster(seed: 8)
        let comment: Comment = "node \(number), \(plan)"
        cluster.disk(number).plan(plan)
        for number in cluster.numbers { cluster.start(number) }
        cluster.run { cluster.disk(number).isDown || cluster.isReady(number) }
        // What the others know of a cluster by now must stay true.
        let known = cluster.numbers.filter { $0 != number }
            .compactMap { cluster.superblock($0)?.formation }
        cluster.cutPower(number, seed: plan.seed &+ 3)
        cluster.start(number)
        #expect(
            cluster.run { cluster.numbers.allSatisfy { cluster.isReady($0) } },
            "\(cluster.failure(number) ?? "") \(comment)")
        let formations = cluster.numbers.map { cluster.superblock($0)?.formation }
        let first = try #require(formations[0], comment)
        #expect(formations.allSatisfy { $0 == first }, comment)
        #expect(known.allSatisfy { $0 == first }, comment)
        #expect(first.founders.count == 3, comment)
    }
}
