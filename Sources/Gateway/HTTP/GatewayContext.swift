import ChatModel
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import Session

/// What travels with a request besides the request: routing parameters, and who is asking.
struct GatewayContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    /// The peer of the connection.
    let remoteAddress: SocketAddress?

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        remoteAddress = source.channel.remoteAddress
    }

    /// The peer's address without its port, for limits by address.
    var peer: String { remoteAddress?.ipAddress ?? "" }

    /// True for a peer on this machine.
    var isLoopback: Bool {
        peer == "::1" || peer.hasPrefix("127.") || peer.hasPrefix("::ffff:127.")
    }

    /// An identifier in the path. What is no UUID names nothing, so it is not found.
    func identifier<Kind>(_ name: String) throws(ServiceError) -> Identifier<Kind> {
        guard let text = parameters.get(name), let id = Identifier<Kind>(text) else {
            throw ServiceError(.notFound, "the path names nothing")
        }
        return id
    }
}

/// Turns every error into its problem document.
struct ProblemMiddleware: RouterMiddleware {
    func handle(
        _ request: Request, context: GatewayContext,
        next: (Request, GatewayContext) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch {
            return Problem.response(Problem.serviceError(error, id: context.id, context.logger))
        }
    }
}

/// A call that answers through a closure, awaited.
func answer<Value: Sendable>(
    _ call: (@escaping Answer<Value>) -> Void
) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        call { continuation.resume(with: $0.mapError { $0 as any Error }) }
    }
}
