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
    /// The end of a conversation's window, which is visited before the rest.
    private static let tailDocuments: UInt32 = 256

    private let entries: [SearchSnapshot.Entry]
    /// Those that were opened; hits are in them.
    private var parts: [SearchSnapshot.Part] = []
    private let request: SearchRequest
    private var budget: SegmentMatcher.Budget
    private var top: TopHits
    private var answer = SearchAnswer()
    private let after: SearchPosition?

    init(_ snapshot: SearchSnapshot, _ request: SearchRequest) {
        entries = snapshot.entries
        self.request = request
        budget = .init(left: request.workMax)
        var after = request.after
        if request.order == .newest { after?.score = 0 }
        self.after = after
        top = TopHits([], limit: request.limit, after: after)
    }

    /// Opens a segment; its place in `parts`.
    private mutating func open(_ entry: SearchSnapshot.Entry) throws(SearchError) -> Int {
        let part = try entry.open()
        parts.append(part)
        top.append(part)
        return parts.count - 1
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

    /// Segments newest first, until all that is left is older than the worst hit. No match scores.
    mutating func newest() throws(SearchError) {
        for entry in entries where !budget.isSpent && entry.summary.mayMatch(request) {
            if isPassed(entry.summary) { return }
            try newest(try open(entry), request.expression, nil)
        }
    }

    /// The same of the segments that are open.
    private mutating func newest(
        _ expression: SearchExpression, _ relevance: Relevance
    ) throws(SearchError) {
        for (index, part) in parts.enumerated()
        where !budget.isSpent && part.reader.summary.mayMatch(request) {
            if isPassed(part.reader.summary) { return }
            try newest(index, expression, relevance.terms[index])
        }
    }

    /// True when a segment, and so all that follow, is older than the worst hit.
    private mutating func isPassed(_ summary: SegmentSummary) -> Bool {
        guard let worst = top.worst, summary.maxTime < worst.time else { return false }
        answer.isExact = false
        return true
    }

    private mutating func newest(
        _ index: Int, _ expression: SearchExpression, _ terms: SegmentTerms?
    ) throws(SearchError) {
        var matcher = try SegmentPlanner.matcher(
            parts[index], expression, request.filter, terms, &budget)
        if let after, after.score == 0 { matcher.filter.lower(to: after.time) }
        if let worst = top.worst { matcher.filter.raise(to: worst.time) }
        if !matcher.isEmpty, !matcher.filter.passesNone { newest(index, &matcher) }
        if matcher.filter.hasSkipped { answer.isExact = false }
        try matcher.settle(&budget)
    }

    /// Few candidates are looked at in their order; many by windows, newest first, because the
    /// sooner new hits are known, the more of the old is passed over.
    private mutating func newest(_ part: Int, _ matcher: inout SegmentMatcher) {
        let reader = parts[part].reader
        let end = UInt32(reader.documentCount)
        if matcher.leadCount <= Self.windowDocuments {
            scanTailFirst(part, &matcher, 0..<end)
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
            scanTailFirst(part, &matcher, window.start..<limit)
        }
    }

    /// In one conversation times ascend, and each match would be better than all before it: the
    /// newest are looked at first, and most of the others are passed over.
    private mutating func scanTailFirst(
        _ part: Int, _ matcher: inout SegmentMatcher, _ documents: Range<UInt32>
    ) {
        let own = documents.clamped(to: matcher.filter.hull)
        guard matcher.filter.isOneStretch, own.count > 2 * Int(Self.tailDocuments),
            matcher.leadCount > Int(Self.tailDocuments)
        else { return scan(part, &matcher, documents) }
        let middle = own.upperBound - Self.tailDocuments
        matcher.rewind(to: middle)
        scan(part, &matcher, middle..<own.upperBound)
        matcher.rewind(to: own.lowerBound)
        scan(part, &matcher, own.lowerBound..<middle)
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
        // What may be read counts for how rare a word is, whatever else is asked.
        for entry in entries where entry.summary.mayHave(request.filter.spans) {
            _ = try open(entry)
        }
        let relevance = try Relevance(
            request.expression, parts, request.filter.spans, &budget)
        let lone = LoneWord(request.expression)
        if relevance.isEmpty {
            if let lone, !lone.isPrefix { return }
            return try newest(request.expression, relevance)
        }
        for (index, part) in parts.enumerated()
        where !budget.isSpent && part.reader.summary.mayMatch(request) {
            if let lone {
                // Behind a hit that scores nothing is none that does.
                if let after, after.score == 0 { break }
                try rankedWord(index, relevance, lone)
            } else if Self.isUnion(request.expression) {
                try rankedUnion(index, relevance)
            } else {
                let matcher = try SegmentPlanner.matcher(
                    part, request.expression, request.filter, relevance.terms[index], &budget)
                try rankedMatches(index, matcher, relevance)
            }
        }
        if let lone, lone.isPrefix { try rankedRest(relevance, lone) }
    }

    /// Documents that have other words of a prefix than the one that it spells score nothing.
    private mutating func rankedRest(
        _ relevance: Relevance, _ lone: LoneWord
    ) throws(SearchError) {
        if let worst = top.worst, worst.score > 0 {
            answer.isExact = false
        } else {
            try newest(lone.otherwise, relevance)
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

    private mutating func rankedWord(
        _ index: Int, _ relevance: Relevance, _ lone: LoneWord
    ) throws(SearchError) {
        guard let postings = relevance.terms[index].postings.first ?? nil else { return }
        var matcher = try SegmentPlanner.follower(
            parts[index], lone.others, request.filter, relevance.terms[index], &budget)
        if matcher.isEmpty { return }
        // Of a word's documents few are decoded, of a list all are asked about.
        if let led = try ledMatcher(index, lone.spelled, relevance, matcher, cost: 8) {
            return try rankedMatches(index, led, relevance)
        }
        var search = RankedWord(postings, relevance, matcher, limit: request.limit)
        try offer(index, &search, &matcher)
    }

    private mutating func rankedUnion(
        _ index: Int, _ relevance: Relevance
    ) throws(SearchError) {
        let part = parts[index]
        var matcher = try SegmentPlanner.follower(part, [], request.filter, nil, &budget)
        if matcher.isEmpty { return }
        let isWindowed = WindowedUnion.isWorth(relevance, index, part.reader, matcher.filter)
        // Asking all words about a document of a list is about as much as a posting of a union;
        // windows take half of it.
        let cost = relevance.words.count * (isWindowed ? 2 : 1)
        if let led = try ledMatcher(index, request.expression, relevance, matcher, cost: cost) {
            return try rankedMatches(index, led, relevance)
        }
        if isWindowed {
            var union = WindowedUnion(relevance, index, part.reader)
            try offer(index, &union, &matcher)
        } else {
            var union = RankedUnion(relevance, index, part.reader)
            try offer(index, &union, &matcher)
        }
    }

    /// A matcher that lists of senders or flags lead, when that costs less than the words.
    private mutating func ledMatcher(
        _ index: Int, _ expression: SearchExpression, _ relevance: Relevance,
        _ follower: SegmentMatcher, cost: Int
    ) throws(SearchError) -> SegmentMatcher? {
        if relevance.postings < SegmentPlanner.worthwhile { return nil }
        if follower.filter.flags == 0, follower.filter.senders == nil { return nil }
        return try SegmentPlanner.ledMatcher(
            parts[index], expression, request.filter, relevance.terms[index], cost: cost, &budget)
    }

    private mutating func rankedMatches(
        _ index: Int, _ matcher: consuming SegmentMatcher, _ relevance: Relevance
    ) throws(SearchError) {
        var matcher = matcher
        if matcher.isEmpty { return }
        var search = RankedMatches(relevance, index, matcher)
        try offer(index, &search, &matcher)
    }

    @inline(__always)
    private mutating func offer(
        _ index: Int, _ search: inout some RankedSearch, _ matcher: inout SegmentMatcher
    ) throws(SearchError) {
        while let (document, score) = search.next(&matcher, worst: top.worst, &budget) {
            offer(index, document, score)
        }
        if search.hasSkipped { answer.isExact = false }
        budget.left -= search.work
        try check(search.isRotten, parts[index].reader)
        try matcher.settle(&budget)
    }

    private func check(_ isRotten: Bool, _ reader: SegmentReader) throws(SearchError) {
        if !isRotten { return }
        throw .corrupt(
            file: reader.path, offset: 0, expected: "lists as the format says",
            found: "a rotten one")
    }
}
