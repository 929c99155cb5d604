import Foundation
import NIOCore
import NIOPosix
import Testing
import WebSocketCodec

/// The echo server itself, and the door for Autobahn: with `MAGPIE_AUTOBAHN_PORT` set, the second
/// test serves on that port until the server channel is closed by the end of the process; run
/// `wstest -m fuzzingclient` against it meanwhile.
@Suite(.timeLimit(.minutes(30)))
struct EchoServerTests {
    @Test("what is said comes back, in one frame")
    func echo() async throws {
        let server = try await EchoHandler.listen(
            port: 0, group: MultiThreadedEventLoopGroup.singleton)
        let port = try #require(server.localAddress?.port)
        let client = try await TestConnection(port: port)
        let response = try await client.upgrade()
        #expect(response["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        client.send(client.frame(.text, [0x61], isFinal: false))
        client.send(client.frame(.continuation, [0x62]))
        #expect(try await client.message() == .text("ab"))
        client.send([0x81, 0x00])
        #expect(try await client.message() == .close(1002))
        client.close()
        try await server.close()
    }

    private static let autobahnPort = ProcessInfo.processInfo.environment["MAGPIE_AUTOBAHN_PORT"]
        .flatMap { Int($0) }

    @Test("Autobahn is served", .enabled(if: autobahnPort != nil))
    func autobahn() async throws {
        let server = try await EchoHandler.listen(
            port: Self.autobahnPort ?? 0, group: MultiThreadedEventLoopGroup.singleton)
        try await server.closeFuture.get()
    }
}
