import ChatModel
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import Session
import WireProtocol

/// The HTTP calls of the client protocol. Each reads its request, asks the node one thing and
/// writes the answer; what the calls mean is decided behind ``NodePort``.
struct Routes: Sendable {
    typealias Handler = @Sendable (Request, GatewayContext) async throws -> Response

    let node: any NodePort
    let host: any GatewayHost
    let configuration: GatewayConfiguration

    var limits: Limits { node.facts.limits }

    /// A router with every call. A known path answers its other methods with 405.
    func router() -> Router<GatewayContext> {
        let router = Router(context: GatewayContext.self)
        router.add(middleware: ProblemMiddleware())
        let table =
            accountCalls + userCalls + conversationCalls + searchCalls + mediaCalls
            + operationCalls
        var methods: [(path: RouterPath, methods: [HTTPRequest.Method])] = []
        for call in table {
            router.on(call.path, method: call.method, use: call.handler)
            if let index = methods.firstIndex(where: { $0.path == call.path }) {
                methods[index].methods.append(call.method)
            } else {
                methods.append((call.path, [call.method]))
            }
        }
        for (path, known) in methods {
            for method in Self.allMethods where !known.contains(method) {
                router.on(path, method: method, use: Self.refuse(known))
            }
        }
        let files = configuration.staticFiles
        for method in [HTTPRequest.Method.get, .head] {
            for path in ["/", "/**"] as [RouterPath] {
                router.on(path, method: method) { request, _ in
                    try Self.staticFile(request, files)
                }
            }
        }
        return router
    }

    /// One line of the table of calls.
    struct Call {
        let method: HTTPRequest.Method
        let path: RouterPath
        let handler: Handler

        init(
            _ method: HTTPRequest.Method, _ path: RouterPath, _ handler: @escaping Handler
        ) {
            self.method = method
            self.path = path
            self.handler = handler
        }
    }

    private static let allMethods: [HTTPRequest.Method] = [
        .get, .head, .post, .put, .patch, .delete, .options,
    ]

    private static func refuse(_ known: [HTTPRequest.Method]) -> Handler {
        let allowed = known.map(\.rawValue).joined(separator: ", ")
        return { request, _ in
            var response = Problem.response(
                ServiceError(.methodNotAllowed, "this path takes \(allowed)"))
            response.headers[.allow] = allowed
            return response
        }
    }

    // MARK: Reading requests

    /// The encoding of the body.
    func bodyEncoding(_ request: Request) throws(ServiceError) -> WireEncoding {
        guard let encoding = WireEncoding(contentType: request.headers[.contentType]) else {
            throw ServiceError(
                .unsupportedMediaType, "bodies are application/json or application/x-protobuf")
        }
        return encoding
    }

    /// The whole body, within the limit.
    func body(_ request: Request) async throws -> [UInt8] {
        if let announced = request.headers[.contentLength].flatMap(UInt64.init),
            announced > UInt64(configuration.bodyBytesMax)
        {
            throw ServiceError(
                .tooLarge, "the body is above \(configuration.bodyBytesMax) bytes")
        }
        return [UInt8](buffer: try await request.body.collect(upTo: configuration.bodyBytesMax))
    }

    /// Who asks, by the bearer token.
    func identity(_ request: Request) async throws -> Identity {
        let header = request.headers[.authorization] ?? ""
        let parts = header.split(separator: " ", omittingEmptySubsequences: true)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else {
            throw ServiceError(.unauthenticated, "Authorization: Bearer TOKEN is missing")
        }
        let token = String(parts[1])
        return try await answer { node.authenticate(.token(token), answer: $0) }
    }

    /// A query parameter.
    func query(_ request: Request, _ name: String) -> String? {
        FormQuery(request.uri.query)[name]
    }

    /// A query parameter that counts.
    func number(_ request: Request, _ name: String) throws(ServiceError) -> UInt64? {
        guard let text = query(request, name), !text.isEmpty else { return nil }
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let value = UInt64(text) else {
            throw ServiceError(.invalidArgument, "\(name): is not a whole number")
        }
        return value
    }

    /// `limit`, 1…max.
    func limit(
        _ request: Request, max: Int, default standard: Int
    ) throws(ServiceError) -> Int {
        guard let value = try number(request, "limit") else { return standard }
        guard let limit = Int(exactly: value), (1...max).contains(limit) else {
            throw ServiceError(.invalidArgument, "limit: must be 1…\(max)")
        }
        return limit
    }

    /// Identifiers separated by commas.
    func identifiers<Kind>(
        _ request: Request, _ name: String, max: Int
    ) throws(ServiceError) -> [Identifier<Kind>]? {
        guard let text = query(request, name) else { return nil }
        let parts = text.split(separator: ",")
        guard parts.count <= max else {
            throw ServiceError(.invalidArgument, "\(name): more than \(max)")
        }
        var ids: [Identifier<Kind>] = []
        for part in parts {
            guard let id = Identifier<Kind>(part) else {
                throw ServiceError(.invalidArgument, "\(name): is not a list of UUIDs")
            }
            ids.append(id)
        }
        return ids
    }

    // MARK: Writing answers

    /// The encoder of the answer that the request asks for.
    func encoder(_ request: Request) -> (HTTPAnswerEncoder, WireEncoding) {
        let encoding = WireEncoding.forAnswer(
            accept: request.headers[.accept], contentType: request.headers[.contentType])
        return (HTTPAnswerEncoder(encoding, links: node.links), encoding)
    }

    /// An answer with a body, never kept by caches.
    func reply(
        _ request: Request, _ status: HTTPResponse.Status = .ok,
        _ make: (HTTPAnswerEncoder) -> [UInt8]
    ) -> Response {
        let (encoder, encoding) = encoder(request)
        return Response(
            status: status,
            headers: [.contentType: encoding.contentType, .cacheControl: "no-store"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: make(encoder))))
    }

    /// 204.
    static let noContent = Response(status: .noContent)

    /// `http://` or `https://` and the authority that the client reached this node by.
    func baseURL(_ request: Request) -> String {
        if let url = node.facts.publicURL {
            return url.hasSuffix("/") ? String(url.dropLast()) : url
        }
        let authority = request.head.authority ?? "\(configuration.host):\(configuration.port)"
        return "http://" + authority
    }

    /// Where this client opens its WebSocket: at the user's home, which every node names alike.
    func websocketURL(_ request: Request, of user: UserID) -> String {
        let home = host.home(of: user).map(\.url) ?? ""
        let base = home.isEmpty ? baseURL(request) : home
        return (base.hasPrefix("https") ? "wss" + base.dropFirst(5) : "ws" + base.dropFirst(4))
            + UpgradeRules.path
    }

    /// The nodes a client may use.
    func nodes(_ request: Request) -> [NodeView] {
        host.nodes().map { node in
            NodeView(
                id: node.id, url: node.url.isEmpty ? baseURL(request) : node.url, load: node.load,
                isSelf: node.isSelf)
        }
    }
}
