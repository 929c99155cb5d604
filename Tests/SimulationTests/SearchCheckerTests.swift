import ChatModel
import Simulation
import Testing

/// Hand-made answers to searches, each with one thing wrong.
@Suite struct SearchCheckerTests {
    private static let room = ConversationID(high: 1, low: 2)
    private static let elsewhere = ConversationID(high: 8, low: 9)
    private static let ann = UserID(high: 3, low: 4)
    private static let bob = UserID(high: 5, low: 6)

    /// One world: ann says things in a room, bob searches.
    private final class World {
        let verdict = Verdict()
        let checker: SearchChecker
        private var seq: EntrySequence = 0
        private var number: UInt64 = 0

        init() { checker = SearchChecker(verdict: verdict, marks: ReachMarks()) }

        func cid(_ number: UInt64) -> ClientMessageID { ClientMessageID(high: 7, low: number) }

        /// Begins a request; its number.
        func begin(_ body: SendRequest.Body, in room: ConversationID = room) -> UInt64 {
            number += 1
            checker.begins(
                SendRequest(
                    number: number, client: 0, user: ann, cid: cid(number), conversation: room,
                    body: body))
            return number
        }

        func acknowledge(_ number: UInt64, in room: ConversationID = room) -> EntrySequence {
            seq += 1
            checker.acknowledged(
                Sent(
                    conversation: room, seq: seq, m: seq, atMs: 1_000 + seq, cid: cid(number),
                    isDuplicate: false))
            return seq
        }

        @discardableResult
        func change(_ body: SendRequest.Body, in room: ConversationID = room) -> EntrySequence {
            acknowledge(begin(body, in: room), in: room)
        }

        func say(_ text: String) -> EntrySequence { change(.message(text: text)) }

        func entry(
            _ seq: EntrySequence, by number: UInt64, _ text: String, revision: EntrySequence? = nil,
            in room: ConversationID = room
        ) -> Entry {
            Entry(
                conversation: room, seq: seq, m: seq, cid: cid(number), from: ann,
                atMs: 1_000 + seq,
                body: .message(
                    Message(content: MessageContent(text: text), revision: revision ?? seq)))
        }

        func paging(_ word: String, isAlways: Bool = true, limit: Int = 10) -> SearchPaging {
            var question = SearchQuestion()
            question.required = [SearchWords(in: word)]
            question.limit = limit
            return SearchPaging(
                question, asker: bob, rooms: [.init(room, isAlways: isAlways)])
        }

        func view(
            _ entries: [Entry], cursor: String? = nil, atLeast: Int? = nil, isIndexing: Bool = false
        ) -> SearchView {
            SearchView(
                hits: entries.map { SearchHitView(entry: $0, snippet: "", highlights: []) },
                cursor: cursor, atLeast: atLeast ?? entries.count, isPartial: false,
                isIndexing: isIndexing, isSealedNotSearched: false)
        }

        /// What is broken when a search for a word is answered so at once.
        func answer(_ word: String, _ view: SearchView, isAlways: Bool = true) -> Invariant? {
            var paging = paging(word, isAlways: isAlways)
            checker.answered(view, &paging, checker.asks(), by: "bob")
            return verdict.violation?.invariant
        }
    }

    @Test("A good answer breaks nothing, and is counted")
    func good() {
        let world = World()
        let first = world.say("oak pine")
        let second = world.say("oak")
        let hits = [
            world.entry(second, by: 2, "oak"), world.entry(first, by: 1, "oak pine"),
        ]
        #expect(world.answer("oak", world.view(hits)) == nil)
        #expect(world.answer("pine", world.view([hits[1]])) == nil)
        #expect(world.answer("larch", world.view([])) == nil)
        #expect(world.checker.count == 3)
    }

    @Test("What was acknowledged and is not found is seen, unless an index is being made")
    func missing() {
        let world = World()
        _ = world.say("oak")
        #expect(world.answer("oak", world.view([], isIndexing: true)) == nil)
        #expect(world.answer("oak", world.view([])) == .search)
    }

    @Test("What is under way may be found or not, before as after an edit")
    func underWay() {
        for isFound in [false, true] {
            let world = World()
            _ = world.begin(.message(text: "oak"))
            let hits = isFound ? [world.entry(1, by: 1, "oak")] : []
            #expect(world.answer("oak", world.view(hits)) == nil)
        }
        for isEdited in [false, true] {
            let world = World()
            let seq = world.say("oak")
            _ = world.begin(.edit(seq, text: "pine"))
            let new = world.entry(seq, by: 1, "pine", revision: 2)
            #expect(world.answer("oak", world.view([])) == nil)
            #expect(world.answer("pine", world.view(isEdited ? [new] : [])) == nil)
        }
    }

    @Test("A text that an edit replaced, and one that was erased, must not come")
    func stale() {
        let edited = World()
        let seq = edited.say("oak")
        edited.change(.edit(seq, text: "pine oak"))
        #expect(edited.answer("oak", edited.view([edited.entry(seq, by: 1, "oak")])) == .search)

        let erased = World()
        let gone = erased.say("oak")
        erased.change(.erase(gone))
        #expect(erased.answer("oak", erased.view([])) == nil)
        #expect(erased.answer("oak", erased.view([erased.entry(gone, by: 1, "oak")])) == .search)
    }

    @Test("An edit that is not found by its new words is seen")
    func missingEdit() {
        let world = World()
        let seq = world.say("oak")
        world.change(.edit(seq, text: "pine"))
        #expect(world.answer("oak", world.view([])) == nil)
        #expect(world.answer("pine", world.view([])) == .search)
    }

    @Test("Of what was erased not even the number is told")
    func count() {
        let world = World()
        world.change(.erase(world.say("oak")))
        #expect(world.answer("oak", world.view([], cursor: "next", atLeast: 1)) == .search)
    }

    @Test("A hit without the word, one twice, one in the wrong order, one of another room are seen")
    func wrong() {
        for kind in 0..<4 {
            let world = World()
            let first = world.say("oak")
            let second = world.say("oak pine")
            world.change(.message(text: "oak"), in: Self.elsewhere)
            let hits = [
                world.entry(second, by: 2, "oak pine"), world.entry(first, by: 1, "oak"),
            ]
            let found =
                switch kind {
                case 0: world.answer("pine", world.view(hits))
                case 1: world.answer("oak", world.view([hits[0], hits[1], hits[1]]))
                case 2: world.answer("oak", world.view([hits[1], hits[0]]))
                default:
                    world.answer(
                        "oak",
                        world.view([world.entry(3, by: 3, "oak", in: Self.elsewhere)] + hits))
                }
            #expect(found == .search, "\(kind)")
        }
    }

    @Test("A part of an answer may lack what comes behind it, not what comes before")
    func parts() {
        let world = World()
        let seqs = (0..<3).map { _ in world.say("oak") }
        let hits = seqs.map { world.entry($0, by: $0, "oak") }
        var paging = world.paging("oak", limit: 1)
        world.checker.answered(
            world.view([hits[2]], cursor: "next", atLeast: 2), &paging, world.checker.asks(),
            by: "bob")
        #expect(world.verdict.violation == nil)
        world.checker.answered(
            world.view([hits[0]]), &paging, world.checker.asks(), by: "bob")
        #expect(world.verdict.violation?.invariant == .search)
    }

    @Test("Who was put out finds what was said until then; who came back, what was said since")
    func away() {
        func entries(_ removed: EntrySequence, _ joined: EntrySequence) -> [Entry] {
            [(removed, MembershipChange.removed), (joined, .joined)].map { seq, change in
                Entry(
                    conversation: Self.room, seq: seq, m: 0, cid: nil, from: Self.ann, atMs: seq,
                    body: .membership(user: Self.bob, change: change, role: .member))
            }
        }
        func found(_ seq: EntrySequence, _ log: [Entry]) -> Invariant? {
            let world = World()
            for _ in 1...9 { _ = world.say("oak") }
            _ = world.answer(
                "oak", world.view([world.entry(seq, by: seq, "oak")]), isAlways: false)
            world.checker.finish(Self.room, log, founders: [Self.bob])
            return world.verdict.violation?.invariant
        }
        #expect(found(2, entries(3, 20)) == nil)
        #expect(found(5, entries(3, 20)) == .search, "said while bob was away")
        #expect(found(2, entries(3, 6)) == .search, "from before bob came back")
        #expect(found(7, entries(3, 6)) == nil)
    }
}
