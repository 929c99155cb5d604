import ChatModel
import MagpieClient
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import Testing
import WireProtocol

/// The HTTP client against a scripted server.
struct HTTPClientTests {
    private let group = MultiThreadedEventLoopGroup.singleton

    /// A server that answers by path and counts its connections.
    private final class Site: Sendable {
        let connections = Atomic<Int>(0)
        let bearer = Mutex<[String]>([])
        let searches = Mutex<[String]>([])

        func start(on group: any EventLoopGroup) async throws -> any Channel {
            try await ServerBootstrap(group: group)
                .childChannelInitializer { channel in
                    self.connections.wrappingAdd(1, ordering: .relaxed)
                    return channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                        try channel.pipeline.syncOperations.addHandler(Handler(self))
                    }
                }
                .bind(host: "127.0.0.1", port: 0).get()
        }

        private final class Handler: ChannelInboundHandler {
            typealias InboundIn = HTTPServerRequestPart
            typealias OutboundOut = HTTPServerResponsePart
            private let site: Site
            private var head: HTTPRequestHead?
            private var body: [UInt8] = []

            init(_ site: Site) { self.site = site }

            func channelRead(context: ChannelHandlerContext, data: NIOAny) {
                switch unwrapInboundIn(data) {
                case .head(let head):
                    self.head = head
                    body = []
                case .body(let part): body += Array(buffer: part)
                case .end:
                    guard let head else { return }
                    let token = head.headers.first(name: "Authorization") ?? ""
                    site.bearer.withLock { $0.append(token) }
                    answer(head, context)
                }
            }

            private func answer(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
                var reply = body
                var status = HTTPResponseStatus.ok
                var headers = HTTPHeaders()
                switch head.uri {
                case "/hang": return
                case "/drop": return context.close(promise: nil)
                case "/last": headers.add(name: "Connection", value: "close")
                case let path where path.hasPrefix("/v1/search?"):
                    site.searches.withLock { $0.append(path) }
                    reply = HTTPAnswerEncoder(.json, links: NoLinks()).results(
                        FakeServer.results(SearchQuery(text: "found")))
                case "/v1/sessions":
                    status = .unauthorized
                    reply = HTTPAnswerEncoder.problem(ServiceError(.unauthenticated, "no"))
                default: break
                }
                headers.add(name: "Content-Length", value: String(reply.count))
                let answer = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
                context.write(wrapOutboundOut(.head(answer)), promise: nil)
                context.write(
                    wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: reply)))), promise: nil)
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
                if head.uri == "/last" { context.close(promise: nil) }
            }
        }
    }

    private func served(
        connectionsMax: Int = 2, _ body: (HTTPClient, Site) async throws -> Void
    ) async throws {
        let site = Site()
        let listener = try await site.start(on: group)
        let port = try #require(listener.localAddress?.port)
        let address = try #require(ServerAddress("http://127.0.0.1:\(port)"))
        let client = HTTPClient(address, on: group.next(), connectionsMax: connectionsMax)
        try await body(client, site)
        try await client.close().get()
        try await listener.close()
    }

    @Test("calls one after the other share a connection; bodies and tokens arrive")
    func keepsAlive() async throws {
        try await served { client, site in
            for number in 0..<5 as Range<UInt8> {
                let body = [UInt8](repeating: number, count: 1 + Int(number) * 50_000)
                let reply = try await client.call(
                    HTTPCall("POST", "/echo", token: "t", body: body))
                #expect(reply.status == 200)
                #expect(reply.body == body)
            }
            #expect(site.connections.load(ordering: .relaxed) == 1)
            #expect(site.bearer.withLock { $0 } == Array(repeating: "Bearer t", count: 5))
        }
    }

    @Test("many calls at once use no more connections than allowed")
    func bounded() async throws {
        try await served(connectionsMax: 3) { client, site in
            try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<40 {
                    group.addTask { try await client.call(HTTPCall("GET", "/echo")).status }
                }
                for try await status in group { #expect(status == 200) }
            }
            #expect(site.connections.load(ordering: .relaxed) <= 3)
        }
    }

    @Test("a connection that the server ends, or drops, is replaced")
    func replaced() async throws {
        try await served { client, _ in
            for path in ["/last", "/echo", "/drop", "/echo"] {
                do {
                    let reply = try await client.call(HTTPCall("GET", path))
                    #expect(reply.status == 200 && path != "/drop")
                } catch let error as ServiceError {
                    #expect(error.code == .unavailable && path == "/drop")
                }
            }
        }
    }

    @Test("a server that never answers is not waited for")
    func timeout() async throws {
        try await served { client, _ in
            do {
                _ = try await client.call(
                    HTTPCall("GET", "/hang", timeout: .milliseconds(20)))
                Issue.record("answered")
            } catch let error as ServiceError {
                #expect(error.code == .unavailable)
            }
        }
    }

    @Test("a search goes as one path and comes back as it was answered")
    func search() async throws {
        try await served { client, site in
            let query = SearchQuery(text: "a b", has: [.file], limit: 3, cursor: "c+d")
            let answer = try await APIClient(client).search(query, token: "t")
            #expect(answer.results == FakeServer.results(SearchQuery(text: "found")))
            #expect(
                site.searches.withLock { $0 }
                    == ["/v1/search?q=a%20b&has=file&limit=3&cursor=c%2Bd"])
            #expect(site.bearer.withLock { $0 } == ["Bearer t"])
        }
    }

    @Test("a problem becomes the error it tells of")
    func problem() async throws {
        try await served { client, _ in
            let body = SessionBody(username: "a", password: "b", deviceName: "")
            do {
                _ = try await APIClient(client).signIn(body)
                Issue.record("signed in")
            } catch let error as ServiceError {
                #expect(error == ServiceError(.unauthenticated, "no"))
            }
        }
    }

    @Test("nobody listening is unavailable, and so is a URL of another kind an argument error")
    func nobody() async throws {
        do throws(ChatError) {
            _ = try await ChatClient.signIn(
                url: "http://127.0.0.1:1", username: "a", password: "b")
            Issue.record("signed in")
        } catch {
            #expect(error.code == "unavailable")
        }
        do throws(ChatError) {
            _ = try await ChatClient.signIn(url: "mailto:a", username: "a", password: "b")
            Issue.record("signed in")
        } catch {
            #expect(error.code == "invalid_argument")
        }
    }
}
