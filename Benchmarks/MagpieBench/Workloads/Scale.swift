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
    /// Pages read, hot.
    let pages: Int
    /// Seconds of rows at a fixed rate.
    let openSeconds: Double
    /// What comes a second in those.
    let rates: Rates
    /// Messages of the cold rows, whose memory is a quarter of their bytes.
    let coldMessages: Int
    /// Seconds of cold pages at most.
    let coldSeconds: Double
    /// Seconds that a store gets to give space back unasked, and as many when asked.
    let spaceSeconds: Double
    /// Messages in the log and the memtable when a store is killed.
    let backlog: Int
    /// Tables of 1 MB when many are opened.
    let tables: Int
    /// Interleaved runs; the median counts.
    let runs: Int

    /// Arrivals a second in rows at a fixed rate, the same for all engines: what the slowest of
    /// them sustains.
    struct Rates: Sendable {
        /// Look-ups, from two threads.
        let reads: Double
        /// Seeks with 50 steps, from two threads.
        let seeks: Double
        /// Writes beside either, from one thread; 116 B each.
        let writes: Double
        /// Pages, from two threads.
        let pages: Double
        /// The same with nothing in the page cache.
        let coldPages: Double
        /// Messages beside those, and beside dedup look-ups, from four threads, synced.
        let appends: Double

        static let standard = Rates(
            reads: 8_000, seeks: 2_000, writes: 16_000, pages: 2_000, coldPages: 400, appends: 500)
    }

    /// Whether it works at all: for tests.
    static let smoke = Scale(
        name: "smoke", keys: 500, reads: 200, seeks: 20, conversations: 20, messages: 300,
        appendsMax: 100, appendSeconds: 10, pages: 20, openSeconds: 0.1,
        rates: Rates(
            reads: 500, seeks: 200, writes: 1_000, pages: 200, coldPages: 50, appends: 100),
        coldMessages: 300, coldSeconds: 0.1, spaceSeconds: 0.2, backlog: 300, tables: 2, runs: 1)
    /// About six minutes.
    static let quick = Scale(
        name: "quick", keys: 1_000_000, reads: 300_000, seeks: 30_000, conversations: 10_000,
        messages: 200_000, appendsMax: .max, appendSeconds: 4, pages: 40_000, openSeconds: 3,
        rates: .standard, coldMessages: 200_000, coldSeconds: 3, spaceSeconds: 3,
        backlog: 80_000, tables: 100, runs: 1)
    /// About twenty minutes: as quick, three times.
    static let medium = Scale(
        name: "medium", keys: 1_000_000, reads: 300_000, seeks: 30_000, conversations: 10_000,
        messages: 200_000, appendsMax: .max, appendSeconds: 4, pages: 40_000, openSeconds: 4,
        rates: .standard, coldMessages: 400_000, coldSeconds: 4, spaceSeconds: 3,
        backlog: 80_000, tables: 200, runs: 3)
    /// Ten times the data, three runs.
    static let full = Scale(
        name: "full", keys: 10_000_000, reads: 2_000_000, seeks: 200_000, conversations: 10_000,
        messages: 2_000_000, appendsMax: .max, appendSeconds: 20, pages: 300_000, openSeconds: 30,
        rates: .standard, coldMessages: 4_000_000, coldSeconds: 30, spaceSeconds: 30,
        backlog: 80_000, tables: 1_000, runs: 3)

    /// What a process that only loads messages needs.
    static func victim(conversations: Int) -> Scale {
        Scale(
            name: "victim", keys: 0, reads: 0, seeks: 0, conversations: conversations, messages: 0,
            appendsMax: 0, appendSeconds: 0, pages: 0, openSeconds: 0, rates: .standard,
            coldMessages: 0, coldSeconds: 0, spaceSeconds: 0, backlog: 0, tables: 0, runs: 1)
    }

    /// Bytes that a message adds to a store, with a body of the synthetic corpus.
    static let messageBytes = 240

    /// Memory of the cold rows.
    var coldBudget: MemoryBudget { .quarter(of: coldMessages * Self.messageBytes) }

    /// What a workload's data is, for results.
    func data(of workload: Workload, bodies: String) -> String {
        switch workload.family {
        case .chat, .expiry:
            return "\(conversations) conversations, Zipf 0.99, \(messages) messages before; "
                + "bodies 36-300 B: \(bodies)"
        case .cold:
            return "cold rows: \(coldMessages) messages, "
                + "\(coldMessages * Self.messageBytes >> 20) MiB, with "
                + "\(coldBudget.bytes >> 20) MiB of write buffers and cache for every engine; the "
                + "files are dropped from the page cache every 20 ms (posix_fadvise DONTNEED)"
        case .restart:
            return "restart: \(backlog) messages in the log and the memtable; files as the kill "
                + "left them, in the page cache"
        case .tables: return "open-tables: \(tables) MB of ascending rows in tables of about 1 MB"
        case .disk: return "300 B"
        case .sequential, .plain:
            return "\(keys) keys of 16 B, values of 100 B that compress to half"
        }
    }

    /// Seconds that a row takes about, measured on two cores: what the time left is reckoned by.
    func seconds(_ workload: Workload) -> Double {
        switch workload {
        case .fillseq: Double(keys) * 5e-6
        case .fillrandom: Double(keys) * 11e-6
        case .overwrite: Double(keys) * 13e-6
        case .readrandom: Double(reads) * 15e-6
        case .readmissing: Double(reads) * 15e-6
        case .readseq, .readreverse: Double(keys) * 1e-6
        case .seekrandom: Double(seeks) * 60e-6
        case .readwhilewriting, .seekrandomwhilewriting: openSeconds + 1
        case .chatAppend1, .chatAppend8, .chatAppend64, .bareFdatasync: appendSeconds + 1.5
        case .chatPage: Double(pages) * 40e-6
        case .chatDedup, .chatMixed: openSeconds + 1
        case .checkpoint: 0.5 + Double(messages) * 1e-6
        case .chatPageCold, .chatMixedCold: coldSeconds + 1
        case .chatExpiry: Double(pages) / 8 * 100e-6 + 1
        case .chatExpirySpace: spaceSeconds * 1.5
        case .restart: Double(backlog) * 60e-6 + 1
        case .openTables: Double(tables) * 0.05 + 0.5
        }
    }

    /// Seconds that a family's rows wait for their data.
    func loadSeconds(_ family: Family) -> Double {
        switch family {
        case .chat, .expiry: Double(messages) * 30e-6
        case .cold: Double(coldMessages) * 30e-6
        default: 0
        }
    }
}
