import Bytes
import ChatModel
import Foundation
import Gateway
import Logging
import MagpieClient
import NIOCore
import NIOPosix
import Platform
import Secrets
import Synchronization
import Testing
import WireProtocol

@testable import ChatNode
@testable import MagpieServer

/// The whole server on a real disk and real sockets, spoken to by our own client.
@Suite struct EndToEndTests {
    /// What a client heard of entries, in order.
    private final class Heard: Sendable {
        private let entries = Mutex<[Entry]>([])

        func take(_ event: ClientEvent) {
            if case .entry(let entry) = event { entries.withLock { $0.append(entry) } }
        }

        var texts: [String] {
            entries.withLock { entries in
                entries.compactMap { entry in
                    guard case .message(let message) = entry.body else { return nil }
                    return message.content.text
                }
            }
        }
    }

    /// A server in a folder of its own, on a free port.
    private struct RunningServer {
        let directory: String
        let node: ChatNode
        let gateway: Gateway
        let group: MultiThreadedEventLoopGroup
        let port: Int
        let task: Task<Void, any Error>
        let starter: any Lane

        static func start(in directory: String) async throws -> RunningServer {
            let seams = NodeSeams(
                fileSystem: LinuxFileSystem(), clock: LinuxClock(), random: SystemRandom(),
                scheduler: ThreadScheduler())
            var configuration = NodeConfiguration(directory: directory)
            configuration.passwordCost = .init(logN: 4, r: 8, p: 1)
            configuration.segmentBytes = 1 << 20
            let settled = configuration
            let starter = seams.scheduler.lane("starter")
            let opened = Mutex<ChatNode?>(nil)
            try await withCheckedThrowingContinuation { continuation in
                ClusterFormation.run(settled, seams: seams, notice: { _ in }) {
                    continuation.resume(with: $0)
                }
            }
            try await withCheckedThrowingContinuation {
                (continuation: CheckedContinuation<Void, any Error>) in
                let hooks = ChatNode.Hooks(
                    ready: { continuation.resume() }, failed: { _ in }, incident: { _ in })
                starter.submit {
                    do {
                        let node = try ChatNode(settled, seams: seams, hooks: hooks)
                        opened.withLock { $0 = node }
                    } catch {
                        continuation.resume(throwing: error)
                    }
                }
            }
            await withCheckedContinuation { continuation in
                starter.submit { continuation.resume() }
            }
            let node = try #require(opened.withLock { $0 })
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
            let host = NodeHost(node: node, clock: seams.clock, random: seams.random)
            let gateway = Gateway(
                GatewayConfiguration(host: "127.0.0.1", port: 0), node: node, host: host,
                group: group, logger: Logger(label: "test"))
            let (ports, port) = AsyncStream<Int>.makeStream()
            let task = Task { try await gateway.run { bound in port.yield(bound) } }
            var iterator = ports.makeAsyncIterator()
            let bound = try #require(await iterator.next())
            return RunningServer(
                directory: directory, node: node, gateway: gateway, group: group, port: bound,
                task: task, starter: starter)
        }

        func stop() async throws {
            await gateway.stop()
            try await task.value
            await withCheckedContinuation { continuation in
                starter.submit {
                    node.stop()
                    continuation.resume()
                }
            }
            try await group.shutdownGracefully()
            starter.submit { [starter] in starter.stop() }
        }

        func client() throws -> HTTPClient {
            let address = try #require(ServerAddress("http://127.0.0.1:\(port)"))
            return HTTPClient(address, on: group.next())
        }

        func connection(
            _ token: String, isBinary: Bool, _ heard: Heard
        ) throws -> ClientConnection {
            var options = ClientOptions()
            options.isBinary = isBinary
            let address = try #require(ServerAddress("http://127.0.0.1:\(port)"))
            let connection = ClientConnection(
                addresses: [address], token: token, options: options, on: group.next(),
                random: SystemRandom(), onEvent: { heard.take($0) })
            connection.start()
            return connection
        }
    }

    private static func folder() -> String {
        let name = "magpie-end-to-end-" + Hex.encode(SystemRandom().bytes(8))
        return FileManager.default.temporaryDirectory.appendingPathComponent(name).path
    }

    @Test(
        "Two clients chat in either encoding, and a restart keeps every message",
        arguments: [WireEncoding.json, .binary])
    func chat(encoding: WireEncoding) async throws {
        let folder = Self.folder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let server = try await RunningServer.start(in: folder)
        let http = try server.client()
        let api = APIClient(http, encoding)
        func register(_ name: String) async throws -> SignedIn {
            let body = AccountBody(
                username: name, password: "a good password", displayName: nil, deviceName: "")
            return try await api.register(body).session
        }
        let (ann, bob) = (try await register("ann"), try await register("bob"))
        let heard = Heard()
        let isBinary = encoding == .binary
        let sender = try server.connection(ann.token, isBinary: isBinary, Heard())
        let receiver = try server.connection(bob.token, isBinary: isBinary, heard)
        let first = try await sender.send(
            MessageContent(text: "0 你好 🐦"), to: .user(bob.user.id), cid: cid(0))
        #expect(first.seq == 1 && !first.isDuplicate)
        for number in 1..<20 {
            let sent = try await sender.send(
                MessageContent(text: "\(number)"), to: .conversation(first.conversation),
                cid: cid(number))
            #expect(sent.seq == UInt64(number) + 1)
        }
        let again = try await sender.send(
            MessageContent(text: "19"), to: .conversation(first.conversation), cid: cid(19))
        #expect(again.isDuplicate && again.seq == 20)
        let expected = ["0 你好 🐦"] + (1..<20).map { "\($0)" }
        // The pull goes the same way as the pushes, behind them.
        let page = try await receiver.pull(first.conversation, .after(0), limit: 200)
        #expect(page.entries.count == 20 && heard.texts.count <= 20)
        try await sender.close().get()
        try await receiver.close().get()
        try await http.close().get()
        try await server.stop()

        let restarted = try await RunningServer.start(in: folder)
        let later = try restarted.client()
        let entries = try await APIClient(later, encoding).page(
            first.conversation, .newest, limit: 200, token: bob.token
        ).page.entries
        let texts = entries.compactMap { entry -> String? in
            guard case .message(let message) = entry.body else { return nil }
            return message.content.text
        }
        #expect(texts == expected)
        try await later.close().get()
        try await restarted.stop()
    }

    private func cid(_ number: Int) -> ClientMessageID {
        ClientMessageID(high: 0x8000, low: 0x8000_0000_0000_0000 | UInt64(number))
    }
}
