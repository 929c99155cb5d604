// What can be told of a segment without opening it.
extension SegmentSummary {
    /// False: no document of the segment is as the request wants it.
    func mayMatch(_ request: SearchRequest) -> Bool {
        // Newest first, what comes behind a place is not newer.
        if request.order == .newest, let after = request.after, minTime > after.time {
            return false
        }
        return mayMatch(request.filter) && mayMatch(request.expression, depth: 0)
    }

    private func mayMatch(_ expression: SearchExpression, depth: Int) -> Bool {
        // Deeper is not looked at: there nothing is excluded.
        if depth > SegmentPlanner.depthMax { return true }
        switch expression {
        case .all(let parts): return parts.allSatisfy { mayMatch($0, depth: depth + 1) }
        case .any(let parts): return parts.contains { mayMatch($0, depth: depth + 1) }
        case .matching(let filter): return mayMatch(filter)
        case .word, .prefix, .phrase, .not: return true
        }
    }

    private func mayMatch(_ filter: SearchFilter) -> Bool {
        if filter.times.lowerBound > maxTime || filter.times.upperBound < minTime { return false }
        if let wanted = filter.conversations, !wanted.contains(where: conversations.mayHave) {
            return false
        }
        return mayHave(filter.spans)
    }

    /// False: the segment has nothing of these stretches.
    func mayHave(_ spans: [SearchSpan]?) -> Bool {
        guard let spans else { return true }
        return spans.contains { conversations.mayHave($0.conversation) }
    }
}
