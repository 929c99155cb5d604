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
///     skipped    reason: what is missing
struct DriverRecord: Codable, Equatable, Sendable {
    enum Kind: String, Codable, Sendable {
        case about, stage, figure, component, check, ranked, call, time, skipped
    }

    var kind: Kind
    var state: IndexState?
    var name: String?
    var value: Double?
    var id: Int?
    var order: HitOrder?
    var us: Double?
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

/// In which state an index is searched.
enum IndexState: String, Codable, CaseIterable, Sendable {
    /// Written in one go, then forced into one segment.
    case one
    /// As many small commits with edits and removals leave it.
    case natural
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

    /// Memory that an engine may take to build an index.
    static let buildBytes = 256 << 20

    /// As arguments of a driver.
    var arguments: [String] {
        [
            "--tokens", tokens, "--changes", changes, "--queries", queries, "--directory",
            directory, "--passes", "\(passes)", "--budget-ms", "\(budgetMs)", "--batch",
            "\(batch)", "--seed", "\(seed)", "--states",
            states.map(\.rawValue).joined(separator: ","),
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
        return stages
    }
}
