import Bytes

/// What the workloads ask of a store. One thread uses it, except writers, of which each thread
/// makes its own.
protocol StorageEngine: AnyObject, Sendable {
    associatedtype Writer: ChatWriter
    associatedtype Rows: RowCursor

    /// Sets a key in the plain rows. Returns when the store has taken it, not when it is durable.
    func put(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws
    /// Bytes of the value of a key in the plain rows; nil when it is not there.
    func get(_ key: UnsafeRawBufferPointer) throws -> Int?
    /// Walks the plain rows as they are now.
    func rows() throws -> Rows
    /// A writer of messages, for one thread.
    func makeWriter() throws -> Writer
    /// Reads the newest rows of a conversation below a seq, newest first, and gives how many and
    /// their bytes. Below `UInt64.max`: the newest there are.
    func page(
        _ conversation: ConversationName, below seq: UInt64, rows: Int
    ) throws -> (rows: Int, bytes: Int)
    /// Reads entries forwards from a conversation's first key on, across conversations; each row's
    /// key, without its keyspace, goes to `visit`.
    func scan(
        from conversation: ConversationName, rows: Int, _ visit: (UnsafeRawBufferPointer) -> Void
    ) throws
    /// True when a chat row is there; the key starts with its keyspace.
    func containsChatRow(_ key: UnsafeRawBufferPointer) throws -> Bool
    /// Removes every row of a conversation, by the cheapest means that the engine has. Returns when
    /// the store has taken it.
    func drop(_ conversation: ConversationName) throws
    /// Blocks that reads of the calling thread took from files so far; nil when the engine does not
    /// tell.
    var blockReads: UInt64? { get }
    /// Returns when every put is visible.
    func drain() throws
    /// Returns when all that was durable at opening is visible.
    func awaitRecovery() throws
    /// Rewrites the chat rows so that nothing removed is left in tables. What is in memory must be
    /// flushed.
    func compact() throws
    /// Begins to move rows in memory to tables. Returns at once or when it is done.
    func flush() throws
    /// Makes a second store of what is there now, by hard links, in a directory that does not
    /// exist. Only where ``EngineKind/hasCheckpoints``.
    func checkpoint(to directory: String) throws
    /// Returns when rows in memory are in tables and no background work is left.
    func settle() throws
    /// Gives everything back but the files.
    func close()
}

/// Appends messages: each is one atomic batch over entries, dedup and the conversation's head.
protocol ChatWriter: AnyObject {
    /// Returns when the message is durable and visible.
    func commit(_ message: ChatMessage) throws
    /// Returns when the store has taken the message, durable or not.
    func load(_ message: ChatMessage) throws
}

/// A place among the plain rows.
protocol RowCursor: AnyObject {
    func seekToFirst() throws
    func seekToLast() throws
    /// To the first row at or after a key.
    func seek(_ key: UnsafeRawBufferPointer) throws
    func next() throws
    func previous() throws
    var isValid: Bool { get }
    /// Bytes of the row's key and value, both fetched. Only when valid.
    var rowBytes: Int { get }
}

/// An engine failed; the run ends.
struct EngineError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// Memory that every engine may use: write buffers and block cache.
struct MemoryBudget: Sendable {
    /// Bytes of all write buffers together.
    let writeBufferBytes: Int
    /// Bytes of the block cache.
    let blockCacheBytes: Int

    /// Both.
    var bytes: Int { writeBufferBytes + blockCacheBytes }

    /// Of every row but those that say otherwise.
    static let standard = MemoryBudget(writeBufferBytes: 128 << 20, blockCacheBytes: 64 << 20)

    /// The budget under which data of a size is four times the memory; two thirds are write
    /// buffers, as in ``standard``.
    static func quarter(of dataBytes: Int) -> MemoryBudget {
        let bytes = max(dataBytes / 4, 3 << 20)
        return MemoryBudget(writeBufferBytes: bytes / 3 * 2, blockCacheBytes: bytes / 3)
    }
}

/// How a store is opened.
struct EngineSetup: Sendable {
    let directory: String
    let layout: StoreLayout
    var budget = MemoryBudget.standard
    /// Bytes of a write buffer and of a table, for a store of many small tables; nil: as the
    /// budget and the engine have it.
    var tableBytes: Int?
}

/// What a store is for: it decides the keyspaces of the tree.
enum StoreLayout: Sendable {
    case plain
    case chat
}

/// Versions that results state.
enum Versions {
    /// Of the benchmark: raised when a workload's meaning changes.
    static let bench = "2.0.0"
    /// Of the storage under test.
    static let magpie = Release.version
}

/// Work on stores of one engine.
protocol EngineJob {
    mutating func perform<Engine: StorageEngine>(
        _ kind: EngineKind, open: @escaping (EngineSetup) throws -> Engine
    ) throws
}
