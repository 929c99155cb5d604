/// A row of the table: one thing that an engine is measured at.
enum Workload: String, CaseIterable, Sendable {
    /// A fresh store, keys 0..<N in order.
    case fillseq
    /// A fresh store, N keys drawn from 0..<N.
    case fillrandom
    /// `fillrandom` again over what is there.
    case overwrite
    /// Look-ups of keys drawn from 0..<N.
    case readrandom
    /// Look-ups of keys that are not there: one byte longer than one that may be.
    case readmissing
    /// The whole store forwards.
    case readseq
    /// The whole store backwards.
    case readreverse
    /// A seek to a drawn key and 50 steps.
    case seekrandom
    /// `readrandom` at a fixed rate while a thread writes at a fixed rate.
    case readwhilewriting
    /// `seekrandom` at a fixed rate while a thread writes at a fixed rate.
    case seekrandomwhilewriting
    /// Records appended to a prefilled file, each with an fdatasync: the disk without an engine.
    case bareFdatasync = "bare-fdatasync"
    /// Messages appended by one writer, each commit synced.
    case chatAppend1 = "chat-append-1"
    /// By eight.
    case chatAppend8 = "chat-append-8"
    /// By 64.
    case chatAppend64 = "chat-append-64"
    /// The newest 50 messages of a conversation.
    case chatPage = "chat-page"
    /// Is a message there already? 99 of 100 are not; while messages are appended at a fixed rate.
    case chatDedup = "chat-dedup"
    /// Pages at a fixed rate while messages are appended at a fixed rate.
    case chatMixed = "chat-mixed"
    /// A second store of what is there, by hard links; a memtable is written out for it.
    case checkpoint
    /// `chat-page` with data four times the memory, nothing of it in the page cache.
    case chatPageCold = "chat-page-cold"
    /// `chat-mixed` likewise.
    case chatMixedCold = "chat-mixed-cold"
    /// 50 rows from where a conversation was that has just been dropped with 30 % of all.
    case chatExpiry = "chat-expiry"
    /// How soon the disk has the space of what was dropped.
    case chatExpirySpace = "chat-expiry-space"
    /// From opening to the first page, after kill -9 with a memtable full of messages.
    case restart
    /// From opening to the first look-up, with many tables.
    case openTables = "open-tables"

    /// The workloads of a list after commas; `all` stands for each.
    static func parse(_ text: String) throws(UsageError) -> [Workload] {
        var named: Set<Workload> = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            if part == "all" {
                named.formUnion(allCases)
            } else if let workload = Workload(rawValue: String(part)) {
                named.insert(workload)
            } else {
                throw UsageError(
                    "no workload '\(part)'; there are: all, "
                        + allCases.map(\.rawValue).joined(separator: ", "))
            }
        }
        return allCases.filter(named.contains)
    }

    /// Writers of an append workload.
    var writers: Int {
        switch self {
        case .chatAppend8: 8
        case .chatAppend64: 64
        default: 1
        }
    }

    /// Workloads that share a store run together.
    var family: Family {
        switch self {
        case .fillseq: .sequential
        case .fillrandom, .overwrite, .readrandom, .readmissing, .readseq, .readreverse,
            .seekrandom, .readwhilewriting, .seekrandomwhilewriting:
            .plain
        case .bareFdatasync: .disk
        case .chatAppend1, .chatAppend8, .chatAppend64, .chatPage, .chatDedup, .chatMixed,
            .checkpoint:
            .chat
        case .chatPageCold, .chatMixedCold: .cold
        case .chatExpiry, .chatExpirySpace: .expiry
        case .restart: .restart
        case .openTables: .tables
        }
    }

    /// What the row compares.
    var measure: Measure {
        switch self {
        case .readwhilewriting, .seekrandomwhilewriting, .chatMixed, .chatMixedCold: .p99
        case .restart, .openTables, .checkpoint: .milliseconds
        case .chatExpirySpace: .megabytes
        default: .rate
        }
    }

    /// Unit of what the row compares.
    var unit: String {
        switch measure {
        case .p99: "us p99"
        case .milliseconds: "ms"
        case .megabytes: "MB/s"
        case .rate:
            switch self {
            case .readseq, .readreverse: "rows/s"
            case .chatPage, .chatPageCold, .chatExpiry: "pages/s"
            case .chatAppend1, .chatAppend8, .chatAppend64: "messages/s"
            case .bareFdatasync: "syncs/s"
            default: "ops/s"
            }
        }
    }

    /// What one of `operations` is where it is not what the unit says.
    var operation: String {
        switch self {
        case .readseq, .readreverse: "row"
        case .chatPage, .chatPageCold, .chatMixed, .chatMixedCold, .chatExpiry: "page"
        case .chatAppend1, .chatAppend8, .chatAppend64: "message"
        case .chatExpirySpace: "byte dropped"
        case .restart: "message recovered"
        case .openTables: "file opened"
        case .checkpoint: "table linked"
        case .bareFdatasync: "sync"
        default: "operation"
        }
    }

    /// False where an engine has nothing of the kind.
    func isOffered(by engine: EngineKind) -> Bool {
        self != .checkpoint || engine.hasCheckpoints
    }

    /// True for rows in which writes are what is measured.
    var isWrite: Bool {
        switch self {
        case .fillseq, .fillrandom, .overwrite, .chatAppend1, .chatAppend8, .chatAppend64,
            .bareFdatasync:
            true
        default: false
        }
    }
}

/// What a row compares.
enum Measure: Sendable {
    /// Operations a second: more is better.
    case rate
    /// Microseconds at the 99th percentile, from the intended start: less is better.
    case p99
    /// Wall milliseconds: less is better.
    case milliseconds
    /// Operations are bytes; megabytes a second: more is better. 0: it did not come to an end.
    case megabytes

    /// True when less is better.
    var isLowerBetter: Bool { self == .p99 || self == .milliseconds }
}

/// Workloads over one store.
enum Family: CaseIterable, Sendable {
    case sequential
    case plain
    case disk
    case chat
    case cold
    case expiry
    case restart
    case tables
}
