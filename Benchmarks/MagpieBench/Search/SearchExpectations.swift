import Foundation

/// What a scan finds for the queries whose hits are compared.
struct SearchExpectations {
    /// The hits of one query.
    struct Hits {
        let count: Int
        /// Of the newest 1,000, and of the newest that Magpie lists.
        let crc: UInt32
        let crcListed: UInt32
        /// The highest scores, at most ten; none where scores are not compared.
        let scores: [Double]
    }

    private let oracle: SearchOracle
    private let set: QuerySet
    /// By the queries' ids.
    private let hits: [Int: Hits]

    /// Scans once for each words of `set`. Scores are right where nothing is dead.
    init(_ oracle: SearchOracle, _ set: QuerySet, hasScores: Bool) {
        self.oracle = oracle
        self.set = set
        var hits: [Int: Hits] = [:]
        // Queries come filter by filter: the words are looked for once.
        var last: (query: WordQuery, matches: [UInt32], scores: [Double])?
        for query in set.queries where query.isChecked {
            if last?.query != query.query {
                let matches = oracle.matches(query.query)
                let scores = hasScores ? oracle.scores(query.query, matches) : []
                last = (query.query, matches, scores)
            }
            guard let last else { continue }
            let own = oracle.newest(last.matches, set.filters[query.filter])
            hits[query.id] = Hits(
                count: own.count, crc: HitChecksum(own.prefix(1_000)).value,
                crcListed: HitChecksum(own.prefix(SearchRequests.listedMax)).value,
                scores: hasScores ? Self.best(own, of: last.matches, last.scores) : [])
        }
        self.hits = hits
    }

    /// The ten highest of some of the matches, descending. `documents` come in the reverse order.
    private static func best(
        _ documents: [UInt32], of matches: [UInt32], _ scores: [Double]
    ) -> [Double] {
        var best: [Double] = []
        var place = matches.count - 1
        for document in documents {
            while matches[place] != document { place -= 1 }
            let score = scores[place]
            if best.count == 10, score <= best[9] { continue }
            best.insert(score, at: best.firstIndex { $0 < score } ?? best.count)
            if best.count > 10 { best.removeLast() }
        }
        return best
    }

    subscript(query: BenchQuery) -> Hits? { hits[query.id] }

    /// Queries that are compared.
    var count: Int { hits.count }

    /// True when the hits are different ones with the highest scores there are.
    func isRanked(_ documents: [UInt32], _ query: BenchQuery) -> Bool {
        guard let wanted = hits[query.id], Set(documents).count == documents.count,
            documents.count == wanted.scores.count,
            oracle.match(documents, query.query, set.filters[query.filter])
        else { return false }
        return zip(oracle.scores(query.query, documents), wanted.scores)
            .allSatisfy { abs($0 - $1) < 1e-6 }
    }
}
