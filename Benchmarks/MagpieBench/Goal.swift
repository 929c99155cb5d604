/// What Magpie wants to reach in a row, and whether it did.
struct GoalResult: Codable, Equatable, Sendable {
    let workload: String
    /// In words, with the figure.
    let goal: String
    /// The figure that was reached; nil when something to compare with was not measured.
    let reached: String?
    let isReached: Bool?

    /// One line.
    var line: String {
        guard let reached, let isReached else { return "goal \(goal), not measured" }
        return "goal \(goal), reached \(reached)\(isReached ? "" : ": not reached")"
    }
}

/// The goals of the storage rows, judged by results of one run of the benchmark.
struct GoalResults {
    let results: [BenchResult]
    /// Memory of the rows with the usual budget.
    var budgetBytes = MemoryBudget.standard.bytes

    /// The rows whose goals come from `db_bench`: each at least even, half of them well ahead.
    static let plain: [Workload] = [
        .fillseq, .fillrandom, .overwrite, .readrandom, .readmissing, .readseq, .readreverse,
        .seekrandom,
    ]

    /// How many times better than the best peer a row shall be; nil: there is no goal.
    static func ratio(_ workload: Workload) -> Double? {
        switch workload {
        case .chatAppend8, .chatAppend64, .chatPage, .chatPageCold: 2
        case .chatAppend1: 1.2
        case .chatDedup: 1.5
        case .chatExpiry: 3
        case .readwhilewriting: 2
        case .restart: 1
        case _ where plain.contains(workload): 1
        default: nil
        }
    }

    /// All goals, in the order of the table; those over several rows last.
    var all: [GoalResult] {
        Workload.allCases.flatMap { of($0) } + overall
    }

    /// The goals of one row; none when Magpie was not measured at it.
    func of(_ workload: Workload) -> [GoalResult] {
        guard let own = result(workload, .magpie) else { return [] }
        var verdicts: [GoalResult] = []
        if let goal = Self.ratio(workload) {
            verdicts.append(
                atLeast(workload, "\(Self.times(goal)) the best peer", goal, advantage(workload)))
        }
        switch workload {
        case .chatAppend8, .chatAppend64:
            verdicts.append(
                atMost(
                    workload, "<= 0.80x of the bytes that the thriftiest peer writes", 0.8,
                    quotient(own.writeAmplification, least(workload, \.writeAmplification))))
            let logged = [EngineKind.rocksdb, .rocksdbTuned]
                .compactMap { result(workload, $0)?.loggedAmplification }.min()
            verdicts.append(
                atMost(
                    workload, "<= 0.50x of the bytes of RocksDB under a separate synced log", 0.5,
                    quotient(own.writeAmplification, logged)))
        case .chatAppend1:
            let disk = results.first { $0.workload == Workload.bareFdatasync.rawValue }?.value
            verdicts.append(
                atLeast(
                    workload, ">= 0.9x of the bare fdatasync loop", 0.9, quotient(own.value, disk)))
        case .chatExpirySpace:
            let share = own.details["share back unasked"] ?? 0
            verdicts.append(
                GoalResult(
                    workload: workload.rawValue,
                    goal: "space back within one compaction cycle, unasked",
                    reached: "\(Int(share * 100)) % of it", isReached: share >= 1))
        default: break
        }
        return verdicts
    }

    /// Goals that no single row has.
    private var overall: [GoalResult] {
        let ratios = Self.plain.compactMap { advantage($0) }
        var verdicts: [GoalResult] = []
        if !ratios.isEmpty {
            let far = ratios.count { $0 >= 1.3 }
            verdicts.append(
                GoalResult(
                    workload: "the eight plain rows", goal: ">= 1.3x on half of them",
                    reached: "\(far) of \(ratios.count)", isReached: 2 * far >= ratios.count))
        }
        let own = results.filter { $0.engine == EngineKind.magpie.rawValue }
        if let most = own.compactMap(\.spaceAmplification).max() {
            verdicts.append(
                GoalResult(
                    workload: "all write rows",
                    goal: "<= 1.15 bytes of files per live byte at the end",
                    reached: "\(Self.plain(most)) at worst", isReached: most <= 1.15))
        }
        let cold = Set([Workload.chatPageCold, .chatMixedCold].map(\.rawValue))
        if let most = own.filter({ !cold.contains($0.workload) }).map(\.peakRssBytes).max() {
            let limit = Double(budgetBytes) * 1.15
            verdicts.append(
                GoalResult(
                    workload: "all rows but the cold ones",
                    goal: "<= \(Int(limit) >> 20) MiB resident: the budget and 15 %",
                    reached: "\(most >> 20) MiB at worst", isReached: Double(most) <= limit))
        }
        return verdicts
    }

    // MARK: Comparing

    /// How many times better than the best of its peers Magpie is; nil when one side is missing.
    func advantage(_ workload: Workload) -> Double? {
        advantage(workload, isLowerBetter: workload.measure.isLowerBetter, \.value)
    }

    /// The same of any figure.
    func advantage(
        _ workload: Workload, isLowerBetter: Bool, _ figure: (BenchResult) -> Double
    ) -> Double? {
        guard let own = result(workload, .magpie).map(figure) else { return nil }
        let peers = EngineKind.allCases.filter { $0 != .magpie }
            .compactMap { result(workload, $0).map(figure) }
        guard let best = isLowerBetter ? peers.min() : peers.max() else { return nil }
        return isLowerBetter ? quotient(best, own) : quotient(own, best)
    }

    private func least(_ workload: Workload, _ figure: (BenchResult) -> Double?) -> Double? {
        EngineKind.allCases.filter { $0 != .magpie }
            .compactMap { result(workload, $0).flatMap(figure) }.min()
    }

    private func result(_ workload: Workload, _ engine: EngineKind) -> BenchResult? {
        results.first { $0.workload == workload.rawValue && $0.engine == engine.rawValue }
    }

    private func quotient(_ left: Double?, _ right: Double?) -> Double? {
        guard let left, let right, right > 0 else { return nil }
        return left / right
    }

    private func atLeast(
        _ workload: Workload, _ words: String, _ goal: Double, _ reached: Double?
    ) -> GoalResult {
        GoalResult(
            workload: workload.rawValue, goal: words,
            reached: reached.map { Self.plain($0) + "x" }, isReached: reached.map { $0 >= goal })
    }

    private func atMost(
        _ workload: Workload, _ words: String, _ goal: Double, _ reached: Double?
    ) -> GoalResult {
        GoalResult(
            workload: workload.rawValue, goal: words,
            reached: reached.map { Self.plain($0) + "x" }, isReached: reached.map { $0 <= goal })
    }

    private static func times(_ goal: Double) -> String { ">= \(goal)x" }

    private static func plain(_ figure: Double) -> String {
        "\((figure * 100).rounded() / 100)"
    }
}
