internal import SwiftProtobuf

/// The two encodings of the protocol's messages.
package enum WireEncoding: Sendable, CaseIterable {
    /// The protobuf JSON mapping, in text frames and `application/json`.
    case json
    /// Protobuf's own form, in binary frames and `application/x-protobuf`.
    case binary

    /// The WebSocket subprotocol that stands for the encoding.
    package var subprotocol: String {
        switch self {
        case .json: "magpie.v1.json"
        case .binary: "magpie.v1.proto"
        }
    }

    /// The media type of HTTP bodies in this encoding.
    package var contentType: String {
        switch self {
        case .json: "application/json"
        case .binary: "application/x-protobuf"
        }
    }

    /// The encoding of a request body; nil for a type that is not spoken (415). A body without a
    /// type is JSON.
    package init?(contentType: String?) {
        guard let contentType else {
            self = .json
            return
        }
        switch Self.mediaType(contentType) {
        case "", "application/json", "text/json": self = .json
        case "application/x-protobuf", "application/protobuf": self = .binary
        default: return nil
        }
    }

    /// The encoding of an answer: what `Accept` names first, or that of the request's body.
    package static func forAnswer(accept: String?, contentType: String?) -> WireEncoding {
        for part in (accept ?? "").split(separator: ",") {
            switch mediaType(String(part)) {
            case "application/json": return .json
            case "application/x-protobuf", "application/protobuf": return .binary
            default: continue
            }
        }
        return WireEncoding(contentType: contentType) ?? .json
    }

    /// The type without parameters, in lower case.
    private static func mediaType(_ header: String) -> String {
        let type = header.prefix { $0 != ";" }
        return String(type.filter { $0 != " " && $0 != "\t" }).lowercased()
    }
}

/// Messages of the schema to bytes and back.
enum WireCodec {
    /// The bytes of a message. Map entries come out in key order.
    static func encode<Body: SwiftProtobuf.Message>(
        _ message: Body, _ encoding: WireEncoding
    ) -> [UInt8] {
        do {
            switch encoding {
            case .json:
                var options = JSONEncodingOptions()
                options.useDeterministicOrdering = true
                return try message.jsonUTF8Bytes(options: options)
            case .binary:
                var options = BinaryEncodingOptions()
                options.useDeterministicOrdering = true
                return try message.serializedBytes(options: options)
            }
        } catch {
            preconditionFailure("every message of this schema has an encoding: \(error)")
        }
    }

    /// Reads a message; unknown fields are ignored, and so are unknown names of enumerations,
    /// which then read as UNSPECIFIED. Throws the library's errors.
    static func parse<Body: SwiftProtobuf.Message>(
        _ type: Body.Type, _ bytes: [UInt8], _ encoding: WireEncoding
    ) throws -> Body {
        switch encoding {
        case .json:
            var options = JSONDecodingOptions()
            options.ignoreUnknownFields = true
            options.messageDepthLimit = 16
            return try Body(jsonUTF8Bytes: bytes, options: options)
        case .binary:
            var options = BinaryDecodingOptions()
            options.messageDepthLimit = 16
            return try Body(serializedBytes: bytes, options: options)
        }
    }
}
