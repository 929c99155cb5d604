package import Bytes

/// The payload of one Raft entry: commands of one shard, in order, and the leader's time.
package struct CommandBatch: Equatable, Sendable {
    /// The leader's clock when it proposed the batch. Apply uses the larger of this and the shard's
    /// last stamp.
    package var stampMs: Milliseconds
    /// What ``CommandCodec`` made of each command; they are decoded at apply.
    package var commands: [[UInt8]]

    /// A batch of encoded commands.
    package init(stampMs: Milliseconds, commands: [[UInt8]]) {
        self.stampMs = stampMs
        self.commands = commands
    }

    /// A batch of commands, encoded here.
    package init(stampMs: Milliseconds, _ commands: [Command]) {
        self.init(stampMs: stampMs, commands: commands.map(CommandCodec.encode))
    }

    /// The bytes of the batch; the layout is in ``CommandCodec``.
    package func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: commands.reduce(16) { $0 + $1.count + 4 })
        writer.write(CommandCodec.version)
        writer.write(fixed: stampMs)
        writer.write(varint: UInt64(commands.count))
        for command in commands { writer.write(prefixed: command) }
        return writer.bytes
    }

    /// The batch of a buffer; throws ``DecodeError`` when the bytes are not one. The commands
    /// themselves are not looked at.
    package init(decoding buffer: UnsafeRawBufferPointer) throws(DecodeError) {
        var reader = ByteReader(buffer)
        guard try reader.readByte() == CommandCodec.version else {
            throw .invalid(offset: 0, what: "batch version")
        }
        let stampMs = try reader.readFixed(UInt64.self)
        // An empty command takes one byte, so a count cannot make us reserve more than was sent.
        let count = try reader.readCount(max: reader.remaining)
        var commands: [[UInt8]] = []
        commands.reserveCapacity(min(count, 4_096))
        for _ in 0..<count { commands.append(try reader.readPrefixedBytes()) }
        try reader.expectEnd()
        self.init(stampMs: stampMs, commands: commands)
    }

    /// The batch of an array; throws ``DecodeError`` when the bytes are not one.
    package init(decoding bytes: [UInt8]) throws {
        self = try bytes.withUnsafeBytes { try CommandBatch(decoding: $0) }
    }
}
