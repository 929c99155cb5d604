import ChatModel
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import WireProtocol

/// Health, figures, and the files of the web client.
extension Routes {
    var operationCalls: [Call] {
        [
            Call(.get, "/healthz", { _, _ in Self.text(.ok, "ok\n") }),
            Call(.get, "/readyz", ready),
            Call(.get, "/status", status),
            Call(.get, "/metrics", metrics),
            Call(.get, "/admin/nodes", { try await self.administer(.nodes, $1) }),
            Call(.get, "/admin/shards", { try await self.administer(.shards, $1) }),
            Call(.post, "/admin/transfer", transfer),
            Call(.post, "/admin/nodes", addNode),
            Call(.put, "/admin/nodes", replaceNode),
            Call(.delete, "/admin/nodes", removeNode),
            Call(
                .get, "/v1/ws",
                { _, _ in
                    throw ServiceError(
                        .invalidArgument, "a WebSocket needs a connection of its own")
                }),
        ]
    }

    @Sendable private func ready(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        guard host.isReady() else {
            throw ServiceError(.unavailable, "this node cannot serve yet", retryAfterMs: 1_000)
        }
        return Self.text(.ok, "ready\n")
    }

    @Sendable private func status(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        try Self.needLoopback(context)
        return Self.text(.ok, host.status(), type: "application/json")
    }

    @Sendable private func metrics(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        try Self.needLoopback(context)
        return Self.text(
            .ok, host.metrics(), type: "text/plain; version=0.0.4; charset=utf-8")
    }

    /// Hands a shard's leadership over: `?shard=N&node=N`.
    @Sendable private func transfer(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        guard let shard = request.uri.queryParameters["shard"].flatMap({ UInt32($0) }) else {
            throw ServiceError(.invalidArgument, "shard: the number of a shard")
        }
        return try await administer(
            .transfer(shard: shard, node: try Self.node(request)), context)
    }

    /// Adds a node: `?node=N&peer=HOST:PORT&url=URL`.
    @Sendable private func addNode(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        let (number, peer, url) = try Self.place(request)
        return try await administer(.addNode(number: number, peer: peer, url: url), context)
    }

    /// Says where a replaced node is: `?node=N&peer=HOST:PORT&url=URL`.
    @Sendable private func replaceNode(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        let (number, peer, url) = try Self.place(request)
        return try await administer(.replaceNode(number: number, peer: peer, url: url), context)
    }

    private static func place(
        _ request: Request
    ) throws(ServiceError) -> (number: UInt16, peer: String, url: String) {
        let number = try node(request)
        guard let peer = request.uri.queryParameters["peer"], peer.contains(":") else {
            throw ServiceError(.invalidArgument, "peer: HOST:PORT for other nodes")
        }
        guard let url = request.uri.queryParameters["url"], url.hasPrefix("http") else {
            throw ServiceError(.invalidArgument, "url: where clients reach the node")
        }
        return (number, String(peer), String(url))
    }

    /// Removes a node: `?node=N`.
    @Sendable private func removeNode(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        try await administer(.removeNode(try Self.node(request)), context)
    }

    private static func node(_ request: Request) throws(ServiceError) -> UInt16 {
        guard let node = request.uri.queryParameters["node"].flatMap({ UInt16($0) }), node > 0
        else { throw ServiceError(.invalidArgument, "node: the number of a node, from 1") }
        return node
    }

    private func administer(
        _ call: AdminCall, _ context: GatewayContext
    ) async throws -> Response {
        try Self.needLoopback(context)
        return Self.text(.ok, try await host.administer(call), type: "application/json")
    }

    private static func needLoopback(_ context: GatewayContext) throws(ServiceError) {
        guard context.isLoopback else {
            throw ServiceError(.notFound, "there is nothing at this path")
        }
    }

    private static func text(
        _ status: HTTPResponse.Status, _ text: String, type: String = "text/plain; charset=utf-8"
    ) -> Response {
        Response(
            status: status, headers: [.contentType: type, .cacheControl: "no-store"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }

    /// A file of the web client. `/v1` and `/media` are never files.
    static func staticFile(
        _ request: Request, _ files: [String: StaticFile]
    ) throws(ServiceError) -> Response {
        let path = request.uri.path == "/" ? "/index.html" : request.uri.path
        guard let file = files[path] else {
            throw ServiceError(.notFound, "there is nothing at this path")
        }
        var fields: HTTPFields = [
            .contentType: file.type, .eTag: file.etag, .cacheControl: "no-cache",
            .xContentTypeOptions: "nosniff",
        ]
        if file.type.hasPrefix("text/html") {
            fields[.contentSecurityPolicy] = Self.pagePolicy
            if let name = HTTPField.Name("Referrer-Policy") { fields[name] = "no-referrer" }
        }
        if EntityTag.matches(request.headers[.ifNoneMatch], file.etag) {
            return Response(status: .notModified, headers: fields)
        }
        guard request.method != .head else {
            fields[.contentLength] = String(file.bytes.readableBytes)
            return Response(status: .ok, headers: fields)
        }
        return Response(
            status: .ok, headers: fields, body: ResponseBody(byteBuffer: file.bytes))
    }

    /// The web client loads nothing from elsewhere, runs no inline script and is framed by nobody.
    private static let pagePolicy =
        "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
        + "connect-src 'self' ws: wss:; style-src 'self' 'unsafe-inline'; object-src 'none'; "
        + "base-uri 'none'; frame-ancestors 'none'"
}
