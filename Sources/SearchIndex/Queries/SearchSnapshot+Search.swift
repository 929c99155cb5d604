extension SearchSnapshot {
    /// Searches. Blocks for as long as the work takes, which the request bounds.
    package func search(_ request: SearchRequest) throws(SearchError) -> SearchAnswer {
        var search = Search(self, request)
        switch request.order {
        case .newest: try search.newest()
        case .relevance: try search.ranked()
        }
        return search.finish()
    }
}

/// One search under way.
private struct Search {
    /// Documents of a window: stretches that are visited newest first.
    private static let windowDocuments = 4096

    private let parts: [SearchSnapshot.Part]
    private let request: SearchRequest
    private var budget: SegmentMatcher.Budget
    private var top: TopHits
    private var answer = SearchAnswer()

    init(_ snapshot: SearchSnapshot, _ request: SearchRequest) {
        parts = snapshot.parts
        self.request = request
        budget = .init(left: request.workMax)
        var after = request.after
        if request.order == .newest { after?.score = 0 }
        top = TopHits(parts, limit: request.limit, after: after)
    }

    func finish() -> SearchAnswer {
        var answer = answer
        answer.hits = top.hits()
        answer.isPartial = budget.isSpent
        answer.isExact = answer.isExact && !answer.isPartial
        answer.work = request.workMax - budget.left
        return answer
    }

    // MARK: Newest first

    /// Segments newest first, until all that is left is older than the worst hit.
    mutating func newest() throws(SearchError) {
        for (index, part) in parts.enumerated() where !budget.isSpent {
            if let worst = top.worst, part.reader.summary.maxTime < worst.time {
                answer.isExact = false
                return
            }
            var matcher = try SegmentPlanner.matcher(
                part, request.expression, request.filter, &budget)
            if let after = request.after { matcher.filter.lower(to: after.time) }
            if let worst = top.worst { matcher.filter.raise(to: worst.time) }
            if !matcher.isEmpty, !matcher.filter.passesNone { newest(index, &matcher) }
            if matcher.filter.hasSkipped { answer.isExact = false }
            try matcher.settle(&budget)
        }
    }

    /// Few candidates are looked at in their order; many by windows, newest first, because the
    /// sooner new hits are known, the more of the old is passed over.
    private mutating func newest(_ part: Int, _ matcher: inout SegmentMatcher) {
        let reader = parts[part].reader
        let end = UInt32(reader.documentCount)
        if matcher.leadCount <= Self.windowDocuments {
            scan(part, &matcher, 0..<end)
            return
        }
        for window in windows(reader) where !budget.isSpent {
            if let worst = top.worst, window.maxTime < worst.time {
                answer.isExact = false
                return
            }
            let limit = min(end, window.start + UInt32(Self.windowDocuments))
            matcher.filter.rewind(to: window.start)
            if matcher.filter.candidate(from: window.start) >= limit { continue }
            matcher.rewind(to: window.start)
            scan(part, &matcher, window.start..<limit)
        }
    }

    private func windows(_ reader: SegmentReader) -> [(start: UInt32, maxTime: UInt64)] {
        let count = reader.documentCount
        var windows: [(start: UInt32, maxTime: UInt64)] = []
        for start in stride(from: 0, to: count, by: Self.windowDocuments) {
            var maxTime: UInt64 = 0
            let end = min(count, start + Self.windowDocuments)
            for block in stride(from: start, to: end, by: SegmentFormat.blockDocuments) {
                maxTime = max(maxTime, reader.blockMaxTime(of: UInt32(block)))
            }
            windows.append((UInt32(start), maxTime))
        }
        windows.sort { ($0.maxTime, $0.start) > ($1.maxTime, $1.start) }
        return windows
    }

    private mutating func scan(
        _ part: Int, _ matcher: inout SegmentMatcher, _ documents: Range<UInt32>
    ) {
        let reader = parts[part].reader
        var document = matcher.next(
            from: documents.lowerBound, below: documents.upperBound, &budget)
        while document != PostingsCursor.end {
            let entry = TopHits.Entry(
                score: 0, time: reader.time(document), part: part, document: document)
            if top.offer(entry) {
                answer.atLeast += 1
                if let worst = top.worst { matcher.filter.raise(to: worst.time) }
            }
            document = matcher.next(from: document &+ 1, below: documents.upperBound, &budget)
        }
    }

    // MARK: By relevance

    mutating func ranked() throws(SearchError) {
        if top.wantsNone { return try newest() }
        let relevance = try Relevance(
            request.expression, parts, request.filter.spans, &budget)
        for (index, part) in parts.enumerated() where !budget.isSpent {
            if Self.isUnion(request.expression) {
                try rankedUnion(index, part, relevance)
            } else {
                try rankedMatches(index, part, relevance)
            }
        }
    }

    /// True when one of some words is all that is asked.
    private static func isUnion(_ expression: SearchExpression) -> Bool {
        switch expression {
        case .word: true
        case .any(let parts): parts.allSatisfy { if case .word = $0 { true } else { false } }
        case .all(let parts): parts.count == 1 && isUnion(parts[0])
        default: false
        }
    }

    private var threshold: Double? {
        top.worst.map { Double(bitPattern: $0.score) }
    }

    private mutating func offer(_ part: Int, _ document: UInt32, _ score: Double) {
        if let worst = top.worst, score.bitPattern < worst.score {
            answer.atLeast += 1
            return
        }
        let entry = TopHits.Entry(
            score: score.bitPattern, time: parts[part].reader.time(document), part: part,
            document: document)
        if top.offer(entry) { answer.atLeast += 1 }
    }

    private mutating func rankedUnion(
        _ index: Int, _ part: SearchSnapshot.Part, _ relevance: Relevance
    ) throws(SearchError) {
        var matcher = try SegmentPlanner.matcher(part, .all([]), request.filter, &budget)
        if matcher.isEmpty { return }
        if try WindowedUnion.isWorth(relevance, part.reader, matcher.filter) {
            var union = try WindowedUnion(relevance, part.reader)
            try offer(index, part, &union, &matcher)
        } else {
            var union = try RankedUnion(relevance, part.reader)
            try offer(index, part, &union, &matcher)
        }
    }

    @inline(__always)
    private mutating func offer(
        _ index: Int, _ part: SearchSnapshot.Part, _ union: inout some UnionSearch,
        _ matcher: inout SegmentMatcher
    ) throws(SearchError) {
        while let (document, score) = union.next(&matcher, threshold: threshold, &budget) {
            offer(index, document, score)
        }
        if union.hasSkipped { answer.isExact = false }
        budget.left -= union.work
        try check(union.isRotten, part.reader)
        try matcher.settle(&budget)
    }

    private mutating func rankedMatches(
        _ index: Int, _ part: SearchSnapshot.Part, _ relevance: Relevance
    ) throws(SearchError) {
        var matcher = try SegmentPlanner.matcher(
            part, request.expression, request.filter, &budget)
        var scorer = try SegmentScorer(relevance, part.reader)
        let end = UInt32(part.reader.documentCount)
        var stretch: (score: Double, last: UInt32)?
        var document = matcher.next(from: 0, below: end, &budget)
        while document != PostingsCursor.end {
            if let threshold {
                if stretch.map({ $0.last < document }) ?? true {
                    stretch = scorer.bound(at: document)
                }
                if let stretch, stretch.score < threshold {
                    answer.isExact = false
                    if stretch.last >= end { break }
                    document = matcher.next(from: stretch.last &+ 1, below: end, &budget)
                    continue
                }
            }
            offer(index, document, scorer.score(document))
            document = matcher.next(from: document &+ 1, below: end, &budget)
        }
        budget.left -= scorer.work
        try check(scorer.isRotten, part.reader)
        try matcher.settle(&budget)
    }

    private func check(_ isRotten: Bool, _ reader: SegmentReader) throws(SearchError) {
        if !isRotten { return }
        throw .corrupt(
            file: reader.path, offset: 0, expected: "lists as the format says",
            found: "a rotten one")
    }
}
