import ChatModel
import ChatNode
import Session

// What every node finds in the end.
extension SimulationRun {
    /// The longest pause after an error of the disk, and the time to read the rows.
    private static let indexMs: UInt64 = 360_000

    /// On every node each conversation's messages are found, by one who was always there and by one
    /// who comes and goes, and each person finds a word.
    func searchEverything() {
        if world.verdict.violation != nil { return }
        let isWhole = settle(ms: Self.indexMs) { [world] in
            world.members.allSatisfy { $0.node?.searchReport().indexing.isEmpty == true }
        }
        guard isWhole else {
            _ = fail("some node's search index is not whole six minutes after the faults ended")
            return
        }
        for (room, log) in logs {
            world.searches.finish(room.id, log.entries, founders: room.founders)
        }
        for member in world.members {
            for (room, log) in logs {
                for person in [room.residents.first, room.guest].compactMap({ $0 }) {
                    searchRoom(room, log.entries, of: person, on: member)
                }
            }
            for client in clients { searchWord(client, on: member) }
        }
    }

    private func searchRoom(
        _ room: Town.Room, _ log: [Entry], of person: UserID, on member: SimulatedMember
    ) {
        var question = SearchQuestion()
        question.conversation = room.id
        let stay = SearchChecker.stays(of: person, log, room.founders).last
        let wanted = log.filter { entry in
            guard case .message(let message) = entry.body else { return false }
            return !message.isErased && stay?.contains(entry.seq) == true
        }
        guard let found = search(question, "", of: person, on: member) else { return }
        let missing = Set(wanted.map(\.seq)).symmetricDifference(found.map(\.seq)).min()
        if let missing {
            world.verdict.fail(
                .search,
                "in the end node \(member.number) finds \(found.count) messages of \(room.id) for "
                    + "\(person), its log has \(wanted.count); seq \(missing) makes a difference")
        }
    }

    private func searchWord(_ client: SimulatedClient, on member: SimulatedMember) {
        let number = world.draw(SearchWords.all.count)
        var question = SearchQuestion()
        question.required = [SearchWords(number: number)]
        _ = search(question, SearchWords.all[number], of: client.user, on: member)
    }

    /// Everything that a node finds; nil when it does not answer, or something was broken.
    private func search(
        _ question: SearchQuestion, _ text: String, of person: UserID, on member: SimulatedMember
    ) -> [Entry]? {
        guard let client = clients.first(where: { $0.user == person }) else { return nil }
        var question = question
        question.limit = SearchQuery.limitMax
        let search = WholeSearch(
            world: world, member: member, identity: client.device.identity,
            SearchPaging(question, asker: person, rooms: client.searchRooms), text)
        search.start()
        guard pass(ms: 60_000, until: { search.isDone }) else {
            _ = fail("node \(member.number) does not answer a search in full")
            return nil
        }
        return world.verdict.violation == nil ? search.hits : nil
    }
}
