/// A line that a driver prints: Magpie's own and those in Python speak alike.
///
///     about      version, settings
///     stage      name: what it does next
///     figure     state, name, value
///     component  state, name, value: bytes of a part of the index
///     check      state, id, count, crc of the newest 1,000 hits; crcListed: of the newest 10,000
///     ranked     state, id, hits: the ten best by BM25
///     call       state, order, us: a search without hits
///     time       state, id, order, us: the least of the passes
///     load       state, id, order, samples: every time of a query beside a writer, in microseconds
///     skipped    reason: what is missing
///     stopped    reason: it took too long; no driver says it of itself
struct DriverRecord: Codable, Equatable, Sendable {
    enum Kind: String, Codable, Sendable {
        case about, stage, figure, component, check, ranked, call, time, load, skipped, stopped
    }

    var kind: Kind
    var state: IndexState?
    var name: String?
    var value: Double?
    var id: Int?
    var order: HitOrder?
    var us: Double?
    var samples: [Double]?
    var count: Int?
    var crc: UInt32?
    var crcListed: UInt32?
    var hits: [UInt32]?
    var version: String?
    var settings: String?
    var reason: String?

    init(_ kind: Kind, state: IndexState? = nil) {
        self.kind = kind
        self.state = state
    }
}

extension [[DriverRecord]] {
    /// Several runs of one driver as one: medians of what is one number, all samples, and the hits
    /// of each run. What only some runs have is of those.
    var merged: [DriverRecord] {
        if count == 1 { return self[0] }
        var places: [String: Int] = [:]
        var values: [[Double]] = []
        var merged: [DriverRecord] = []
        for record in joined() {
            let isHits = record.kind == .check || record.kind == .ranked
            guard !isHits, let place = places[record.identity] else {
                if !isHits { places[record.identity] = merged.count }
                merged.append(record)
                values.append([record.us ?? record.value].compactMap(\.self))
                continue
            }
            if let value = record.us ?? record.value { values[place].append(value) }
            if let samples = record.samples { merged[place].samples?.append(contentsOf: samples) }
        }
        for (place, values) in values.enumerated() where values.count > 1 {
            let middle = BenchResult.median(values)
            if merged[place].us != nil { merged[place].us = middle }
            if merged[place].value != nil { merged[place].value = middle }
        }
        return merged
    }
}

extension DriverRecord {
    /// The same in all runs for what is measured again.
    fileprivate var identity: String {
        "\(kind) \(state?.rawValue ?? "") \(name ?? "") \(id ?? -1) \(order?.rawValue ?? "")"
    }
}

/// In which state an index is searched.
enum IndexState: String, Codable, CaseIterable, Sendable {
    /// Written in one go, then forced into one segment.
    case one
    /// As many small commits with edits and removals leave it.
    case natural
    /// While documents come, are edited and removed at a fixed rate.
    case writing
}

/// Documents that come while others search.
struct WriteLoad: Sendable {
    /// Documents, edits and removals a second, whether the engine keeps up or not.
    var rate: Int
    /// The commit of the changes file from which on they come so; those before are there already.
    var firstBatch: Int

    /// Filters and orders that are searched meanwhile.
    static let filters: [FilterKind] = [.none, .small, .members500]
    static let orders: [HitOrder] = [.newest10, .relevance10]

    /// A load of about so many seconds at the end of a corpus, at most its second half.
    init(rate: Int, seconds: Int, documents: Int, batch: Int) {
        self.rate = rate
        let batches = (documents + batch - 1) / batch
        firstBatch = max(batches / 2, batches - max(1, rate * seconds / batch))
    }

    init(rate: Int, firstBatch: Int) {
        self.rate = rate
        self.firstBatch = firstBatch
    }
}

/// What a driver is told.
struct DriverSettings: Sendable {
    var tokens: String
    var changes: String
    var queries: String
    var directory: String
    var passes: Int
    var budgetMs: Int
    var batch: Int
    var seed: UInt64
    var states: [IndexState]
    var load: WriteLoad

    /// Memory that an engine may take to build an index.
    static let buildBytes = 256 << 20

    /// As arguments of a driver.
    var arguments: [String] {
        [
            "--tokens", tokens, "--changes", changes, "--queries", queries, "--directory",
            directory, "--passes", "\(passes)", "--budget-ms", "\(budgetMs)", "--batch",
            "\(batch)", "--seed", "\(seed)", "--states",
            states.map(\.rawValue).joined(separator: ","), "--write-rate", "\(load.rate)",
            "--write-from", "\(load.firstBatch)",
        ]
    }

    /// The stages of a driver, in order, with about how long each takes beside the others.
    var stages: [(name: String, weight: Double)] {
        var stages: [(String, Double)] = []
        if states.contains(.one) {
            stages += [("bulk", 2), ("check one", 4), ("measure one", 12)]
        }
        if states.contains(.natural) {
            stages += [
                ("live", 3), ("check natural", 4), ("measure natural", 12), ("visible", 1),
            ]
        }
        if states.contains(.writing) {
            stages += [("fill writing", 3), ("writing", 6), ("check writing", 4)]
        }
        return stages
    }
}
