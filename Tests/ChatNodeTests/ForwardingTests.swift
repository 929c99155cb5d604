import ChatModel
import Platform
import RaftCore
import Replication
import Session
import Simulation
import Synchronization
import Testing

@testable import ChatNode

/// The consensus lane of node 1 of three, whose peers are this test: who gets which commands, and
/// in which order.
struct ForwardingTests {
    /// Frames that node 1 sent.
    private final class Wire: PeerTransport {
        private let frames = Mutex<[(node: NodeNumber, frame: PeerFrame)]>([])

        func send(_ frame: [UInt8], to node: NodeNumber) -> Bool {
            guard let frame = try? PeerFrame.decode(frame) else { return false }
            frames.withLock { $0.append((node, frame)) }
            return true
        }

        func start(
            hello: @escaping @Sendable () -> PeerHello,
            take: @escaping @Sendable (PeerEvent) -> Void
        ) throws {}

        func setPeers(_ peers: [(node: NodeNumber, address: String)]) {}

        func stop() {}

        func take() -> [(node: NodeNumber, frame: PeerFrame)] {
            frames.withLock { frames in
                defer { frames = [] }
                return frames
            }
        }
    }

    private final class Bench {
        static let shard: GroupID = 1
        let wire = Wire()
        let loop: ConsensusLoop
        private let scheduler = SimulatedScheduler(seed: 1)
        private let completions = Box<[LogCompletion]>([])

        /// With `votes` the groups are led by node 1 alone.
        init(votes: [NodeNumber] = [1, 2, 3]) throws {
            let formation = Formation(
                cluster: [UInt8](repeating: 7, count: 16), epoch: 1,
                key: [UInt8](repeating: 1, count: 32),
                founders: (1...3).map { .init(number: $0, incarnation: UInt64($0)) })
            let superblock = Superblock(
                number: 1, node: [UInt8](repeating: 0, count: 16), incarnation: 1,
                formation: formation)
            let nodes = (1...3 as ClosedRange<NodeNumber>).map {
                ClusterNode(number: $0, peerAddress: "n\($0):1", url: "")
            }
            let shards = ShardMap(dataShards: 1)
            let cluster = ClusterLinks(
                superblock, formation, nodes: nodes, shards: 2, port: PeerPort(wire))
            var options = ReplicatorOptions()
            options.hasPeers = true
            let files = SimulatedFileSystem(seed: 1)
            try files.makeDirectory("/log")
            let completions = completions
            let replicator = try Replicator.open(
                files, "/log",
                groups: shards.all.map { shard in
                    GroupStart(
                        group: shard, replica: Self.name(1, shard),
                        configuration: Configuration(voters: votes.map { Self.name($0, shard) }))
                }, options: options, lane: scheduler.group().lane("log"),
                complete: { completion in completions.change { $0.append(completion) } })
            loop = ConsensusLoop(
                replicator: replicator, clock: scheduler.clock, shards: shards, cluster: cluster,
                outlets: .init(
                    release: { _ in }, took: { _ in }, tookFrame: { _ in }, decided: { _ in },
                    failed: { _ in },
                    led: { _, _ in }, fetch: { _, _, _ in }, frame: { _, _ in }, peers: { _ in },
                    notice: { _ in }, turned: { _ in }, left: { _ in }, inTouch: { _ in },
                    reports: { _ in }))
            loop.take([.peer(.connected(Self.hello(2))), .peer(.connected(Self.hello(3)))])
            settle()
        }

        static func name(_ node: NodeNumber, _ shard: GroupID) -> ReplicaID {
            ReplicaName.replica(of: shard, node: node, incarnation: UInt64(node))
        }

        static func hello(_ node: NodeNumber) -> PeerHello {
            PeerHello(
                node: node, incarnation: UInt64(node), cluster: [UInt8](repeating: 7, count: 16),
                clusterName: "test")
        }

        /// Lets the log do what it was asked for.
        private func settle() {
            repeat {
                while scheduler.step() {}
                let done = completions.value
                completions.change { $0 = [] }
                if !done.isEmpty { loop.take(done.map { .logTurn($0) }) }
            } while !completions.value.isEmpty
        }

        func receive(_ frame: PeerFrame, from node: NodeNumber) {
            loop.take([.peer(.frame(from: Self.hello(node), frame.encoded()))])
            settle()
        }

        /// A node leads from now on.
        func lead(_ node: NodeNumber, term: Term) {
            let message = Message(
                from: Self.name(node, Self.shard), to: Self.name(1, Self.shard), term: term,
                body: .heartbeat(commit: 0, read: 0, floor: 0))
            receive(.raft([GroupMessage(group: Self.shard, message: message)]), from: node)
        }

        func propose(_ text: String) {
            let proposal = Proposal(shard: Self.shard, command: Array(text.utf8), answer: { _ in })
            loop.take([.proposal(proposal)])
        }

        func tick() { loop.take([.tick]) }

        /// The commands that went out since the last call: the node, the request, the text.
        func sent() -> [(node: NodeNumber, request: UInt64, texts: [String])] {
            wire.take().compactMap { node, frame in
                guard case .propose(let batch) = frame else { return nil }
                return (
                    node, batch.request, batch.commands.map { String(decoding: $0, as: UTF8.self) }
                )
            }
        }

        func refuse(_ request: UInt64, from node: NodeNumber) {
            receive(.proposed(request: request, .notLeader), from: node)
        }
    }

    @Test("What comes back goes before what was asked for later")
    func refusedGoesFirst() throws {
        let bench = try Bench()
        bench.lead(2, term: 1)
        bench.propose("m1")
        let first = try #require(bench.sent().first)
        #expect(first.node == 2 && first.texts == ["m1"])
        // Another leads before the refusal is here; what comes now waits behind m1.
        bench.lead(3, term: 2)
        bench.propose("m2")
        #expect(bench.sent().isEmpty)
        bench.refuse(first.request, from: 2)
        bench.tick()
        let again = bench.sent()
        #expect(again.allSatisfy { $0.node == 3 } && again.flatMap(\.texts) == ["m1", "m2"])
    }

    @Test("Nothing comes between two refused batches of one flight, or goes before all are back")
    func flight() throws {
        let bench = try Bench()
        bench.lead(3, term: 1)
        bench.propose("n1")
        bench.propose("n2")
        let sent = bench.sent()
        #expect(sent.map(\.texts) == [["n1"], ["n2"]])
        bench.refuse(sent[0].request, from: 3)
        bench.propose("n3")
        bench.tick()
        #expect(bench.sent().isEmpty, "n2 is still on its way")
        bench.refuse(sent[1].request, from: 3)
        bench.tick()
        #expect(bench.sent().flatMap(\.texts) == ["n1", "n2", "n3"])
    }

    @Test("A flight that was refused in part is refused whole; the next one is taken")
    func refusedFlight() throws {
        let bench = try Bench(votes: [1])
        #expect(bench.loop.replicator.isLeading(Bench.shard))
        func outcome(request: UInt64, flight: UInt64, epoch: UInt64) -> PeerFrame? {
            _ = bench.wire.take()
            bench.receive(
                .propose(
                    .init(
                        request: request, flight: flight, shard: Bench.shard, epoch: epoch,
                        commands: [[1]])), from: 2)
            return bench.wire.take().first?.frame
        }
        #expect(outcome(request: 1, flight: 1, epoch: 0) == .proposed(request: 1, .notLeader))
        #expect(outcome(request: 2, flight: 1, epoch: 1) == .proposed(request: 2, .notLeader))
        guard case .proposed(request: 3, .accepted) = outcome(request: 3, flight: 3, epoch: 1)
        else {
            Issue.record("a new flight is refused")
            return
        }
    }

    @Test("Batches for shards that there are not leave nothing behind")
    func foreignShards() throws {
        let bench = try Bench(votes: [1])
        for shard in [2, 49_151, 70_000, UInt32.max] as [GroupID] {
            bench.receive(
                .propose(.init(request: 1, flight: 1, shard: shard, epoch: 1, commands: [[1]])),
                from: 2)
        }
        #expect(bench.loop.forwarding.refused.isEmpty)
    }

    @Test("A leader whose own commands wait takes those of others")
    func othersGoOn() throws {
        let bench = try Bench(votes: [1])
        let waiting = bench.loop.forwarding.batch(
            [Proposal(shard: Bench.shard, command: [1], answer: { _ in })], deadline: 1_000)
        let isParked = bench.loop.forwarding.park(waiting, of: Bench.shard)
        #expect(isParked)
        _ = bench.wire.take()
        bench.receive(
            .propose(
                .init(request: 1, flight: 1, shard: Bench.shard, epoch: 1, commands: [[2]])),
            from: 2)
        guard case .proposed(request: 1, .accepted)? = bench.wire.take().first?.frame else {
            Issue.record("the other node's batch is refused")
            return
        }
    }
}
