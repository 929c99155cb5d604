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

    /// Opens, or makes, a store and gives it to `job`, by concrete types, so that the loops are
    /// compiled for each engine.
    func run<Job: EngineJob>(_ job: inout Job) throws {
        switch self {
        case .magpie:
            try job.perform(self) { try MagpieEngine($0) }
        case .rocksdb, .rocksdbTuned:
            #if canImport(CRocksDB)
                let isTuned = self == .rocksdbTuned
                try job.perform(self) { try RocksEngine($0, isTuned: isTuned) }
            #else
                throw UsageError(missingAdvice ?? "")
            #endif
        case .leveldb:
            #if canImport(CLevelDB)
                try job.perform(self) { try LevelEngine($0) }
            #else
                throw UsageError(missingAdvice ?? "")
            #endif
        }
    }

    /// True when a checkpoint is one call.
    var hasCheckpoints: Bool { self != .leveldb }

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
            "production defaults: write buffers 4 x 32 MiB, cache 64 MiB, blocks 8 KiB, filters "
                + "10 bits, lz4, log segments 8 MiB; every turn of the log synced, also in fills"
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
