import Bytes
import ChatEngine

/// A conversation by number, and the 18 bytes that all its keys share (``KeySchema``: slot and id).
struct ConversationName: Sendable {
    let number: Int

    /// Bytes that a conversation's keys share, behind the keyspace.
    static let bytes = KeySchema.partitionBytes

    private var high: UInt64 { SplitMix64.mix(UInt64(number) &* 2 &+ 1) }
    private var low: UInt64 { SplitMix64.mix(UInt64(number) &* 2 &+ 2) }

    /// The shared bytes.
    var prefix: [UInt8] {
        [UInt8](unsafeUninitializedCapacity: Self.bytes) { target, count in
            if let base = target.baseAddress { write(to: UnsafeMutableRawPointer(base)) }
            count = Self.bytes
        }
    }

    /// Writes the shared bytes.
    @inline(__always)
    func write(to target: UnsafeMutableRawPointer) {
        target.storeBytes(of: UInt16(high >> 50).bigEndian, as: UInt16.self)
        target.storeBytes(of: high.bigEndian, toByteOffset: 2, as: UInt64.self)
        target.storeBytes(of: low.bigEndian, toByteOffset: 10, as: UInt64.self)
    }
}

/// A message on its way into a store.
struct ChatMessage {
    let conversation: ConversationName
    let seq: UInt64
    let user: UInt64
    let cid: UInt64
    let timeMs: UInt64
    let body: UnsafeRawBufferPointer
}

/// Builds the three rows of a message, the same bytes for every engine. Each key starts with one
/// byte for its keyspace, which Magpie strips (it has keyspaces) and the others keep.
///
///     entries        1, conversation 18, seq 8            author 16, cid 16, time 8, body 36…300
///     dedup          5, conversation 18, user 16, cid 16  expiry 8, seq 8
///     conversations  2, conversation 18, 0                60 bytes: seq, time, author, …
final class ChatRowBuilder {
    /// Bytes of an entry's value before the body.
    static let headerBytes = 40
    static let entryKeyBytes = 27
    static let dedupKeyBytes = 51
    static let headKeyBytes = 20
    static let headBytes = 60
    static let dedupBytes = 16

    private let memory: UnsafeMutableRawPointer

    init() {
        memory = .allocate(byteCount: 1_024, alignment: 8)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: 1_024)
    }

    deinit { memory.deallocate() }

    /// Gives the key of a dedup row to `body`; the bytes live only during the call.
    @inline(__always)
    func withDedupKey<Value>(
        _ conversation: ConversationName, user: UInt64, cid: UInt64,
        _ body: (UnsafeRawBufferPointer) throws -> Value
    ) rethrows -> Value {
        let key = memory
        key.storeBytes(of: 5, as: UInt8.self)
        conversation.write(to: key + 1)
        for (place, word) in [user, SplitMix64.mix(user), cid, SplitMix64.mix(cid)].enumerated() {
            (key + 19 + 8 * place).storeBytes(of: word, as: UInt64.self)
        }
        return try body(UnsafeRawBufferPointer(start: key, count: Self.dedupKeyBytes))
    }

    /// Bytes that a message takes in the log of RocksDB or LevelDB: the record's head of 7, the
    /// batch's of 12, and for each row its kind and the varint lengths of key and value.
    static func peerLogBytes(_ message: ChatMessage) -> Int {
        let lengths = headerBytes + message.body.count < 128 ? 9 : 10
        return 19 + lengths + userBytes(message) + 3
    }

    /// Bytes of the rows of a message: what a user of a store hands over.
    static func userBytes(_ message: ChatMessage) -> Int {
        entryKeyBytes + headerBytes + message.body.count + dedupKeyBytes + dedupBytes
            + headKeyBytes + headBytes - 3
    }

    /// Gives each row to `visit`; the bytes live only during the call.
    @inline(__always)
    func rows(
        of message: ChatMessage,
        _ visit: (_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Void
    ) {
        let (key, value) = (memory, memory + 128)
        message.conversation.write(to: key + 1)
        key.storeBytes(of: 1, as: UInt8.self)
        (key + 19).storeBytes(of: message.seq.bigEndian, as: UInt64.self)
        value.storeBytes(of: message.user, as: UInt64.self)
        value.storeBytes(of: SplitMix64.mix(message.user), toByteOffset: 8, as: UInt64.self)
        value.storeBytes(of: message.cid, toByteOffset: 16, as: UInt64.self)
        value.storeBytes(of: SplitMix64.mix(message.cid), toByteOffset: 24, as: UInt64.self)
        value.storeBytes(of: message.timeMs, toByteOffset: 32, as: UInt64.self)
        let body = UnsafeMutableRawBufferPointer(
            start: value + Self.headerBytes, count: message.body.count)
        body.copyMemory(from: message.body)
        visit(
            UnsafeRawBufferPointer(start: key, count: Self.entryKeyBytes),
            UnsafeRawBufferPointer(start: value, count: Self.headerBytes + body.count))

        key.storeBytes(of: 5, as: UInt8.self)
        (key + 19).copyMemory(from: value, byteCount: 32)
        value.storeBytes(of: message.timeMs &+ 86_400_000, as: UInt64.self)
        value.storeBytes(of: message.seq, toByteOffset: 8, as: UInt64.self)
        visit(
            UnsafeRawBufferPointer(start: key, count: Self.dedupKeyBytes),
            UnsafeRawBufferPointer(start: value, count: Self.dedupBytes))

        key.storeBytes(of: 2, as: UInt8.self)
        key.storeBytes(of: 0, toByteOffset: 19, as: UInt8.self)
        value.storeBytes(of: message.seq, as: UInt64.self)
        value.storeBytes(of: message.timeMs, toByteOffset: 8, as: UInt64.self)
        value.storeBytes(of: message.user, toByteOffset: 16, as: UInt64.self)
        visit(
            UnsafeRawBufferPointer(start: key, count: Self.headKeyBytes),
            UnsafeRawBufferPointer(start: value, count: Self.headBytes))
    }
}
