import Bytes
import ChatModel
import FanOut
import Testing

@testable import Session

/// One sentence per rule of the protocol: opening, requests, time.
struct SessionMachineTests {
    private let one = Make.conversation(1)

    private func code(_ frame: ServerFrame?) -> ErrorCode? {
        if case .error(let error) = frame { return error.code }
        return nil
    }

    @Test("The first frame is hello")
    func hello() {
        var socket = Socket()
        guard case .hello(let hello) = socket.takeFrames().first else {
            Issue.record("no hello")
            return
        }
        #expect(hello.version == 1)
        #expect(hello.node == "n1")
        #expect(hello.heartbeatSeconds == 45)
    }

    @Test("Without auth within 10 s the socket closes with 4002")
    func authTimeout() {
        var socket = Socket()
        socket.pass(9_999)
        #expect(socket.closed == nil)
        socket.pass(1)
        #expect(socket.closed == .heartbeat)
        #expect(socket.takeFrames().last == .closing(.heartbeat, waitMs: 0))
    }

    @Test("A wrong proof is answered with unauthenticated and closes with 4500")
    func wrongProof() {
        var socket = Socket()
        socket.say(.auth(.token("bad"), resume: nil), id: "7")
        socket.answer(.failure(ServiceError(.unauthenticated, "no")))
        #expect(socket.frames.contains { code($0.frame) == .unauthenticated && $0.id == "7" })
        #expect(socket.closed == .authFailed)
        #expect(socket.notices.isEmpty, "who was never let in is not attached or detached")
    }

    @Test("A node that cannot check a proof closes with a code that lets the client come back")
    func unavailableProof() {
        var socket = Socket()
        socket.say(.auth(.token("t"), resume: nil))
        socket.answer(.failure(ServiceError(.unavailable, "busy", retryAfterMs: 700)))
        #expect(socket.closed == .internal)
        #expect(socket.takeFrames().last == .closing(.internal, waitMs: 700))
    }

    @Test("Requests before auth are refused and leave the socket open")
    func beforeAuth() {
        var socket = Socket()
        socket.say(Make.send(1, 1), id: "x")
        #expect(code(socket.frames.last?.frame) == .unauthenticated)
        #expect(socket.frames.last?.id == "x")
        #expect(socket.questions.isEmpty)
        #expect(socket.closed == nil)
    }

    @Test("A second auth is refused")
    func secondAuth() {
        var socket = Socket()
        socket.signIn()
        socket.say(.auth(.token("t"), resume: nil), id: "2")
        #expect(code(socket.frames.last?.frame) == .invalidArgument)
    }

    @Test("The ear opens before the changes are asked, and ready repeats the id of auth")
    func ready() {
        var socket = Socket()
        _ = socket.takeFrames()
        socket.say(.auth(.ticket("t"), resume: nil), id: "a")
        socket.answer(.identity(socket.identity))
        #expect(socket.notices == [.attach(socket.identity)])
        #expect(socket.questions.map(\.question) == [.changes(since: 0, socket.identity)])
        let changes = FeedChanges(changed: [Make.view(1, head: 3)], position: 5, isComplete: true)
        socket.answer(.changes(changes))
        let ready = Ready(
            user: Socket.me, device: Socket.device, epoch: Socket.epoch, changes: changes)
        #expect(socket.frames.map(\.id) == ["a"])
        #expect(socket.takeFrames() == [.ready(ready)])
    }

    @Test("Answers repeat the id of their request")
    func ids() {
        var socket = Socket()
        socket.signIn()
        socket.say(.pull(one, .newest, limit: nil), id: "p")
        #expect(socket.questions[0].question == .page(one, .newest, limit: 50, socket.identity))
        socket.answer(.page(Make.page(1, 1...2)))
        socket.say(.watch(conversations: [one], users: [Make.bob]), id: "w")
        let presence = PresenceView(user: Make.bob, state: .online, lastSeenMs: nil)
        socket.answer(.presence([presence]))
        socket.say(.unwatch(conversations: [one], users: []), id: "u")
        socket.say(.activity(isActive: false), id: "y")
        #expect(socket.frames.map(\.id) == ["p", "w", nil, "u", "y"])
        let expected: [ServerFrame] = [
            .page(Make.page(1, 1...2)), .done, .presence(presence), .done, .done,
        ]
        #expect(socket.takeFrames() == expected)
        #expect(socket.notices.contains(.refreshPresence(isActive: false)))
    }

    @Test("An id over 64 bytes is refused without repeating it")
    func longID() {
        var socket = Socket()
        socket.signIn()
        socket.say(.typing(one), id: String(repeating: "x", count: 65))
        #expect(code(socket.frames.last?.frame) == .invalidArgument)
        #expect(socket.frames.last?.id == nil)
    }

    @Test("A pull's limit is 1 to 200", arguments: [0, -1, 201])
    func pullLimit(limit: Int) {
        var socket = Socket()
        socket.signIn()
        socket.say(.pull(one, .newest, limit: limit), id: "p")
        #expect(code(socket.frames.last?.frame) == .invalidArgument)
    }

    @Test("A page too long for a socket is cut at its far end and says more")
    func cutPage() {
        var socket = Socket()
        socket.signIn()
        var page = Make.page(1, 1...100)
        let text = String(repeating: "x", count: 9_000)
        page.entries = (1...100).map { Make.entry(1, $0, text: text) }
        socket.say(.pull(one, .after(0), limit: 100), id: "p")
        socket.answer(.page(page))
        guard case .page(let cut) = socket.takeFrames().last else {
            Issue.record("no page")
            return
        }
        #expect(cut.entries.first?.seq == 1)
        #expect(cut.entries.count < 20 && cut.entries.count > 5)
        #expect(cut.hasMore && cut.hasMoreAfter && !cut.hasMoreBefore)
        let before = page.cut(toBytes: 100_000, anchor: .before(101))
        #expect(before.entries.last?.seq == 100)
        #expect(before.hasMore && before.hasMoreBefore && !before.hasMoreAfter)
        let around = page.cut(toBytes: 100_000, anchor: .around(50))
        #expect(around.entries.contains { $0.seq == 50 })
    }

    @Test("More requests than may wait are refused with a time to come back")
    func outstanding() {
        var bounds = SessionLimits()
        bounds.outstanding = 3
        var socket = Socket(bounds: bounds)
        socket.signIn()
        for number in 1...4 as ClosedRange<UInt64> { socket.say(Make.send(1, number), id: "s") }
        #expect(socket.questions.count == 3)
        #expect(code(socket.frames.last?.frame) == .rateLimited)
    }

    @Test("Too many frames are refused, far too many close with 4006")
    func frameRate() {
        var socket = Socket()
        socket.signIn()
        for _ in 0..<300 { socket.say(.typing(one)) }
        #expect(code(socket.frames.last?.frame) == .rateLimited)
        #expect(socket.closed == nil)
        for _ in 0..<600 { socket.say(.typing(one)) }
        #expect(socket.closed == .rateLimited)
    }

    @Test("With rate limits off, frames are not counted")
    func unlimited() {
        var limits = Limits()
        limits.isRateLimited = false
        var socket = Socket(limits: limits)
        socket.signIn()
        for _ in 0..<2_000 { socket.say(.typing(one)) }
        #expect(socket.frames.isEmpty)
    }

    @Test("Marks of a conversation within 250 ms become one command, the larger of each")
    func marks() {
        var socket = Socket()
        socket.signIn()
        socket.say(.mark([MarkRequest(conversation: one, delivered: 5, read: nil)]))
        socket.say(.mark([MarkRequest(conversation: one, delivered: 4, read: 3)]), id: "m")
        socket.pass(249)
        #expect(socket.questions.isEmpty)
        socket.pass(1)
        let merged = MarkRequest(conversation: one, delivered: 5, read: 3)
        #expect(socket.questions.map(\.question) == [.submit(.mark(merged), socket.identity)])
        #expect(socket.frames.isEmpty)
        socket.answer(.result(.done))
        #expect(socket.frames.map(\.id) == ["m"])
        #expect(socket.takeFrames() == [.done])
    }

    @Test("Marks that wait are kept when the client goes, and come before a send that follows them")
    func waitingMarks() {
        var socket = Socket()
        socket.signIn()
        let mark = MarkRequest(conversation: one, delivered: 5, read: 5)
        socket.say(.mark([mark]))
        let send = ClientFrameBody.send(
            .conversation(one), cid: ClientMessageID(high: 1, low: 1), content: .init(text: "x"))
        socket.say(send, id: "s")
        #expect(socket.questions.first?.question == .submit(.mark(mark), socket.identity))
        #expect(socket.questions.count == 2)
        let later = MarkRequest(conversation: one, delivered: 6, read: 6)
        socket.say(.mark([later]))
        socket.perform(socket.machine.peerClosed(isClean: true, at: socket.moment))
        #expect(socket.questions.last?.question == .submit(.mark(later), socket.identity))
    }

    @Test("A mark without id that could not be kept is tried again")
    func markRetry() {
        var socket = Socket()
        socket.signIn()
        socket.say(.mark([MarkRequest(conversation: one, delivered: nil, read: 3)]))
        socket.pass(250)
        socket.answer(.failure(ServiceError(.unavailable, "busy")))
        socket.pass(1_000)
        #expect(socket.questions.count == 1)
        #expect(socket.frames.isEmpty)
    }

    @Test("Typing is told to the node and not answered")
    func typing() {
        var socket = Socket()
        socket.signIn()
        socket.say(.typing(one))
        #expect(socket.notices == [.typing(one, socket.identity)])
        #expect(socket.frames.isEmpty)
    }

    @Test("Changes that overtake the answer to watch come after it")
    func watchOrder() {
        var socket = Socket()
        socket.signIn()
        socket.say(.watch(conversations: [], users: [Make.bob]), id: "w")
        let now = PresenceView(user: Make.bob, state: .online, lastSeenMs: nil)
        let later = PresenceView(user: Make.bob, state: .away, lastSeenMs: 5)
        socket.hear(.presence(later))
        #expect(socket.frames.isEmpty)
        socket.answer(.presence([now]))
        #expect(socket.takeFrames() == [.done, .presence(now), .presence(later)])
    }

    @Test("Twice 45 s of silence close with 4002, any frame counts as life")
    func heartbeat() {
        var socket = Socket()
        socket.signIn()
        socket.pass(89_000)
        socket.say(nil)
        socket.pass(89_999)
        #expect(socket.closed == nil)
        socket.pass(1)
        #expect(socket.closed == .heartbeat)
        #expect(socket.notices.last == .detach(isClean: false))
    }

    @Test("The end of the token closes with 4005")
    func expiry() {
        var socket = Socket()
        socket.say(.auth(.token("t"), resume: nil))
        var identity = socket.identity
        identity.expiresAtMs = socket.moment.wallMs + 5_000
        socket.answer(.identity(identity))
        socket.pass(4_999)
        #expect(socket.machine.deadlineMs == socket.moment.nowMs + 1)
        socket.pass(1)
        #expect(socket.closed == .tokenExpired)
    }

    @Test("A revoked device closes with 4502, another device's end does not")
    func revoked() {
        var socket = Socket()
        socket.signIn()
        socket.hear(.deviceRevoked(DeviceID(high: 3, low: 3)))
        #expect(socket.closed == nil)
        socket.hear(.deviceRevoked(Socket.device))
        #expect(socket.closed == .deviceRevoked)
    }

    @Test("A socket that the node cannot take in closes with 4007 and a wait of seconds")
    func crowded() {
        var socket = Socket()
        socket.say(.auth(.token("t"), resume: nil))
        socket.answer(.identity(socket.identity))
        socket.frames = []
        socket.hear(.closed(.internal))
        #expect(socket.closed == .internal)
        #expect(socket.takeFrames() == [.closing(.internal, waitMs: 10_000)])
    }

    @Test("A stop closes with 4000 and a wait within the window, by the generator given")
    func shutDown() {
        var socket = Socket()
        socket.signIn()
        var random = SplitMix64(seed: 4)
        var same = random
        let wait = Milliseconds.random(in: 0...5_000, using: &same)
        socket.perform(socket.machine.shutDown(within: 5_000, using: &random, at: socket.moment))
        #expect(socket.closed == .restart)
        #expect(socket.takeFrames() == [.closing(.restart, waitMs: wait)])
    }

    @Test("Frames that are none close the socket, frames with a wrong field are answered")
    func malformed() {
        var socket = Socket()
        socket.signIn()
        let wrong = MalformedFrame.invalid(id: "q", ServiceError(.invalidArgument, "cid"))
        socket.perform(socket.machine.receivedMalformed(wrong, at: socket.moment))
        #expect(code(socket.frames.last?.frame) == .invalidArgument)
        #expect(socket.frames.last?.id == "q")
        var second = socket
        socket.perform(socket.machine.receivedMalformed(.unreadable, at: socket.moment))
        #expect(socket.closed == .protocolError)
        second.perform(second.machine.receivedMalformed(.tooLarge, at: second.moment))
        #expect(second.closed == .frameTooLarge)
    }

    @Test("After the end nothing comes out")
    func afterTheEnd() {
        var socket = Socket()
        socket.signIn()
        socket.perform(socket.machine.peerClosed(isClean: true, at: socket.moment))
        #expect(socket.notices == [.detach(isClean: true)])
        socket.say(.ping(feed: nil))
        socket.hear(.entry(Make.entry(1, 1)))
        socket.pass(1_000_000)
        #expect(socket.frames.isEmpty)
        #expect(socket.notices.count == 1)
        #expect(socket.machine.deadlineMs == nil)
    }
}
