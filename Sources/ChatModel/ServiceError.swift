/// The codes of PROTOCOL.md, the same over HTTP and WebSocket.
package enum ErrorCode: String, Sendable, CaseIterable {
    case invalidArgument = "invalid_argument"
    case unauthenticated
    case permissionDenied = "permission_denied"
    case notFound = "not_found"
    case methodNotAllowed = "method_not_allowed"
    case unsupportedMediaType = "unsupported_media_type"
    case rangeNotSatisfiable = "range_not_satisfiable"
    case conflict
    case gone
    case tooLarge = "too_large"
    case readOnly = "read_only"
    case rateLimited = "rate_limited"
    case `internal` = "internal"
    case unavailable
    case noQuorum = "no_quorum"
    case quotaExceeded = "quota_exceeded"

    /// The HTTP status that goes with the code.
    package var status: Int {
        switch self {
        case .invalidArgument: 400
        case .unauthenticated: 401
        case .permissionDenied: 403
        case .notFound: 404
        case .methodNotAllowed: 405
        case .conflict: 409
        case .gone: 410
        case .tooLarge: 413
        case .unsupportedMediaType: 415
        case .rangeNotSatisfiable: 416
        case .readOnly: 423
        case .rateLimited: 429
        case .internal: 500
        case .unavailable: 503
        case .noQuorum: 504
        case .quotaExceeded: 507
        }
    }
}

/// A refusal that a client sees: nothing was changed, except with `no_quorum` (outcome unknown).
package struct ServiceError: Error, Equatable, Sendable {
    /// The stable code.
    package let code: ErrorCode
    /// One sentence that names the thing and, where there is one, the remedy.
    package let detail: String
    /// When to try again.
    package let retryAfterMs: Milliseconds?

    /// A refusal.
    package init(_ code: ErrorCode, _ detail: String, retryAfterMs: Milliseconds? = nil) {
        self.code = code
        self.detail = detail
        self.retryAfterMs = retryAfterMs
    }
}
