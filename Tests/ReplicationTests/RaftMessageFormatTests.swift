import Bytes
import Foundation
import RaftCore
import Testing

@testable import Replication

/// The replicas' messages on their way.
@Suite("RaftMessageFormat")
struct RaftMessageFormatTests {
    private static let entries = [
        Entry(index: 5, term: 2, kind: .command, payload: [0x68, 0x69]),
        Entry(index: 6, term: 300, kind: .noop, payload: []),
        Entry(
            index: 7, term: 300, kind: .configuration,
            payload: Configuration(
                voters: [1, 2, 4], outgoing: [1, 2, 3], learners: [9]
            ).encoded()),
    ]

    private static let bodies: [(name: String, body: Message.Body)] = [
        ("pre-vote", .preVote(lastIndex: 300, lastTerm: 2)),
        ("pre-vote reply", .preVoteReply(isGranted: true)),
        ("vote", .vote(lastIndex: 300, lastTerm: 2, isTransfer: false)),
        ("vote for a transfer", .vote(lastIndex: 300, lastTerm: 2, isTransfer: true)),
        ("vote reply", .voteReply(isGranted: false)),
        (
            "append of three",
            .append(previousIndex: 4, previousTerm: 1, entries: entries, commit: 3)
        ),
        ("append of none", .append(previousIndex: 4, previousTerm: 1, entries: [], commit: 3)),
        ("append reply", .appendReply(match: 7)),
        ("append rejected", .appendRejected(previousIndex: 9, hintIndex: 5, hintTerm: 1)),
        ("heartbeat", .heartbeat(commit: 5, read: 1, floor: 4)),
        ("heartbeat reply", .heartbeatReply(read: 1)),
        ("snapshot offer", .snapshotOffer(index: 300, term: 2)),
        ("timeout now", .timeoutNow),
    ]

    private static var messages: [(group: GroupID, message: Message)] {
        bodies.map { (3, Message(from: 7, to: 8, term: 300, body: $0.body)) }
    }

    private static func encode(_ messages: [(group: GroupID, message: Message)]) -> [UInt8] {
        var (encoder, writer) = (RaftMessageEncoder(), ByteWriter())
        for item in messages { encoder.append(item.group, item.message, to: &writer) }
        return writer.bytes
    }

    private static func decode(_ bytes: [UInt8]) throws -> [(group: GroupID, message: Message)] {
        try ByteReader.readAll(bytes) { try RaftMessageFormat.decode(&$0) }
    }

    @Test("The bytes are those of the golden file")
    func golden() throws {
        let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Golden/raft-messages.txt")
        let text = zip(Self.bodies, Self.messages).map { body, item in
            "\(body.name): \(Hex.encode(Self.encode([item])))\n"
        }.joined()
        if ProcessInfo.processInfo.environment["MAGPIE_REWRITE"] == "1" {
            try text.write(to: url, atomically: true, encoding: .utf8)
        }
        #expect(try String(contentsOf: url, encoding: .utf8) == text)
    }

    @Test("The worked example of the page is right")
    func example() {
        let message = Message(
            from: 7, to: 8, term: 2, body: .heartbeat(commit: 5, read: 1, floor: 4))
        #expect(Self.encode([(3, message)]) == [3, 7, 8, 2, 8, 5, 1, 4])
    }

    @Test("Every kind comes back, alone and in a frame of many groups")
    func roundTrip() throws {
        for (group, message) in Self.messages {
            let read = try Self.decode(Self.encode([(group, message)]))
            #expect(read.count == 1 && read[0].group == group && read[0].message == message)
        }
        let all = Self.messages + Self.messages.map { (GroupID.max, $0.message) }
        let read = try Self.decode(Self.encode(all))
        #expect(read.map(\.group) == all.map(\.group))
        #expect(read.map(\.message) == all.map(\.message))
        #expect(try Self.decode([]).isEmpty)
    }

    @Test(
        "Followers that get the same entries get the same bytes; others are not mistaken for them")
    func cachedRun() throws {
        func append(_ term: Term, to: ReplicaID, _ entries: [Entry]) -> Message {
            Message(
                from: 7, to: to, term: term,
                body: .append(
                    previousIndex: (entries.first?.index ?? 1) - 1, previousTerm: 1,
                    entries: entries, commit: 1))
        }
        func run(_ first: LogIndex, _ count: LogIndex, _ mark: UInt8, term: Term = 2) -> [Entry] {
            (first..<(first + count)).map {
                Entry(index: $0, term: term, kind: .command, payload: [mark, UInt8($0)])
            }
        }
        // One after the other, each differing from the last in one thing.
        let all: [(group: GroupID, message: Message)] = [
            (3, append(2, to: 8, run(5, 3, 0xA))), (3, append(2, to: 9, run(5, 3, 0xA))),
            (3, append(2, to: 9, run(5, 2, 0xA))), (3, append(2, to: 9, run(6, 2, 0xA))),
            (3, append(4, to: 9, run(6, 2, 0xB, term: 4))),
            (4, append(4, to: 9, run(6, 2, 0xC, term: 4))),
            (4, append(4, to: 9, [])), (4, append(4, to: 8, run(6, 2, 0xC, term: 4))),
        ]
        let together = Self.encode(all)
        #expect(together == all.flatMap { Self.encode([$0]) })
        #expect(try Self.decode(together).map(\.message) == all.map(\.message))

        // Of another turn nothing is remembered.
        var (encoder, writer) = (RaftMessageEncoder(), ByteWriter())
        encoder.append(3, append(2, to: 8, run(5, 1, 0xA)), to: &writer)
        encoder.forget()
        writer.removeAll()
        let other = append(2, to: 8, run(5, 1, 0xB))
        encoder.append(3, other, to: &writer)
        #expect(try Self.decode(writer.bytes).map(\.message) == [other])
    }

    @Test("Shorter messages throw, and so do longer ones")
    func truncated() {
        for (body, item) in zip(Self.bodies, Self.messages) {
            let bytes = Self.encode([item])
            for length in 1..<bytes.count {
                #expect(throws: DecodeError.self, "\(body.name), \(length)") {
                    try Self.decode(Array(bytes[..<length]))
                }
            }
            #expect(throws: DecodeError.self) { try Self.decode(bytes + [0]) }
        }
    }

    @Test(
        "Changed bytes throw, or are messages that come back from their own bytes", arguments: 1...3
    )
    func mutated(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        var (thrown, read) = (0, 0)
        for item in Self.messages {
            for _ in 0..<500 {
                var bytes = Self.encode([item, item])
                for _ in 0...Int.random(in: 0...2, using: &random) {
                    bytes[Int.random(in: 0..<bytes.count, using: &random)] =
                        UInt8.random(in: 0...255, using: &random)
                }
                guard let messages = try? Self.decode(bytes) else {
                    thrown += 1
                    continue
                }
                read += 1
                // One by one: an encoder expects the messages of one honest replica.
                let again = try messages.flatMap { try Self.decode(Self.encode([$0])) }
                #expect(
                    again.map(\.message) == messages.map(\.message),
                    "seed \(seed): \(Hex.encode(bytes))")
            }
        }
        #expect(thrown > 500 && read > 500, "seed \(seed): \(thrown) thrown, \(read) read")
    }

    @Test("Noise never traps")
    func noise() {
        var random = SplitMix64(seed: 5)
        for round in 0..<20_000 {
            let count = Int.random(in: 0...40, using: &random)
            let noise = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            _ = try? Self.decode([3, 7, 8, 2, UInt8(round % 13)] + noise)
        }
    }

    @Test(
        "Replica 0, flags above 1, kind 0, huge numbers and terms that go back are refused",
        arguments: [
            [3, 0, 8, 2, 11], [3, 7, 0, 2, 11], [3, 7, 8, 2, 0], [3, 7, 8, 2, 12],
            [3, 7, 8, 2, 2, 2], [3, 7, 8, 2, 3, 1, 1, 2],
            // A group above 2³² − 1, a term and an index of 2⁶³.
            [0x80, 0x80, 0x80, 0x80, 0x10, 7, 8, 2, 11],
            [3, 7, 8] + [UInt8](repeating: 0x80, count: 9) + [1, 11],
            [3, 7, 8, 2, 6] + [UInt8](repeating: 0x80, count: 9) + [1],
            // An append that claims 2⁵⁵ entries, and one whose terms go back.
            [3, 7, 8, 2, 5, 4, 1, 3] + [UInt8](repeating: 0x80, count: 7) + [1, 2, 2, 0],
            [3, 7, 8, 2, 5, 4, 1, 3, 2, 2, 2, 0, 1, 2, 0],
            // An entry that is called a configuration and is none.
            [3, 7, 8, 2, 5, 4, 1, 3, 1, 2, 3, 1, 0],
        ] as [[UInt8]])
    func refused(bytes: [UInt8]) {
        #expect(throws: DecodeError.self) { try Self.decode(bytes) }
    }
}
