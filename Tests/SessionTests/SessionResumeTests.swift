import ChatModel
import FanOut
import Testing

@testable import Session

/// One sentence per rule of the protocol: coming back.
struct SessionResumeTests {
    private let one = Make.conversation(1)

    /// A socket whose client had the conversation 1 up to `have` at feed 10.
    private func returning(have: EntrySequence, epoch: UInt64 = Socket.epoch) -> Socket {
        var socket = Socket()
        _ = socket.takeFrames()
        let mark = HaveMark(conversation: one, seq: have)
        let resume = Resume(epoch: epoch, feed: 10, have: [mark])
        socket.say(.auth(.token("t"), resume: resume), id: "a")
        socket.answer(.identity(socket.identity))
        return socket
    }

    private func ready(_ views: [ChangedView], _ feed: FeedPosition, _ isComplete: Bool = true)
        -> ServerFrame
    {
        let changes = FeedChanges(changed: views, position: feed, isComplete: isComplete)
        return .ready(
            Ready(
                user: Socket.me, device: Socket.device, epoch: Socket.epoch, changes: changes))
    }

    @Test("A short tail is streamed ascending, and live entries wait behind it")
    func tail() {
        var socket = returning(have: 4)
        let view = Make.view(1, head: 7)
        socket.hear(.entry(Make.entry(1, 7)))
        socket.answer(.changes(FeedChanges(changed: [view], position: 20, isComplete: true)))
        socket.hear(.entry(Make.entry(1, 8)))
        #expect(socket.takeFrames() == [ready([view], 20)])
        #expect(
            socket.questions.map(\.question) == [
                .page(one, .after(4), limit: 200, socket.identity)
            ])
        socket.answer(.page(Make.page(1, 5...7)))
        #expect(socket.takeFrames() == (5...8).map { .entry(Make.entry(1, $0)) })
    }

    @Test("Large groups stand in every list: what the client missed comes, what it has does not")
    func largeGroups() {
        for head in 4...6 as ClosedRange<EntrySequence> {
            var socket = returning(have: 4)
            let view = Make.view(1, head: head)
            // No feed has moved since.
            socket.answer(.changes(FeedChanges(changed: [view], position: 10, isComplete: true)))
            #expect(socket.takeFrames() == [ready([view], 10)])
            if head > 4 { socket.answer(.page(Make.page(1, 5...head))) }
            #expect(socket.questions.isEmpty)
            let expected = head > 4 ? (5...head).map { ServerFrame.entry(Make.entry(1, $0)) } : []
            #expect(socket.takeFrames() == expected)
            socket.hear(.entry(Make.entry(1, head + 1)))
            #expect(socket.takeFrames() == [.entry(Make.entry(1, head + 1))])
        }
    }

    @Test("A device signed out before its ear was open is closed with 4502")
    func revokedMeanwhile() {
        var socket = returning(have: 4)
        socket.answer(.failure(ServiceError(.unauthenticated, "this device was signed out")))
        #expect(socket.closed == .deviceRevoked)
    }

    @Test("After 300 missed entries the client is told a gap and goes on live")
    func longTail() {
        var socket = returning(have: 4)
        let view = Make.view(1, head: 304)
        socket.answer(.changes(FeedChanges(changed: [view], position: 20, isComplete: true)))
        #expect(socket.takeFrames() == [ready([view], 20), .gap(one, head: 304)])
        socket.hear(.entry(Make.entry(1, 305)))
        #expect(socket.takeFrames() == [.entry(Make.entry(1, 305))])
    }

    @Test("Exactly 200 missed entries are still streamed, 201 are not", arguments: [200, 201])
    func tailBorder(missed: UInt64) {
        var socket = returning(have: 4)
        let view = Make.view(1, head: 4 + missed)
        socket.answer(.changes(FeedChanges(changed: [view], position: 20, isComplete: true)))
        #expect(socket.questions.count == (missed == 200 ? 1 : 0))
    }

    @Test("A tail of more than 256 KiB ends in a gap")
    func heavyTail() {
        var socket = returning(have: 0)
        let view = Make.view(1, head: 100)
        socket.answer(.changes(FeedChanges(changed: [view], position: 20, isComplete: true)))
        _ = socket.takeFrames()
        var page = Make.page(1, 1...100)
        let text = String(repeating: "x", count: 10_000)
        page.entries = (1...100).map { Make.entry(1, $0, text: text) }
        socket.answer(.page(page))
        let frames = socket.takeFrames()
        #expect(frames.count < 30)
        #expect(frames.last == .gap(one, head: 100))
    }

    @Test("Entries below the floor are no hole")
    func floor() {
        var socket = returning(have: 4)
        let view = Make.view(1, head: 304, floor: 300)
        socket.answer(.changes(FeedChanges(changed: [view], position: 20, isComplete: true)))
        #expect(
            socket.questions.map(\.question) == [
                .page(one, .after(299), limit: 200, socket.identity)
            ])
    }

    @Test("A changed conversation that the client did not name gets a gap")
    func unnamed() {
        var socket = returning(have: 4)
        let view = Make.view(2, head: 3)
        socket.answer(.changes(FeedChanges(changed: [view], position: 20, isComplete: true)))
        #expect(
            socket.takeFrames() == [ready([view], 20), .gap(Make.conversation(2), head: 3)])
    }

    @Test("Another epoch starts from nothing: all conversations are listed, none is streamed")
    func otherEpoch() {
        var socket = returning(have: 4, epoch: Socket.epoch + 1)
        #expect(socket.questions.map(\.question) == [.changes(since: 0, socket.identity)])
        let view = Make.view(1, head: 7)
        socket.answer(.changes(FeedChanges(changed: [view], position: 20, isComplete: true)))
        #expect(socket.takeFrames() == [ready([view], 20)])
        #expect(socket.questions.isEmpty)
    }

    @Test("More changes than one list holds come as changed until complete")
    func pages() {
        var socket = returning(have: 4)
        let first = Make.view(2, head: 3)
        let second = Make.view(3, head: 3)
        socket.answer(.changes(FeedChanges(changed: [first], position: 20, isComplete: false)))
        #expect(socket.questions.map(\.question) == [.feedPosition(socket.identity)])
        socket.answer(.feedPosition(40))
        #expect(socket.questions.map(\.question) == [.changes(since: 20, socket.identity)])
        socket.answer(.changes(FeedChanges(changed: [second], position: 41, isComplete: true)))
        #expect(
            socket.takeFrames() == [
                ready([first], 40, false), .gap(Make.conversation(2), head: 3),
                .changed([second], isComplete: true), .gap(Make.conversation(3), head: 3),
            ])
    }

    @Test("A list with long last messages is split, and waits for the socket")
    func splitList() {
        var socket = returning(have: 4)
        let text = String(repeating: "x", count: 16_000)
        let views = (1...100).map {
            Make.view($0, head: 1, last: Make.entry($0, 1, text: text))
        }
        socket.moment.unsentBytes = 70 << 10
        socket.answer(.changes(FeedChanges(changed: views, position: 20, isComplete: true)))
        #expect(socket.frames.isEmpty)
        var lists = 0
        var listed = 0
        var isComplete = false
        for _ in 0..<100 where !isComplete {
            socket.moment.unsentBytes = 0
            socket.pass(10)
            for frame in socket.takeFrames() {
                switch frame {
                case .ready(let ready):
                    lists += 1
                    listed += ready.changes.changed.count
                    isComplete = ready.changes.isComplete
                case .changed(let changed, let complete):
                    lists += 1
                    listed += changed.count
                    isComplete = complete
                default: break
                }
            }
        }
        #expect(isComplete)
        #expect(listed == 100)
        #expect(lists > 10)
    }

    @Test("More live entries than may wait behind a resume become a gap")
    func heldOverflow() {
        var bounds = SessionLimits()
        bounds.heldEvents = 2
        var socket = Socket(bounds: bounds)
        _ = socket.takeFrames()
        let have = [HaveMark(conversation: one, seq: 4)]
        let resume = Resume(epoch: Socket.epoch, feed: 10, have: have)
        socket.say(.auth(.token("t"), resume: resume))
        socket.answer(.identity(socket.identity))
        for seq in 5...9 as ClosedRange<EntrySequence> { socket.hear(.entry(Make.entry(1, seq))) }
        socket.answer(.changes(FeedChanges(changed: [], position: 10, isComplete: true)))
        socket.hear(.entry(Make.entry(1, 10)))
        #expect(
            socket.takeFrames() == [
                ready([], 10), .entry(Make.entry(1, 5)), .entry(Make.entry(1, 6)),
                .gap(one, head: 9), .entry(Make.entry(1, 10)),
            ])
    }

    @Test("A conversation that was left is streamed up to the client's own last entry")
    func left() {
        var socket = returning(have: 4)
        let view = Make.view(1, head: 5, hasLeft: true)
        socket.answer(.changes(FeedChanges(changed: [view], position: 20, isComplete: true)))
        var page = Make.page(1, 5...5)
        page.entries = [Make.membership(1, 5, .removed)]
        socket.answer(.page(page))
        socket.hear(.entry(Make.entry(1, 6)))
        #expect(
            socket.takeFrames() == [ready([view], 20), .entry(Make.membership(1, 5, .removed))])
    }

    @Test("During a resume a ping is answered with the feed the client came with")
    func pingDuringResume() {
        var socket = returning(have: 4)
        socket.say(.ping(feed: 10), id: "p")
        #expect(socket.takeFrames() == [.pong(serverTimeMs: socket.moment.wallMs, feed: 10)])
    }

    @Test("A send during a resume is answered in its place behind the tail")
    func sendDuringResume() {
        var socket = returning(have: 4)
        socket.say(Make.send(1, 1), id: "s")
        let view = Make.view(1, head: 5)
        socket.answer(.changes(FeedChanges(changed: [view], position: 20, isComplete: true)))
        socket.answer(.result(.sent(Make.sent(1, 6, 1))))
        socket.answer(.page(Make.page(1, 5...5)))
        #expect(
            socket.takeFrames() == [
                ready([view], 20), .entry(Make.entry(1, 5)), .sent(Make.sent(1, 6, 1)),
            ])
    }

    @Test("A node that cannot list the changes closes, and the client may come back")
    func changesFail() {
        var socket = returning(have: 4)
        socket.answer(.failure(ServiceError(.unavailable, "busy", retryAfterMs: 300)))
        #expect(socket.closed == .internal)
        #expect(socket.takeFrames().last == .closing(.internal, waitMs: 300))
    }

    @Test("A tail that cannot be read becomes a gap")
    func tailFails() {
        var socket = returning(have: 4)
        let view = Make.view(1, head: 5)
        socket.answer(.changes(FeedChanges(changed: [view], position: 20, isComplete: true)))
        socket.answer(.failure(ServiceError(.unavailable, "busy")))
        #expect(socket.takeFrames() == [ready([view], 20), .gap(one, head: 5)])
    }

    @Test("A resume that names too many conversations is refused")
    func tooMany() {
        var socket = Socket()
        let have = (1...201).map { HaveMark(conversation: Make.conversation($0), seq: 1) }
        socket.say(.auth(.token("t"), resume: Resume(epoch: 1, feed: 1, have: have)))
        #expect(socket.questions.isEmpty)
        #expect(socket.closed == nil)
    }
}
