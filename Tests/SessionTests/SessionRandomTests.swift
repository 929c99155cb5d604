import Bytes
import ChatModel
import FanOut
import Testing

@testable import Session

/// Sessions against a node that keeps everything in memory, a fan-out that loses events, a slow
/// socket and clients that come and go. What must hold is checked at every frame.
struct SessionRandomTests {
    @Test(
        "Whatever is lost, no hole, no repeat, nothing backwards, and every pong keeps its word",
        arguments: (1...24).map { UInt64($0) })
    func random(seed: UInt64) {
        var run = RandomRun(seed: seed)
        for _ in 0..<1_500 { run.step() }
        run.settle()
        #expect(run.violations.isEmpty, "seed \(seed): \(run.violations.prefix(3))")
        #expect(run.client.streamedCount > 20, "seed \(seed) saw little")
        #expect(run.pongCount > 10, "seed \(seed) saw few pongs")
        #expect(run.searchCount > 5, "seed \(seed) saw few searches")
    }
}

/// A node's memory of one user's conversations.
private struct FakeNode {
    struct Change {
        var position: FeedPosition
        var conversation: Int
        var head: EntrySequence
        var read: EntrySequence
    }
    var logs = [[Entry]](repeating: [], count: 5)
    var reads = [EntrySequence](repeating: 0, count: 5)
    var lastPositions = [FeedPosition](repeating: 0, count: 5)
    var history: [Change] = []
    var position: FeedPosition = 0
    /// Large groups: they move no feed and show no marks. The client has the first one open.
    static let large = [0, 4]

    static func conversation(_ number: Int) -> ConversationID { Make.conversation(UInt64(number)) }

    mutating func touch(_ number: Int) -> EventBody {
        position += 1
        lastPositions[number] = position
        let head = EntrySequence(logs[number].count)
        history.append(
            Change(position: position, conversation: number, head: head, read: reads[number]))
        return Make.feed(UInt64(number), head: head, position: position)
    }

    /// An entry and the events it causes.
    mutating func append(
        _ number: Int, from: UserID, cid: ClientMessageID?
    ) -> (Entry, [EventBody]) {
        let seq = EntrySequence(logs[number].count + 1)
        let entry = Make.entry(UInt64(number), seq, from: from, cid: cid, text: "\(number)/\(seq)")
        logs[number].append(entry)
        if Self.large.contains(number) { return (entry, [.entry(entry)]) }
        return (entry, [.entry(entry), touch(number)])
    }

    mutating func moveMark(_ number: Int) -> [EventBody] {
        if Self.large.contains(number) { return [] }
        reads[number] = EntrySequence(logs[number].count)
        let mark = MarkView(user: Make.bob, delivered: reads[number], read: reads[number])
        return [.mark(Self.conversation(number), mark), touch(number)]
    }

    func changes(since: FeedPosition, max: Int) -> FeedChanges {
        let changed = lastPositions.indices.filter { lastPositions[$0] > since }
            .sorted { lastPositions[$0] < lastPositions[$1] }
        let isComplete = changed.count <= max
        let part = changed.prefix(max) + (isComplete ? Self.large : [])
        let views = part.map { number in
            let mark = MarkView(user: Make.bob, delivered: reads[number], read: reads[number])
            return Make.view(
                UInt64(number), head: EntrySequence(logs[number].count), marks: [mark])
        }
        let end = isComplete ? position : lastPositions[part.last ?? 0]
        return FeedChanges(changed: views, position: Swift.max(end, since), isComplete: isComplete)
    }

    func page(_ conversation: ConversationID, after: EntrySequence, limit: Int) -> PageView {
        let log = logs[Int(conversation.low)]
        let entries = Array(log.dropFirst(Int(min(after, 1 << 30))).prefix(limit))
        let isMore = (entries.last?.seq ?? after) < EntrySequence(log.count)
        return PageView(
            conversation: conversation, entries: entries, hasMore: isMore, hasMoreBefore: after > 0,
            hasMoreAfter: isMore, floor: 1)
    }
}

/// What a client keeps, across sockets.
private struct FakeClient {
    var received = [Set<EntrySequence>](repeating: [], count: 5)
    var announced = [EntrySequence](repeating: 0, count: 5)
    var reads = [EntrySequence](repeating: 0, count: 5)
    var feed: FeedPosition = 0
    var hasResume = false
    /// The feed to store once the list is complete.
    var pendingFeed: FeedPosition?
    var streamedCount = 0
    /// The last seq that streamed on the present socket.
    var streamed = [EntrySequence](repeating: 0, count: 5)

    func contiguous(_ number: Int) -> EntrySequence {
        var seq: EntrySequence = 0
        while received[number].contains(seq + 1) { seq += 1 }
        return seq
    }

    func resume() -> Resume? {
        guard hasResume else { return nil }
        let have = received.indices.filter { $0 < 3 }.map {
            HaveMark(conversation: FakeNode.conversation($0), seq: contiguous($0))
        }
        return Resume(epoch: Socket.epoch, feed: feed, have: have)
    }
}

private struct RandomRun {
    var random: SplitMix64
    var node = FakeNode()
    var client = FakeClient()
    var socket: Socket?
    var fanOut: [EventBody] = []
    var answers: [(QuestionToken, SessionAnswer)] = []
    var violations: [String] = []
    var pongCount = 0
    var sends: UInt64 = 0
    var waitingCIDs: Set<ClientMessageID> = []
    /// Searches of the present socket that wait for their results.
    var waitingSearches = 0
    var searchCount = 0
    var lossPercent = 20

    init(seed: UInt64) { random = SplitMix64(seed: seed) }

    mutating func chance(_ percent: Int) -> Bool {
        Int.random(in: 0..<100, using: &random) < percent
    }

    mutating func step() {
        let number = Int.random(in: 0..<5, using: &random)
        if socket == nil, chance(8) { connect() }
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<25:
            let many = chance(2) ? 260 : 1
            for _ in 0..<many { publish(node.append(number, from: Make.bob, cid: nil).1) }
        case 25..<32: publish(node.moveMark(number))
        case 32..<40: withSocket { $0.say(Make.send(UInt64(number), $1)) }
        case 40..<44: withSocket { socket, _ in socket.say(.ping(feed: nil)) }
        case 44..<47:
            let level = [0, 0, 0, 100 << 10, 300 << 10].randomElement(using: &random) ?? 0
            socket?.moment.unsentBytes = level
            if let now = socket?.moment.nowMs { socket?.moment.progressMs = now }
        case 47..<48: if chance(50) { drop() }
        case 48..<50: if socket == nil { connect() }
        case 50..<60:
            if let now = socket?.moment.nowMs { socket?.moment.progressMs = now + 200 }
            withSocket { socket, _ in socket.pass(150) }
        case 60..<62:
            let query = SearchQuery(text: "hi", limit: Int.random(in: 1...100, using: &random))
            if socket?.machine.identity != nil { waitingSearches += 1 }
            withSocket { socket, _ in socket.say(.search(query)) }
        case 62..<80: deliverOne()
        default: answerOne()
        }
        collect()
    }

    /// Everything arrives, the socket drains, one last ping, and the client pulls what it lacks.
    mutating func settle() {
        lossPercent = 0
        socket?.moment.unsentBytes = 0
        quiet()
        // An answer from before may have closed the socket.
        if socket == nil { connect() }
        quiet()
        withSocket { socket, _ in socket.say(.ping(feed: nil)) }
        quiet()
        for number in 0..<5 {
            var guardCount = 0
            while client.contiguous(number) < client.announced[number], guardCount < 100 {
                guardCount += 1
                let after = client.contiguous(number)
                let conversation = FakeNode.conversation(number)
                withSocket { socket, _ in
                    socket.say(.pull(conversation, .after(after), limit: 200))
                }
                quiet()
            }
            let all = EntrySequence(node.logs[number].count)
            if client.contiguous(number) != all || client.received[number].count != Int(all) {
                violations.append("\(number) ends at \(client.contiguous(number))/\(all)")
            }
            if client.reads[number] != node.reads[number] { violations.append("mark \(number)") }
        }
        if !waitingCIDs.isEmpty { violations.append("\(waitingCIDs.count) sends without answer") }
        if waitingSearches != 0 {
            violations.append("\(waitingSearches) searches without answer")
        }
    }

    private mutating func quiet() {
        for _ in 0..<40 {
            while !fanOut.isEmpty || !answers.isEmpty || socket?.questions.isEmpty == false {
                deliverOne()
                answerOne()
                collect()
            }
            withSocket { socket, _ in socket.pass(100) }
            collect()
        }
    }

    private mutating func publish(_ events: [EventBody]) {
        guard socket?.machine.identity != nil else { return }
        for event in events where !chance(lossPercent) { fanOut.append(event) }
    }

    private mutating func withSocket(_ body: (inout Socket, UInt64) -> Void) {
        guard socket != nil, var taken = socket else { return }
        let before = sends
        sends += 1
        let questions = taken.questions.count
        body(&taken, before)
        for asked in taken.questions.dropFirst(questions) {
            if case .submit(.send(_, let cid, _), _) = asked.question { waitingCIDs.insert(cid) }
        }
        socket = taken
    }

    private mutating func connect() {
        var limits = Limits()
        limits.isRateLimited = false
        var bounds = SessionLimits()
        bounds.heldEvents = 8
        socket = Socket(limits: limits, bounds: bounds)
        client.streamed = [EntrySequence](repeating: 0, count: 5)
        client.pendingFeed = nil
        socket?.say(.auth(.token("t"), resume: client.resume()))
    }

    private mutating func drop() {
        for frame in socket?.takeFrames() ?? [] { take(frame) }
        socket = nil
        fanOut = []
        answers = []
        waitingCIDs = []
        waitingSearches = 0
    }

    private mutating func deliverOne() {
        guard !fanOut.isEmpty else { return }
        let event = fanOut.removeFirst()
        socket?.hear(event)
    }

    /// The node works the questions off in order; answers come back in any order.
    private mutating func answerOne() {
        if let asked = socket?.questions.first, chance(60) || answers.isEmpty {
            socket?.questions.removeFirst()
            answers.append((asked.token, work(asked.question)))
        }
        guard !answers.isEmpty, chance(70) else { return }
        let index = Int.random(in: 0..<answers.count, using: &random)
        let (token, answer) = answers.remove(at: index)
        socket?.answer(token, answer)
    }

    private mutating func work(_ question: SessionQuestion) -> SessionAnswer {
        switch question {
        case .authenticate:
            return .identity(
                Identity(user: Socket.me, device: Socket.device, expiresAtMs: .max))
        case .changes(let since, _):
            if lossPercent > 0, pongCount > 5, chance(5) {
                return .failure(ServiceError(.unavailable, "busy"))
            }
            return .changes(node.changes(since: since, max: 2))
        case .feedPosition: return .feedPosition(node.position)
        case .page(let conversation, let anchor, let limit, _):
            guard case .after(let seq) = anchor else { break }
            return .page(node.page(conversation, after: seq, limit: limit))
        case .search(let query, _):
            return .results(Make.results(query.limit ?? 20, bytes: 3_000))
        case .submit(.send(.conversation(let conversation), let cid, _), _):
            let (entry, events) = node.append(
                Int(conversation.low), from: Socket.me, cid: cid)
            publish(events)
            return .result(
                .sent(
                    Sent(
                        conversation: conversation, seq: entry.seq, m: entry.m, atMs: entry.atMs,
                        cid: cid, isDuplicate: false)))
        default: break
        }
        return .failure(ServiceError(.internal, "not in this play"))
    }

    // MARK: What the client makes of it

    private mutating func collect() {
        for frame in socket?.takeFrames() ?? [] { take(frame) }
        if socket?.closed != nil { drop() }
    }

    private mutating func take(_ frame: ServerFrame) {
        switch frame {
        case .ready(let ready):
            client.pendingFeed = ready.changes.position
            list(ready.changes.changed, ready.changes.isComplete)
        case .changed(let views, let isComplete): list(views, isComplete)
        case .entry(let entry): stream(entry.conversation, entry.seq, entry)
        case .sent(let sent):
            if waitingCIDs.remove(sent.cid) == nil { violations.append("answered twice") }
            if !sent.isDuplicate { stream(sent.conversation, sent.seq, nil) }
        case .gap(let conversation, let head): announce(Int(conversation.low), head)
        case .mark(let conversation, let mark):
            let number = Int(conversation.low)
            client.reads[number] = max(client.reads[number], mark.read)
        case .page(let page):
            for entry in page.entries {
                client.received[Int(page.conversation.low)].insert(entry.seq)
            }
        case .results(let results):
            waitingSearches -= 1
            searchCount += 1
            let bytes = results.hits.reduce(0) { $0 + WireSize.of($1) }
            if results.hits.isEmpty || bytes > SessionLimits().pageBytes {
                violations.append("\(results.hits.count) hits of \(bytes) bytes")
            }
        case .pong(_, let feed): checkPong(feed)
        default: break
        }
    }

    private mutating func list(_ views: [ChangedView], _ isComplete: Bool) {
        for view in views {
            let number = Int(view.conversation.low)
            announce(number, view.head)
            for mark in view.marks { client.reads[number] = max(client.reads[number], mark.read) }
        }
        if isComplete, let feed = client.pendingFeed {
            client.feed = max(client.feed, feed)
            client.hasResume = true
        }
    }

    private mutating func announce(_ number: Int, _ head: EntrySequence) {
        client.announced[number] = max(client.announced[number], head)
        if head > EntrySequence(node.logs[number].count) { violations.append("gap past the head") }
    }

    private mutating func stream(
        _ conversation: ConversationID, _ seq: EntrySequence, _ entry: Entry?
    ) {
        let number = Int(conversation.low)
        client.streamedCount += 1
        if seq <= client.streamed[number] {
            violations.append("\(number): \(seq) after \(client.streamed[number])")
        }
        // What the stream passes over was said to be missing, or the client had it before.
        let known = max(client.streamed[number], client.announced[number])
        if seq > known + 1, client.contiguous(number) + 1 < seq, client.hasResume {
            violations.append("\(number): silent hole before \(seq), known \(known)")
        }
        client.streamed[number] = seq
        client.received[number].insert(seq)
        client.announced[number] = max(client.announced[number], seq)
        if let entry, node.logs[number][Int(seq) - 1] != entry { violations.append("other entry") }
    }

    private mutating func checkPong(_ feed: FeedPosition) {
        pongCount += 1
        for change in node.history where change.position <= feed {
            let number = change.conversation
            if client.announced[number] < change.head {
                violations.append("pong \(feed): \(number) knows \(client.announced[number])")
            }
            if client.reads[number] < change.read {
                violations.append("pong \(feed): mark of \(number) is \(client.reads[number])")
            }
        }
        if client.hasResume { client.feed = max(client.feed, feed) }
    }
}
