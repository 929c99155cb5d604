import SearchIndex
import Synchronization

/// A shard's index at one moment, for any thread: what is below, and what happened since. What is
/// searched is made by the first who asks, and once.
final class SearchStage: Sendable {
    private enum Content: Sendable {
        case snapshot(SearchSnapshot)
        case tail(SegmentBuilder, above: SearchStage)
    }

    private let content: Mutex<Content>

    /// A store as it is.
    init(_ snapshot: SearchSnapshot) {
        content = Mutex(.snapshot(snapshot))
    }

    /// What happened since another moment.
    init(above below: SearchStage, _ tail: SegmentBuilder) {
        content = Mutex(.tail(tail, above: below))
    }

    /// What is searched.
    func snapshot() throws(SearchError) -> SearchSnapshot {
        let result = content.withLock { content -> Result<SearchSnapshot, SearchError> in
            switch content {
            case .snapshot(let snapshot): return .success(snapshot)
            case .tail(let tail, let below):
                return Result { () throws(SearchError) in
                    let made = try below.snapshot().preview(tail, tokens: .current)
                    content = .snapshot(made)
                    return made
                }
            }
        }
        return try result.get()
    }
}

/// What a shard has to search.
struct SearchShardView: Sendable {
    let stage: SearchStage
    /// False while documents may be missing.
    var isWhole: Bool
}
