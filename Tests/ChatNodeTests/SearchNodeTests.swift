import ChatModel
import Session
import Simulation
import Testing

@testable import ChatNode

/// Searches through a whole node, with words of many kinds.
@Suite("A node's search")
struct SearchNodeTests {
    private static func texts(_ view: SearchView) -> [String] {
        view.hits.map { hit in
            if case .message(let message) = hit.entry.body { message.content.text } else { "" }
        }
    }

    private static func find(
        _ text: String, _ world: SimulatedNode, _ user: Identity,
        _ change: (inout SearchQuery) -> Void = { _ in }
    ) -> [String] {
        var query = SearchQuery(text: text)
        change(&query)
        guard case .success(let view)? = world.call({ $0.search(query, for: user, answer: $1) })
        else {
            Issue.record("no answer to \(text)")
            return []
        }
        #expect(!view.isPartial && !view.isIndexing && !view.isSealedNotSearched, "\(text)")
        #expect(view.cursor == nil && view.atLeast == view.hits.count, "\(text)")
        return texts(view)
    }

    @Test("Words of all kinds are found as soon as the sender has the answer, by those who may")
    func words() throws {
        let world = SimulatedNode(seed: 1)
        #expect(world.boot())
        let ann = try #require(world.register("ann"))
        let bob = try #require(world.register("bob"))
        let eve = try #require(world.register("eve"))
        let rows: [(text: String, queries: [String])] = [
            ("see sess.opts in foo_bar-baz", ["sess.opts", "opts", "\"foo_bar-baz\"", "foo bar"]),
            ("今日は東京タワーに行きました", ["東京", "京タ", "タワー"]),
            ("학교에서 만나요", ["학교", "만나"]), ("unbelievable things", ["unbel", "\"things\""]),
            ("🤷🏽 who knows", ["🤷", "knows 🤷"]), ("ÉTÉ à Paris", ["ete", "été paris", "PAR"]),
            ("mail ann@example.org", ["example.org", "ann@example.org"]),
        ]
        for (number, row) in rows.enumerated() {
            #expect(
                world.send(row.text, to: .user(bob.user), by: ann, cid: UInt64(number)) != nil)
            for query in row.queries {
                #expect(Self.find(query, world, ann) == [row.text], "\(query)")
                #expect(Self.find(query, world, bob) == [row.text], "\(query)")
                #expect(Self.find(query, world, eve) == [], "\(query)")
            }
        }
        for query in ["opts.sess", "京東", "\"unbel\"", "nothing", "-see sess.opts", "from:bob"] {
            #expect(Self.find(query, world, bob) == [], "\(query)")
        }
        #expect(Self.find("from:ann", world, bob) == rows.map(\.text).reversed())
        #expect(
            Self.find("in:@bob unbelievable OR ete", world, ann) == [rows[5].text, rows[3].text])
        #expect(Self.find("in:@eve unbel", world, ann) == [])
        world.stop()
    }

    @Test("Right after leaving nothing later is found, and what was there before is")
    func leaving() throws {
        let world = SimulatedNode(seed: 2)
        #expect(world.boot())
        let ann = try #require(world.register("ann"))
        let bob = try #require(world.register("bob"))
        let created = world.change(
            .createGroup(members: [bob.user], title: "Team", cid: nil), by: ann)
        guard case .success(.conversation(let group, _)) = created else { return }
        #expect(world.send("plan one", to: .conversation(group), by: ann, cid: 1) != nil)
        #expect(Self.find("plan", world, bob) == ["plan one"])
        let left = world.change(
            .changeMember(group, user: bob.user, role: nil), by: bob)
        guard case .success(.done) = left else {
            Issue.record("\(String(describing: left))")
            return
        }
        #expect(world.send("plan two", to: .conversation(group), by: ann, cid: 2) != nil)
        for text in ["plan", "two", "in:team", "from:ann"] {
            #expect(Self.find(text, world, bob) == (text == "two" ? [] : ["plan one"]), "\(text)")
        }
        #expect(Self.find("plan", world, bob) { $0.conversation = group } == ["plan one"])
        #expect(Self.find("plan", world, ann) == ["plan two", "plan one"])
        _ = world.change(.changeMember(group, user: bob.user, role: .member), by: ann)
        #expect(world.send("plan three", to: .conversation(group), by: ann, cid: 3) != nil)
        #expect(Self.find("plan", world, bob) == ["plan three"], "from where they came back")
        world.stop()
    }

    @Test("In a conversation in which nothing was said yet nothing is found")
    func nothingSaid() throws {
        let world = SimulatedNode(seed: 9)
        #expect(world.boot())
        let ann = try #require(world.register("ann"))
        let bob = try #require(world.register("bob"))
        let created = try #require(world.change(.createDirect(peer: bob.user), by: ann)).get()
        guard case .conversation(let direct, _) = created else {
            Issue.record("\(created)")
            return
        }
        for user in [ann, bob] {
            #expect(Self.find("word", world, user) { $0.conversation = direct } == [])
        }
        world.stop()
    }

    @Test("What is no cursor of ours, and a conversation of others, is refused; limits are kept to")
    func refusals() throws {
        let world = SimulatedNode(seed: 3)
        #expect(world.boot())
        let ann = try #require(world.register("ann"))
        let bob = try #require(world.register("bob"))
        let eve = try #require(world.register("eve"))
        for number in 0..<130 as Range<UInt64> {
            #expect(world.send("word \(number)", to: .user(bob.user), by: ann, cid: number) != nil)
        }
        func ask(_ query: SearchQuery, _ user: Identity) -> Result<SearchView, ServiceError>? {
            world.call { $0.search(query, for: user, answer: $1) }
        }
        func code(_ query: SearchQuery, _ user: Identity) -> ErrorCode? {
            if case .failure(let error)? = ask(query, user) { error.code } else { nil }
        }
        let first = try #require(ask(SearchQuery(text: "word", limit: 0), ann)).get()
        #expect(first.hits.count == 1 && first.atLeast >= 1)
        let cursor = try #require(first.cursor)
        for text in ["", "x", "n", "r0", "r-1", cursor + "0", "N" + cursor.dropFirst()] {
            #expect(
                code(SearchQuery(text: "word", cursor: text), ann) == .invalidArgument, "\(text)")
        }
        let other = SearchQuery(text: "word", sort: .relevance, cursor: cursor)
        #expect(code(other, ann) == .invalidArgument)
        let second = try #require(ask(SearchQuery(text: "word", limit: 1_000, cursor: cursor), ann))
            .get()
        #expect(second.hits.count == SearchQuery.limitMax && second.cursor != nil)
        let conversation = first.hits[0].entry.conversation
        #expect(code(SearchQuery(text: "word", conversation: conversation), eve) == .notFound)
        let never = SearchQuery(text: "word", beforeMs: 0)
        #expect(try #require(ask(never, ann)).get().hits.isEmpty)
        let empty = SearchQuery(text: "word", beforeMs: 1_000, afterMs: .max - 1)
        #expect(try #require(ask(empty, ann)).get().hits.isEmpty)
        world.stop()
    }

    @Test("Pages by relevance end, after a thousand hits with a word that it is not all")
    func lastPage() throws {
        let world = SimulatedNode(seed: 5)
        #expect(world.boot())
        let ann = try #require(world.register("ann"))
        let bob = try #require(world.register("bob"))
        for number in 0..<1_030 as Range<UInt64> {
            #expect(world.send("word \(number)", to: .user(bob.user), by: ann, cid: number) != nil)
        }
        var seqs: Set<EntrySequence> = []
        var query = SearchQuery(text: "word", sort: .relevance, limit: 64)
        for page in 1...16 {
            let answer = world.call { $0.search(query, for: ann, answer: $1) }
            let view = try #require(answer).get()
            #expect(view.hits.count == (page < 16 ? 64 : 1_000 - 15 * 64))
            #expect((view.cursor == nil) == (page == 16) && view.isPartial == (page == 16))
            seqs.formUnion(view.hits.map(\.entry.seq))
            query.cursor = view.cursor
        }
        #expect(seqs.count == 1_000)
        query.cursor = "r5000"
        let behind = try #require(world.call { $0.search(query, for: ann, answer: $1) }).get()
        #expect(behind.hits.isEmpty && behind.cursor == nil && behind.isPartial)
        world.stop()
    }

    @Test("What others write to each other does not move the order that one sees")
    func order() throws {
        let world = SimulatedNode(seed: 6)
        #expect(world.boot())
        let ann = try #require(world.register("ann"))
        let bob = try #require(world.register("bob"))
        let eve = try #require(world.register("eve"))
        for (number, text) in ["rare bird", "common bird", "common fish"].enumerated() {
            #expect(
                world.send(text, to: .user(bob.user), by: ann, cid: UInt64(number)) != nil)
        }
        func best() -> [String] {
            Self.find("rare OR common", world, ann) { $0.sort = .relevance }
        }
        let before = best()
        #expect(before.first == "rare bird")
        // In as many places that some share the shard of what she reads.
        for number in 10..<50 as Range<UInt64> {
            let other = try #require(world.register("other\(number)"))
            #expect(world.send("rare secret", to: .user(other.user), by: eve, cid: number) != nil)
        }
        #expect(best() == before)
        world.stop()
    }

    @Test("What was erased or edited away leaves the index's files when it is to leave the tables")
    func erasure() throws {
        let world = SimulatedNode(seed: 4)
        #expect(world.boot())
        let ann = try #require(world.register("ann"))
        let bob = try #require(world.register("bob"))
        var sent: [Sent] = []
        for number in 0..<40 as Range<UInt64> {
            let text = [7, 20, 21].contains(number) ? "quagga" : "zebra \(number)"
            sent.append(
                try #require(world.send(text, to: .user(bob.user), by: ann, cid: number)))
        }
        world.pass(.seconds(700))
        func isThere(_ word: String) -> Bool {
            let bytes = Array(word.utf8)
            return world.files.paths.contains { path in
                guard path.contains("search/"), let all = world.files.contents("/" + path) else {
                    return false
                }
                return all.indices.contains { all[$0...].starts(with: bytes) }
            }
        }
        #expect(isThere("quagga"))
        // So few that no merge is due for their sake.
        for (place, message) in [(0, sent[7]), (1, sent[20]), (2, sent[21])] {
            let cid = ClientMessageID(high: 0x8000, low: 1_000 + UInt64(place))
            let request: ChangeRequest =
                place > 0
                ? .erase(message.conversation, target: message.seq, cid: cid)
                : .edit(
                    message.conversation, target: message.seq, cid: cid,
                    content: .init(text: "okapi"))
            _ = world.change(request, by: ann)
        }
        #expect(Self.find("quagga", world, bob) == [])
        #expect(Self.find("okapi", world, bob).count == 1)
        world.pass(.seconds(700))
        #expect(isThere("quagga") && world.node?.searchReport().deadDocuments == 3)
        // Hours later the apply lane says so, see ApplyInstallTests.
        world.node?.touches.noteErasing()
        world.pass(.seconds(5))
        #expect(!isThere("quagga") && isThere("okapi"))
        #expect(world.node?.searchReport().deadDocuments == 0)
        #expect(Self.find("okapi", world, bob).count == 1)
        #expect(Self.find("zebra", world, bob) { $0.limit = 100 }.count == 37)
        // What is in the tail alone when it is to leave goes with the tail's commit.
        let okapi = sent[7]
        _ = world.change(
            .erase(
                okapi.conversation, target: okapi.seq,
                cid: ClientMessageID(high: 0x8000, low: 2_000)), by: ann)
        world.node?.touches.noteErasing()
        world.pass(.seconds(5))
        #expect(!isThere("okapi"))
        world.stop()
    }
}
