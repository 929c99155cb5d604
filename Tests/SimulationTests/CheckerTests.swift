import ChatModel
import Simulation
import Testing

/// Hand-made histories, each with one thing wrong.
@Suite struct CheckerTests {
    private static let room = ConversationID(high: 1, low: 2)
    private static let ann = UserID(high: 3, low: 4)
    private static let bob = UserID(high: 5, low: 6)

    private func cid(_ number: UInt64) -> ClientMessageID {
        ClientMessageID(high: 7, low: number)
    }

    private func request(_ number: UInt64, _ text: String) -> SendRequest {
        SendRequest(
            number: number, client: 0, user: Self.ann, cid: cid(number),
            conversation: Self.room, body: .message(text: text))
    }

    private func entry(_ seq: UInt64, _ number: UInt64, _ text: String, m: UInt64? = nil) -> Entry {
        Entry(
            conversation: Self.room, seq: seq, m: m ?? seq, cid: cid(number), from: Self.ann,
            atMs: 1_000 + seq,
            body: .message(Message(content: MessageContent(text: text), revision: seq)))
    }

    private func sent(_ seq: UInt64, _ number: UInt64) -> Sent {
        Sent(
            conversation: Self.room, seq: seq, m: seq, atMs: 1_000 + seq, cid: cid(number),
            isDuplicate: false)
    }

    private func page(_ entries: [Entry]) -> PageView {
        PageView(
            conversation: Self.room, entries: entries, hasMore: false, hasMoreBefore: false,
            hasMoreAfter: false, floor: 1)
    }

    /// What the history's violation is, when `body` has told it.
    private func broken(_ body: (HistoryChecker) -> Void) -> Invariant? {
        let verdict = Verdict()
        body(HistoryChecker(verdict: verdict))
        return verdict.violation?.invariant
    }

    @Test("A good history breaks nothing")
    func good() {
        let found = broken { history in
            for number in 1...3 as ClosedRange<UInt64> {
                history.begins(request(number, "text \(number)"))
                history.acknowledged(sent(number, number), isFirstTry: true)
            }
            let entries = (1...3).map { entry($0, $0, "text \($0)") }
            history.read(page(entries), after: 3, by: "ann")
            history.finish(Self.room, entries, founders: [Self.ann], on: "node 1")
            history.finish()
        }
        #expect(found == nil)
    }

    @Test("A read that misses what was acknowledged before it is seen")
    func staleRead() {
        #expect(
            broken { history in
                history.begins(request(1, "a"))
                history.acknowledged(sent(1, 1), isFirstTry: true)
                history.read(page([]), after: history.readBegins(Self.room), by: "ann")
            } == .durability)
    }

    @Test("Two entries at one seq, a hole in a page, a seq before an acknowledged one are seen")
    func order() {
        #expect(
            broken { history in
                history.begins(request(1, "a"))
                history.begins(request(2, "b"))
                history.saw(entry(1, 1, "a"), by: "ann")
                history.saw(entry(1, 2, "b"), by: "bob")
            } == .order)
        #expect(
            broken { history in
                history.begins(request(1, "a"))
                history.begins(request(3, "c"))
                history.saw(page([entry(1, 1, "a"), entry(3, 3, "c")]), by: "ann")
            } == .order)
        #expect(
            broken { history in
                history.begins(request(1, "a"))
                history.acknowledged(sent(5, 1), isFirstTry: true)
                history.begins(request(2, "b"))
                history.acknowledged(sent(4, 2), isFirstTry: true)
            } == .order)
    }

    @Test("One message at two seqs is seen")
    func twice() {
        #expect(
            broken { history in
                history.begins(request(1, "a"))
                history.acknowledged(sent(1, 1), isFirstTry: true)
                history.saw(entry(2, 1, "a"), by: "bob")
            } == .once)
    }

    @Test("A refused message that stands, one that nobody sent, another text are seen")
    func honesty() {
        #expect(
            broken { history in
                history.begins(request(1, "a"))
                history.refused(cid(1), "no")
                history.saw(entry(1, 1, "a"), by: "bob")
            } == .honesty)
        #expect(broken { $0.saw(entry(1, 9, "x"), by: "bob") } == .honesty)
        #expect(
            broken { history in
                history.begins(request(1, "a"))
                history.saw(entry(1, 1, "another"), by: "bob")
            } == .honesty)
    }

    @Test("An acknowledged message that is gone in the end is seen")
    func lost() {
        #expect(
            broken { history in
                history.begins(request(1, "a"))
                history.acknowledged(sent(1, 1), isFirstTry: true)
                history.finish(Self.room, [], founders: [Self.ann], on: "node 2")
            } == .durability)
    }

    @Test("A stranger's message and a revision that the log does not explain are seen")
    func wholeLog() {
        #expect(
            broken { history in
                history.begins(request(1, "a"))
                history.finish(
                    Self.room, [entry(1, 1, "a")], founders: [Self.bob], on: "node 1")
            } == .honesty)
        #expect(
            broken { history in
                history.begins(request(1, "a"))
                var changed = entry(1, 1, "b")
                changed.body = .message(
                    Message(content: MessageContent(text: "b"), revision: 7))
                history.finish(Self.room, [changed], founders: [Self.ann], on: "node 1")
            } == .recovery)
    }

    @Test("Marks that go back or past what was asked are seen")
    func marks() {
        #expect(
            broken { history in
                history.marked(Self.room, Self.ann, upTo: 3)
                let floors = history.marksBegin(Self.room)
                let mark = MarkView(user: Self.ann, delivered: 2, read: 2)
                history.readMarks(Self.room, [mark], after: floors, by: "bob")
            } == .marks)
    }

    @Test(
        "A hole without a gap, a repeat, and a read that goes back are seen; a gap excuses a hole")
    func streams() {
        func broken(_ body: (inout SessionChecker) -> Void) -> Invariant? {
            let verdict = Verdict()
            var session = SessionChecker(client: 1, verdict: verdict)
            body(&session)
            return verdict.violation?.invariant
        }
        #expect(
            broken { session in
                session.streamed(Self.room, 1)
                session.streamed(Self.room, 3)
            } == .streams)
        #expect(
            broken { session in
                session.streamed(Self.room, 1)
                session.streamed(Self.room, 1)
            } == .streams)
        #expect(
            broken { session in
                session.read(Self.room, upTo: 5, after: 0)
                session.read(Self.room, upTo: 4, after: session.readBegins(Self.room))
            } == .streams)
        var missingAfter: EntrySequence?
        #expect(
            broken { session in
                session.streamed(Self.room, 1)
                session.gap(Self.room, head: 2)
                session.streamed(Self.room, 3)
                missingAfter = session.gaps.first?.after
            } == nil)
        #expect(missingAfter == 1)
    }

    @Test("Two leaders of a term and two states of an index are seen")
    func replicas() {
        func broken(_ body: (ReplicaChecker) -> Void) -> Invariant? {
            let verdict = Verdict()
            let clock = SimulatedClock()
            body(
                ReplicaChecker(
                    verdict: verdict, trace: SimulationTrace(clock: clock), marks: ReachMarks()))
            return verdict.violation?.invariant
        }
        #expect(
            broken { replicas in
                replicas.saw(1, shard: 0, term: 4, isLeader: true)
                replicas.saw(2, shard: 0, term: 4, isLeader: true)
            } == .consensus)
        #expect(
            broken { replicas in
                replicas.stands(1, shard: 0, index: 9, term: 2, hash: 1)
                replicas.stands(2, shard: 0, index: 9, term: 2, hash: 2)
            } == .recovery)
        #expect(
            broken { replicas in
                replicas.saw(1, shard: 0, term: 4, isLeader: true)
                replicas.saw(2, shard: 0, term: 5, isLeader: true)
                replicas.stands(1, shard: 0, index: 9, term: 2, hash: 1)
                replicas.stands(2, shard: 0, index: 9, term: 2, hash: 1)
            } == nil)
    }

    /// What the ownership checker finds when `body` has told it.
    private func disowned(
        marks: ReachMarks = ReachMarks(), _ body: (OwnershipChecker) -> Void
    ) -> Invariant? {
        let verdict = Verdict()
        body(OwnershipChecker(verdict: verdict, marks: marks))
        return verdict.violation?.invariant
    }

    private func map(_ epoch: UInt64, url: String = "") -> ClusterMap {
        ClusterMap(epoch: epoch, nodes: [.init(number: 1, peerAddress: "node1:1", url: url)])
    }

    @Test("A batch that is accepted under an older map than the receiver's is seen")
    func oldMap() {
        #expect(
            disowned { owners in
                owners.goes(2, by: map(4))
                owners.arrived(7, epoch: 3, from: 1, on: 2)
                owners.answered(7, isAccepted: true, by: 2, to: 1)
            } == .ownership)
        // The network repeats a batch that was taken before the map changed.
        #expect(
            disowned { owners in
                owners.goes(2, by: map(3))
                owners.arrived(7, epoch: 3, from: 1, on: 2)
                owners.answered(7, isAccepted: true, by: 2, to: 1)
                owners.goes(2, by: map(4))
                owners.arrived(7, epoch: 3, from: 1, on: 2)
                owners.answered(7, isAccepted: true, by: 2, to: 1)
            } == .ownership)
    }

    @Test("Refusing an older map, taking a newer one, and a change after the arrival are lawful")
    func lawfulMaps() {
        let marks = ReachMarks()
        let found = disowned(marks: marks) { owners in
            owners.goes(2, by: map(4))
            owners.arrived(7, epoch: 3, from: 1, on: 2)
            owners.answered(7, isAccepted: false, by: 2, to: 1)
            owners.arrived(8, epoch: 5, from: 1, on: 2)
            owners.answered(8, isAccepted: true, by: 2, to: 1)
            owners.arrived(9, epoch: 4, from: 1, on: 2)
            owners.goes(2, by: map(5))
            owners.answered(9, isAccepted: true, by: 2, to: 1)
            // Both processes end: node 2 reads its map anew, node 1 counts its batches anew.
            owners.ended(2)
            owners.goes(2, by: map(4))
            owners.arrived(7, epoch: 4, from: 1, on: 2)
            owners.answered(7, isAccepted: true, by: 2, to: 1)
            owners.goes(2, by: map(5))
            owners.finish([2])
        }
        #expect(found == nil)
        #expect(marks.count(.oldMapRefused) == 1)
    }

    @Test("Two maps of an epoch, a process that goes back, a node left behind are seen")
    func maps() {
        #expect(
            disowned { owners in
                owners.goes(1, by: map(2, url: "a"))
                owners.goes(2, by: map(2, url: "b"))
            } == .ownership)
        #expect(
            disowned { owners in
                owners.goes(1, by: map(3))
                owners.goes(1, by: map(2))
            } == .ownership)
        #expect(
            disowned { owners in
                owners.goes(1, by: map(3))
                owners.goes(2, by: map(2))
                owners.finish([1, 2])
            } == .ownership)
    }
}
