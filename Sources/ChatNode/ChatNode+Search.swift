import ChatEngine
package import ChatModel
import Replication
import SearchIndex
package import Session

/// Searches: over the index of this node, for messages that the asker may read now.
///
///     confirm that the rows here are up to date ──▶ indexer: what is there? ──▶ search lane:
///         rights from the rows, search with the rights as a filter, each hit's entry from the rows
///
/// The rows that rights and entries come from are newer than the index that is searched. So nothing
/// is shown that may not be read any more, and nothing counted.
extension ChatNode {
    /// Messages that the asker may read now and that are as asked.
    package func search(
        _ query: SearchQuery, for identity: Identity, answer: @escaping Answer<SearchView>
    ) {
        var cursor: SearchCursor?
        if let text = query.cursor {
            cursor = SearchCursor(text, query.sort)
            if cursor == nil {
                let error = ServiceError(.invalidArgument, "cursor: is not one of ours")
                return refuse(answer, error)
            }
        }
        var freshness = Freshness.all
        var wanted = shards.all.filter { $0 != ShardMap.meta }
        if let conversation = query.conversation {
            wanted = [shards.shard(of: conversation.slot)]
            freshness = .of(Set(wanted + [shards.shard(of: identity.user.slot)]).sorted())
        }
        confirm(freshness) { [self, wanted, cursor] error in
            if let error { return refuse(answer, error) }
            let isAsked = indexer.look(wanted) { [self] views in
                let isQueued = searchers.run { [self] in
                    answer(find(query, cursor, identity.user, views))
                }
                if !isQueued { refuse(answer, Self.overloaded) }
            }
            if !isAsked { refuse(answer, Self.overloaded) }
        }
    }

    private func find(
        _ query: SearchQuery, _ cursor: SearchCursor?, _ asker: UserID,
        _ views: [GroupID: SearchShardView]
    ) -> Result<SearchView, ServiceError> {
        // Before the rows are looked at: what comes behind this they may lack.
        let unlisted = touches.unlisted.look()
        return attempt { queries in
            do {
                var search = try SearchRun(
                    query, cursor, asker: asker, queries: queries, unlisted: unlisted,
                    views: views, shards: shards, clock: seams.clock)
                return try search.run()
            } catch let error as SearchError {
                indexer.noteDamage(error)
                _ = report(error)
                throw ServiceError(
                    .unavailable, "the search index cannot be read now",
                    retryAfterMs: NodeLimits.retryMs)
            }
        }
    }
}
