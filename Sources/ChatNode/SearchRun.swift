import ChatEngine
import ChatModel
import LSMTree
import Platform
import Replication
import SearchIndex

/// One search under way: rights, the engine, and the entries of the hits, all on one lane.
struct SearchRun {
    typealias Queries = ChatQueries<Snapshot>

    private let query: SearchQuery
    private let queries: Queries
    private let clock: any Clock
    private let expression: SearchExpression
    private let filter: SearchFilter
    private let snapshot: SearchSnapshot
    private let highlighter: Highlighter
    private let deadlineNs: UInt64
    private let limit: Int
    private var work = NodeLimits.searchWorkMax
    /// Where the search is: hits up to here were looked at.
    private var position: SearchPosition?
    /// Hits of earlier parts and of this one that were looked at.
    private var rank = 0
    private var view = SearchView(
        hits: [], cursor: nil, atLeast: 0, isPartial: false, isIndexing: false,
        isSealedNotSearched: false)

    /// - Parameter queries: over rows that are not older than `views`.
    init(
        _ query: SearchQuery, _ cursor: SearchCursor?, asker: UserID, queries: Queries,
        unlisted: UnlistedConversations.Look, views: [GroupID: SearchShardView], shards: ShardMap,
        clock: any Clock
    ) throws {
        self.query = query
        self.queries = queries
        self.clock = clock
        let nowNs = clock.monotonicNanoseconds()
        deadlineNs = nowNs &+ NodeLimits.searchNsMax
        limit = min(max(query.limit ?? SearchQuery.limitDefault, 1), SearchQuery.limitMax)
        let rights = try Self.rights(query, asker, queries, unlisted, nowNs)
        view.isPartial = !rights.isComplete || QueryParser.isCut(query.text)
        expression = Self.expression(query, asker, rights.conversations)
        highlighter = Highlighter(expression)
        var filter = Self.filter(query)
        filter.spans = rights.conversations.map {
            SearchSpan(conversation: SearchID($0.conversation), seqs: $0.seqs)
        }
        self.filter = filter
        var snapshots: [SearchSnapshot] = []
        for shard in Set(rights.conversations.map { shards.shard(of: $0.conversation.slot) })
            .sorted()
        {
            guard let shardView = views[shard] else { continue }
            if !shardView.isWhole { view.isIndexing = true }
            snapshots.append(try shardView.stage.snapshot())
        }
        snapshot = SearchSnapshot(joining: snapshots)
        switch cursor {
        case .message(let atMs, let conversation, let seq):
            position = SearchPosition(
                time: atMs, key: DocumentKey(conversation: SearchID(conversation), seq: seq))
        case .rank(let count): rank = count
        case nil: break
        }
    }

    private static func rights(
        _ query: SearchQuery, _ asker: UserID, _ queries: Queries,
        _ unlisted: UnlistedConversations.Look, _ nowNs: UInt64
    ) throws -> (conversations: [ReadableConversation], isComplete: Bool) {
        guard let conversation = query.conversation else {
            let others = try unlisted.all(queries, nowNs: nowNs)
            let found = try queries.readableConversations(
                by: asker, besides: others.conversations)
            return (found.conversations, found.isComplete && others.isComplete)
        }
        if let readable = try queries.readable(conversation, by: asker) {
            return ([readable], true)
        }
        // One in which nothing was said yet has nothing to find.
        if try queries.changed(conversation, asker: asker) != nil { return ([], true) }
        throw ServiceError(.notFound, "no such conversation")
    }

    // MARK: What is asked

    private static func expression(
        _ query: SearchQuery, _ asker: UserID, _ conversations: [ReadableConversation]
    ) -> SearchExpression {
        // A message cannot be before the beginning of time, nor behind its end.
        if query.beforeMs == 0 || query.afterMs == .max { return .any([]) }
        if let before = query.beforeMs, let after = query.afterMs, after &+ 1 > before &- 1 {
            return .any([])
        }
        // Few searches name a place.
        let isPlaced = query.text.lowercased().contains("in:")
        let titles = Dictionary(grouping: isPlaced ? conversations : []) {
            $0.title.lowercased()
        }
        let compiler = QueryCompiler(
            senders: { name in [SearchID(Names.user(userName(name)))] },
            conversations: { name in
                places(name, asker, titles).map { SearchID($0) }
            },
            offset: min(max(query.utcOffsetMinutes, -1_440), 1_440) * 60_000)
        return compiler.expression(QueryParser.parse(query.text))
    }

    /// A user's name as one writes it: in any case, perhaps behind an `@`.
    private static func userName(_ name: String) -> String {
        (name.hasPrefix("@") ? String(name.dropFirst()) : name).lowercased()
    }

    /// What `in:` can mean: a conversation's id, the title of some of the asker's, `@` and the
    /// other's name of a direct one. Other people's conversations are filtered out anyway.
    private static func places(
        _ name: String, _ asker: UserID, _ titles: [String: [ReadableConversation]]
    ) -> [ConversationID] {
        if name.hasPrefix("@") { return [Names.pair(asker, Names.user(userName(name)))] }
        if let id = ConversationID(name) { return [id] }
        return titles[name.lowercased()]?.map(\.conversation) ?? []
    }

    private static func filter(_ query: SearchQuery) -> SearchFilter {
        var filter = SearchFilter()
        if let from = query.from { filter.senders = [SearchID(from)] }
        for has in query.has { filter.flags.formUnion(has.flags) }
        let low = query.afterMs.map { $0 &+ 1 } ?? 0
        let high = query.beforeMs.map { $0 &- 1 } ?? .max
        if low <= high { filter.times = low...high }
        return filter
    }

    // MARK: Searching

    /// Searches, and looks up the entries of the hits. What is gone, or is not any more as it is in
    /// the index, is passed over, and more is fetched in its place.
    mutating func run() throws -> SearchView {
        // By relevance what was shown before is found again and passed over.
        var passed = query.sort == .relevance ? rank : 0
        var isMore = true
        while view.hits.count < limit, isMore {
            let wanted = limit - view.hits.count
            let fetched = min(passed + wanted + 1, SearchRequest.limitMax)
            let known = view.hits.count
            let found = try snapshot.search(
                SearchRequest(
                    expression, filter: filter,
                    order: query.sort == .newest ? .newest : .relevance, limit: fetched,
                    after: position, workMax: work))
            work -= found.work
            isMore = found.hits.count > passed + wanted
            var dropped = 0
            for hit in found.hits.dropFirst(passed).prefix(wanted) {
                position = hit.position
                rank += 1
                if let shown = try show(hit) { view.hits.append(shown) } else { dropped += 1 }
            }
            view.atLeast = max(
                view.hits.count, known + max(0, found.atLeast - passed - dropped))
            // The best are so many; what comes behind them is not shown.
            if found.hits.count == SearchRequest.limitMax, !isMore { view.isPartial = true }
            passed = 0
            let isLate = clock.monotonicNanoseconds() >= deadlineNs
            if found.isPartial || (isMore && view.hits.count < limit && (isLate || work <= 0)) {
                view.isPartial = true
                break
            }
        }
        view.cursor = isMore ? cursor : nil
        return view
    }

    /// Behind the last hit that was looked at.
    private var cursor: String? {
        switch query.sort {
        case .newest:
            guard let last = position else { return nil }
            return SearchCursor.message(
                atMs: last.time,
                ConversationID(high: last.key.conversation.high, low: last.key.conversation.low),
                last.key.seq
            ).text
        case .relevance:
            return rank > 0 ? SearchCursor.rank(rank).text : nil
        }
    }

    /// A hit with its entry as it is now; nil when it is none any more.
    private func show(_ hit: SearchHit) throws -> SearchHitView? {
        let key = hit.document.key
        let conversation = ConversationID(high: key.conversation.high, low: key.conversation.low)
        guard let entry = try queries.entry(conversation, key.seq),
            case .message(let message) = entry.body,
            let (document, text) = SearchDocuments.document(entry)
        else { return nil }
        // Only an edit can have changed it since it was put into the index.
        if message.editedAtMs != nil, try !isStillHit(document, text) { return nil }
        let (snippet, ranges) = highlighter.snippet(of: text)
        return SearchHitView(
            entry: entry, snippet: snippet,
            highlights: ranges.map { TextSpan(start: $0.lowerBound, length: $0.count) })
    }

    /// Asks the same of the message alone.
    private func isStillHit(_ document: SearchDocument, _ text: String) throws -> Bool {
        var tokenizer = Tokenizer()
        var builder = SegmentBuilder(memoryMax: .max)
        builder.put(document, text, &tokenizer)
        let alone = try SearchSnapshot.empty.preview(builder, tokens: .current)
        return try !alone.search(SearchRequest(expression, filter: filter, limit: 1)).hits.isEmpty
    }
}
