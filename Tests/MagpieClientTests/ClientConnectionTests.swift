import ChatModel
import MagpieClient
import NIOCore
import NIOPosix
import Platform
import Synchronization
import Testing

/// Real sockets against a scripted server.
struct ClientConnectionTests {
    private let group = MultiThreadedEventLoopGroup.singleton

    /// Runs `body` with a connection to a server of that script.
    private func connected(
        _ script: [FakeServer.Step], isBinary: Bool = false,
        _ body: (ClientConnection, FakeServer) async throws -> Void
    ) async throws -> [ClientEvent] {
        let server = FakeServer(script)
        let listener = try await server.start(on: group)
        let port = try #require(listener.localAddress?.port)
        let address = try #require(ServerAddress("http://127.0.0.1:\(port)"))
        var options = ClientOptions()
        options.isBinary = isBinary
        options.backoffBase = .milliseconds(1)
        options.backoffCap = .milliseconds(5)
        // Only the script breaks a socket, however slow the machine.
        options.connectTimeout = .seconds(3600)
        let events = EventLog()
        let connection = ClientConnection(
            addresses: [address], token: "t", options: options, on: group.next(),
            random: SystemRandom()
        ) { events.add($0) }
        connection.start()
        try await body(connection, server)
        try await connection.close().get()
        try await listener.close()
        return events.all
    }

    private final class EventLog: Sendable {
        private let log = Mutex<[ClientEvent]>([])
        func add(_ event: ClientEvent) { log.withLock { $0.append(event) } }
        var all: [ClientEvent] { log.withLock { $0 } }
    }

    @Test("sends are answered in both encodings", arguments: [false, true])
    func sends(isBinary: Bool) async throws {
        let events = try await connected([], isBinary: isBinary) { connection, server in
            for number in 1...5 as ClosedRange<UInt64> {
                let sent = try await connection.submit(ClientCoreTests.send(number)).get()
                #expect(sent.seq == number)
                #expect(!sent.isDuplicate)
            }
            let page = try await connection.pull(ClientCoreTests.room, .newest)
            #expect(page.entries.map(\.seq) == [1, 2, 3])
            let query = SearchQuery(text: "🐦 bird", has: [.link], sort: .relevance, limit: 7)
            #expect(try await connection.search(query) == FakeServer.results(query))
            #expect(server.state.withLock { $0.pongs } >= 1)
        }
        #expect(events.first == .connected(user: FakeServer.user, epoch: 1))
        #expect(events.count { if case .sent = $0 { true } else { false } } == 5)
    }

    @Test("whatever breaks, each message stands once and in order")
    func breaks() async throws {
        let script: [FakeServer.Step] = [
            .answer, .keepAndDrop, .answer, .drop, .answer, .close(4000), .keepAndDrop,
            .keepAndDrop, .close(4003), .answer,
        ]
        _ = try await connected(script) { connection, server in
            let futures = (1...8 as ClosedRange<UInt64>).map {
                connection.submit(ClientCoreTests.send($0))
            }
            var seqs: [UInt64] = []
            for future in futures { seqs.append(try await future.get().seq) }
            #expect(seqs == Array(1...8))
            let state = server.state.withLock { $0 }
            #expect(state.kept == (1...8).map { ClientCoreTests.cid($0) })
            // Six sockets were lost; each next one resumed.
            #expect(state.resumes.count == 7)
            #expect(state.resumes.first == .some(nil))
            #expect(state.resumes.dropFirst().allSatisfy { $0?.epoch == 1 })
        }
    }

    @Test("a close code that means stay away ends the connection and fails what waits")
    func staysAway() async throws {
        let events = try await connected([.close(4502)]) { connection, _ in
            await #expect(throws: ServiceError.self) {
                _ = try await connection.submit(ClientCoreTests.send(1)).get()
            }
        }
        #expect(events.contains { if case .stopped = $0 { true } else { false } })
    }

    @Test("nobody listening: the change waits, and closing fails it")
    func nobody() async throws {
        let address = try #require(ServerAddress("http://127.0.0.1:1"))
        var options = ClientOptions()
        options.backoffBase = .milliseconds(1)
        let connection = ClientConnection(
            addresses: [address], token: "t", options: options, on: group.next(),
            random: SystemRandom()
        ) { _ in }
        connection.start()
        let future = connection.submit(ClientCoreTests.send(1))
        try await connection.close().get()
        await #expect(throws: ServiceError.self) { _ = try await future.get() }
    }
}
