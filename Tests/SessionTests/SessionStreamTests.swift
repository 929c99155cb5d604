import ChatModel
import FanOut
import Testing

@testable import Session

/// One sentence per rule of the protocol: the order of entries and answers, slow readers, pings.
struct SessionStreamTests {
    private let one = Make.conversation(1)

    private func live() -> Socket {
        var socket = Socket()
        let have = [HaveMark(conversation: one, seq: 4)]
        socket.signIn(resume: Resume(epoch: Socket.epoch, feed: 10, have: have))
        return socket
    }

    @Test("An entry goes out once and never backwards")
    func once() {
        var socket = live()
        for seq in [5, 6, 5, 6, 7] as [EntrySequence] { socket.hear(.entry(Make.entry(1, seq))) }
        let expected = (5...7).map { ServerFrame.entry(Make.entry(1, $0)) }
        #expect(socket.takeFrames() == expected)
    }

    @Test("A hole that fan-out left is said before the entry behind it")
    func hole() {
        var socket = live()
        socket.hear(.entry(Make.entry(1, 8)))
        #expect(socket.takeFrames() == [.gap(one, head: 7), .entry(Make.entry(1, 8))])
    }

    @Test("The sending socket gets sent in the place of its own entry, whichever comes first")
    func ownEntry() {
        var socket = live()
        socket.say(Make.send(1, 1), id: "s")
        let token = socket.questions[0].token
        let own = Make.entry(1, 6, from: Socket.me, cid: Make.cid(1))
        socket.hear(.entry(Make.entry(1, 5)))
        socket.hear(.entry(own))
        socket.answer(token, .result(.sent(Make.sent(1, 6, 1))))
        socket.hear(.entry(Make.entry(1, 7)))
        #expect(socket.frames.map(\.id) == [nil, "s", nil])
        let expected: [ServerFrame] = [
            .entry(Make.entry(1, 5)), .sent(Make.sent(1, 6, 1)), .entry(Make.entry(1, 7)),
        ]
        #expect(socket.takeFrames() == expected)
    }

    @Test("An answer that overtakes an earlier entry waits for it")
    func answerOvertakes() {
        var socket = live()
        socket.say(Make.send(1, 1), id: "s")
        socket.answer(.result(.sent(Make.sent(1, 6, 1))))
        #expect(socket.frames.isEmpty)
        socket.hear(.entry(Make.entry(1, 5)))
        let expected: [ServerFrame] = [.entry(Make.entry(1, 5)), .sent(Make.sent(1, 6, 1))]
        #expect(socket.takeFrames() == expected)
        socket.hear(.entry(Make.entry(1, 6, from: Socket.me, cid: Make.cid(1))))
        #expect(socket.frames.isEmpty)
    }

    @Test("An answer whose earlier entries were dropped goes out behind a gap")
    func answerBehindGap() {
        var socket = live()
        socket.say(Make.send(1, 1), id: "s")
        socket.answer(.result(.sent(Make.sent(1, 6, 1))))
        socket.pass(300)
        #expect(socket.takeFrames() == [.gap(one, head: 5), .sent(Make.sent(1, 6, 1))])
    }

    @Test("An answer that is next goes out at once")
    func answerAtOnce() {
        var socket = live()
        socket.say(Make.send(1, 1), id: "s")
        socket.answer(.result(.sent(Make.sent(1, 5, 1))))
        #expect(socket.takeFrames() == [.sent(Make.sent(1, 5, 1))])
    }

    @Test("An answer that the stream has passed does not count for contiguity")
    func lateAnswer() {
        var socket = live()
        socket.say(Make.send(1, 1), id: "s")
        socket.hear(.entry(Make.entry(1, 6)))
        socket.answer(.result(.sent(Make.sent(1, 5, 1))))
        let late = ServerFrame.sent(Make.sent(1, 5, 1, isDuplicate: true))
        #expect(socket.takeFrames() == [.gap(one, head: 5), .entry(Make.entry(1, 6)), late])
    }

    @Test("A repeat is answered at once, outside the stream")
    func duplicate() {
        var socket = live()
        socket.say(Make.send(1, 1), id: "s")
        socket.answer(.result(.sent(Make.sent(1, 2, 1, isDuplicate: true))))
        #expect(socket.takeFrames() == [.sent(Make.sent(1, 2, 1, isDuplicate: true))])
    }

    @Test("Pipelined sends are proposed and answered in order")
    func pipeline() {
        var socket = live()
        for number in 1...5 as ClosedRange<UInt64> { socket.say(Make.send(1, number)) }
        let tokens = socket.questions.map(\.token)
        for index in [4, 2, 0, 1, 3] {
            let number = UInt64(index + 1)
            socket.answer(tokens[index], .result(.sent(Make.sent(1, 4 + number, number))))
        }
        let expected = (1...5).map { ServerFrame.sent(Make.sent(1, 4 + $0, $0)) }
        #expect(socket.takeFrames() == expected)
    }

    @Test("A refusal reaches the client with its code")
    func refusal() {
        var socket = live()
        socket.say(Make.send(1, 1), id: "s")
        socket.answer(.result(.refused(ServiceError(.readOnly, "frozen"))))
        #expect(socket.takeFrames() == [.error(ServiceError(.readOnly, "frozen"))])
    }

    @Test("The entry of one's own removal is the last of its conversation")
    func removal() {
        var socket = live()
        socket.hear(.entry(Make.membership(1, 5, .removed)))
        socket.hear(.entry(Make.entry(1, 6)))
        socket.hear(.mark(one, MarkView(user: Make.bob, delivered: 6, read: 6)))
        #expect(socket.takeFrames() == [.entry(Make.membership(1, 5, .removed))])
        socket.hear(.entry(Make.membership(1, 9, .joined)))
        socket.hear(.entry(Make.entry(1, 10)))
        let expected: [ServerFrame] = [
            .entry(Make.membership(1, 9, .joined)), .entry(Make.entry(1, 10)),
        ]
        #expect(socket.takeFrames() == expected)
    }

    @Test("A feed that is ahead of its entry waits for it, and is said when it does not come")
    func feedAhead() {
        var socket = live()
        socket.hear(Make.feed(1, head: 5, position: 11))
        socket.hear(.entry(Make.entry(1, 5)))
        socket.pass(400)
        #expect(socket.takeFrames() == [.entry(Make.entry(1, 5))])
        socket.hear(Make.feed(1, head: 7, position: 13))
        socket.pass(299)
        #expect(socket.frames.isEmpty)
        socket.pass(1)
        #expect(socket.takeFrames() == [.gap(one, head: 7)])
    }

    @Test("A ping with nothing new is answered with the feed that is reconciled")
    func quietPing() {
        var socket = live()
        socket.say(.ping(feed: 10), id: "p")
        socket.answer(.changes(FeedChanges(changed: [], position: 10, isComplete: true)))
        #expect(socket.takeFrames() == [.pong(serverTimeMs: socket.moment.wallMs, feed: 10)])
        #expect(socket.questions.isEmpty)
    }

    @Test("The last push was dropped: the next ping brings it before its pong")
    func droppedPush() {
        var socket = live()
        socket.say(.ping(feed: 10), id: "p")
        let bob = MarkView(user: Make.bob, delivered: 5, read: 4)
        let view = Make.view(1, head: 5, marks: [bob])
        #expect(socket.questions.map(\.question) == [.changes(since: 10, socket.identity)])
        socket.answer(.changes(FeedChanges(changed: [view], position: 12, isComplete: true)))
        let pong = ServerFrame.pong(serverTimeMs: socket.moment.wallMs, feed: 12)
        #expect(socket.takeFrames() == [.gap(one, head: 5), .mark(one, bob), pong])
        socket.hear(.mark(one, bob))
        #expect(socket.frames.isEmpty, "a mark that was said is not said again")
    }

    @Test("A ping asks until the changes are complete")
    func longReconciliation() {
        var socket = live()
        socket.say(.ping(feed: 10))
        let first = FeedChanges(
            changed: [Make.view(1, head: 5)], position: 20, isComplete: false)
        socket.answer(.changes(first))
        #expect(socket.questions.map(\.question) == [.changes(since: 20, socket.identity)])
        socket.answer(
            .changes(
                FeedChanges(changed: [Make.view(2, head: 2)], position: 31, isComplete: true)))
        #expect(
            socket.takeFrames() == [
                .gap(one, head: 5), .gap(Make.conversation(2), head: 2),
                .pong(serverTimeMs: socket.moment.wallMs, feed: 31),
            ])
    }

    @Test("Part of a list of changes does not move the promise")
    func partialReconciliation() {
        var socket = live()
        socket.say(.ping(feed: 10))
        let first = FeedChanges(
            changed: [Make.view(1, head: 5)], position: 20, isComplete: false)
        socket.answer(.changes(first))
        socket.answer(.failure(ServiceError(.unavailable, "busy")))
        let pong = ServerFrame.pong(serverTimeMs: socket.moment.wallMs, feed: 10)
        #expect(socket.takeFrames() == [.gap(one, head: 5), pong])
    }

    @Test("A dropped push of a large group, which moves no feed, is brought by the next ping, once")
    func droppedLargePush() {
        var socket = live()
        let pong = ServerFrame.pong(serverTimeMs: socket.moment.wallMs, feed: 10)
        for (head, frames) in [
            (4, [pong]), (6, [.gap(one, head: 6), pong]), (6, [pong]),
        ] as [(EntrySequence, [ServerFrame])] {
            socket.say(.ping(feed: 10))
            #expect(socket.questions.map(\.question) == [.changes(since: 10, socket.identity)])
            let view = Make.view(1, head: head)
            socket.answer(.changes(FeedChanges(changed: [view], position: 10, isComplete: true)))
            #expect(socket.takeFrames() == frames)
        }
        socket.hear(.entry(Make.entry(1, 7)))
        #expect(socket.takeFrames() == [.entry(Make.entry(1, 7))])
    }

    @Test("A device whose end was lost on the way is closed with 4502 by its next ping")
    func revokedUnheard() {
        var socket = live()
        socket.say(.ping(feed: 10))
        socket.answer(.failure(ServiceError(.unauthenticated, "this device was signed out")))
        #expect(socket.closed == .deviceRevoked)
        #expect(socket.takeFrames() == [.closing(.deviceRevoked, waitMs: 0)])
    }

    @Test("A node that cannot say the feed answers the ping with the position that holds")
    func pingFails() {
        var socket = live()
        socket.say(.ping(feed: 10), id: "p")
        socket.answer(.failure(ServiceError(.unavailable, "busy")))
        #expect(socket.takeFrames() == [.pong(serverTimeMs: socket.moment.wallMs, feed: 10)])
    }

    @Test("Above 64 KiB unsent, typing and presence are dropped, entries are not")
    func ephemeral() {
        var socket = live()
        socket.moment.unsentBytes = 65 << 10
        socket.hear(.typing(one, Make.bob))
        socket.hear(.presence(PresenceView(user: Make.bob, state: .online, lastSeenMs: nil)))
        socket.hear(.entry(Make.entry(1, 5)))
        #expect(socket.takeFrames() == [.entry(Make.entry(1, 5))])
    }

    @Test("Above 256 KiB unsent, a slow reader gets one gap per conversation, when below again")
    func slowReader() {
        var socket = live()
        socket.moment.unsentBytes = 300 << 10
        for seq in 5...300 as ClosedRange<EntrySequence> {
            socket.hear(.entry(Make.entry(1, seq)))
        }
        socket.hear(.entry(Make.entry(2, 1)))
        #expect(socket.frames.isEmpty)
        socket.moment.unsentBytes = 100 << 10
        socket.pass(100)
        #expect(
            socket.takeFrames() == [
                .gap(one, head: 300), .gap(Make.conversation(2), head: 1),
            ])
        socket.hear(.entry(Make.entry(1, 301)))
        #expect(socket.takeFrames() == [.entry(Make.entry(1, 301))])
    }

    @Test("A slow reader's own answers still come, behind the gap")
    func slowSender() {
        var socket = live()
        socket.say(Make.send(1, 1), id: "s")
        socket.moment.unsentBytes = 300 << 10
        socket.hear(.entry(Make.entry(1, 5)))
        socket.hear(.entry(Make.entry(1, 6, from: Socket.me, cid: Make.cid(1))))
        socket.answer(.result(.sent(Make.sent(1, 6, 1))))
        #expect(socket.takeFrames() == [.gap(one, head: 5), .sent(Make.sent(1, 6, 1))])
    }

    @Test("A reader with 1 MiB unsent closes with 4003, resumable")
    func tooSlow() {
        var socket = live()
        socket.moment.unsentBytes = 1 << 20
        socket.hear(.entry(Make.entry(1, 5)))
        #expect(socket.closed == .slowConsumer)
        #expect(CloseCode.slowConsumer.isResumable)
    }

    @Test("A reader without progress for 15 s closes with 4003")
    func stalled() {
        var socket = live()
        socket.moment.unsentBytes = 10
        socket.pass(14_999)
        #expect(socket.closed == nil)
        #expect(socket.machine.deadlineMs == socket.moment.nowMs + 1)
        socket.pass(1)
        #expect(socket.closed == .slowConsumer)
    }

    @Test("Pulls wait while the socket has not taken what was sent")
    func pullsWait() {
        var socket = live()
        socket.moment.unsentBytes = 100 << 10
        socket.say(.pull(one, .newest, limit: 10), id: "p")
        #expect(socket.questions.isEmpty)
        socket.moment.unsentBytes = 0
        socket.pass(10)
        #expect(socket.questions.count == 1)
    }

    @Test("The tables of a session stay within their bounds")
    func bounded() {
        var socket = live()
        socket.moment.unsentBytes = 300 << 10
        for number in 1...5_000 as ClosedRange<UInt64> {
            socket.hear(.entry(Make.entry(number, 1)))
            socket.hear(Make.feed(number, head: 2, position: number))
        }
        #expect(socket.machine.gaps.count <= 1_024)
        socket.moment.unsentBytes = 0
        for number in 1...5_000 as ClosedRange<UInt64> {
            let mark = MarkView(user: Make.bob, delivered: 1, read: 1)
            socket.hear(.mark(Make.conversation(number), mark))
        }
        #expect(socket.machine.streams.count <= 1_024)
        #expect(socket.machine.knownMarks.count <= 1_024)
    }
}
