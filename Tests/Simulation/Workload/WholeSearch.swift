import ChatModel
import Session

/// Searches one node to the end, part by part; an answer that says that it lacks something is asked
/// for again.
// Confined to the thread that steps the scheduler.
final class WholeSearch: @unchecked Sendable {
    private let world: SimulatedWorld
    private let member: SimulatedMember
    private let identity: Identity
    private let text: String
    private let whole: SearchPaging
    private var paging: SearchPaging
    private(set) var hits: [Entry] = []
    private(set) var isDone = false

    init(
        world: SimulatedWorld, member: SimulatedMember, identity: Identity, _ paging: SearchPaging,
        _ text: String
    ) {
        self.world = world
        self.member = member
        self.identity = identity
        self.text = text
        whole = paging
        self.paging = paging
    }

    func start() { next(after: nil) }

    private func next(after cursor: String?) {
        let question = paging.question
        let query = SearchQuery(
            text: text, conversation: question.conversation, limit: question.limit, cursor: cursor)
        let (asked, identity) = (world.searches.asks(), identity)
        world.call(member) { node, answer in
            node.search(query, for: identity, answer: answer)
        } done: { [self] (outcome: SimulatedWorld.Outcome<SearchView>) in
            guard case .answer(.success(let view)) = outcome, !view.isIndexing, !view.isPartial
            else {
                hits = []
                paging = whole
                return world.later(ms: 300) { [self] in next(after: nil) }
            }
            let observer = "\(identity.user) at node \(member.number)"
            world.searches.answered(view, &paging, asked, by: observer)
            hits += view.hits.map(\.entry)
            if let cursor = view.cursor { next(after: cursor) } else { isDone = true }
        }
    }
}
