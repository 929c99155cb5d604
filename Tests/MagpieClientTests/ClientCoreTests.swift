import Bytes
import ChatModel
import Testing

@testable import MagpieClient

/// A core, driven by hand.
struct ClientCoreTests {
    static let room = ConversationID(high: 1, low: 1)
    static let other = ConversationID(high: 2, low: 2)
    static let user = UserID(high: 3, low: 3)
    static let device = DeviceID(high: 4, low: 4)

    static func cid(_ number: UInt64) -> ClientMessageID { ClientMessageID(high: 9, low: number) }

    static func send(_ number: UInt64, to room: ConversationID = room) -> ClientFrameBody {
        .send(.conversation(room), cid: cid(number), content: MessageContent(text: "\(number)"))
    }

    static func entry(_ seq: EntrySequence, in room: ConversationID = room) -> Entry {
        Entry(
            conversation: room, seq: seq, m: seq, cid: cid(seq), from: user, atMs: seq,
            body: .message(Message(content: MessageContent(text: "\(seq)"), revision: seq)))
    }

    static func sent(_ seq: EntrySequence, _ number: UInt64, isDuplicate: Bool = false) -> Sent {
        Sent(
            conversation: room, seq: seq, m: seq, atMs: 1, cid: cid(number),
            isDuplicate: isDuplicate)
    }

    static func page(_ seqs: ClosedRange<UInt64>, hasMore: Bool) -> ServerFrame {
        .page(
            PageView(
                conversation: room, entries: seqs.map { entry($0) }, hasMore: hasMore,
                hasMoreBefore: true, hasMoreAfter: hasMore, floor: 1))
    }

    static func view(_ head: EntrySequence, in room: ConversationID = room) -> ChangedView {
        ChangedView(
            conversation: room, head: head, m: head, floor: 1, unread: 0, delivered: 0, read: 0,
            marks: [], last: nil, hasLeft: false)
    }

    static let hello = ServerFrame.hello(
        Hello(version: 1, node: "n", serverTimeMs: 1, heartbeatSeconds: 40, limits: Limits()))

    static func ready(
        epoch: UInt64 = 1, feed: UInt64 = 5, _ changed: [ChangedView] = [], isComplete: Bool = true
    ) -> ServerFrame {
        .ready(
            Ready(
                user: user, device: device, epoch: epoch,
                changes: FeedChanges(changed: changed, position: feed, isComplete: isComplete)))
    }

    static func core() -> ClientCore {
        ClientCore(token: "t", addressCount: 2, options: ClientOptions(), seed: 7)
    }

    /// Takes a core through hello and ready; returns what came out after ready.
    @discardableResult
    static func connect(
        _ core: inout ClientCore, _ ready: ServerFrame = ready()
    ) -> [ClientCore.Action] {
        if core.phase == .idle { _ = core.start() }
        if core.phase == .waiting { _ = core.timerFired(.reconnect(epoch: core.socketEpoch)) }
        let auth = frames(core.received(hello, id: nil))
        return core.received(ready, id: auth.first?.id)
    }

    static func frames(_ actions: [ClientCore.Action]) -> [ClientFrame] {
        actions.compactMap { if case .transmit(let frame) = $0 { frame } else { nil } }
    }

    static func seqs(_ actions: [ClientCore.Action]) -> [EntrySequence] {
        actions.compactMap { if case .emit(.entry(let entry)) = $0 { entry.seq } else { nil } }
    }

    // MARK: Sockets

    @Test("hello is answered with the token, and a first visit has nothing to resume")
    func firstVisit() {
        var core = Self.core()
        #expect(core.start().contains(.open(addressIndex: 1)))
        let frames = Self.frames(core.received(Self.hello, id: nil))
        #expect(frames.map(\.body) == [.auth(.token("t"), resume: nil)])
        let actions = core.received(Self.ready(), id: frames[0].id)
        #expect(actions.first == .emit(.connected(user: Self.user, epoch: 1)))
        #expect(core.phase == .live)
    }

    @Test("a lost socket is opened again after a wait, and the resume says what is known")
    func resume() {
        var core = Self.core()
        Self.connect(&core)
        core.follow(Self.room, from: 3)
        _ = core.received(.entry(Self.entry(4)), id: nil)
        let lost = core.socketLost(reason: "gone", closeCode: nil)
        #expect(lost.contains(.emit(.disconnected(reason: "gone"))))
        #expect(core.phase == .waiting)
        // The timer of an older socket means nothing.
        #expect(core.timerFired(.reconnect(epoch: 0)).isEmpty)
        #expect(
            core.timerFired(.reconnect(epoch: core.socketEpoch))
                .contains(.open(addressIndex: 1)))
        let frames = Self.frames(core.received(Self.hello, id: nil))
        let resume = Resume(
            epoch: 1, feed: 5, have: [HaveMark(conversation: Self.room, seq: 4)])
        #expect(frames.map(\.body) == [.auth(.token("t"), resume: resume)])
    }

    @Test("a socket that never came to life moves on to the next server")
    func nextServer() {
        var core = Self.core()
        _ = core.start()
        _ = core.socketLost(reason: "refused", closeCode: nil)
        let again = core.timerFired(.reconnect(epoch: core.socketEpoch))
        #expect(again.contains(.open(addressIndex: 0)))
    }

    @Test(
        "close codes decide whether the client comes back",
        arguments: [(4000, true), (4003, true), (4500, false), (4503, false), (1006, true)])
    func closeCodes(row: (code: UInt16, comesBack: Bool)) {
        var core = Self.core()
        Self.connect(&core)
        let (number, _) = core.submit(Self.send(1))
        let actions = core.socketLost(reason: "x", closeCode: row.code)
        #expect((core.phase == .waiting) == row.comesBack)
        let hasFailed = actions.contains { action in
            if case .resolve(number, .failure) = action { true } else { false }
        }
        #expect(hasFailed != row.comesBack)
    }

    @Test("an expired token waits for a new one")
    func expiredToken() {
        var core = Self.core()
        Self.connect(&core)
        #expect(core.socketLost(reason: "x", closeCode: 4005).contains(.emit(.tokenExpired)))
        #expect(core.setToken("u").contains(.open(addressIndex: 1)))
        #expect(
            Self.frames(core.received(Self.hello, id: nil)).first?.body
                == .auth(.token("u"), resume: Resume(epoch: 1, feed: 5, have: [])))
    }

    @Test("a server that says nothing for two heartbeats is given up")
    func silence() {
        var core = Self.core()
        Self.connect(&core)
        let first = core.timerFired(.heartbeat(epoch: core.socketEpoch))
        #expect(Self.frames(first).map(\.body) == [.ping(feed: 5)])
        _ = core.received(.pong(serverTimeMs: 1, feed: 9), id: Self.frames(first)[0].id)
        #expect(core.feed == 9)
        for _ in 0..<2 { _ = core.timerFired(.heartbeat(epoch: core.socketEpoch)) }
        #expect(core.phase == .live)
        let last = core.timerFired(.heartbeat(epoch: core.socketEpoch))
        #expect(last.contains(.close(isClean: false)))
        #expect(core.phase == .waiting)
    }

    @Test("a restored server voids what was known, and the outbox stays")
    func epochChange() {
        var core = Self.core()
        Self.connect(&core)
        core.follow(Self.room, from: 3)
        let (number, _) = core.submit(Self.send(1))
        _ = core.socketLost(reason: "x", closeCode: nil)
        let actions = Self.connect(&core, Self.ready(epoch: 2, feed: 1))
        #expect(actions.contains(.emit(.epochChanged(2))))
        #expect(core.followed.isEmpty)
        #expect(core.feed == 1)
        #expect(Self.frames(actions).map(\.id) == [String(number)])
    }

    @Test("the feed counts only once everything up to it has come")
    func feed() {
        var core = Self.core()
        Self.connect(&core, Self.ready(feed: 8, [Self.view(1)], isComplete: false))
        #expect(core.feed == 0)
        _ = core.received(.changed([Self.view(2, in: Self.other)], isComplete: true), id: nil)
        #expect(core.feed == 8)
    }

    // MARK: Outbox

    @Test("changes to one conversation go out one at a time, to several at once")
    func lanes() {
        var core = Self.core()
        Self.connect(&core)
        let (first, actions1) = core.submit(Self.send(1))
        let (second, actions2) = core.submit(Self.send(2))
        let (_, actions3) = core.submit(Self.send(3, to: Self.other))
        #expect(Self.frames(actions1).map(\.body) == [Self.send(1)])
        #expect(actions2.isEmpty)
        #expect(Self.frames(actions3).map(\.body) == [Self.send(3, to: Self.other)])
        let answer = core.received(.sent(Self.sent(1, 1)), id: String(first))
        #expect(answer.contains(.resolve(first, .success(Self.sent(1, 1)))))
        #expect(Self.frames(answer).map(\.id) == [String(second)])
    }

    @Test("what was not answered is sent again under the same cid")
    func repeats() {
        var core = Self.core()
        let (number, early) = core.submit(Self.send(1))
        #expect(early.isEmpty)
        for _ in 0..<3 {
            let actions = Self.connect(&core)
            #expect(Self.frames(actions).map(\.body) == [Self.send(1)])
            _ = core.socketLost(reason: "x", closeCode: nil)
        }
        Self.connect(&core)
        let answer = core.received(.sent(Self.sent(1, 1, isDuplicate: true)), id: String(number))
        #expect(
            answer.first == .resolve(number, .success(Self.sent(1, 1, isDuplicate: true))))
        #expect(core.outbox.isEmpty && core.lanes.isEmpty)
    }

    @Test("a passing refusal is repeated after a wait, a lasting one is the answer")
    func refusals() {
        var core = Self.core()
        Self.connect(&core)
        let (number, _) = core.submit(Self.send(1))
        let busy = ServiceError(.rateLimited, "slow", retryAfterMs: 700)
        let actions = core.received(.error(busy), id: String(number))
        guard case .schedule(.retry(number), let wait)? = actions.first else {
            Issue.record("no retry: \(actions)")
            return
        }
        #expect(wait >= .milliseconds(700))
        #expect(Self.frames(core.timerFired(.retry(number))).map(\.body) == [Self.send(1)])
        let conflict = ServiceError(.conflict, "other content")
        #expect(
            core.received(.error(conflict), id: String(number))
                == [.resolve(number, .failure(conflict))])
        #expect(core.timerFired(.retry(number)).isEmpty)
    }

    @Test("closing fails everything that waits")
    func close() {
        var core = Self.core()
        Self.connect(&core)
        let (number, _) = core.submit(Self.send(1))
        let (asked, _) = core.question(.pull(Self.room, .newest, limit: nil))
        let actions = core.close()
        #expect(actions.last == .close(isClean: true))
        let failed: [UInt64] = actions.compactMap { action in
            switch action {
            case .resolve(let number, .failure), .answer(let number, .failure): number
            default: nil
            }
        }
        #expect(failed.sorted() == [number, asked].sorted())
        #expect(core.submit(Self.send(2)).actions.count == 1)
    }

    // MARK: Contiguity

    @Test("entries come once and in order; a jump is pulled page by page")
    func holes() {
        var core = Self.core()
        Self.connect(&core)
        core.follow(Self.room, from: 2)
        #expect(Self.seqs(core.received(.entry(Self.entry(3)), id: nil)) == [3])
        #expect(core.received(.entry(Self.entry(3)), id: nil).isEmpty)
        let jump = core.received(.entry(Self.entry(7)), id: nil)
        #expect(Self.seqs(jump).isEmpty)
        let pulls = Self.frames(jump)
        #expect(pulls.map(\.body) == [.pull(Self.room, .after(3), limit: 200)])
        // Another jump while the pull is under way asks nothing more.
        #expect(core.received(.entry(Self.entry(8)), id: nil).isEmpty)
        let first = core.received(Self.page(4...5, hasMore: true), id: pulls[0].id)
        #expect(Self.seqs(first) == [4, 5])
        let more = Self.frames(first)
        #expect(more.map(\.body) == [.pull(Self.room, .after(5), limit: 200)])
        let second = core.received(Self.page(6...8, hasMore: false), id: more[0].id)
        #expect(Self.seqs(second) == [6, 7, 8])
        #expect(Self.frames(second).isEmpty)
        #expect(Self.seqs(core.received(.entry(Self.entry(9)), id: nil)) == [9])
    }

    @Test("own sends count for contiguity, duplicates don't")
    func ownSends() {
        var core = Self.core()
        Self.connect(&core)
        core.follow(Self.room, from: 2)
        let (first, _) = core.submit(Self.send(1))
        _ = core.received(.sent(Self.sent(3, 1)), id: String(first))
        #expect(core.followed[Self.room]?.seq == 3)
        // Its own entry, should it come, is known already.
        #expect(core.received(.entry(Self.entry(3)), id: nil).isEmpty)
        let (second, _) = core.submit(Self.send(2))
        let actions = core.received(
            .sent(Self.sent(9, 2, isDuplicate: true)), id: String(second))
        #expect(Self.frames(actions).isEmpty)
        #expect(core.followed[Self.room]?.seq == 3)
    }

    @Test("a gap is pulled, and so is what a resume didn't name")
    func gaps() {
        var core = Self.core()
        Self.connect(&core)
        core.follow(Self.room, from: 2)
        #expect(
            Self.frames(core.received(.gap(Self.room, head: 4), id: nil)).map(\.body)
                == [.pull(Self.room, .after(2), limit: 200)])
        #expect(core.received(.gap(Self.other, head: 4), id: nil).isEmpty)
        _ = core.socketLost(reason: "x", closeCode: nil)
        core.follow(Self.other, from: 0)
        // Named in the resume: the server streams it.
        let named = Self.connect(&core, Self.ready([Self.view(6)]))
        #expect(Self.frames(named).isEmpty)
        core.followed[Self.room]?.isResumed = false
        let unnamed = core.received(.changed([Self.view(6)], isComplete: true), id: nil)
        #expect(
            Self.frames(unnamed).map(\.body) == [.pull(Self.room, .after(2), limit: 200)])
    }

    @Test("whatever is dropped, doubled or cut off, the owner sees 1, 2, 3, …", arguments: 1...20)
    func anyOrder(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var core = Self.core()
        Self.connect(&core)
        core.follow(Self.room, from: 0)
        var head: EntrySequence = 0
        var seen: [EntrySequence] = []
        var pulls: [ClientFrame] = []
        func take(_ actions: [ClientCore.Action]) {
            seen += Self.seqs(actions)
            pulls += Self.frames(actions).filter {
                if case .pull = $0.body { true } else { false }
            }
        }
        for _ in 0..<400 {
            switch random.next() % 8 {
            case 0, 1, 2:
                head += 1
                take(core.received(.entry(Self.entry(head)), id: nil))
            case 3: head += 1 + random.next() % 3
            case 4:
                let old = 1 + random.next() % (head + 1)
                if old <= head { take(core.received(.entry(Self.entry(old)), id: nil)) }
            case 5: take(core.received(.gap(Self.room, head: head), id: nil))
            case 6:
                _ = core.socketLost(reason: "x", closeCode: nil)
                pulls = []
                let have = core.followed[Self.room]?.seq ?? 0
                take(Self.connect(&core, Self.ready([Self.view(head)])))
                if head > have { take(core.received(.gap(Self.room, head: head), id: nil)) }
            default:
                guard !pulls.isEmpty else { continue }
                take(answer(pulls.removeFirst(), head, &core, &random))
            }
        }
        head += 1
        take(core.received(.entry(Self.entry(head)), id: nil))
        while !pulls.isEmpty { take(answer(pulls.removeFirst(), head, &core, &random)) }
        #expect(seen == Array(1...head), "seed \(seed)")
    }

    private func answer(
        _ pull: ClientFrame, _ head: EntrySequence, _ core: inout ClientCore,
        _ random: inout SplitMix64
    ) -> [ClientCore.Action] {
        guard case .pull(_, .after(let seq), _)? = pull.body, seq < head else {
            return core.received(
                .page(
                    PageView(
                        conversation: Self.room, entries: [], hasMore: false,
                        hasMoreBefore: true, hasMoreAfter: false, floor: 1)), id: pull.id)
        }
        let last = min(head, seq + 1 + random.next() % 4)
        return core.received(Self.page(seq + 1...last, hasMore: last < head), id: pull.id)
    }
}
