import ChatModel
import Session

// Searches, on any node, part by part.
extension SimulatedClient {
    /// Where this user may find something.
    var searchRooms: [SearchPaging.Room] {
        rooms.map { SearchPaging.Room($0.id, isAlways: $0.residents.contains(user)) }
    }

    /// Some words, often in one place or by one person.
    func search() {
        var question = SearchQuestion()
        var text = drawWords(&question)
        if world.isDrawn(4), let room = world.pick(rooms) {
            question.conversation = room.id
            // By the field, or as one writes it.
            if world.isDrawn(2) { text = "in:\(room.id) " + text }
        }
        if world.isDrawn(5), let place = world.pick(Array(town.people.indices)) {
            question.from = town.people[place]
            if world.isDrawn(2) { text = "from:person\(place) " + text }
        }
        if world.isDrawn(8) { question.sort = .relevance }
        question.limit = [1, 3, 10, 100][world.draw(4)]
        ask(SearchPaging(question, asker: user, rooms: searchRooms), text)
    }

    /// Right after its acknowledgement a change shows on every node: what was sent or edited is
    /// found, what was erased is not.
    func searchOwn(_ request: SendRequest) {
        guard !isDraining, world.isDrawn(12) else { return }
        var question = SearchQuestion()
        question.number = request.number
        if case .erase = request.body {
            // Its words are not at hand: everything said here, the newest first.
            question.number = nil
            question.conversation = request.conversation
        }
        world.marks.reach(.searchedOwn)
        ask(
            SearchPaging(question, asker: user, rooms: searchRooms),
            question.number.map(PlatterLedger.mark) ?? "")
    }

    /// What to write for some words.
    private func drawWords(_ question: inout SearchQuestion) -> String {
        let all = SearchWords.all
        let (one, other) = (world.draw(all.count), world.draw(all.count))
        let words = (SearchWords(number: one), SearchWords(number: other))
        switch world.draw(8) {
        case 0:
            question.required = [words.0, words.1]
            return "\(all[one]) \(all[other])"
        case 1:
            question.required = [words.0.union(words.1)]
            return "\(all[one]) OR \(all[other])"
        case 2:
            question.required = [words.0]
            question.excluded = words.1
            return "-\(all[other]) \(all[one].uppercased())"
        case 3:
            let beginning = String(all[one].prefix(2))
            question.required = [SearchWords(beginning: beginning)]
            return beginning
        case 4: return ""
        case 5:
            let number = 1 + UInt64(world.draw(Int(world.nextRequest)))
            question.number = number
            return PlatterLedger.mark(number)
        default:
            question.required = [words.0]
            return "\"\(all[one])\""
        }
    }

    /// Asks some node for the next part.
    private func ask(_ paging: SearchPaging, _ text: String, after cursor: String? = nil) {
        guard let member = world.pick(world.serving) else { return }
        let question = paging.question
        let query = SearchQuery(
            text: text, conversation: text.contains("in:") ? nil : question.conversation,
            from: text.contains("from:") ? nil : question.from, sort: question.sort,
            limit: question.limit, cursor: cursor)
        let asked = world.searches.asks()
        let identity = device.identity
        world.call(member) { node, answer in
            node.search(query, for: identity, answer: answer)
        } done: { [self] (outcome: SimulatedWorld.Outcome<SearchView>) in
            switch outcome {
            case .answer(.success(let view)):
                var paging = paging
                answered(view, &paging, asked, member)
                if let cursor = view.cursor, question.sort == .newest, !isDraining,
                    !world.isDrawn(4)
                {
                    world.marks.reach(.searchedOn)
                    ask(paging, text, after: cursor)
                }
            case .answer(.failure(let error)):
                world.marks.reach(.searchRefused)
                if error.code == .notFound || error.code == .invalidArgument {
                    world.verdict.fail(
                        .search, "node \(member.number) refuses \"\(text)\": \(error.detail)")
                }
            case .unreachable, .silence: break
            }
        }
    }

    private func answered(
        _ view: SearchView, _ paging: inout SearchPaging, _ asked: SearchChecker.Asked,
        _ member: SimulatedMember
    ) {
        let flags: UInt64 = (view.isIndexing ? 1 : 0) | (view.isPartial ? 2 : 0)
        world.trace.note(
            .searched, UInt64(index), UInt64(member.number), UInt64(view.hits.count), flags)
        let observer = "client \(index) at node \(member.number)"
        for hit in view.hits { world.history.saw(hit.entry, by: observer) }
        if world.searches.asksForErased(paging, asked) { world.marks.reach(.searchedErased) }
        world.searches.answered(view, &paging, asked, by: observer)
        if !view.hits.isEmpty { world.marks.reach(.searched) }
        if view.isIndexing { world.marks.reach(.searchIndexing) }
        if member.lives > 1 { world.marks.reach(.searchedAgain) }
    }
}
