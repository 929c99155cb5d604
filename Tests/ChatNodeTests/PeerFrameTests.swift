import Bytes
import ChatModel
import RaftCore
import Replication
import Testing

@testable import ChatNode

/// What nodes say to each other.
@Suite("PeerFrame")
struct PeerFrameTests {
    private static let formation = Formation(
        cluster: (0x10...0x1F).map { $0 }, epoch: 1, key: (0...31).map { $0 },
        founders: [.init(number: 1, incarnation: 0x11), .init(number: 300, incarnation: 1 << 63)])
    private static let user = UserID(high: 0x0102_0304_0506_0708, low: 0x1112_1314_1516_1718)

    /// Every kind, by name, in the order of the table.
    private static var samples: [(name: String, frame: PeerFrame)] {
        handshakes + proposals + states
    }

    private static let handshakes: [(name: String, frame: PeerFrame)] = [
        ("formation ask", .formationAsk),
        ("formation: none", .formation(nil)),
        ("formation of nodes 1 and 300", .formation(formation)),
        (
            "raft: group 3, 7 to 8, term 2: append of entry 5, heartbeat",
            .raft([
                GroupMessage(
                    group: 3,
                    message: Message(
                        from: 7, to: 8, term: 2,
                        body: .append(
                            previousIndex: 4, previousTerm: 1,
                            entries: [
                                Entry(index: 5, term: 2, kind: .command, payload: [0x68, 0x69])
                            ], commit: 3))),
                GroupMessage(
                    group: 3,
                    message: Message(
                        from: 7, to: 8, term: 2, body: .heartbeat(commit: 5, read: 1, floor: 4))),
            ])
        ),
    ]

    private static let proposals: [(name: String, frame: PeerFrame)] = [
        (
            "propose: request 9, flight 7, shard 3, map 1, two commands",
            .propose(
                .init(
                    request: 9, flight: 7, shard: 3, epoch: 1, commands: [[0xAA, 0xBB], []]))
        ),
        (
            "proposed: request 9, entry 300 of term 2, command 4",
            .proposed(request: 9, .accepted(index: 300, term: 2, offset: 4))
        ),
        ("proposed: not the leader", .proposed(request: 9, .notLeader)),
        ("proposed: overloaded", .proposed(request: 9, .overloaded)),
        ("proposed: too large", .proposed(request: 9, .tooLarge)),
        ("read ask: request 5, shards 0 and 16", .readAsk(request: 5, shards: [0, 16])),
        (
            "read answer: shard 0 at 41, shard 16 lost",
            .readAnswer(
                request: 5, [.init(shard: 0, index: 41), .init(shard: 16, index: nil)])
        ),
    ]

    private static let states: [(name: String, frame: PeerFrame)] = [
        (
            "snapshot ask: shard 2, export 6, keyspace 4, range 1, behind 0c",
            .snapshotAsk(
                SnapshotCursor(shard: 2, export: 6, keyspace: 4, range: 1, lastKey: [0x0C]))
        ),
        (
            "snapshot chunk: shard 2, export 6, entry 7 of term 3",
            .snapshotChunk(
                SnapshotChunk(
                    shard: 2, export: 6, index: 7, term: 3, hash: 0x0807_0605_0403_0201,
                    configuration: [1, 1, 9, 0, 0], keyspace: 4, range: 1, isFinished: true,
                    rows: [1, 0x0D, 0]))
        ),
        ("snapshot refused: shard 2, export 6", .snapshotRefused(shard: 2, export: 6)),
        (
            "presence: active with lease 130, lost",
            .presence([
                .init(user: user, lease: 130, what: .active),
                .init(user: user, lease: 1, what: .lost),
            ])
        ),
        ("typing", .typing(ConversationID(high: 1, low: 2), user)),
        (
            "gossip: load 0.25, ready, leads 6, clock 1000, map 3",
            .gossip(.init(load: 0.25, isReady: true, groupsLed: 6, wallMs: 1_000, mapEpoch: 3))
        ),
        (
            "state marks: shard 2 at entry 128",
            .stateMarks([.init(shard: 2, index: 128, hash: 0x0807_0605_0403_0201)])
        ),
        (
            "map 3: node 2 at n2:1, http://n2, leaving",
            .map(
                .init(
                    epoch: 3,
                    nodes: [
                        .init(number: 2, peerAddress: "n2:1", url: "http://n2", isLeaving: true)
                    ]))
        ),
    ]

    @Test("The bytes are those of the golden file")
    func golden() throws {
        let lines = Self.samples.map { "\($0.name): \(Hex.encode($0.frame.encoded()))\n" }
        try Golden.check("peer-frames.txt", [UInt8](lines.joined().utf8))
    }

    @Test("Every kind comes back from its bytes, and every kind of the table is among the samples")
    func roundTrip() throws {
        for sample in Self.samples {
            #expect(try PeerFrame.decode(sample.frame.encoded()) == sample.frame, "\(sample.name)")
        }
        #expect(Set(Self.samples.map { $0.frame.encoded()[0] }) == Set(1...15))
    }

    @Test("A shorter frame throws, unless it ends between two messages; so does a longer one")
    func truncated() throws {
        for sample in Self.samples {
            let bytes = sample.frame.encoded()
            for length in 0..<bytes.count {
                guard let frame = try? PeerFrame.decode(Array(bytes[..<length])) else { continue }
                guard case .raft(let some) = frame, case .raft(let all) = sample.frame else {
                    Issue.record("\(sample.name) cut to \(length) bytes is \(frame)")
                    continue
                }
                #expect(some.count < all.count && Array(all[..<some.count]) == some)
            }
            #expect(throws: DecodeError.self, "\(sample.name)") {
                try PeerFrame.decode(bytes + [0])
            }
        }
    }

    @Test(
        "Changed bytes throw, or are a frame that comes back from its own bytes", arguments: [1, 2])
    func mutated(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        var (thrown, read) = (0, 0)
        for sample in Self.samples {
            for _ in 0..<400 {
                var bytes = sample.frame.encoded()
                for _ in 0...Int.random(in: 0...2, using: &random) {
                    bytes[Int.random(in: 0..<bytes.count, using: &random)] =
                        UInt8.random(in: 0...255, using: &random)
                }
                guard let frame = try? PeerFrame.decode(bytes) else {
                    thrown += 1
                    continue
                }
                read += 1
                #expect(
                    try PeerFrame.decode(frame.encoded()) == frame,
                    "seed \(seed): \(Hex.encode(bytes))")
            }
        }
        #expect(thrown > 500 && read > 500, "seed \(seed): \(thrown) thrown, \(read) read")
    }

    @Test("Noise of every kind never traps", arguments: [3, 4])
    func noise(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var thrown = 0
        for round in 0..<20_000 {
            let count = Int.random(in: 0...60, using: &random)
            let noise = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            if (try? PeerFrame.decode([UInt8(round % 16)] + noise)) == nil { thrown += 1 }
        }
        #expect(thrown > 10_000, "seed \(seed)")
    }

    @Test("A count that the bytes can't hold is refused before anything is reserved for it")
    func hugeCounts() {
        let huge: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]
        let raft: [UInt8] = [3, 3, 7, 8, 2, 5, 4, 1, 3]
        let formation: [UInt8] = [2, 1] + [UInt8](repeating: 0, count: 16 + 1 + 32)
        let chunk: [UInt8] = [9, 2, 6, 7, 3] + [UInt8](repeating: 0, count: 8)
        for head in [
            raft, formation, chunk, [4, 9, 3, 1], [6, 5], [7, 5], [8, 2, 6, 4, 1], [11], [14],
        ] {
            #expect(throws: DecodeError.self, "\(head)") { try PeerFrame.decode(head + huge) }
            #expect(throws: DecodeError.self, "\(head)") {
                try PeerFrame.decode(head + huge + [UInt8](repeating: 1, count: 64))
            }
        }
    }

    @Test("Kind 0, unknown kinds, flags above 1 and founders out of order are refused")
    func refused() {
        // Is formed, and is ready.
        for bytes in [[2, 2], [13, 0, 2, 0, 0]] as [[UInt8]] {
            #expect(throws: DecodeError.self) { try PeerFrame.decode(bytes) }
        }
        for kind in [0, 15, 255] as [UInt8] {
            #expect(throws: DecodeError.self) { try PeerFrame.decode([kind]) }
        }
        for numbers in [[2, 1], [1, 1], [0]] as [[UInt16]] {
            let formation = Formation(
                cluster: Self.formation.cluster, epoch: 1, key: Self.formation.key,
                founders: numbers.map { .init(number: $0, incarnation: 5) })
            #expect(throws: DecodeError.self) {
                try PeerFrame.decode(PeerFrame.formation(formation).encoded())
            }
        }
    }
}
