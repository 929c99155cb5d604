import Bytes
import ChatModel
import Logging
import NIOCore
import NIOPosix
import Synchronization

@testable import Gateway

struct FakeHost: GatewayHost {
    static let wallMs: Milliseconds = 1_700_000_000_000
    var ready: @Sendable () -> Bool = { true }

    func wallMilliseconds() -> Milliseconds { Self.wallMs }
    func isReady() -> Bool { ready() }
    func status() -> String { "{\"node\":\"node-1\"}" }
    func metrics() -> String { "magpie_up 1\n" }
    func nodes() -> [GatewayNode] { [GatewayNode(id: "node", url: "", load: 0.5, isSelf: true)] }
    func home(of user: UserID) -> GatewayNode? { nil }
    func administer(_ call: AdminCall) async throws -> String { "{}" }
    func randomSeed() -> UInt64 { 42 }
}

/// A gateway on a free port, for the time of `body`.
func withGateway(
    node: FakeNode = FakeNode(), host: FakeHost = FakeHost(),
    configure: (inout GatewayConfiguration) -> Void = { _ in },
    _ body: (Running) async throws -> Void
) async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
    var configuration = GatewayConfiguration(host: "127.0.0.1", port: 0)
    configuration.staticFiles = [
        "/index.html": StaticFile(
            bytes: ByteBuffer(string: "<!doctype html>"), type: "text/html; charset=utf-8",
            etag: "\"v1\"")
    ]
    configure(&configuration)
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    let gateway = Gateway(configuration, node: node, host: host, group: group, logger: logger)
    let (ports, bound) = AsyncStream.makeStream(of: Int.self)
    try await withThrowingTaskGroup(of: Void.self) { tasks in
        tasks.addTask {
            defer { bound.finish() }
            try await gateway.run { bound.yield($0) }
        }
        var iterator = ports.makeAsyncIterator()
        guard let port = await iterator.next() else {
            try await tasks.waitForAll()
            return
        }
        do {
            try await body(Running(gateway: gateway, node: node, port: port))
        } catch {
            await gateway.stop()
            throw error
        }
        await gateway.stop()
        try await tasks.waitForAll()
    }
    try await group.shutdownGracefully()
}

struct Running {
    let gateway: Gateway
    let node: FakeNode
    let port: Int

    func connect() async throws -> TestConnection { try await TestConnection(port: port) }

    /// One request on a connection of its own.
    func request(
        _ method: String, _ path: String, token: String? = nil, headers: [String] = [],
        body: [UInt8] = []
    ) async throws -> TestResponse {
        let connection = try await connect()
        defer { connection.close() }
        return try await connection.request(
            method, path, token: token, headers: headers, body: body)
    }

    func request(
        _ method: String, _ path: String, token: String? = nil, headers: [String] = [],
        json: String
    ) async throws -> TestResponse {
        try await request(
            method, path, token: token, headers: headers + ["Content-Type: application/json"],
            body: [UInt8](json.utf8))
    }

    /// A WebSocket that has read `hello`.
    func socket(_ subprotocol: String? = "magpie.v1.json") async throws -> TestConnection {
        let connection = try await connect()
        let response = try await connection.upgrade(subprotocol: subprotocol)
        guard response.status == 101 else { throw TestFailure("no upgrade: \(response)") }
        guard case .text(let hello)? = try await connection.message(), hello.contains("\"hello\"")
        else { throw TestFailure("no hello") }
        return connection
    }

    /// A WebSocket that is signed in.
    func session(_ name: String) async throws -> TestConnection {
        let connection = try await socket()
        connection.say(#"{"id":"a","auth":{"token":"good-\#(name)"}}"#)
        guard case .text(let ready)? = try await connection.message(), ready.contains("\"ready\"")
        else { throw TestFailure("not ready") }
        return connection
    }
}

struct TestFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
