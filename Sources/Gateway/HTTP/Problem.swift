import ChatModel
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import WireProtocol

/// Errors as clients see them over HTTP: `application/problem+json` (RFC 9457), made here only.
enum Problem {
    static let contentType = HTTPAnswerEncoder.problemContentType

    /// The body for an error, also for those who answer without Hummingbird.
    static func body(of error: ServiceError) -> ByteBuffer {
        ByteBuffer(bytes: HTTPAnswerEncoder.problem(error))
    }

    /// The response for an error.
    static func response(_ error: ServiceError) -> Response {
        var fields: HTTPFields = [.contentType: contentType, .cacheControl: "no-store"]
        if let seconds = retryAfterSeconds(error) { fields[.retryAfter] = seconds }
        if error.code == .unauthenticated { fields[.wwwAuthenticate] = "Bearer" }
        return Response(
            status: HTTPResponse.Status(code: error.code.status), headers: fields,
            body: ResponseBody(byteBuffer: body(of: error)))
    }

    /// Whole seconds, rounded up, for `Retry-After`.
    static func retryAfterSeconds(_ error: ServiceError) -> String? {
        error.retryAfterMs.map { String($0 / 1_000 + ($0 % 1_000 == 0 ? 0 : 1)) }
    }

    /// Every error that a route can throw, as the client's error. What is not foreseen is logged
    /// with the id that the answer repeats.
    static func serviceError(_ error: any Error, id: String, _ logger: Logger) -> ServiceError {
        if let error = error as? ServiceError { return error }
        if let error = error as? any HTTPResponseError { return serviceError(error) }
        logger.error(
            "a request failed",
            metadata: ["request.id": "\(id)", "error": "\(String(reflecting: error))"])
        return ServiceError(.internal, "something went wrong here; its id is \(id)")
    }

    private static func serviceError(_ error: any HTTPResponseError) -> ServiceError {
        switch error.status {
        case .notFound: ServiceError(.notFound, "there is nothing at this path")
        case .methodNotAllowed: ServiceError(.methodNotAllowed, "this path has no such method")
        case .contentTooLarge: ServiceError(.tooLarge, "the body is above the limit")
        case .unsupportedMediaType:
            ServiceError(.unsupportedMediaType, "bodies are JSON or protobuf")
        default: ServiceError(.invalidArgument, "the request cannot be read")
        }
    }
}
