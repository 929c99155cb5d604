import Bytes
import ChatEngine
import LSMTree
import Platform
import RaftCore
import ShardStore
import SortedTable

/// Magpie's storage as production runs it: a group of one over the shared log and the tree.
///
/// The log carries commands, not rows: a message is logged once and its three rows are made at
/// apply, as in a node. What a node does beside storage (rules, sessions) is left out.
final class MagpieEngine: StorageEngine {
    private static let plain = Keyspace(rawValue: 1)
    private let pipeline: CommitPipeline
    private var tree: Tree { pipeline.store.tree }

    init(_ setup: EngineSetup) throws {
        let keyspaces =
            switch setup.layout {
            case .plain: [KeyspaceOptions(Self.plain, name: "plain")]
            case .chat: KeySchema.all
            }
        var tree = TreeOptions(keyspaces: keyspaces)
        let buffers = 1 + tree.frozenMemtablesMax
        tree.sizeForNode(
            memtableBytes: setup.tableBytes ?? setup.budget.writeBufferBytes / buffers)
        tree.blockCacheBytes = setup.budget.blockCacheBytes
        if let bytes = setup.tableBytes { tree.tableBytes = bytes }
        pipeline = try CommitPipeline(
            directory: setup.directory, options: ShardStoreOptions(tree: tree),
            makeRows: setup.layout == .plain ? Self.plainRow : Self.chatRows())
    }

    // MARK: Plain rows

    /// A command is the length of the key in one byte, the key and the value.
    func put(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws {
        let size = 1 + key.count + value.count
        try pipeline.send(
            [UInt8](unsafeUninitializedCapacity: size) { target, count in
                target[0] = UInt8(key.count)
                let raw = UnsafeMutableRawBufferPointer(target)
                UnsafeMutableRawBufferPointer(rebasing: raw[1...]).copyMemory(from: key)
                UnsafeMutableRawBufferPointer(rebasing: raw[(1 + key.count)...])
                    .copyMemory(from: value)
                count = size
            })
    }

    private static let plainRow: CommitPipeline.RowMaker = { command, batch in
        if command.isEmpty { return }
        command.withUnsafeBytes { raw in
            let end = 1 + Int(raw[0])
            batch.put(
                plain, key: UnsafeRawBufferPointer(rebasing: raw[1..<end]),
                value: UnsafeRawBufferPointer(rebasing: raw[end...]))
        }
    }

    func get(_ key: UnsafeRawBufferPointer) throws -> Int? {
        let reader = tree.reader()
        return try reader.value(of: key, in: Self.plain)?.count
    }

    func rows() throws -> MagpieRows {
        MagpieRows(try tree.snapshot().makeIterator(Self.plain))
    }

    // MARK: Chat rows

    func makeWriter() -> MagpieWriter { MagpieWriter(pipeline) }

    func page(
        _ conversation: ConversationName, below seq: UInt64, rows: Int
    ) throws -> (rows: Int, bytes: Int) {
        let lower = conversation.prefix
        var upper = OrderedKey.successor(ofPrefix: lower)
        if seq < .max {
            var end = OrderedKey(capacity: lower.count + 8)
            end.append(raw: lower)
            end.append(seq)
            upper = end.bytes
        }
        let iterator = try tree.snapshot().makeIterator(.entries, lower: lower, upper: upper)
        try iterator.seekToLast()
        var (count, bytes) = (0, 0)
        while iterator.isValid, count < rows {
            count += 1
            bytes += iterator.key.count + iterator.value.count
            if count < rows { try iterator.previous() }
        }
        return (count, bytes)
    }

    func scan(
        from conversation: ConversationName, rows: Int, _ visit: (UnsafeRawBufferPointer) -> Void
    ) throws {
        let iterator = try tree.snapshot().makeIterator(.entries, lower: conversation.prefix)
        try iterator.seekToFirst()
        var count = 0
        while iterator.isValid, count < rows {
            visit(iterator.key)
            count += 1
            if count < rows { try iterator.next() }
        }
    }

    func containsChatRow(_ key: UnsafeRawBufferPointer) throws -> Bool {
        let rest = UnsafeRawBufferPointer(rebasing: key[1...])
        return try tree.snapshot().withValue(Keyspace(rawValue: key[0]), key: rest) { _ in } != nil
    }

    /// A command of a conversation's shared bytes alone: no message is as short.
    func drop(_ conversation: ConversationName) throws {
        try pipeline.send(conversation.prefix)
    }

    private static func chatRows() -> CommitPipeline.RowMaker {
        // Confined to the apply lane.
        nonisolated(unsafe) let builder = ChatRowBuilder()
        return { command, batch in
            if command.isEmpty { return }
            if command.count == ConversationName.bytes {
                guard let upper = OrderedKey.successor(ofPrefix: command) else { return }
                for keyspace in [Keyspace.entries, .dedup, .conversations] {
                    batch.deleteRange(keyspace, from: command, to: upper)
                }
                return
            }
            command.withUnsafeBytes { raw in
                builder.rows(of: MagpieWriter.decode(raw)) { key, value in
                    let rest = UnsafeRawBufferPointer(rebasing: key[1...])
                    batch.put(Keyspace(rawValue: key[0]), key: rest, value: value)
                }
            }
        }
    }

    // MARK: Life

    func drain() throws { try pipeline.drain() }

    /// An empty command is behind all that the log holds: when it is visible, so are they.
    func awaitRecovery() throws { try pipeline.commit([], CommitTicket()) }

    func flush() throws { try pipeline.cut() }

    /// The cut is on its way when the checkpoint is asked for: the tree takes it first.
    func checkpoint(to directory: String) throws {
        try pipeline.cut()
        let promise = Promise<Result<Checkpoint, TreeError>>()
        tree.checkpoint(to: directory) { promise.fulfil($0) }
        _ = try promise.wait().get()
    }

    func compact() throws {
        for keyspace in [Keyspace.entries, .dedup, .conversations] {
            tree.requestCompaction(keyspace)
        }
        tree.waitForQuiet()
    }

    /// Misses of the block cache by any thread; compaction passes the cache by.
    var blockReads: UInt64? { tree.statistics.cache.misses }

    func settle() throws { try pipeline.settle() }
    func close() { pipeline.close() }
}

/// Appends messages; what a command holds is written at ``encode(_:)``.
final class MagpieWriter: ChatWriter {
    private static let headerBytes = 64
    private let pipeline: CommitPipeline
    private let ticket = CommitTicket()

    init(_ pipeline: CommitPipeline) { self.pipeline = pipeline }

    func commit(_ message: ChatMessage) throws { try pipeline.commit(Self.encode(message), ticket) }
    func load(_ message: ChatMessage) throws { try pipeline.send(Self.encode(message)) }

    /// 16 bytes for the conversation, 8 seq, 16 user, 16 cid, 8 time, then the body: as much as a
    /// node's command has.
    static func encode(_ message: ChatMessage) -> [UInt8] {
        let size = headerBytes + message.body.count
        return [UInt8](unsafeUninitializedCapacity: size) { target, count in
            let raw = UnsafeMutableRawBufferPointer(target)
            let words = [
                UInt64(message.conversation.number), SplitMix64.mix(message.seq), message.seq,
                message.user, SplitMix64.mix(message.user), message.cid,
                SplitMix64.mix(message.cid), message.timeMs,
            ]
            for (place, word) in words.enumerated() {
                raw.storeBytes(of: word, toByteOffset: 8 * place, as: UInt64.self)
            }
            UnsafeMutableRawBufferPointer(rebasing: raw[headerBytes...])
                .copyMemory(from: message.body)
            count = size
        }
    }

    static func decode(_ raw: UnsafeRawBufferPointer) -> ChatMessage {
        func word(_ place: Int) -> UInt64 {
            raw.loadUnaligned(fromByteOffset: 8 * place, as: UInt64.self)
        }
        return ChatMessage(
            conversation: ConversationName(number: Int(word(0))), seq: word(2), user: word(3),
            cid: word(5), timeMs: word(7),
            body: UnsafeRawBufferPointer(rebasing: raw[headerBytes...]))
    }
}

/// A tree's iterator as a cursor.
final class MagpieRows: RowCursor {
    private let iterator: TreeIterator

    init(_ iterator: TreeIterator) { self.iterator = iterator }

    func seekToFirst() throws { try iterator.seekToFirst() }
    func seekToLast() throws { try iterator.seekToLast() }
    func seek(_ key: UnsafeRawBufferPointer) throws { try iterator.seek([UInt8](key)) }
    func next() throws { try iterator.next() }
    func previous() throws { try iterator.previous() }
    var isValid: Bool { iterator.isValid }
    var rowBytes: Int { iterator.key.count + iterator.value.count }
}
