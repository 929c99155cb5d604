import Bytes
import ChatModel
import RaftCore
import Replication

/// The bytes of ``PeerFrame``; every byte from outside is suspected.
extension PeerFrame {
    /// Bytes of this kind's frame up to its messages.
    static let raftKind: UInt8 = 3

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 64)
        switch self {
        case .formationAsk: writer.write(UInt8(1))
        case .formation(let formation): Self.write(formation, &writer)
        case .raft(let messages):
            writer.write(Self.raftKind)
            var encoder = RaftMessageEncoder()
            for item in messages { encoder.append(item.group, item.message, to: &writer) }
        case .propose(let batch):
            writer.write(UInt8(4))
            for field in [
                batch.request, batch.flight, UInt64(batch.shard), batch.epoch,
                UInt64(batch.commands.count),
            ] { writer.write(varint: field) }
            for command in batch.commands { writer.write(prefixed: command) }
        case .proposed(let request, let outcome): Self.write(request, outcome, &writer)
        case .readAsk(let request, let shards):
            writer.write(UInt8(6))
            writer.write(varint: request)
            writer.write(varint: UInt64(shards.count))
            for shard in shards { writer.write(varint: UInt64(shard)) }
        case .readAnswer(let request, let answers):
            writer.write(UInt8(7))
            writer.write(varint: request)
            writer.write(varint: UInt64(answers.count))
            for answer in answers {
                writer.write(varint: UInt64(answer.shard))
                writer.write(varint: answer.index.map { $0 + 1 } ?? 0)
            }
        case .snapshotAsk(let cursor):
            writer.write(UInt8(8))
            writer.write(varint: UInt64(cursor.shard))
            writer.write(varint: cursor.export)
            writer.write(cursor.keyspace)
            writer.write(cursor.range)
            writer.write(prefixed: cursor.lastKey)
        case .snapshotChunk(let chunk): Self.write(chunk, &writer)
        case .snapshotRefused(let shard, let export):
            writer.write(UInt8(10))
            writer.write(varint: UInt64(shard))
            writer.write(varint: export)
        case .presence(let notes):
            writer.write(UInt8(11))
            writer.write(varint: UInt64(notes.count))
            for note in notes {
                writer.write(raw: note.user.bytes)
                writer.write(varint: note.lease)
                writer.write(note.what.rawValue)
            }
        case .typing(let conversation, let user):
            writer.write(UInt8(12))
            writer.write(raw: conversation.bytes)
            writer.write(raw: user.bytes)
        case .gossip(let gossip):
            writer.write(UInt8(13))
            writer.write(varint: UInt64((max(0, min(1, gossip.load)) * 1_000_000).rounded()))
            writer.write(UInt8(gossip.isReady ? 1 : 0))
            writer.write(varint: UInt64(gossip.groupsLed))
            writer.write(varint: gossip.wallMs)
            writer.write(varint: gossip.mapEpoch)
        case .stateMarks(let marks): Self.write(marks, &writer)
        case .map(let map):
            writer.write(UInt8(15))
            map.write(to: &writer)
        }
        return writer.bytes
    }

    private static func write(_ formation: Formation?, _ writer: inout ByteWriter) {
        writer.write(UInt8(2))
        writer.write(UInt8(formation == nil ? 0 : 1))
        guard let formation else { return }
        writer.write(raw: formation.cluster)
        writer.write(varint: formation.epoch)
        writer.write(raw: formation.key)
        writer.write(varint: UInt64(formation.founders.count))
        for founder in formation.founders {
            writer.write(varint: UInt64(founder.number))
            writer.write(varint: founder.incarnation)
        }
    }

    private static func write(
        _ request: UInt64, _ outcome: ForwardOutcome, _ writer: inout ByteWriter
    ) {
        writer.write(UInt8(5))
        writer.write(varint: request)
        switch outcome {
        case .accepted(let index, let term, let offset):
            writer.write(UInt8(1))
            for field in [index, term, UInt64(offset)] { writer.write(varint: field) }
        case .notLeader: writer.write(UInt8(2))
        case .overloaded: writer.write(UInt8(3))
        case .tooLarge: writer.write(UInt8(4))
        }
    }

    private static func write(_ marks: [StateMarks.Mark], _ writer: inout ByteWriter) {
        writer.write(UInt8(14))
        writer.write(varint: UInt64(marks.count))
        for mark in marks {
            writer.write(varint: UInt64(mark.shard))
            writer.write(varint: mark.index)
            writer.write(fixed: mark.hash)
        }
    }

    private static func write(_ chunk: SnapshotChunk, _ writer: inout ByteWriter) {
        writer.write(UInt8(9))
        for field in [UInt64(chunk.shard), chunk.export, chunk.index, chunk.term] {
            writer.write(varint: field)
        }
        writer.write(fixed: chunk.hash)
        writer.write(prefixed: chunk.configuration)
        writer.write(chunk.keyspace)
        writer.write(chunk.range)
        writer.write(UInt8(chunk.isFinished ? 1 : 0))
        writer.write(prefixed: chunk.rows)
    }

    // MARK: Reading

    /// The frame of bytes from another node; throws ``DecodeError``.
    static func decode(_ bytes: [UInt8]) throws -> PeerFrame {
        try ByteReader.readAll(bytes) { reader in
            switch try reader.readByte() {
            case 1: .formationAsk
            case 2: .formation(try readFormation(&reader))
            case raftKind:
                .raft(
                    try RaftMessageFormat.decode(&reader).map {
                        GroupMessage(group: $0.group, message: $0.message)
                    })
            case 4: .propose(try readBatch(&reader))
            case 5: .proposed(request: try reader.readVarint(), try readOutcome(&reader))
            case 6:
                .readAsk(request: try reader.readVarint(), shards: try readShards(&reader))
            case 7:
                .readAnswer(request: try reader.readVarint(), try readAnswers(&reader))
            case 8:
                .snapshotAsk(
                    SnapshotCursor(
                        shard: try readShard(&reader), export: try reader.readVarint(),
                        keyspace: try reader.readByte(), range: try reader.readByte(),
                        lastKey: try reader.readPrefixedBytes()))
            case 9: .snapshotChunk(try readChunk(&reader))
            case 10:
                .snapshotRefused(
                    shard: try readShard(&reader), export: try reader.readVarint())
            case 11: .presence(try readNotes(&reader))
            case 12:
                .typing(
                    ConversationID(high: try readBig(&reader), low: try readBig(&reader)),
                    UserID(high: try readBig(&reader), low: try readBig(&reader)))
            case 13:
                .gossip(
                    Gossip(
                        load: Double(min(1_000_000, try reader.readVarint())) / 1_000_000,
                        isReady: try readFlag(&reader),
                        groupsLed: try reader.readCount(),
                        wallMs: try reader.readVarint(), mapEpoch: try reader.readVarint()))
            case 14: .stateMarks(try readMarks(&reader))
            case 15: .map(try ClusterMap(from: &reader))
            default: throw DecodeError.invalid(offset: 0, what: "kind of peer frame")
            }
        }
    }

    private static func readFormation(_ reader: inout ByteReader) throws -> Formation? {
        guard try readFlag(&reader) else { return nil }
        let cluster = Array(try reader.readRaw(16))
        let epoch = try reader.readVarint()
        let key = Array(try reader.readRaw(32))
        let count = try reader.readCount(max: ClusterLimits.nodesMax)
        var founders: [Formation.Founder] = []
        for _ in 0..<count {
            let place = reader.offset
            guard let number = NodeNumber(exactly: try reader.readVarint()), number > 0,
                founders.last.map({ $0.number < number }) ?? true
            else { throw DecodeError.invalid(offset: place, what: "founder") }
            founders.append(.init(number: number, incarnation: try reader.readVarint()))
        }
        return Formation(cluster: cluster, epoch: epoch, key: key, founders: founders)
    }

    private static func readBatch(_ reader: inout ByteReader) throws -> ForwardedBatch {
        let request = try reader.readVarint()
        let flight = try reader.readVarint()
        let shard = try readShard(&reader)
        let epoch = try reader.readVarint()
        let count = try reader.readCount(max: reader.remaining)
        var commands: [[UInt8]] = []
        for _ in 0..<count { commands.append(try reader.readPrefixedBytes()) }
        return ForwardedBatch(
            request: request, flight: flight, shard: shard, epoch: epoch, commands: commands)
    }

    private static func readOutcome(_ reader: inout ByteReader) throws -> ForwardOutcome {
        let place = reader.offset
        switch try reader.readByte() {
        case 1:
            return .accepted(
                index: try reader.readVarint(), term: try reader.readVarint(),
                offset: try reader.readCount(max: 1 << 24))
        case 2: return .notLeader
        case 3: return .overloaded
        case 4: return .tooLarge
        default: throw DecodeError.invalid(offset: place, what: "outcome")
        }
    }

    private static func readShards(_ reader: inout ByteReader) throws -> [GroupID] {
        let count = try reader.readCount(max: reader.remaining)
        var shards: [GroupID] = []
        for _ in 0..<count { shards.append(try readShard(&reader)) }
        return shards
    }

    private static func readAnswers(_ reader: inout ByteReader) throws -> [ReadAnswer] {
        let count = try reader.readCount(max: reader.remaining)
        var answers: [ReadAnswer] = []
        for _ in 0..<count {
            let shard = try readShard(&reader)
            let index = try reader.readVarint()
            answers.append(ReadAnswer(shard: shard, index: index == 0 ? nil : index - 1))
        }
        return answers
    }

    private static func readChunk(_ reader: inout ByteReader) throws -> SnapshotChunk {
        SnapshotChunk(
            shard: try readShard(&reader), export: try reader.readVarint(),
            index: try reader.readVarint(), term: try reader.readVarint(),
            hash: try reader.readFixed(), configuration: try reader.readPrefixedBytes(),
            keyspace: try reader.readByte(), range: try reader.readByte(),
            isFinished: try readFlag(&reader), rows: try reader.readPrefixedBytes())
    }

    private static func readMarks(_ reader: inout ByteReader) throws -> [StateMarks.Mark] {
        let count = try reader.readCount(max: reader.remaining / 10)
        var marks: [StateMarks.Mark] = []
        for _ in 0..<count {
            marks.append(
                StateMarks.Mark(
                    shard: try readShard(&reader), index: try reader.readVarint(),
                    hash: try reader.readFixed()))
        }
        return marks
    }

    private static func readNotes(_ reader: inout ByteReader) throws -> [PresenceNote] {
        let count = try reader.readCount(max: reader.remaining / 18)
        var notes: [PresenceNote] = []
        for _ in 0..<count {
            let user = UserID(high: try readBig(&reader), low: try readBig(&reader))
            let lease = try reader.readVarint()
            let place = reader.offset
            guard let what = PresenceNote.What(rawValue: try reader.readByte()) else {
                throw DecodeError.invalid(offset: place, what: "presence")
            }
            notes.append(PresenceNote(user: user, lease: lease, what: what))
        }
        return notes
    }

    private static func readFlag(_ reader: inout ByteReader) throws -> Bool {
        let place = reader.offset
        switch try reader.readByte() {
        case 0: return false
        case 1: return true
        default: throw DecodeError.invalid(offset: place, what: "flag")
        }
    }

    private static func readShard(_ reader: inout ByteReader) throws -> GroupID {
        let place = reader.offset
        guard let shard = GroupID(exactly: try reader.readVarint()) else {
            throw DecodeError.invalid(offset: place, what: "shard")
        }
        return shard
    }

    /// Identifiers travel in big endian, as everywhere.
    private static func readBig(_ reader: inout ByteReader) throws -> UInt64 {
        try reader.readFixed(UInt64.self).byteSwapped
    }
}
