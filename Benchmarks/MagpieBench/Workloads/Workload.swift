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
    /// Messages appended by one writer, each commit synced.
    case chatAppend1 = "chat-append-1"
    /// By eight.
    case chatAppend8 = "chat-append-8"
    /// By 64.
    case chatAppend64 = "chat-append-64"
    /// The newest 50 messages of a conversation.
    case chatPage = "chat-page"
    /// Records appended to a prefilled file, each with an fdatasync: the disk without an engine.
    case bareFdatasync = "bare-fdatasync"

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
            .seekrandom:
            .plain
        case .chatAppend1, .chatAppend8, .chatAppend64, .chatPage: .chat
        case .bareFdatasync: .disk
        }
    }

    /// What one operation is.
    var unit: String {
        switch self {
        case .readseq, .readreverse: "rows/s"
        case .chatPage: "pages/s"
        case .chatAppend1, .chatAppend8, .chatAppend64: "messages/s"
        case .bareFdatasync: "syncs/s"
        default: "ops/s"
        }
    }
}

/// Workloads over one store.
enum Family: CaseIterable, Sendable {
    case sequential
    case plain
    case disk
    case chat
}

/// How large the workloads are.
struct Scale: Sendable {
    /// For results.
    let name: String
    /// Keys of the plain rows.
    let keys: Int
    /// Look-ups.
    let reads: Int
    /// Seeks, each with 50 steps.
    let seeks: Int
    /// Conversations that messages go to.
    let conversations: Int
    /// Messages there before the chat rows.
    let messages: Int
    /// Messages of an append row at most.
    let appendsMax: Int
    /// Seconds of an append row at most.
    let appendSeconds: Double
    /// Pages read.
    let pages: Int
    /// Interleaved runs; the median counts.
    let runs: Int

    /// Whether it works at all: for tests.
    static let smoke = Scale(
        name: "smoke", keys: 500, reads: 200, seeks: 20, conversations: 20, messages: 300,
        appendsMax: 100, appendSeconds: 10, pages: 20, runs: 1)
    /// A few minutes.
    static let quick = Scale(
        name: "quick", keys: 1_000_000, reads: 300_000, seeks: 30_000, conversations: 10_000,
        messages: 200_000, appendsMax: .max, appendSeconds: 4, pages: 40_000, runs: 1)
    /// Ten times the data, three runs.
    static let full = Scale(
        name: "full", keys: 10_000_000, reads: 2_000_000, seeks: 200_000, conversations: 10_000,
        messages: 2_000_000, appendsMax: .max, appendSeconds: 20, pages: 300_000, runs: 3)
}
