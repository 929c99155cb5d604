/// Turns an expression into a matcher for one segment.
struct SegmentPlanner {
    private let part: SearchSnapshot.Part
    /// Words that were looked up already.
    private let terms: SegmentTerms?
    private var budget: SegmentMatcher.Budget
    /// Expressions nest no deeper; what is below matches nothing.
    static let depthMax = 32
    /// Words that may lead together.
    static let groupWordsMax = 16

    var reader: SegmentReader { part.reader }
    /// Set when only a matcher that lists of a filter lead is wanted: see ``ledMatcher``.
    private var ledCost: Int?

    /// What is looked up when all else is known.
    private struct Late {
        /// Of each, one word must be there.
        var unions: [[TermPostings]] = []
        /// With each, a word must begin.
        var prefixes: [[UInt8]] = []
    }

    private init(
        _ part: SearchSnapshot.Part, _ terms: SegmentTerms?, _ budget: SegmentMatcher.Budget
    ) {
        self.part = part
        self.terms = terms
        self.budget = budget
    }

    /// A matcher of the living documents that are like `expression` and pass `filter`.
    static func matcher(
        _ part: SearchSnapshot.Part, _ expression: SearchExpression, _ filter: SearchFilter,
        _ terms: SegmentTerms?, _ budget: inout SegmentMatcher.Budget
    ) throws(SearchError) -> SegmentMatcher {
        var planner = SegmentPlanner(part, terms, budget)
        let matcher = try planner.matcher(expression, filter)
        budget = planner.budget
        return matcher
    }

    /// The same, led by lists of senders or flags; nil when that is not worth it. A document of a
    /// list costs as much as `cost` that are found by their words.
    static func ledMatcher(
        _ part: SearchSnapshot.Part, _ expression: SearchExpression, _ filter: SearchFilter,
        _ terms: SegmentTerms?, cost: Int, _ budget: inout SegmentMatcher.Budget
    ) throws(SearchError) -> SegmentMatcher? {
        var planner = SegmentPlanner(part, terms, budget)
        planner.ledCost = cost
        let matcher = try planner.matcher(expression, filter)
        budget = planner.budget
        return matcher.isLedByFilter ? matcher : nil
    }

    /// A matcher of what is said of documents that are found by other means: nothing leads it, and
    /// ``SegmentMatcher/accepts(_:)`` says all. Of the parts none asks for a word.
    static func follower(
        _ part: SearchSnapshot.Part, _ parts: [SearchExpression], _ filter: SearchFilter,
        _ terms: SegmentTerms?, _ budget: inout SegmentMatcher.Budget
    ) throws(SearchError) -> SegmentMatcher {
        var planner = SegmentPlanner(part, terms, budget)
        var matcher = SegmentMatcher(part)
        matcher.filter.narrow(filter)
        var late = Late()
        try planner.require(.all(parts), in: &matcher, &late, depth: 0)
        planner.finish(&matcher)
        budget = planner.budget
        return matcher
    }

    private mutating func matcher(
        _ expression: SearchExpression, _ filter: SearchFilter
    ) throws(SearchError) -> SegmentMatcher {
        var matcher = SegmentMatcher(part)
        matcher.filter.narrow(filter)
        try require(expression, in: &matcher, depth: 0)
        finish(&matcher)
        return matcher
    }

    private func finish(_ matcher: inout SegmentMatcher) {
        if matcher.filter.passesNone { matcher.isEmpty = true }
        if matcher.cursors.count > 1 {
            matcher.cursors.sort { $0.documents < $1.documents }
        }
        for index in matcher.phrases.indices { matcher.phrases[index].resolve(matcher.cursors) }
    }

    private func find(_ word: [UInt8]) throws(SearchError) -> TermPostings? {
        if let terms { return try terms.find(word, in: reader) }
        return try reader.find(term: word)
    }

    /// Makes a word lead, once.
    private func lead(_ postings: TermPostings, in matcher: inout SegmentMatcher) {
        if matcher.cursors.contains(where: { $0.list == postings.list }) { return }
        matcher.cursors.append(PostingsCursor(postings, in: reader))
    }

    /// Adds what a document must be like. Filters come behind the words that must be there, unions
    /// last: how they are best looked up depends on how rare all else is.
    private mutating func require(
        _ expression: SearchExpression, in matcher: inout SegmentMatcher, depth: Int
    ) throws(SearchError) {
        var late = Late()
        try require(expression, in: &matcher, &late, depth: depth)
        for prefix in late.prefixes where !matcher.isEmpty {
            late.unions.append(try postings(prefix: prefix))
        }
        if matcher.isEmpty { return }
        let rarest = late.unions.reduce(matcher.leadCount) { min($0, Self.documents($1)) }
        try lead(&matcher, rarest: rarest, cost: depth == 0 ? ledCost ?? 1 : 1)
        if ledCost != nil, depth == 0, !matcher.isLedByFilter { return }
        for union in late.unions { try requireOne(of: union, in: &matcher) }
    }

    private static func documents(_ union: [TermPostings]) -> Int {
        union.reduce(0) { $0 + $1.documents }
    }

    private mutating func require(
        _ expression: SearchExpression, in matcher: inout SegmentMatcher,
        _ late: inout Late, depth: Int
    ) throws(SearchError) {
        if matcher.isEmpty { return }
        if depth > Self.depthMax {
            matcher.isEmpty = true
            return
        }
        switch expression {
        case .word(let word):
            guard let postings = try find(word) else {
                matcher.isEmpty = true
                return
            }
            lead(postings, in: &matcher)
        case .prefix(let prefix):
            late.prefixes.append(prefix)
        case .phrase(let words):
            try require(phrase: words, in: &matcher, &late)
        case .all(let parts):
            for part in parts { try require(part, in: &matcher, &late, depth: depth + 1) }
        case .any(let parts):
            if parts.count == 1 {
                try require(parts[0], in: &matcher, &late, depth: depth + 1)
            } else if let found = try words(of: parts) {
                late.unions.append(found)
            } else {
                matcher.required.append(try union(parts, depth: depth + 1))
            }
        case .not(.word(let word)):
            if let postings = try find(word) {
                matcher.excludedCursors.append(PostingsCursor(postings, in: reader))
            }
        case .not(.matching(let filter)):
            guard let terms = Self.terms(of: filter) else {
                matcher.excluded.append(try bitmap(.matching(filter), depth: depth + 1))
                return
            }
            for term in terms {
                if let postings = try reader.find(term) {
                    matcher.excludedCursors.append(PostingsCursor(postings, in: reader))
                }
            }
        case .not(let inner):
            matcher.excluded.append(try bitmap(inner, depth: depth + 1))
        case .matching(let filter):
            matcher.filter.narrow(filter)
        }
    }

    private mutating func require(
        phrase words: [PhraseWord], in matcher: inout SegmentMatcher, _ late: inout Late
    ) throws(SearchError) {
        var leaders: [PhraseMatcher.Word] = []
        var endings: [PostingsCursor] = []
        var endingOffset: UInt32 = 0
        for (index, word) in words.enumerated() {
            // Only the last word of a phrase may be a beginning.
            if word.isPrefix, index == words.count - 1 {
                let found = try postings(prefix: word.bytes)
                late.unions.append(found)
                endings = found.map { PostingsCursor($0, in: reader) }
                endingOffset = word.offset
                continue
            }
            guard let postings = try find(word.bytes) else {
                matcher.isEmpty = true
                return
            }
            lead(postings, in: &matcher)
            leaders.append(PhraseMatcher.Word(list: postings.list, offset: word.offset))
        }
        if words.count < 2 { return }
        matcher.phrases.append(
            PhraseMatcher(words: leaders, endings: endings, endingOffset: endingOffset))
    }

    /// All words with a beginning.
    private mutating func postings(prefix: [UInt8]) throws(SearchError) -> [TermPostings] {
        var found: [TermPostings] = []
        if FilterTerm.isFilter(prefix) { return found }
        var iterator = TermIterator(reader)
        var isThere = try SegmentReader.seek(&iterator, prefix.isEmpty ? FilterTerm.end : prefix)
        while isThere, Bytewise.isPrefix(prefix, of: iterator.term), !budget.isSpent {
            found.append(iterator.postings)
            budget.left -= 1
            isThere = try iterator.advance()
        }
        return found
    }

    /// The words of which one is wanted, when nothing but words is wanted.
    private mutating func words(
        of parts: [SearchExpression]
    ) throws(SearchError) -> [TermPostings]? {
        var found: [TermPostings] = []
        for part in parts {
            switch part {
            case .word(let word):
                if let postings = try find(word) { found.append(postings) }
            case .prefix(let prefix):
                found += try postings(prefix: prefix)
            default:
                return nil
            }
        }
        return found
    }

    /// Requires one of several words: as a group, when they are few or when few documents are left
    /// to ask about; otherwise by a set of all their documents.
    private mutating func requireOne(
        of found: [TermPostings], in matcher: inout SegmentMatcher
    ) throws(SearchError) {
        if found.isEmpty {
            matcher.isEmpty = true
        } else if found.count == 1 {
            lead(found[0], in: &matcher)
        } else {
            let all = Self.documents(found)
            let left = matcher.leadCount
            if found.count <= Self.groupWordsMax || found.count * (left + 2) < all / 64 {
                matcher.groups.append(found.map { PostingsCursor($0, in: reader) })
            } else {
                var bitmap = DocumentBitmap(documents: reader.documentCount)
                for postings in found where !budget.isSpent {
                    try add(postings, to: &bitmap, matcher.filter.hull)
                }
                matcher.required.append(bitmap)
            }
        }
    }

    private mutating func add(
        _ postings: TermPostings, to bitmap: inout DocumentBitmap, _ documents: Range<UInt32>
    ) throws(SearchError) {
        var cursor = PostingsCursor(postings, in: reader)
        cursor.advance(to: documents.lowerBound)
        bitmap.insert(&cursor, below: documents.upperBound)
        budget.left -= cursor.work
        if cursor.isRotten {
            throw Rot(
                reader.offset(postings.list), "a list as the format says", "a rotten one"
            ).error(in: reader.path)
        }
    }

    private mutating func union(
        _ parts: [SearchExpression], depth: Int
    ) throws(SearchError) -> DocumentBitmap {
        var result = DocumentBitmap(documents: reader.documentCount)
        for part in parts where !budget.isSpent {
            result.formUnion(try bitmap(part, depth: depth + 1))
        }
        return result
    }

    /// The documents that are like `expression`, dead ones too.
    private mutating func bitmap(
        _ expression: SearchExpression, depth: Int
    ) throws(SearchError) -> DocumentBitmap {
        var matcher = SegmentMatcher(part, countsDead: true)
        try require(expression, in: &matcher, depth: depth)
        finish(&matcher)
        return try matcher.bitmap(&budget)
    }
}
