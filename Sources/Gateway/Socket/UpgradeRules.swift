import ChatModel
import NIOHTTP1
import WebSocketCodec
import WireProtocol

/// What to do with the first request of a connection, from its head alone.
enum UpgradeDecision: Equatable {
    /// Not for `/v1/ws`: plain HTTP.
    case plain
    /// Answer 101 with these fields; then frames in this encoding.
    case accept(WireEncoding, acceptKey: String, subprotocol: String?)
    /// Answer this error.
    case refuse(ServiceError)
}

/// Who may open a WebSocket (PROTOCOL: WebSocket; RFC 6455, section 4.2).
struct UpgradeRules: Sendable {
    static let path = "/v1/ws"

    /// Origins besides the request's own Host, in lower case.
    let origins: [String]

    init(allowedOrigins: [String], publicURL: String?) {
        origins = (allowedOrigins + [publicURL].compactMap { $0 }).map(Self.origin)
    }

    func decide(_ head: HTTPRequestHead) -> UpgradeDecision {
        guard Self.pathPart(head.uri) == Self.path else { return .plain }
        guard head.method == .GET else {
            return .refuse(ServiceError(.methodNotAllowed, "a WebSocket opens with GET"))
        }
        guard head.version == .http1_1,
            WebSocketHandshake.names(head.headers["connection"], "upgrade"),
            WebSocketHandshake.names(head.headers["upgrade"], "websocket")
        else {
            return .refuse(ServiceError(.invalidArgument, "\(Self.path) wants a WebSocket upgrade"))
        }
        guard head.headers["sec-websocket-version"] == [WebSocketHandshake.version] else {
            return .refuse(ServiceError(.invalidArgument, "Sec-WebSocket-Version must be 13"))
        }
        let keys = head.headers["sec-websocket-key"]
        guard keys.count == 1, let key = keys.first, WebSocketHandshake.isValidKey(key) else {
            return .refuse(
                ServiceError(.invalidArgument, "Sec-WebSocket-Key must be 16 bytes of base64"))
        }
        guard isAllowed(origins: head.headers["origin"], hosts: head.headers["host"]) else {
            return .refuse(ServiceError(.permissionDenied, "this Origin may not open a WebSocket"))
        }
        switch WebSocketHandshake.choose(
            offered: head.headers["sec-websocket-protocol"],
            supported: WireEncoding.allCases.map(\.subprotocol))
        {
        case .notOffered:
            return .accept(
                .json, acceptKey: WebSocketHandshake.accept(forKey: key), subprotocol: nil)
        case .chosen(let name):
            let encoding = WireEncoding.allCases.first { $0.subprotocol == name } ?? .json
            return .accept(
                encoding, acceptKey: WebSocketHandshake.accept(forKey: key), subprotocol: name)
        case .noneInCommon:
            return .refuse(
                ServiceError(.invalidArgument, "Sec-WebSocket-Protocol names none that is spoken"))
        }
    }

    /// Browsers send exactly one Origin and cannot change it; other clients send none.
    private func isAllowed(origins offered: [String], hosts: [String]) -> Bool {
        if offered.isEmpty { return true }
        guard offered.count == 1, let text = offered.first else { return false }
        let origin = Self.origin(text)
        if origins.contains(origin) { return true }
        guard hosts.count == 1, let host = hosts.first?.lowercased() else { return false }
        return origin == "http://" + host || origin == "https://" + host
    }

    /// `scheme://host[:port]` of a URL, in lower case.
    static func origin(_ url: String) -> String {
        let text = url.lowercased()
        guard let start = text.firstRange(of: "://")?.upperBound else { return text }
        let end = text[start...].firstIndex(of: "/") ?? text.endIndex
        return String(text[..<end])
    }

    /// A request target without its query.
    static func pathPart(_ uri: String) -> Substring {
        uri.prefix { $0 != "?" && $0 != "#" }
    }
}
