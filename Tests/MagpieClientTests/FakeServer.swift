import ChatModel
import NIOCore
import NIOPosix
import Synchronization
import WebSocketCodec
import WireProtocol

/// A server of one port that speaks just enough of the protocol to be connected to. It keeps what
/// it was sent, and does to each socket what its script says.
final class FakeServer: Sendable {
    /// What happens to a send.
    enum Step: Sendable {
        /// Keeps and answers it.
        case answer
        /// Keeps it and drops the socket without an answer.
        case keepAndDrop
        /// Drops the socket.
        case drop
        /// Says goodbye with a close code.
        case close(UInt16)
    }

    struct State: Sendable {
        var script: [Step]
        var kept: [ClientMessageID] = []
        var resumes: [Resume?] = []
        var pongs = 0
    }

    static let user = UserID(high: 3, low: 3)
    let state: Mutex<State>

    init(_ script: [Step]) { state = Mutex(State(script: script)) }

    /// Listens on a port of the system's choice.
    func start(on group: any EventLoopGroup) async throws -> any Channel {
        try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Handler(self))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    /// What every search finds: one entry, and the search's text as its snippet.
    static func results(_ query: SearchQuery) -> SearchView {
        SearchView(
            hits: [
                SearchHitView(
                    entry: ClientCoreTests.entry(3), snippet: query.text,
                    highlights: [TextSpan(start: 0, length: query.text.utf16.count)])
            ], cursor: query.sort.rawValue, atLeast: 4, isPartial: false, isIndexing: true,
            isSealedNotSearched: false)
    }

    /// The answer to a send: nil drops the socket.
    fileprivate func take(_ cid: ClientMessageID) -> (step: Step, sent: Sent?) {
        state.withLock { state in
            let step = state.script.isEmpty ? .answer : state.script.removeFirst()
            switch step {
            case .drop, .close: return (step, nil)
            case .answer, .keepAndDrop: break
            }
            let known = state.kept.firstIndex(of: cid)
            if known == nil { state.kept.append(cid) }
            let seq = UInt64((known ?? state.kept.count - 1) + 1)
            let sent = Sent(
                conversation: ClientCoreTests.room, seq: seq, m: seq, atMs: 1, cid: cid,
                isDuplicate: known != nil)
            return (step, sent)
        }
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let server: FakeServer
        private var input = ByteBuffer()
        private var encoding: WireEncoding?
        private var decoder = WebSocketDecoder(role: .server, limits: .init(frameBytesMax: 65_536))

        init(_ server: FakeServer) { self.server = server }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var bytes = unwrapInboundIn(data)
            input.writeBuffer(&bytes)
            if encoding == nil { upgrade(context) }
            guard let encoding else { return }
            while let event = try? decoder.next(from: &input) {
                switch event {
                case .text(let message), .binary(let message):
                    let bytes = Array(buffer: message)
                    guard let frame = try? ClientFrameDecoder.decode(bytes, encoding, Limits())
                    else { return context.close(promise: nil) }
                    answer(frame, context)
                case .pong: server.state.withLock { $0.pongs += 1 }
                default: context.close(promise: nil)
                }
            }
        }

        private func upgrade(_ context: ChannelHandlerContext) {
            let text = String(buffer: input)
            guard text.hasSuffix("\r\n\r\n") else { return }
            input.clear()
            var headers: [String: String] = [:]
            for line in text.split(separator: "\r\n").dropFirst() {
                guard let colon = line.firstIndex(of: ":") else { continue }
                headers[line[..<colon].lowercased()] =
                    String(line[colon...].dropFirst().drop { $0 == " " })
            }
            let offered = headers["sec-websocket-protocol"] ?? ""
            encoding = WireEncoding.allCases.first { $0.subprotocol == offered }
            let accept = WebSocketHandshake.accept(forKey: headers["sec-websocket-key"] ?? "")
            let head =
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                + "Connection: Upgrade\r\nSec-WebSocket-Accept: \(accept)\r\n"
                + "Sec-WebSocket-Protocol: \(offered)\r\n\r\n"
            context.write(wrapOutboundOut(ByteBuffer(string: head)), promise: nil)
            write(ClientCoreTests.hello, nil, context)
            let ping = WebSocketFrame.encode(.ping, ByteBuffer(string: "?"))
            context.writeAndFlush(wrapOutboundOut(ping), promise: nil)
        }

        private func answer(_ frame: ClientFrame, _ context: ChannelHandlerContext) {
            switch frame.body {
            case .auth(_, let resume):
                server.state.withLock { $0.resumes.append(resume) }
                write(ClientCoreTests.ready(), frame.id, context)
            case .send(_, let cid, _):
                let (step, sent) = server.take(cid)
                switch step {
                case .answer:
                    if let sent { write(.sent(sent), frame.id, context) }
                case .close(let code):
                    let bye = WebSocketFrame.encodeClose(WebSocketCloseCode(rawValue: code))
                    context.writeAndFlush(wrapOutboundOut(bye), promise: nil)
                case .keepAndDrop, .drop: context.close(promise: nil)
                }
            case .pull: write(ClientCoreTests.page(1...3, hasMore: false), frame.id, context)
            case .search(let query):
                write(.results(FakeServer.results(query)), frame.id, context)
            default: break
            }
        }

        private func write(_ frame: ServerFrame, _ id: String?, _ context: ChannelHandlerContext) {
            guard let encoding else { return }
            let bytes = ServerFrameEncoder.encode(frame, id: id, encoding, links: NoLinks())
            let opcode: WebSocketOpcode = encoding == .json ? .text : .binary
            let message = WebSocketFrame.encode(opcode, ByteBuffer(bytes: bytes))
            context.writeAndFlush(wrapOutboundOut(message), promise: nil)
        }
    }
}

struct NoLinks: MediaLinks {
    func url(for blob: BlobID) -> String { "" }
}
