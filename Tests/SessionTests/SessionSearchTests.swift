import ChatModel
import FanOut
import Testing

@testable import Session

struct SessionSearchTests {
    private let query = SearchQuery(text: "magpie", sort: .relevance, limit: 100)

    private func live(bounds: SessionLimits = SessionLimits()) -> Socket {
        var socket = Socket(bounds: bounds)
        socket.signIn()
        return socket
    }

    private func code(_ frame: ServerFrame?) -> ErrorCode? {
        if case .error(let error) = frame { error.code } else { nil }
    }

    @Test("A search is asked of the node as it came, and its results repeat the id")
    func answered() {
        var socket = live()
        socket.say(.search(query), id: "s")
        #expect(socket.questions.map(\.question) == [.search(query, socket.identity)])
        socket.answer(.results(Make.results(2)))
        #expect(socket.frames.map(\.id) == ["s"])
        #expect(socket.takeFrames() == [.results(Make.results(2))])
    }

    @Test("What the node refuses is said, and so is an answer of another kind")
    func refused() {
        var socket = live()
        socket.say(.search(query), id: "s")
        socket.answer(.failure(ServiceError(.notFound, "no such conversation")))
        #expect(code(socket.takeFrames().last) == .notFound)
        socket.say(.search(query), id: "s")
        socket.answer(.feedPosition(1))
        #expect(code(socket.takeFrames().last) == .internal)
        // Both made room for the next.
        socket.say(.search(query), id: "s")
        #expect(socket.questions.count == 1)
    }

    @Test("A search needs auth")
    func needsAuth() {
        var socket = Socket()
        socket.say(.search(query), id: "s")
        #expect(code(socket.frames.last?.frame) == .unauthenticated)
        #expect(socket.questions.isEmpty)
    }

    @Test("A search's limit is 1 to 100", arguments: [0, -1, 101])
    func limit(limit: Int) {
        var socket = live()
        socket.say(.search(SearchQuery(text: "x", limit: limit)), id: "s")
        #expect(code(socket.frames.last?.frame) == .invalidArgument)
        #expect(socket.questions.isEmpty)
    }

    @Test("Searches and pulls share two places and come in order")
    func queued() {
        var socket = live()
        let room = Make.conversation(1)
        socket.say(.search(query), id: "1")
        socket.say(.pull(room, .newest, limit: 1), id: "2")
        socket.say(.search(SearchQuery(text: "third")), id: "3")
        socket.say(.pull(room, .newest, limit: 2), id: "4")
        #expect(socket.questions.count == 2)
        socket.answer(.results(Make.results(0)))
        #expect(
            socket.questions.last?.question
                == .search(SearchQuery(text: "third"), socket.identity))
        socket.answer(.page(Make.page(1, 1...1)))
        socket.answer(.results(Make.results(1)))
        socket.answer(.page(Make.page(1, 1...2)))
        #expect(socket.frames.map(\.id) == ["1", "2", "3", "4"])
    }

    @Test("Searches wait while the socket has not taken what was sent")
    func waits() {
        var socket = live()
        socket.moment.unsentBytes = 100 << 10
        socket.say(.search(query), id: "s")
        #expect(socket.questions.isEmpty)
        socket.moment.unsentBytes = 0
        socket.pass(10)
        #expect(socket.questions.count == 1)
    }

    @Test("More searches than may wait are refused")
    func crowded() {
        var bounds = SessionLimits()
        bounds.outstanding = 3
        var socket = live(bounds: bounds)
        for number in 1...4 { socket.say(.search(query), id: "\(number)") }
        #expect(socket.frames.map(\.id) == ["4"])
        #expect(code(socket.takeFrames().last) == .rateLimited)
    }

    @Test("Results too long for a socket are asked for again with as many hits as fit")
    func tooLong() {
        var socket = live()
        socket.say(.search(query), id: "s")
        socket.say(.search(SearchQuery(text: "next")), id: "n")
        socket.say(.search(SearchQuery(text: "waits")), id: "w")
        socket.answer(.results(Make.results(50, bytes: 10_000)))
        #expect(socket.frames.isEmpty)
        guard case .search(let shorter, _)? = socket.questions.last?.question else {
            Issue.record("not asked again: \(socket.questions)")
            return
        }
        // Before those that wait, and the same but for the limit.
        var expected = query
        expected.limit = shorter.limit
        #expect(shorter == expected)
        let limit = shorter.limit ?? 0
        #expect((10...13).contains(limit), "\(limit)")
        socket.answer(socket.questions.removeLast().token, .results(Make.results(limit, bytes: 10)))
        #expect(socket.takeFrames() == [.results(Make.results(limit, bytes: 10))])
    }

    @Test("One hit is sent however long it is, and a node that ignores the limit ends nothing")
    func longest() {
        var socket = live()
        socket.say(.search(SearchQuery(text: "x", limit: 1)), id: "s")
        socket.answer(.results(Make.results(1, bytes: 200 << 10)))
        #expect(socket.takeFrames() == [.results(Make.results(1, bytes: 200 << 10))])
        socket.moment.unsentBytes = 0
        socket.say(.search(query), id: "t")
        socket.answer(.results(Make.results(30, bytes: 10_000)))
        socket.answer(.results(Make.results(30, bytes: 10_000)))
        #expect(socket.takeFrames() == [.results(Make.results(30, bytes: 10_000))])
    }
}
