package import Bytes
package import RaftCore

/// How replicas' messages travel between nodes. A frame holds messages of many groups, so that
/// everything a node has to say to another in one turn, heartbeats of all groups included, is one
/// frame. Integers `v` are unsigned varints (LEB128).
///
///     for each message, up to the frame's end:
///         v group | v from | v to | v term | u8 kind | fields
///
///     kind  fields
///      1    pre-vote           v last index | v last term
///      2    pre-vote reply     u8 granted
///      3    vote               v last index | v last term | u8 is a transfer
///      4    vote reply         u8 granted
///      5    append             v previous index | v previous term | v commit | v count
///                              | for each entry: v term | u8 kind | v length | payload
///      6    append reply       v match
///      7    append rejected    v previous index | v hint index | v hint term
///      8    heartbeat          v commit | v read position | v floor
///      9    heartbeat reply    v read position
///     10    snapshot offer     v index | v term
///     11    timeout now
///
/// **Valid.** Replica ids are not 0; terms and indexes stay below 2⁶³; flags are 0 or 1; entries
/// are as in ``RaftLogFormat``. What the fields say about each other is the core's to suspect.
///
/// **Example.** Group 3, from 7 to 8 in term 2, a heartbeat with commit 5, read 1, floor 4:
///
///     03 07 08 02 08 05 01 04
///
/// **Weakness.** No checksum: the transport's frames have one.
package enum RaftMessageFormat {
    /// Reads all messages of a frame; every byte is suspected.
    package static func decode(
        _ reader: inout ByteReader
    ) throws(DecodeError) -> [(group: GroupID, message: Message)] {
        var messages: [(group: GroupID, message: Message)] = []
        while reader.remaining > 0 {
            let group = try RaftLogFormat.readGroup(&reader)
            let from = try RaftLogFormat.readReplica(&reader)
            let to = try RaftLogFormat.readReplica(&reader)
            let term = try readBounded(&reader)
            let body = try readBody(&reader)
            messages.append((group, Message(from: from, to: to, term: term, body: body)))
        }
        return messages
    }

    private static func readBody(_ reader: inout ByteReader) throws(DecodeError) -> Message.Body {
        let place = reader.offset
        switch try reader.readByte() {
        case 1:
            return .preVote(lastIndex: try readBounded(&reader), lastTerm: try readBounded(&reader))
        case 2: return .preVoteReply(isGranted: try readFlag(&reader))
        case 3:
            return .vote(
                lastIndex: try readBounded(&reader), lastTerm: try readBounded(&reader),
                isTransfer: try readFlag(&reader))
        case 4: return .voteReply(isGranted: try readFlag(&reader))
        case 5: return try readAppend(&reader)
        case 6: return .appendReply(match: try readBounded(&reader))
        case 7:
            return .appendRejected(
                previousIndex: try readBounded(&reader), hintIndex: try readBounded(&reader),
                hintTerm: try readBounded(&reader))
        case 8:
            return .heartbeat(
                commit: try readBounded(&reader), read: try readBounded(&reader),
                floor: try readBounded(&reader))
        case 9: return .heartbeatReply(read: try readBounded(&reader))
        case 10:
            return .snapshotOffer(index: try readBounded(&reader), term: try readBounded(&reader))
        case 11: return .timeoutNow
        default: throw .invalid(offset: place, what: "kind of message")
        }
    }

    private static func readAppend(_ reader: inout ByteReader) throws(DecodeError) -> Message.Body {
        let previousIndex = try readBounded(&reader)
        let previousTerm = try readBounded(&reader)
        let commit = try readBounded(&reader)
        let count = try reader.readCount(max: reader.remaining / 3)
        return .append(
            previousIndex: previousIndex, previousTerm: previousTerm,
            entries: try RaftLogFormat.readEntries(&reader, from: previousIndex + 1, count: count),
            commit: commit)
    }

    private static func readFlag(_ reader: inout ByteReader) throws(DecodeError) -> Bool {
        let place = reader.offset
        switch try reader.readByte() {
        case 0: return false
        case 1: return true
        default: throw .invalid(offset: place, what: "flag")
        }
    }

    private static func readBounded(_ reader: inout ByteReader) throws(DecodeError) -> UInt64 {
        let place = reader.offset
        let value = try reader.readVarint()
        guard value < UInt64.max / 2 else { throw .invalid(offset: place, what: "number") }
        return value
    }
}

/// Writes messages into frames. Followers of one leader mostly get the same entries in the same
/// turn: their bytes are made once and copied.
package struct RaftMessageEncoder {
    private var run: (group: GroupID, term: Term, first: LogIndex, count: Int)?
    private var runBytes: [UInt8] = []

    /// An encoder without memory.
    package init() {}

    /// Adds a message to a frame.
    package mutating func append(
        _ group: GroupID, _ message: Message, to writer: inout ByteWriter
    ) {
        writer.write(varint: UInt64(group))
        writer.write(varint: message.from)
        writer.write(varint: message.to)
        writer.write(varint: message.term)
        switch message.body {
        case .preVote(let lastIndex, let lastTerm):
            Self.write(1, [lastIndex, lastTerm], &writer)
        case .preVoteReply(let isGranted): Self.write(2, [isGranted ? 1 : 0], &writer)
        case .vote(let lastIndex, let lastTerm, let isTransfer):
            Self.write(3, [lastIndex, lastTerm, isTransfer ? 1 : 0], &writer)
        case .voteReply(let isGranted): Self.write(4, [isGranted ? 1 : 0], &writer)
        case .append(let previousIndex, let previousTerm, let entries, let commit):
            Self.write(
                5, [previousIndex, previousTerm, commit, UInt64(entries.count)], &writer)
            if !entries.isEmpty {
                encode(entries, group, message.term)
                writer.write(raw: runBytes)
            }
        case .appendReply(let match): Self.write(6, [match], &writer)
        case .appendRejected(let previousIndex, let hintIndex, let hintTerm):
            Self.write(7, [previousIndex, hintIndex, hintTerm], &writer)
        case .heartbeat(let commit, let read, let floor):
            Self.write(8, [commit, read, floor], &writer)
        case .heartbeatReply(let read): Self.write(9, [read], &writer)
        case .snapshotOffer(let index, let term): Self.write(10, [index, term], &writer)
        case .timeoutNow: writer.write(UInt8(11))
        }
    }

    /// Forgets the bytes of the last run of entries: at the end of a turn.
    package mutating func forget() {
        run = nil
        runBytes.removeAll(keepingCapacity: runBytes.capacity <= 1 << 20)
    }

    private mutating func encode(_ entries: [Entry], _ group: GroupID, _ term: Term) {
        let first = entries[0].index
        // Within one turn and term a leader's entries are what their indexes say.
        if let run, run == (group, term, first, entries.count) { return }
        var writer = ByteWriter(capacity: entries.reduce(0) { $0 + $1.cost })
        for entry in entries { RaftLogFormat.write(entry, to: &writer) }
        runBytes = writer.bytes
        run = (group, term, first, entries.count)
    }

    private static func write(_ kind: UInt8, _ fields: [UInt64], _ writer: inout ByteWriter) {
        writer.write(kind)
        for field in fields { writer.write(varint: field) }
    }
}
