/// Walks the documents of one segment that match, in ascending order.
///
/// The simple version: one set per part of the expression, all intersected. Here the words that
/// must all be there lead: their cursors leap over each other, so that the rarest decides how much
/// is read. Of a group of words one must be there; together they lead like one word. Lists of
/// senders and flags lead as words do, where they are short. All else (wide prefixes, exclusions,
/// nested expressions) is a bitmap or a cursor that is asked about the documents on which the
/// leaders agree; deaths, filters and, last because they cost most, phrases are checked for those
/// that are left.
struct SegmentMatcher {
    /// Work left for the whole search, shared by the matchers one after the other.
    struct Budget {
        var left: Int
        var isSpent: Bool { left <= 0 }
    }

    let part: SearchSnapshot.Part
    var filter: DocumentFilter
    /// Words, and flags, that must be there, rarest first.
    var cursors: [PostingsCursor] = []
    /// Sets that must hold the document.
    var required: [DocumentBitmap] = []
    /// Sets that must not.
    var excluded: [DocumentBitmap] = []
    /// Words, senders and flags that must not be there.
    var excludedCursors: [PostingsCursor] = []
    /// Of each group one word, or one sender, must be there.
    var groups: [[PostingsCursor]] = []
    var phrases: [PhraseMatcher] = []
    /// True when lists of senders or flags lead.
    var isLedByFilter = false
    /// True when some part cannot match in this segment.
    var isEmpty = false
    /// Rotten bytes were met.
    private(set) var isRotten = false
    private let countsDead: Bool
    private let end: UInt32

    /// Matches everything that is alive. With `countsDead` also what is dead.
    init(_ part: SearchSnapshot.Part, countsDead: Bool = false) {
        self.part = part
        self.countsDead = countsDead
        filter = DocumentFilter(part.reader)
        end = UInt32(part.reader.documentCount)
    }

    /// An upper bound of how many match, in documents to look at.
    var leadCount: Int {
        let rarest = cursors.reduce(filter.span) { min($0, $1.documents) }
        return groups.reduce(rarest) { least, group in
            min(least, group.reduce(0) { $0 + $1.documents })
        }
    }

    /// The next match at or above `start` and below `limit`, or ``PostingsCursor/end``. Starts
    /// ascend, but for ``rewind(to:)``. Ends early, and says so, when the budget is spent.
    mutating func next(
        from start: UInt32, below limit: UInt32, _ budget: inout Budget
    ) -> UInt32 {
        var document = agreed(from: start, below: limit, &budget)
        while document < limit, !accepts(document) {
            document = agreed(from: document &+ 1, below: limit, &budget)
        }
        return document
    }

    /// The next document at or above `start` and below `limit` that is left to be accepted: leaders
    /// and required sets agree on it, and it is in a stretch that may pass the filter.
    mutating func agreed(
        from start: UInt32, below limit: UInt32, _ budget: inout Budget
    ) -> UInt32 {
        if isEmpty || start >= limit { return PostingsCursor.end }
        var document = filter.candidate(from: start)
        while document < limit {
            budget.left &-= 1
            if budget.isSpent { break }
            document = agree(from: document)
            if document >= limit { break }
            let candidate = filter.candidate(from: document)
            if candidate == document { return document }
            document = candidate
        }
        return PostingsCursor.end
    }

    /// The first document at or above `start` on which leaders and required sets agree.
    @inline(__always)
    private mutating func agree(from start: UInt32) -> UInt32 {
        var document = start
        while true {
            document = lead(from: document)
            if document == PostingsCursor.end || groups.isEmpty && required.isEmpty {
                return document
            }
            let wanted = follow(document)
            if wanted == document { return document }
            document = wanted
        }
    }

    /// The first document at or above `start` that all leading words have.
    @inline(__always)
    private mutating func lead(from start: UInt32) -> UInt32 {
        cursors.withUnsafeMutableBufferPointer { cursors in
            var document = start
            if cursors.isEmpty { return document }
            while true {
                cursors[0].advance(to: document)
                document = cursors[0].document
                var index = 1
                while index < cursors.count {
                    cursors[index].advance(to: document)
                    if cursors[index].document != document { break }
                    index &+= 1
                }
                if index == cursors.count { return document }
                document = cursors[index].document
            }
        }
    }

    /// `document` when groups and required sets have it; otherwise the next that they may have.
    private mutating func follow(_ document: UInt32) -> UInt32 {
        for group in groups.indices {
            let nearest = nearest(group, document)
            if nearest != document { return nearest }
        }
        for index in required.indices where !required[index].contains(document) {
            return required[index].next(from: document)
        }
        return document
    }

    /// The first document at or above `document` that has a word of a group.
    private mutating func nearest(_ group: Int, _ document: UInt32) -> UInt32 {
        var nearest = PostingsCursor.end
        for index in groups[group].indices {
            groups[group][index].advance(to: document)
            let found = groups[group][index].document
            if found == document { return document }
            nearest = min(nearest, found)
        }
        return nearest
    }

    /// All that is asked of a document besides the leaders and the required sets.
    @inline(__always)
    mutating func accepts(_ document: UInt32) -> Bool {
        if !countsDead, part.dead.contains(document) { return false }
        for index in excluded.indices where excluded[index].contains(document) { return false }
        for index in excludedCursors.indices {
            excludedCursors[index].advance(to: document)
            if excludedCursors[index].document == document { return false }
        }
        if !filter.passes(document) { return false }
        for index in phrases.indices where !phrases[index].matches(document, &cursors) {
            return false
        }
        return true
    }

    /// Makes ready for documents from `document` on, which may be below those before.
    mutating func rewind(to document: UInt32) {
        filter.rewind(to: document)
        for index in cursors.indices { cursors[index].rewind(to: document) }
        for index in excludedCursors.indices { excludedCursors[index].rewind(to: document) }
        for group in groups.indices {
            for index in groups[group].indices { groups[group][index].rewind(to: document) }
        }
        for index in phrases.indices { phrases[index].rewind(to: document) }
    }

    /// Takes the work of the cursors out of the budget, and notes rot.
    mutating func settle(_ budget: inout Budget) throws(SearchError) {
        settle(cursors, &budget)
        settle(excludedCursors, &budget)
        for group in groups { settle(group, &budget) }
        for phrase in phrases { settle(phrase.endings, &budget) }
        if isRotten {
            throw .corrupt(
                file: part.reader.path, offset: 0, expected: "lists as the format says",
                found: "a rotten one")
        }
    }

    private mutating func settle(_ cursors: [PostingsCursor], _ budget: inout Budget) {
        for index in cursors.indices {
            budget.left -= cursors[index].work
            if cursors[index].isRotten { isRotten = true }
        }
    }

    /// All matches as a set.
    mutating func bitmap(_ budget: inout Budget) throws(SearchError) -> DocumentBitmap {
        var bitmap = DocumentBitmap(documents: part.reader.documentCount)
        var document = next(from: 0, below: end, &budget)
        while document != PostingsCursor.end {
            bitmap.insert(document)
            document = next(from: document &+ 1, below: end, &budget)
        }
        try settle(&budget)
        return bitmap
    }
}
