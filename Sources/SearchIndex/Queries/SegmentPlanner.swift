/// Turns an expression into a matcher for one segment.
struct SegmentPlanner {
    private let part: SearchSnapshot.Part
    private var budget: SegmentMatcher.Budget
    /// Expressions nest no deeper; what is below matches nothing.
    static let depthMax = 32
    /// Words that may lead together.
    static let groupWordsMax = 16

    private var reader: SegmentReader { part.reader }

    private init(_ part: SearchSnapshot.Part, _ budget: SegmentMatcher.Budget) {
        self.part = part
        self.budget = budget
    }

    /// A matcher of the living documents that are like `expression` and pass `filter`.
    static func matcher(
        _ part: SearchSnapshot.Part, _ expression: SearchExpression, _ filter: SearchFilter,
        _ budget: inout SegmentMatcher.Budget
    ) throws(SearchError) -> SegmentMatcher {
        var planner = SegmentPlanner(part, budget)
        var matcher = SegmentMatcher(part)
        matcher.filter.narrow(filter)
        try planner.require(expression, in: &matcher, depth: 0)
        planner.finish(&matcher)
        budget = planner.budget
        return matcher
    }

    private func finish(_ matcher: inout SegmentMatcher) {
        if matcher.filter.passesNone { matcher.isEmpty = true }
        matcher.cursors.sort { $0.documents < $1.documents }
    }

    /// Adds what a document must be like. Prefixes come last: how they are best looked up depends
    /// on how rare the words are.
    private mutating func require(
        _ expression: SearchExpression, in matcher: inout SegmentMatcher, depth: Int
    ) throws(SearchError) {
        var prefixes: [[UInt8]] = []
        try require(expression, in: &matcher, &prefixes, depth: depth)
        for prefix in prefixes where !matcher.isEmpty {
            let found = try postings(prefix: prefix)
            try requireOne(of: found, in: &matcher)
        }
    }

    private mutating func require(
        _ expression: SearchExpression, in matcher: inout SegmentMatcher,
        _ prefixes: inout [[UInt8]], depth: Int
    ) throws(SearchError) {
        if matcher.isEmpty { return }
        if depth > Self.depthMax {
            matcher.isEmpty = true
            return
        }
        switch expression {
        case .word(let word):
            guard let postings = try reader.find(term: word) else {
                matcher.isEmpty = true
                return
            }
            matcher.cursors.append(PostingsCursor(postings, in: reader))
        case .prefix(let prefix):
            prefixes.append(prefix)
        case .phrase(let words):
            try require(phrase: words, in: &matcher)
        case .all(let parts):
            for part in parts { try require(part, in: &matcher, &prefixes, depth: depth + 1) }
        case .any(let parts):
            if parts.count == 1 {
                try require(parts[0], in: &matcher, &prefixes, depth: depth + 1)
            } else if let found = try words(of: parts) {
                try requireOne(of: found, in: &matcher)
            } else {
                matcher.required.append(try union(parts, depth: depth + 1))
            }
        case .not(.word(let word)):
            if let postings = try reader.find(term: word) {
                matcher.excludedCursors.append(PostingsCursor(postings, in: reader))
            }
        case .not(let inner):
            matcher.excluded.append(try bitmap(inner, depth: depth + 1))
        case .matching(let filter):
            matcher.filter.narrow(filter)
        }
    }

    private mutating func require(
        phrase words: [PhraseWord], in matcher: inout SegmentMatcher
    ) throws(SearchError) {
        var cursors: [PostingsCursor] = []
        var offsets: [UInt32] = []
        var endings: [PostingsCursor] = []
        var endingOffset: UInt32 = 0
        for (index, word) in words.enumerated() {
            // Only the last word of a phrase may be a beginning.
            if word.isPrefix, index == words.count - 1 {
                let found = try postings(prefix: word.bytes)
                try requireOne(of: found, in: &matcher)
                endings = found.map { PostingsCursor($0, in: reader) }
                endingOffset = word.offset
                continue
            }
            guard let postings = try reader.find(term: word.bytes) else {
                matcher.isEmpty = true
                return
            }
            if words.count == 1 {
                matcher.cursors.append(PostingsCursor(postings, in: reader))
                return
            }
            matcher.cursors.append(PostingsCursor(postings, in: reader))
            cursors.append(PostingsCursor(postings, in: reader))
            offsets.append(word.offset)
        }
        if words.isEmpty || (cursors.isEmpty && !endings.isEmpty) { return }
        matcher.phrases.append(
            PhraseMatcher(
                words: cursors, offsets: offsets, endings: endings, endingOffset: endingOffset))
    }

    /// All words with a beginning.
    private mutating func postings(prefix: [UInt8]) throws(SearchError) -> [TermPostings] {
        var found: [TermPostings] = []
        var iterator = TermIterator(reader)
        var isThere = try SegmentReader.seek(&iterator, prefix)
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
                if let postings = try reader.find(term: word) { found.append(postings) }
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
            matcher.cursors.append(PostingsCursor(found[0], in: reader))
        } else {
            let all = found.reduce(0) { $0 + $1.documents }
            let rarest = matcher.cursors.map(\.documents).min() ?? reader.documentCount
            let left = min(rarest, matcher.filter.span)
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
