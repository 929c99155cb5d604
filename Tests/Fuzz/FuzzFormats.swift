import Bytes
import RaftCore
import RecordLog
import Replication
import ShardStore

/// Formats that are one decoder each.
enum FuzzFormats {
    /// Accepted unless `body` throws.
    static func outcome(_ body: () throws -> Void) -> FuzzTarget.Outcome {
        do {
            try body()
            return .accepted
        } catch {
            return .refused
        }
    }

    static func cutState(_ input: [UInt8]) -> FuzzTarget.Outcome {
        outcome {
            let positions = try CutStateFormat.decode(input)
            let again = try CutStateFormat.decode(CutStateFormat.encode(positions))
            precondition(again == positions, "positions are what they are written as")
        }
    }

    static func configuration(_ input: [UInt8]) -> FuzzTarget.Outcome {
        guard let configuration = Configuration.decode(input) else { return .refused }
        precondition(
            Configuration.decode(configuration.encoded()) == configuration,
            "a configuration is what it is written as")
        return .accepted
    }

    static func raftRecord(_ input: [UInt8]) -> FuzzTarget.Outcome {
        outcome {
            try input.dropFirst().withUnsafeBytes { raw in
                let type = input.first ?? 0
                let record = try RaftLogFormat.decode(type: type, raw)
                let again = try RaftLogFormat.decode(type: type, raw)
                precondition(record == again, "a record says the same twice")
            }
        }
    }

    static func raftMessages(_ input: [UInt8]) -> FuzzTarget.Outcome {
        outcome {
            let messages = try ByteReader.readAll(input) { try RaftMessageFormat.decode(&$0) }
            var writer = ByteWriter()
            var encoder = RaftMessageEncoder()
            for (group, message) in messages {
                encoder.forget()
                encoder.append(group, message, to: &writer)
            }
            let again = try ByteReader.readAll(writer.bytes) { try RaftMessageFormat.decode(&$0) }
            precondition(
                again.count == messages.count
                    && zip(again, messages).allSatisfy { $0.0 == $1.0 && $0.1 == $1.1 },
                "messages are what they are written as")
        }
    }

    // MARK: Seeds

    private static let configurations = [
        Configuration(voters: []), Configuration(voters: [7]),
        Configuration(voters: [1, 2, 9], outgoing: [1, 2, 3], learners: [4]),
    ]

    static var configurationSeeds: [[UInt8]] { configurations.map { $0.encoded() } }

    static var cutStateSeeds: [[UInt8]] {
        let positions = configurations.enumerated().map { number, configuration in
            ShardPosition(
                shard: GroupID(number), replica: ReplicaID(number) + 1,
                index: LogIndex(number) * 200, term: number == 0 ? 0 : 3,
                hash: number == 0 ? 0 : 99, configuration: configuration)
        }
        return (0...positions.count).map { CutStateFormat.encode(Array(positions[..<$0])) }
    }

    static var raftRecordSeeds: [[UInt8]] {
        [
            [1, 3, 7, 5, 1, 2, 2, 2, 0x68, 0x69], [3, 3, 7, 5, 2, 2, 2, 1, 9, 2, 2, 0],
            [2, 3, 7, 5, 8], [4, 3, 7, 5, 1],
            [RecordFormat.segmentHeaderType, 1, 1, 3, 7, 2, 7, 5, 2, 1, 7],
        ]
    }

    static var raftMessageSeeds: [[UInt8]] {
        let entry = Entry(index: 6, term: 2, kind: .command, payload: [1, 2, 3])
        let bodies: [Message.Body] = [
            .preVote(lastIndex: 5, lastTerm: 2), .preVoteReply(isGranted: true),
            .vote(lastIndex: 5, lastTerm: 2, isTransfer: false), .voteReply(isGranted: false),
            .append(previousIndex: 5, previousTerm: 2, entries: [entry], commit: 4),
            .appendReply(match: 9), .appendRejected(previousIndex: 5, hintIndex: 3, hintTerm: 1),
            .heartbeat(commit: 5, read: 1, floor: 4), .heartbeatReply(read: 1),
            .snapshotOffer(index: 5, term: 2), .timeoutNow,
        ]
        return bodies.map { body in
            var writer = ByteWriter()
            var encoder = RaftMessageEncoder()
            encoder.append(3, Message(from: 7, to: 8, term: 2, body: body), to: &writer)
            return writer.bytes
        }
    }
}
