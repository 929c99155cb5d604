import Bytes
package import RaftCore
package import Replication

/// What a cut says of the shards: the opaque bytes that the tree's manifest keeps beside the tables
/// of the cut, in the same record. Integers `v` are unsigned varints.
///
///     u8 version = 2 | v count
///     then for each shard, ascending:
///         v shard | v replica | v applied index | v applied term | u64 state hash, little endian
///         | prefixed configuration
///
/// **Meaning.** The tables up to this cut hold exactly what the shard's log says up to the applied
/// index; replay starts strictly above it. At recovery this beats the log. The configuration is
/// that of the group as of the applied index, as `RaftCore.Configuration` writes it.
///
/// **Valid.** Shards ascend strictly; replica ids are not 0; index 0 has term 0 and hash 0; nothing
/// follows the last field. The manifest's record has the checksum.
///
/// **Example.** Shard 3, replica 7, applied 300 in term 2, hash 1, replica 7 alone:
///
///     02 01 03 07 ac 02 02 01 00 00 00 00 00 00 00 05 01 01 07 00 00
///
/// **Weakness.** The hash speaks of logical batches, not of the tables' bytes.
package enum CutStateFormat {
    static let version: UInt8 = 2

    /// The bytes of the shards' positions, which ascend by shard.
    package static func encode(_ positions: [ShardPosition]) -> [UInt8] {
        var writer = ByteWriter(capacity: 2 + positions.count * 24)
        writer.write(version)
        writer.write(varint: UInt64(positions.count))
        for position in positions {
            writer.write(varint: UInt64(position.shard))
            writer.write(varint: position.replica)
            writer.write(varint: position.index)
            writer.write(varint: position.term)
            writer.write(fixed: position.hash)
            writer.write(prefixed: position.configuration.encoded())
        }
        return writer.bytes
    }

    /// The positions of the bytes; throws ``DecodeError`` when they are not a cut's state.
    package static func decode(_ bytes: [UInt8]) throws -> [ShardPosition] {
        try ByteReader.readAll(bytes) { reader in
            guard try reader.readByte() == version else {
                throw DecodeError.invalid(offset: 0, what: "cut state version")
            }
            var positions: [ShardPosition] = []
            for _ in 0..<(try reader.readCount(max: reader.remaining)) {
                let start = reader.offset
                guard let shard = GroupID(exactly: try reader.readVarint()) else {
                    throw DecodeError.invalid(offset: start, what: "shard")
                }
                let (replica, index) = (try reader.readVarint(), try reader.readVarint())
                let (term, hash) = (try reader.readVarint(), try reader.readFixed(UInt64.self))
                guard let configuration = Configuration.decode(try reader.readPrefixedBytes())
                else { throw DecodeError.invalid(offset: start, what: "configuration") }
                let position = ShardPosition(
                    shard: shard, replica: replica, index: index, term: term, hash: hash,
                    configuration: configuration)
                let isEmpty = position.index == 0
                guard position.replica != 0, positions.last.map({ $0.shard < shard }) ?? true,
                    !isEmpty || (position.term == 0 && position.hash == 0)
                else { throw DecodeError.invalid(offset: start, what: "shard position") }
                positions.append(position)
            }
            return positions
        }
    }
}

/// How far one shard's state machine has come.
package struct ShardPosition: Equatable, Sendable {
    /// The shard: its Raft group.
    package let shard: GroupID
    /// Its placement on this node.
    package var replica: ReplicaID
    /// The last applied entry.
    package var index: LogIndex
    /// Its term.
    package var term: Term
    /// XXH3-64 chain over the applied write batches.
    package var hash: UInt64
    /// Who is in the group as of that entry.
    package var configuration: Configuration

    /// A position.
    package init(
        shard: GroupID, replica: ReplicaID, index: LogIndex = 0, term: Term = 0, hash: UInt64 = 0,
        configuration: Configuration
    ) {
        self.shard = shard
        self.replica = replica
        self.index = index
        self.term = term
        self.hash = hash
        self.configuration = configuration
    }
}
