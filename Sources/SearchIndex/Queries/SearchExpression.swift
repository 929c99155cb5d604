/// What a document must be like. Words are the bytes that the tokenizer gave.
package indirect enum SearchExpression: Equatable, Sendable {
    /// It has the word.
    case word([UInt8])
    /// It has a word that begins so.
    case prefix([UInt8])
    /// It has the words at one place, each at its offset from there.
    case phrase([PhraseWord])
    /// It is like all of these; of none: everything is.
    case all([SearchExpression])
    /// It is like one of these; of none: nothing is.
    case any([SearchExpression])
    /// It is not like this.
    case not(SearchExpression)
    /// The filter lets it through.
    case matching(SearchFilter)
}

/// One word of a phrase.
package struct PhraseWord: Equatable, Sendable {
    /// The word.
    package var bytes: [UInt8]
    /// Its place from the beginning of the phrase, in positions.
    package var offset: UInt32
    /// True when a word that begins so is enough.
    package var isPrefix: Bool

    /// A word of a phrase.
    package init(_ bytes: [UInt8], offset: UInt32, isPrefix: Bool = false) {
        self.bytes = bytes
        self.offset = offset
        self.isPrefix = isPrefix
    }
}

/// A stretch of one conversation.
package struct SearchSpan: Equatable, Sendable {
    /// Which conversation.
    package var conversation: SearchID
    /// From which message to which.
    package var seqs: ClosedRange<UInt64>

    /// A stretch.
    package init(conversation: SearchID, seqs: ClosedRange<UInt64>) {
        self.conversation = conversation
        self.seqs = seqs
    }
}

/// What a document must be like besides its words.
package struct SearchFilter: Equatable, Sendable {
    /// Conversations it may be of, ascending, each once; nil: any.
    package var conversations: [SearchID]? {
        didSet { conversations = conversations.map(Self.ordered) }
    }
    /// Stretches of conversations it may be of, ascending, one of each conversation; nil: any.
    package var spans: [SearchSpan]? {
        didSet { precondition(Self.areOrdered(spans), "stretches ascend by conversation") }
    }
    /// Who may have said it, ascending, each once; nil: anybody.
    package var senders: [SearchID]? {
        didSet { senders = senders.map(Self.ordered) }
    }
    /// When it may have been said, in milliseconds since 1970, both ends included.
    package var times: ClosedRange<UInt64>
    /// What it must have, all of it.
    package var flags: DocumentFlags

    /// Lets everything through that no argument excludes.
    package init(
        conversations: [SearchID]? = nil, senders: [SearchID]? = nil,
        times: ClosedRange<UInt64> = 0...UInt64.max, flags: DocumentFlags = []
    ) {
        self.conversations = conversations.map(Self.ordered)
        self.senders = senders.map(Self.ordered)
        self.times = times
        self.flags = flags
    }

    private static func areOrdered(_ spans: [SearchSpan]?) -> Bool {
        guard let spans else { return true }
        return spans.indices.dropFirst().allSatisfy {
            spans[$0 - 1].conversation < spans[$0].conversation
        }
    }

    private static func ordered(_ ids: [SearchID]) -> [SearchID] {
        var isOrdered = true
        for index in ids.indices.dropFirst() where ids[index] <= ids[index - 1] {
            isOrdered = false
            break
        }
        if isOrdered { return ids }
        return ids.sorted().reduce(into: []) { if $0.last != $1 { $0.append($1) } }
    }
}

/// In which order hits come.
package enum SearchOrder: Equatable, Sendable {
    /// By time, newest first; at one time by conversation, then highest seq first.
    case newest
    /// By BM25 (k1 1.2, b 0.75), best first; of one score, as ``newest``.
    case relevance
}

/// A place in the order of hits: pages continue behind it. Documents that come or go elsewhere do
/// not move it. By relevance, scores shift as the index grows, so a page may then repeat or miss.
package struct SearchPosition: Equatable, Sendable {
    /// The score as ordered bits; 0 when the order is by time.
    var score: UInt64
    /// When it was said.
    package var time: UInt64
    /// Which document.
    package var key: DocumentKey

    /// The place of a document in the order by time.
    package init(time: UInt64, key: DocumentKey) {
        self.init(score: 0, time: time, key: key)
    }

    /// True when it comes before `other`.
    func precedes(_ other: SearchPosition) -> Bool {
        if score != other.score { return score > other.score }
        if time != other.time { return time > other.time }
        if key.conversation != other.key.conversation {
            return key.conversation < other.key.conversation
        }
        return key.seq > other.key.seq
    }

    init(score: UInt64, time: UInt64, key: DocumentKey) {
        self.score = score
        self.time = time
        self.key = key
    }
}

/// One search.
package struct SearchRequest: Sendable {
    /// Hits that a request may ask for.
    package static let limitMax = 1_000

    /// What documents must be like.
    package var expression: SearchExpression
    /// What the asker may see, and what else narrows the search.
    package var filter: SearchFilter
    /// The order of the hits.
    package var order: SearchOrder
    /// How many hits at most.
    package var limit: Int
    /// Only hits behind this place.
    package var after: SearchPosition?
    /// Postings and documents to look at, at most; then the answer is partial.
    package var workMax: Int

    /// A search for the first `limit` hits.
    package init(
        _ expression: SearchExpression, filter: SearchFilter = SearchFilter(),
        order: SearchOrder = .newest, limit: Int, after: SearchPosition? = nil,
        workMax: Int = 50_000_000
    ) {
        self.expression = expression
        self.filter = filter
        self.order = order
        self.limit = min(max(0, limit), Self.limitMax)
        self.after = after
        self.workMax = workMax
    }
}

/// One document found.
package struct SearchHit: Equatable, Sendable {
    /// The document.
    package var document: SearchDocument
    /// Its place, to continue behind.
    package var position: SearchPosition
}

/// What a search found.
package struct SearchAnswer: Equatable, Sendable {
    /// Hits in the order asked for.
    package var hits: [SearchHit] = []
    /// Matches seen behind the place to continue from; there are at least so many.
    package var atLeast = 0
    /// True when there are exactly ``atLeast``.
    package var isExact = true
    /// True when the work ran out before all was looked at: hits may be missing.
    package var isPartial = false
    /// Postings and documents looked at.
    package var work = 0
}
