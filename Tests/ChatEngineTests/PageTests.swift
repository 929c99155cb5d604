import ChatEngine
import ChatModel
import Testing

@Suite struct PageTests {
    private let users = Make.users(3)

    /// The page as one would cut it by hand from the readable seqs.
    private func byHand(
        _ readable: [UInt64], _ anchor: PageAnchor, _ limit: Int
    ) -> (seqs: [UInt64], before: Bool, after: Bool) {
        let picked: [UInt64]
        switch anchor {
        case .newest: picked = Array(readable.suffix(limit))
        case .before(let seq): picked = Array(readable.filter { $0 < seq }.suffix(limit))
        case .after(let seq): picked = Array(readable.filter { $0 > seq }.prefix(limit))
        case .around(let seq):
            guard let middle = readable.min(by: { distance($0, seq) < distance($1, seq) }) else {
                return ([], false, false)
            }
            let place = readable.firstIndex(of: middle) ?? 0
            var first = max(0, place - limit / 2)
            let end = min(readable.count, first + limit)
            first = max(0, end - limit)
            picked = Array(readable[first..<end])
        }
        guard let first = picked.first, let last = picked.last else {
            if case .before = anchor { return ([], false, !readable.isEmpty) }
            if case .after = anchor { return ([], !readable.isEmpty, false) }
            return ([], false, false)
        }
        return (picked, first > readable[0], last < readable[readable.count - 1])
    }

    private func distance(_ left: UInt64, _ right: UInt64) -> UInt64 {
        left > right ? left - right : right - left
    }

    @Test("Every anchor and limit gives the page that one cuts by hand, for each kind of member")
    func pages() throws {
        var world = World()
        let group = try world.group(Array(users[..<2]))
        for number in 0..<3 { try world.send("\(number)", by: users[0], to: group) }
        try world.run(
            .changeMembers(conversation: group, by: users[0], users: [users[2]], role: .member))
        for number in 0..<3 { try world.send("\(number)", by: users[0], to: group) }
        try world.run(
            .changeMembers(conversation: group, by: users[1], users: [users[1]], role: nil))
        for number in 0..<2 { try world.send("\(number)", by: users[0], to: group) }
        let readable: [[UInt64]] = [Array(1...12), Array(1...10), Array(6...12)]
        let seqs: [UInt64] = Array(0...14) + [.max - 1, .max]
        var anchors: [PageAnchor] = [.newest]
        for seq in seqs { anchors += [.before(seq), .after(seq), .around(seq)] }
        for (user, readable) in zip(users, readable) {
            for anchor in anchors {
                for limit in [1, 2, 3, 4, 5, 12, 200] {
                    let page = try #require(
                        try world.ask.page(of: group, asker: user, anchor: anchor, limit: limit))
                    let hand = byHand(readable, anchor, limit)
                    let hint = Comment(rawValue: "\(readable.count) \(anchor) \(limit)")
                    #expect(page.entries.map(\.seq) == hand.seqs, hint)
                    #expect(page.hasMoreBefore == hand.before, hint)
                    #expect(page.hasMoreAfter == hand.after, hint)
                    #expect(page.floor == readable[0], hint)
                }
            }
        }
    }

    @Test("Limits outside 1…200 are brought inside; none means 50; an empty log gives nothing")
    func limits() throws {
        var world = World()
        let direct = try world.direct(users[0], users[1])
        let empty = try #require(try world.ask.page(of: direct, asker: users[0]))
        #expect(empty.entries.isEmpty && !empty.hasMore && empty.floor == 1)
        #expect(try world.ask.conversation(direct, asker: users[0])?.state.last == nil)
        for number in 0..<210 { try world.send("\(number)", by: users[0], to: direct) }
        let rows: [(Int?, Int)] = [(nil, 50), (-1, 1), (0, 1), (201, 200), (.max, 200)]
        for (limit, count) in rows {
            let page = try world.ask.page(of: direct, asker: users[0], limit: limit)
            #expect(page?.entries.count == count && page?.hasMore == true)
        }
    }

    @Test("A hole in the log is reported, never passed over")
    func hole() throws {
        var world = World()
        let direct = try world.direct(users[0], users[1])
        for number in 0..<3 { try world.send("\(number)", by: users[0], to: direct) }
        world.rows.put(.entries, KeySchema.entry(direct, 2), nil)
        #expect(throws: EngineError.self) { try world.ask.page(of: direct, asker: users[0]) }
    }
}
