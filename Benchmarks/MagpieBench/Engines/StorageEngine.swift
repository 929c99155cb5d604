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
    /// Reads the newest rows of a conversation, newest first, and gives how many and their bytes.
    func page(_ conversation: ConversationName, rows: Int) throws -> (rows: Int, bytes: Int)
    /// Returns when every put is visible.
    func drain() throws
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
enum MemoryBudget {
    /// Bytes of all write buffers together.
    static let writeBufferBytes = 128 << 20
    /// Bytes of the block cache.
    static let blockCacheBytes = 64 << 20
}

/// What a store is for: it decides the keyspaces of the tree.
enum StoreLayout: Sendable {
    case plain
    case chat
}

/// A column of the table.
enum EngineKind: String, CaseIterable, Sendable {
    case magpie
    case rocksdb
    case rocksdbTuned = "rocksdb-tuned"
    case leveldb

    /// The engines of a list after commas; `rocksdb` stands for both of its columns.
    static func parse(_ text: String) throws(UsageError) -> [EngineKind] {
        var named: Set<EngineKind> = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let kind = EngineKind(rawValue: String(part)) else {
                throw UsageError(
                    "no engine '\(part)'; there are: "
                        + allCases.map(\.rawValue).joined(separator: ", "))
            }
            named.insert(kind)
            if kind == .rocksdb { named.insert(.rocksdbTuned) }
        }
        return allCases.filter(named.contains)
    }

    /// What to install when the engine is not linked; nil when it is.
    var missingAdvice: String? {
        switch self {
        case .magpie: return nil
        case .rocksdb, .rocksdbTuned:
            #if canImport(CRocksDB)
                return nil
            #else
                return "\(rawValue) is not linked: install librocksdb-dev and build again"
            #endif
        case .leveldb:
            #if canImport(CLevelDB)
                return nil
            #else
                return "leveldb is not linked: install libleveldb-dev and build again"
            #endif
        }
    }

    /// Name and version of what is measured.
    var version: String {
        switch self {
        case .magpie: return "Magpie \(Versions.magpie)"
        case .rocksdb, .rocksdbTuned:
            #if canImport(CRocksDB)
                return RocksEngine.version
            #else
                return "not linked"
            #endif
        case .leveldb:
            #if canImport(CLevelDB)
                return LevelEngine.version
            #else
                return "not linked"
            #endif
        }
    }

    /// How the engine is set up, for the results.
    var settings: String {
        switch self {
        case .magpie:
            "production defaults: write buffers 4 x 32 MiB, cache 64 MiB, blocks 16 KiB, filters "
                + "10 bits, lz4 from level 2 down; every turn of the log synced, also in fill rows"
        case .rocksdb:
            "stock: write buffers 2 x 64 MiB, cache 64 MiB, snappy, no filter, checksums verified"
        case .rocksdbTuned:
            "tuned: write buffers 2 x 64 MiB, cache 64 MiB with index and filters in it (level 0 "
                + "pinned), lz4 below the top two levels, dynamic level bytes, full filter 10 "
                + "bits, format 5, bytes_per_sync 1 MiB, 2 background jobs, pipelined write, 4 "
                + "recycled logs, prefix extractor and bounds on pages"
        case .leveldb:
            "write buffers 2 x 64 MiB, cache 64 MiB, snappy, filter 10 bits, checksums verified"
        }
    }
}

/// Versions that results state.
enum Versions {
    /// Of the benchmark: raised when a workload's meaning changes.
    static let bench = "1.0.0"
    /// Of the storage under test.
    static let magpie = "0.1.0"
}
