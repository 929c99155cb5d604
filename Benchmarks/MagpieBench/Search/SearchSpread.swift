/// How far apart the geometric means of several whole runs were.
struct SearchSpread: Codable, Sendable {
    let workload: String
    let state: IndexState
    let order: HitOrder
    let filter: FilterKind
    let peer: SearchEngineKind
    let runs: Int
    /// Of the peer's net p50 over Magpie's.
    let least: Double
    let median: Double
    let most: Double

    /// Of each group of cells and each peer.
    static func of(_ runs: [SearchResults]) -> [SearchSpread] {
        guard let first = runs.first else { return [] }
        return first.groups.flatMap { group in
            first.engines.filter { $0 != .magpie }.compactMap { peer in
                let means = runs.compactMap { $0.mean(group, to: peer) }
                guard let least = means.min(), let most = means.max() else { return nil }
                return SearchSpread(
                    workload: "search-spread", state: group.state, order: group.order,
                    filter: group.filter, peer: peer, runs: means.count, least: least,
                    median: BenchResult.median(means), most: most)
            }
        }
    }
}
