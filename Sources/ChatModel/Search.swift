/// A search, as a client asks for it.
package struct SearchQuery: Equatable, Sendable {
    /// What was written in the search box; every text is a search.
    package var text: String
    /// Only in this conversation.
    package var conversation: ConversationID?
    /// Only by this user.
    package var from: UserID?
    /// Only what was said before this moment.
    package var beforeMs: Milliseconds?
    /// Only what was said after this moment.
    package var afterMs: Milliseconds?
    /// Only messages that have all of these.
    package var has: Set<SearchHas>
    /// In which order.
    package var sort: SearchSort
    /// Hits at most, 1…``limitMax``; nil: ``limitDefault``.
    package var limit: Int?
    /// Where an earlier answer ended.
    package var cursor: String?
    /// Minutes by which the asker's clock is ahead of UTC: what a day is in `on:` and its like.
    package var utcOffsetMinutes: Int

    /// Hits of an answer at most.
    package static let limitMax = 100
    /// Hits of an answer when no limit is asked for.
    package static let limitDefault = 20

    /// A search for the newest messages like a text.
    package init(
        text: String, conversation: ConversationID? = nil, from: UserID? = nil,
        beforeMs: Milliseconds? = nil, afterMs: Milliseconds? = nil, has: Set<SearchHas> = [],
        sort: SearchSort = .newest, limit: Int? = nil, cursor: String? = nil,
        utcOffsetMinutes: Int = 0
    ) {
        self.text = text
        self.conversation = conversation
        self.from = from
        self.beforeMs = beforeMs
        self.afterMs = afterMs
        self.has = has
        self.sort = sort
        self.limit = limit
        self.cursor = cursor
        self.utcOffsetMinutes = utcOffsetMinutes
    }
}

/// In which order hits come.
package enum SearchSort: String, Sendable, CaseIterable {
    case newest
    case relevance
}

/// What a message can have besides its words.
package enum SearchHas: String, Sendable, CaseIterable {
    case image
    case file
    case link
    case mention
}

/// A stretch of a text in UTF-16 code units.
package struct TextSpan: Equatable, Sendable {
    /// Where it begins.
    package var start: Int
    /// How long it is.
    package var length: Int

    /// A stretch.
    package init(start: Int, length: Int) {
        self.start = start
        self.length = length
    }
}

/// A message that was found.
package struct SearchHitView: Equatable, Sendable {
    /// The message as it is now.
    package var entry: Entry
    /// What stands around the words that were found.
    package var snippet: String
    /// Those words in `snippet`, ascending, apart.
    package var highlights: [TextSpan]

    /// A hit.
    package init(entry: Entry, snippet: String, highlights: [TextSpan]) {
        self.entry = entry
        self.snippet = snippet
        self.highlights = highlights
    }
}

/// The answer to a search.
package struct SearchView: Equatable, Sendable {
    /// In the order asked for.
    package var hits: [SearchHitView]
    /// Where the next part begins; nil at the end.
    package var cursor: String?
    /// There are at least so many hits that the asker may read, those of this part included.
    package var atLeast: Int
    /// True: the work or the time that one search may take was used up, hits may be missing.
    package var isPartial: Bool
    /// True: an index is being built, hits may be missing.
    package var isIndexing: Bool
    /// True: encrypted conversations are among those asked for; they cannot be searched here.
    package var isSealedNotSearched: Bool

    /// An answer.
    package init(
        hits: [SearchHitView], cursor: String?, atLeast: Int, isPartial: Bool, isIndexing: Bool,
        isSealedNotSearched: Bool
    ) {
        self.hits = hits
        self.cursor = cursor
        self.atLeast = atLeast
        self.isPartial = isPartial
        self.isIndexing = isIndexing
        self.isSealedNotSearched = isSealedNotSearched
    }
}
