import Bytes
import ChatModel
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import Session
import WireProtocol

/// Uploads and the delivery of media.
extension Routes {
    var mediaCalls: [Call] {
        [
            Call(.post, "/v1/media", upload),
            Call(.get, "/media/:blob", blob),
            Call(.head, "/media/:blob", blob),
        ]
    }

    /// Bytes handed to the node at a time.
    private static let uploadPieceBytes = 256 << 10

    @Sendable private func upload(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        let identity = try await identity(request)
        let size = request.headers[.contentLength].flatMap(UInt64.init)
        guard (size ?? 0) <= limits.mediaBytes else { throw Self.tooLarge(limits) }
        let announced = UploadRequest(
            type: MediaDisposition.sanitized(request.headers[.contentType]), size: size,
            contentHash: try Self.contentHash(request))
        let port = try await answer { node.beginUpload(announced, by: identity, answer: $0) }
        do {
            try await pour(request, into: port)
        } catch {
            port.abandon()
            throw error
        }
        let view = try await answer { port.finish(answer: $0) }
        return reply(request, .created) { $0.upload(view) }
    }

    /// Streams the body to the node; its answers are the back pressure.
    private func pour(_ request: Request, into port: any UploadPort) async throws {
        var total: UInt64 = 0
        var piece: [UInt8] = []
        for try await buffer in request.body {
            total += UInt64(buffer.readableBytes)
            guard total <= limits.mediaBytes else { throw Self.tooLarge(limits) }
            piece.append(contentsOf: buffer.readableBytesView)
            guard piece.count >= Self.uploadPieceBytes else { continue }
            let full = piece
            piece = []
            try await answer { port.append(full, answer: $0) }
        }
        let rest = piece
        if !rest.isEmpty { try await answer { port.append(rest, answer: $0) } }
    }

    private static func tooLarge(_ limits: Limits) -> ServiceError {
        ServiceError(.tooLarge, "media is above \(limits.mediaBytes) bytes")
    }

    /// `X-Content-SHA256`: 64 hexadecimal digits.
    private static func contentHash(_ request: Request) throws(ServiceError) -> [UInt8]? {
        guard let name = HTTPField.Name("X-Content-SHA256"), let text = request.headers[name]
        else { return nil }
        guard let hash = Hex.decode(text), hash.count == 32 else {
            throw ServiceError(.invalidArgument, "X-Content-SHA256: is not 64 hexadecimal digits")
        }
        return hash
    }

    @Sendable private func blob(
        _ request: Request, _ context: GatewayContext
    ) async throws -> Response {
        let id: BlobID = try context.identifier("blob")
        let access: BlobAccess
        if let signature = query(request, "s"), let expiry = try number(request, "e") {
            access = .signed(id, expiresAtMs: expiry, signature: signature)
        } else {
            access = .user(id, try await identity(request))
        }
        let port = try await answer { node.openBlob(access, answer: $0) }
        return Self.deliver(request, port, nowMs: host.wallMilliseconds())
    }

    /// The response for an opened blob: 200, 206, 304 or 416.
    private static func deliver(
        _ request: Request, _ port: any BlobPort, nowMs: Milliseconds
    ) -> Response {
        let view = port.view
        let etag = "\"\(view.blob)\""
        var fields = mediaFields(view, etag)
        if let end = port.expiresAtMs {
            let seconds = end > nowMs ? (end - nowMs) / 1_000 : 0
            fields[.cacheControl] = "private, max-age=\(seconds), immutable"
        } else {
            fields[.cacheControl] = "private, no-cache"
        }
        if EntityTag.matches(request.headers[.ifNoneMatch], etag) {
            fields[.contentType] = nil
            return Response(status: .notModified, headers: fields)
        }
        // If-Range with another tag: the client's part is of something else, so send the whole.
        let condition = request.headers[.ifRange]
        let range =
            condition == nil || condition == etag
            ? ByteRange(request.headers[.range], size: view.size) : .whole
        switch range {
        case .notSatisfiable:
            var response = Problem.response(
                ServiceError(.rangeNotSatisfiable, "the media has \(view.size) bytes"))
            response.headers[.contentRange] = "bytes */\(view.size)"
            return response
        case .whole:
            return stream(request, port, 0..<view.size, .ok, fields)
        case .part(let part):
            fields[.contentRange] = "bytes \(part.lowerBound)-\(part.upperBound - 1)/\(view.size)"
            return stream(request, port, part, .partialContent, fields)
        }
    }

    private static func mediaFields(_ view: BlobView, _ etag: String) -> HTTPFields {
        let type = MediaDisposition.sanitized(view.type)
        var fields: HTTPFields = [
            .contentType: type, .eTag: etag, .acceptRanges: "bytes",
            .contentDisposition: MediaDisposition.of(type),
            .xContentTypeOptions: "nosniff", .contentSecurityPolicy: MediaDisposition.policy,
        ]
        if let name = HTTPField.Name("Cross-Origin-Resource-Policy") {
            fields[name] = "same-origin"
        }
        return fields
    }

    /// Reads 256 KiB at a time, as fast as the client takes it.
    private static func stream(
        _ request: Request, _ port: any BlobPort, _ range: Range<UInt64>,
        _ status: HTTPResponse.Status, _ fields: HTTPFields
    ) -> Response {
        var fields = fields
        fields[.contentLength] = String(range.upperBound - range.lowerBound)
        guard request.method != .head else {
            return Response(status: status, headers: fields)
        }
        let length = Int(clamping: range.upperBound - range.lowerBound)
        let body = ResponseBody(contentLength: length) { writer in
            var start = range.lowerBound
            while start < range.upperBound {
                let part = start..<min(start + (256 << 10), range.upperBound)
                let bytes = try await answer { port.read(part, answer: $0) }
                guard bytes.count == part.count else {
                    throw ServiceError(.internal, "the media ended early")
                }
                try await writer.write(ByteBuffer(bytes: bytes))
                start = part.upperBound
            }
            try await writer.finish(nil)
        }
        return Response(status: status, headers: fields, body: body)
    }
}
