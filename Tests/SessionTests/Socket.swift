import Bytes
import ChatModel
import FanOut

@testable import Session

/// A session without a socket: drives the machine and sorts what it wants done.
struct Socket {
    struct Asked {
        var question: SessionQuestion
        var token: QuestionToken
    }

    var machine: SessionMachine
    var moment = SessionMoment(
        nowMs: 1_000_000, wallMs: 1_700_000_000_000, unsentBytes: 0, progressMs: 1_000_000)
    /// Frames since they were last taken, shared ones included.
    var frames: [(frame: ServerFrame, id: String?)] = []
    var questions: [Asked] = []
    var notices: [SessionNotice] = []
    var closed: CloseCode?

    static let me = UserID(high: 0, low: 1)
    static let device = DeviceID(high: 0, low: 9)
    static let epoch: UInt64 = 77

    init(limits: Limits = Limits(), bounds: SessionLimits = SessionLimits()) {
        let facts = NodeFacts(id: "n1", epoch: Self.epoch, limits: limits, publicURL: nil)
        machine = SessionMachine(facts: facts, bounds: bounds)
        perform(machine.opened(at: moment))
    }

    var identity: Identity {
        Identity(
            user: Self.me, device: Self.device,
            expiresAtMs: 1_700_000_000_000 + 30 * 24 * 3_600_000)
    }

    mutating func perform(_ actions: [SessionAction]) {
        for action in actions {
            switch action {
            case .send(let frame, let id): frames.append((frame, id))
            case .sendShared(let event):
                if let frame = event.body.frame { frames.append((frame, nil)) }
            case .ask(let question, let token):
                questions.append(Asked(question: question, token: token))
            case .tell(let notice): notices.append(notice)
            case .close(let code, _): closed = code
            }
        }
    }

    mutating func say(_ body: ClientFrameBody?, id: String? = nil) {
        perform(machine.received(ClientFrame(id: id, body: body), at: moment))
    }

    mutating func hear(_ body: EventBody) {
        perform(machine.delivered(SharedEvent(body), at: moment))
    }

    mutating func answer(_ token: QuestionToken, _ answer: SessionAnswer) {
        perform(machine.answered(token, answer, at: moment))
    }

    /// Answers the oldest open question.
    mutating func answer(_ answer: SessionAnswer) {
        guard !questions.isEmpty else { return }
        self.answer(questions.removeFirst().token, answer)
    }

    mutating func pass(_ ms: Milliseconds) {
        moment.nowMs += ms
        moment.wallMs += ms
        if moment.unsentBytes == 0 { moment.progressMs = moment.nowMs }
        perform(machine.tick(at: moment))
    }

    mutating func takeFrames() -> [ServerFrame] {
        defer { frames = [] }
        return frames.map(\.frame)
    }

    /// Signs in; nothing has changed since `feed`.
    mutating func signIn(resume: Resume? = nil, feed: FeedPosition = 10) {
        say(.auth(.token("t"), resume: resume), id: "a")
        answer(.identity(identity))
        answer(.changes(FeedChanges(changed: [], position: feed, isComplete: true)))
        frames = []
        notices = []
    }
}

enum Make {
    static let bob = UserID(high: 0, low: 2)

    static func conversation(_ number: UInt64) -> ConversationID {
        ConversationID(high: 5, low: number)
    }

    static func cid(_ number: UInt64) -> ClientMessageID { ClientMessageID(high: 6, low: number) }

    static func entry(
        _ conversation: UInt64, _ seq: EntrySequence, from: UserID = Make.bob,
        cid: ClientMessageID? = nil, text: String = "hi"
    ) -> Entry {
        Entry(
            conversation: Make.conversation(conversation), seq: seq, m: seq, cid: cid, from: from,
            atMs: 1_700_000_000_000,
            body: .message(Message(content: MessageContent(text: text), revision: seq)))
    }

    static func membership(
        _ conversation: UInt64, _ seq: EntrySequence, _ change: MembershipChange
    ) -> Entry {
        Entry(
            conversation: Make.conversation(conversation), seq: seq, m: seq, cid: nil, from: bob,
            atMs: 1_700_000_000_000,
            body: .membership(user: Socket.me, change: change, role: .member))
    }

    static func sent(
        _ conversation: UInt64, _ seq: EntrySequence, _ number: UInt64, isDuplicate: Bool = false
    ) -> Sent {
        Sent(
            conversation: Make.conversation(conversation), seq: seq, m: seq,
            atMs: 1_700_000_000_000, cid: cid(number), isDuplicate: isDuplicate)
    }

    static func send(_ conversation: UInt64, _ number: UInt64) -> ClientFrameBody {
        .send(
            .conversation(Make.conversation(conversation)), cid: cid(number),
            content: MessageContent(text: "hi"))
    }

    static func view(
        _ conversation: UInt64, head: EntrySequence, floor: EntrySequence = 1,
        delivered: EntrySequence = 0, read: EntrySequence = 0, marks: [MarkView] = [],
        last: Entry? = nil, hasLeft: Bool = false
    ) -> ChangedView {
        ChangedView(
            conversation: Make.conversation(conversation), head: head, m: head, floor: floor,
            unread: 0, delivered: delivered, read: read, marks: marks, last: last,
            hasLeft: hasLeft)
    }

    static func page(_ conversation: UInt64, _ seqs: ClosedRange<EntrySequence>) -> PageView {
        PageView(
            conversation: Make.conversation(conversation),
            entries: seqs.map { entry(conversation, $0) }, hasMore: false, hasMoreBefore: false,
            hasMoreAfter: false, floor: 1)
    }

    /// `count` hits of that many bytes each.
    static func results(_ count: Int, bytes: Int = 2) -> SearchView {
        let text = String(repeating: "x", count: bytes)
        let hits = (0..<count).map {
            SearchHitView(
                entry: entry(1, EntrySequence(count - $0), text: text), snippet: "x",
                highlights: [TextSpan(start: 0, length: 1)])
        }
        return SearchView(
            hits: hits, cursor: "after \(count)", atLeast: count, isPartial: false,
            isIndexing: false, isSealedNotSearched: false)
    }

    static func feed(
        _ conversation: UInt64, head: EntrySequence, position: FeedPosition
    ) -> EventBody {
        .feed(
            FeedEvent(
                user: Socket.me, position: position, conversation: Make.conversation(conversation),
                head: head, m: head))
    }
}
