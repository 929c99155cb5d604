import Bytes
import RaftCore
import RecordLog
import Replication
import Simulation
import Testing

/// Replicators that have peers.
@Suite("Replicators with peers")
struct PeersTests {
    private static func text(_ number: Int) -> String {
        "\(number) " + String(repeating: "z", count: number % 7 * 40)
    }

    @Test("What is proposed is decided on all three, in one order")
    func replicate() throws {
        let trio = Trio(seed: 1)
        trio.startAll()
        trio.elect()
        for number in 0..<30 { #expect(trio.propose(Self.text(number))) }
        #expect(trio.problems == [])
        #expect(trio.texts == (0..<30).map(Self.text))
        for place in 0..<3 {
            #expect(trio.nodes[place]?.texts(Trio.group) == trio.texts, "node \(place)")
        }
    }

    @Test("A leader's power cut loses nothing that was decided", arguments: 0..<6 as Range<UInt64>)
    func leaderCrash(seed: UInt64) throws {
        let trio = Trio(seed: seed)
        trio.startAll()
        for round in 0..<5 {
            let leader = try #require(trio.elect(), "seed \(seed)")
            for number in 0..<8 { trio.propose(Self.text(round * 100 + number)) }
            let acknowledged = trio.texts
            // Something is on its way when the power goes.
            _ = trio.nodes[leader]?.propose(Trio.group, "lost \(round)")
            trio.nodes[leader]?.drain()
            trio.cutPower(leader, seed: seed &+ UInt64(round))
            #expect(trio.elect() != leader, "seed \(seed)")
            #expect(Array(trio.texts.prefix(acknowledged.count)) == acknowledged)
            trio.start(leader)
        }
        trio.elect()
        for _ in 0..<4 { trio.tick() }
        #expect(trio.problems == [], "seed \(seed)")
        let last = trio.decided.keys.max()
        for place in 0..<3 { #expect(trio.status(place)?.commitIndex == last, "seed \(seed)") }
    }

    @Test("A follower that lags gets what is no longer in memory out of the leader's log")
    func lagging() throws {
        let trio = Trio(seed: 3) {
            $0.raft.cacheBytesMax = 0
            $0.pinnedSegmentsMax = 1_000
        }
        trio.startAll()
        let leader = try #require(trio.elect())
        let behind = (leader + 1) % 3
        trio.cutOff = [behind]
        for number in 0..<120 { trio.propose(Self.text(number)) }
        let log = try #require(trio.nodes[leader]?.replicator.replica(of: Trio.group)).log
        #expect(log.cachedFirst > 100, "the beginning is not in memory")
        trio.appends = []
        trio.cutOff = []
        for _ in 0..<4 { trio.tick() }
        #expect(trio.problems == [])
        #expect(trio.nodes[behind]?.texts(Trio.group) == trio.texts && trio.texts.count == 120)
        #expect(trio.nodes[behind]?.snapshotsNeeded.isEmpty == true)
        let got = trio.appends.filter { $0.to == Trio.replicas[behind] }
        #expect(got.count > 10 && got.contains { $0.first < log.cachedFirst })
    }

    @Test("What a peer still needs stays in the log, and goes when it has it")
    func retention() throws {
        let trio = Trio(seed: 4) {
            $0.raft.cacheBytesMax = 0
            $0.pinnedSegmentsMax = 1_000
            $0.releaseTicks = 2
        }
        trio.startAll()
        let leader = try #require(trio.elect())
        let behind = (leader + 1) % 3
        for number in 0..<10 { trio.propose(Self.text(number)) }
        let floor = try #require(trio.status(behind)?.durableIndex)
        trio.cutOff = [behind]
        for number in 10..<200 { trio.propose(Self.text(number)) }
        for place in [leader, 3 - leader - behind] { trio.cut(place) }
        trio.tick()
        #expect(try #require(trio.status(leader)).baseIndex == floor)
        // The other follower knows the floor from its leader.
        #expect(try #require(trio.status(3 - leader - behind)).baseIndex <= floor)
        let pinned = try #require(trio.nodes[leader]?.segmentCount)
        #expect(pinned > 5)
        trio.cutOff = []
        for _ in 0..<8 { trio.tick() }
        #expect(trio.problems == [] && trio.nodes[behind]?.texts(Trio.group) == trio.texts)
        #expect(trio.nodes[behind]?.snapshotsNeeded.isEmpty == true)
        for place in [leader, 3 - leader - behind] {
            #expect(try #require(trio.status(place)).baseIndex >= 199, "node \(place)")
        }
    }

    @Test("A peer that holds back too many segments is given up: it is offered a snapshot")
    func givingUp() throws {
        let trio = Trio(seed: 5) {
            $0.raft.cacheBytesMax = 0
            $0.pinnedSegmentsMax = 2
            $0.releaseTicks = 2
        }
        trio.startAll()
        let leader = try #require(trio.elect())
        let behind = (leader + 1) % 3
        trio.cutOff = [behind]
        for number in 0..<200 { trio.propose(Self.text(number)) }
        trio.cut(leader)
        trio.tick()
        let base = try #require(trio.status(leader)).baseIndex
        #expect(base >= 200)
        trio.cutOff = []
        for _ in 0..<6 { trio.tick() }
        let need = try #require(trio.nodes[behind]?.snapshotsNeeded.last)
        #expect(need.group == Trio.group && need.need.from == Trio.replicas[leader])
        #expect(need.need.index == base && trio.problems == [])

        // The state came another way: the log goes on behind it, and so does the group.
        let node = try #require(trio.nodes[behind])
        let entry = try #require(trio.decided[base])
        #expect(
            node.replicator.install(
                Trio.group, index: base, term: entry.term,
                configuration: Configuration(voters: Trio.replicas)))
        trio.cuts[behind] = LogBase(index: base, term: entry.term)
        trio.settle()
        for number in 200..<220 { trio.propose(Self.text(number)) }
        for _ in 0..<4 { trio.tick() }
        #expect(trio.problems == [] && node.lastCommitted(Trio.group) == trio.decided.keys.max())
        #expect(node.texts(Trio.group) == (200..<220).map(Self.text))
        trio.cutPower(behind, seed: 1)
        #expect(trio.start(behind))
        for _ in 0..<4 { trio.tick() }
        #expect(trio.problems == [])
        #expect(trio.nodes[behind]?.texts(Trio.group) == (200..<220).map(Self.text))
    }

    @Test("Stops and messages for others are dropped")
    func strangers() throws {
        let trio = Trio(seed: 6)
        trio.startAll()
        let leader = try #require(trio.elect())
        let node = try #require(trio.nodes[leader])
        let before = node.replicator.status(of: Trio.group)
        let body = Message.Body.vote(lastIndex: 1_000, lastTerm: 1_000, isTransfer: true)
        node.replicator.receive(2, Message(from: 12, to: 11, term: 1_000, body: body))
        node.replicator.receive(
            Trio.group, Message(from: 12, to: 99, term: 1_000, body: body))
        trio.settle()
        #expect(node.replicator.status(of: Trio.group) == before)
    }
}
