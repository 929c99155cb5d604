/// Which segments to merge: equals with equals, so that a document is rewritten once per tier.
///
/// A tier holds segments whose living documents are within a factor of eight. Eight of a tier
/// become one of the next. A segment of which a quarter is dead is rewritten at once.
enum MergePolicy {
    static let fanIn = 8
    static let lowestTierDocuments = 1024
    /// Segments of more living documents are left alone while they live.
    static let mergedDocumentsMax = 1 << 23

    /// A segment as the policy sees it.
    struct Candidate {
        var documents: Int
        var dead: Int
        var minTime: UInt64

        var living: Int { documents - dead }
    }

    static func tier(_ living: Int) -> Int {
        var tier = 0
        var bound = lowestTierDocuments
        while living > bound, tier < 20 {
            tier += 1
            bound *= fanIn
        }
        return tier
    }

    /// Indexes of the segments to merge next, or nil. Of a full tier those that are next to each
    /// other in time are taken, oldest first, so that segments stay stretches of time.
    static func pick(_ candidates: [Candidate]) -> [Int]? {
        if let index = candidates.firstIndex(where: { $0.dead * 4 >= $0.documents }) {
            return [index]
        }
        var tiers: [[Int]] = []
        for (index, candidate) in candidates.enumerated()
        where candidate.living <= mergedDocumentsMax / fanIn {
            let tier = tier(candidate.living)
            while tiers.count <= tier { tiers.append([]) }
            tiers[tier].append(index)
        }
        for tier in tiers where tier.count >= fanIn {
            let inTime = tier.sorted {
                (candidates[$0].minTime, $0) < (candidates[$1].minTime, $1)
            }
            return inTime.prefix(fanIn).sorted()
        }
        return nil
    }
}
