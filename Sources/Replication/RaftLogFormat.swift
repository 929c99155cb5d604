package import Bytes
package import RaftCore
import RecordLog

/// The id of a Raft group: a shard's number.
package typealias GroupID = UInt32

/// What the records of the shared Raft log mean. Their framing (length, checksum, marks, segments)
/// is `RecordLog`'s; here are types and payloads. Integers `v` are unsigned varints (LEB128).
///
///     type 1, entries: consecutive entries of one group
///         v group | v replica | v first index | v count
///         then for each entry: v term | u8 kind | v length | payload
///
///     type 2, hard state: what a replica must never forget
///         v group | v replica | v term | v vote (0: none)
///
///     type 3, copies: entries of one group copied forward, laid out as type 1
///
///     type 4, reset: a snapshot took the place of the group's log
///         v group | v replica | v base index | v base term
///
///     the owner's part of a segment's header: every group's state at that point of the log
///         u8 version = 1 | v count
///         then for each group, ascending: v group | v replica | v term | v vote
///             | v base index | v base term | v voters | v voter …
///
/// **Meaning.** Records are read in log order. An entries record replaces whatever its group held
/// from its first index on; a copies record only from the first entry that differs (a crash may
/// cut a run of copies short, and what it would have repeated is still there). A record that does
/// not follow on what its group holds speaks of entries whose beginning was released: it counts for
/// nothing, and a run of copies from the beginning comes later. After a reset the group holds no
/// entries: the tree has had everything up to the base since before the reset was written. Hard
/// states only ever go up: the
/// later of two has the higher term, or the same term and the vote the earlier lacked. A record
/// whose replica id is not that of the group's present placement is skipped: it speaks of a
/// placement that is gone. Bases tell people and tools where a group's log starts; recovery takes
/// that from the tree, which is ahead of them.
///
/// **Valid.** Ids of replicas and voters are not 0; indexes start at 1; terms along the log never
/// go back; kind 0 never occurs; what has the kind of a configuration is one; nothing follows the
/// last field.
///
/// **Example.** Type 1, group 3, replica 7, entry 5 of term 2, a command `68 69`:
///
///     03 07 05 01   02 02 02 68 69
///
/// **Weakness.** Entries of one batch may be cut apart by a crash between two records of it; Raft
/// does not mind, since none of them was acknowledged.
package enum RaftLogFormat {
    /// The record type of entries of one group.
    package static let entriesType: UInt8 = 1
    /// The record type of a replica's term and vote.
    package static let hardStateType: UInt8 = 2
    /// The record type of entries copied forward, out of a segment that is to be released.
    package static let copiesType: UInt8 = 3
    /// The record type of a log that begins anew behind a snapshot.
    package static let resetType: UInt8 = 4
    /// The version of the owner's part of a segment's header.
    static let statesVersion: UInt8 = 1
    /// Payload bytes after which a run of entries goes on in the next record.
    static let recordBytesGoal = 1 << 20

    /// One record, decoded.
    package enum Record: Equatable, Sendable {
        case entries(GroupID, ReplicaID, [Entry])
        case hardState(GroupID, ReplicaID, HardState)
        case states([GroupState])
        case copies(GroupID, ReplicaID, [Entry])
        case reset(GroupID, ReplicaID, LogBase)
    }

    /// The records that hold `entries`, with the number of entries in each: as few as the goal for
    /// their size allows, never one above what a record may hold.
    static func encode(
        _ entries: [Entry], group: GroupID, replica: ReplicaID
    ) -> [(bytes: [UInt8], count: Int)] {
        var records: [(bytes: [UInt8], count: Int)] = []
        var start = 0
        while start < entries.count {
            var end = start
            var bytes = 0
            while end < entries.count, end == start || bytes < recordBytesGoal {
                bytes += entries[end].cost
                end += 1
            }
            let record = encode(entries[start..<end], bytes, group: group, replica: replica)
            records.append((record, end - start))
            start = end
        }
        return records
    }

    private static func encode(
        _ entries: ArraySlice<Entry>, _ bytes: Int, group: GroupID, replica: ReplicaID
    ) -> [UInt8] {
        var writer = ByteWriter(capacity: bytes + 32)
        writer.write(varint: UInt64(group))
        writer.write(varint: replica)
        writer.write(varint: entries.first?.index ?? 0)
        writer.write(varint: UInt64(entries.count))
        for entry in entries { write(entry, to: &writer) }
        return writer.bytes
    }

    /// One entry of a run: all but its index.
    static func write(_ entry: Entry, to writer: inout ByteWriter) {
        writer.write(varint: entry.term)
        writer.write(entry.kind.rawValue)
        writer.write(prefixed: entry.payload)
    }

    /// The record that holds a hard state.
    static func encode(_ state: HardState, group: GroupID, replica: ReplicaID) -> [UInt8] {
        var writer = ByteWriter(capacity: 32)
        writer.write(varint: UInt64(group))
        writer.write(varint: replica)
        writer.write(varint: state.term)
        writer.write(varint: state.vote ?? 0)
        return writer.bytes
    }

    /// The record that resets a group's log.
    static func encode(_ base: LogBase, group: GroupID, replica: ReplicaID) -> [UInt8] {
        var writer = ByteWriter(capacity: 32)
        writer.write(varint: UInt64(group))
        writer.write(varint: replica)
        writer.write(varint: base.index)
        writer.write(varint: base.term)
        return writer.bytes
    }

    /// The owner's part of a segment's header; `states` ascend by group.
    static func encode(_ states: [GroupState]) -> [UInt8] {
        var writer = ByteWriter(capacity: 16 + states.count * 24)
        writer.write(statesVersion)
        writer.write(varint: UInt64(states.count))
        for state in states {
            writer.write(varint: UInt64(state.group))
            writer.write(varint: state.replica)
            writer.write(varint: state.hardState.term)
            writer.write(varint: state.hardState.vote ?? 0)
            writer.write(varint: state.baseIndex)
            writer.write(varint: state.baseTerm)
            writer.write(varint: UInt64(state.voters.count))
            for voter in state.voters { writer.write(varint: voter) }
        }
        return writer.bytes
    }

    /// Reads one record, or the owner's part of a segment's header, which comes as the type
    /// ``RecordFormat/segmentHeaderType``. Every byte is suspected.
    package static func decode(
        type: UInt8, _ payload: UnsafeRawBufferPointer
    ) throws(DecodeError) -> Record {
        var reader = ByteReader(payload)
        let record: Record
        switch type {
        case entriesType, copiesType:
            let group = try readGroup(&reader)
            let replica = try readReplica(&reader)
            let entries = try readEntries(&reader)
            record =
                type == copiesType
                ? .copies(group, replica, entries) : .entries(group, replica, entries)
        case hardStateType:
            let group = try readGroup(&reader)
            let replica = try readReplica(&reader)
            record = .hardState(group, replica, try readHardState(&reader))
        case resetType:
            let group = try readGroup(&reader)
            let replica = try readReplica(&reader)
            record = .reset(group, replica, try readBase(&reader))
        case RecordFormat.segmentHeaderType: record = .states(try readStates(&reader))
        default: throw .invalid(offset: 0, what: "record type \(type)")
        }
        try reader.expectEnd()
        return record
    }

    private static func readEntries(_ reader: inout ByteReader) throws(DecodeError) -> [Entry] {
        let start = reader.offset
        let first = try reader.readVarint()
        // Three bytes an entry at least: the count can't ask for more memory than there are bytes.
        let count = try reader.readCount(max: reader.remaining / 3)
        guard first > 0, first < LogIndex.max / 2, count > 0 else {
            throw .invalid(offset: start, what: "first index or count")
        }
        return try readEntries(&reader, from: first, count: count)
    }

    /// Reads `count` entries that follow one another.
    static func readEntries(
        _ reader: inout ByteReader, from first: LogIndex, count: Int
    ) throws(DecodeError) -> [Entry] {
        var entries: [Entry] = []
        entries.reserveCapacity(count)
        var lastTerm: Term = 0
        for offset in 0..<UInt64(count) {
            let place = reader.offset
            let term = try reader.readVarint()
            let kind = EntryKind(rawValue: try reader.readByte())
            guard term >= lastTerm, term < Term.max / 2, kind.rawValue != 0 else {
                throw .invalid(offset: place, what: "term or kind of an entry")
            }
            lastTerm = term
            let payload = try reader.readPrefixedBytes()
            if kind == .configuration, Configuration.decode(payload) == nil {
                throw .invalid(offset: place, what: "configuration")
            }
            entries.append(
                Entry(index: first + offset, term: term, kind: kind, payload: payload))
        }
        return entries
    }

    private static func readStates(_ reader: inout ByteReader) throws(DecodeError) -> [GroupState] {
        let version = try reader.readByte()
        guard version == statesVersion else { throw .invalid(offset: 0, what: "version") }
        let count = try reader.readCount(max: reader.remaining / 7)
        var states: [GroupState] = []
        states.reserveCapacity(count)
        for _ in 0..<count {
            let place = reader.offset
            let group = try readGroup(&reader)
            if let previous = states.last, previous.group >= group {
                throw .invalid(offset: place, what: "order of groups")
            }
            let replica = try readReplica(&reader)
            let hardState = try readHardState(&reader)
            let baseIndex = try reader.readVarint()
            let baseTerm = try reader.readVarint()
            guard baseIndex < LogIndex.max / 2, baseTerm <= hardState.term else {
                throw .invalid(offset: place, what: "base")
            }
            let voterCount = try reader.readCount(max: reader.remaining)
            var voters: [ReplicaID] = []
            for _ in 0..<voterCount { voters.append(try readReplica(&reader)) }
            states.append(
                GroupState(
                    group: group, replica: replica, hardState: hardState, baseIndex: baseIndex,
                    baseTerm: baseTerm, voters: voters))
        }
        return states
    }

    static func readGroup(_ reader: inout ByteReader) throws(DecodeError) -> GroupID {
        let place = reader.offset
        guard let group = GroupID(exactly: try reader.readVarint()) else {
            throw .invalid(offset: place, what: "group")
        }
        return group
    }

    static func readReplica(_ reader: inout ByteReader) throws(DecodeError) -> ReplicaID {
        let place = reader.offset
        let replica = try reader.readVarint()
        guard replica != 0 else { throw .invalid(offset: place, what: "replica id") }
        return replica
    }

    private static func readBase(_ reader: inout ByteReader) throws(DecodeError) -> LogBase {
        let place = reader.offset
        let base = LogBase(index: try reader.readVarint(), term: try reader.readVarint())
        guard base.index < LogIndex.max / 2, base.term < Term.max / 2 else {
            throw .invalid(offset: place, what: "base")
        }
        return base
    }

    private static func readHardState(_ reader: inout ByteReader) throws(DecodeError) -> HardState {
        let place = reader.offset
        let term = try reader.readVarint()
        let vote = try reader.readVarint()
        guard term < Term.max / 2 else { throw .invalid(offset: place, what: "term") }
        return HardState(term: term, vote: vote == 0 ? nil : vote)
    }
}

/// One group's state as the log restates it.
package struct GroupState: Equatable, Sendable {
    /// The group.
    package let group: GroupID
    /// Its placement on this node.
    package let replica: ReplicaID
    /// Term and vote.
    package var hardState: HardState
    /// Entries up to here are in the tree for good and may be missing from the log.
    package var baseIndex: LogIndex
    /// The term of that entry.
    package var baseTerm: Term
    /// Who votes, ascending.
    package var voters: [ReplicaID]
}

extension HardState {
    /// Takes `state` when it is a later one. Terms only rise, and a vote once given stays: so
    /// restated states and records read twice never bring an older one back.
    mutating func advance(to state: HardState) {
        if state.term > term || (state.term == term && vote == nil) { self = state }
    }
}
