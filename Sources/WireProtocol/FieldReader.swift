internal import ChatModel
internal import SwiftProtobuf

/// Checks of single fields. Every refusal is `invalid_argument` and names the field.
enum FieldReader {
    /// A refusal that names the field.
    static func refusal(_ field: String, _ problem: String) -> ServiceError {
        ServiceError(.invalidArgument, "\(field): \(problem)")
    }

    /// An identifier that must be there.
    static func identifier<Kind>(
        _ text: String, _ field: String
    ) throws(ServiceError) -> Identifier<Kind> {
        guard !text.isEmpty else { throw refusal(field, "is missing") }
        guard let id = Identifier<Kind>(text) else { throw refusal(field, "is not a UUID") }
        return id
    }

    /// Identifiers, at most `max`.
    static func identifiers<Kind>(
        _ texts: [String], _ field: String, max: Int
    ) throws(ServiceError) -> [Identifier<Kind>] {
        guard texts.count <= max else { throw refusal(field, "more than \(max)") }
        var ids: [Identifier<Kind>] = []
        ids.reserveCapacity(texts.count)
        for (index, text) in texts.enumerated() {
            ids.append(try identifier(text, "\(field)[\(index)]"))
        }
        return ids
    }

    /// The seq of an entry: at least 1.
    static func sequence(_ value: UInt64, _ field: String) throws(ServiceError) -> EntrySequence {
        guard value > 0 else { throw refusal(field, "must be at least 1") }
        return value
    }

    /// Text of at most `max` bytes.
    static func text(_ text: String, _ field: String, max: Int) throws(ServiceError) -> String {
        guard text.utf8.count <= max else { throw refusal(field, "longer than \(max) bytes") }
        return text
    }

    /// The content of a send or an edit.
    static func content(
        text: String, replyTo: EntrySequence?, mentions: [String], media: [WireMedia],
        field: String, limits: Limits
    ) throws(ServiceError) -> MessageContent {
        guard text.utf8.count <= limits.textBytes else {
            throw ServiceError(
                .tooLarge, "\(field)text: longer than \(limits.textBytes) bytes")
        }
        guard media.count <= limits.mediaPerMessage else {
            throw refusal("\(field)media", "more than \(limits.mediaPerMessage)")
        }
        guard !text.isEmpty || !media.isEmpty else {
            throw refusal("\(field)text", "is empty, and there is no media")
        }
        if let replyTo { _ = try sequence(replyTo, "\(field)replyTo") }
        var references: [MediaReference] = []
        for (index, item) in media.enumerated() {
            let path = "\(field)media[\(index)]"
            references.append(
                MediaReference(
                    blob: try identifier(item.blob, "\(path).blob"),
                    name: try self.text(item.name, "\(path).name", max: limits.nameBytes)))
        }
        return MessageContent(
            text: text, replyTo: replyTo,
            mentions: try identifiers(
                mentions, "\(field)mentions", max: limits.mentionsPerMessage),
            media: references)
    }

    /// Parses a whole body; a refusal names the field at fault where JSON shows it.
    static func parse<Body: SwiftProtobuf.Message>(
        _ type: Body.Type, _ bytes: [UInt8], _ encoding: WireEncoding, what: String
    ) throws(ServiceError) -> Body {
        do {
            return try WireCodec.parse(type, bytes, encoding)
        } catch {
            guard encoding == .json else { throw refusal(what, "is no protobuf message") }
            let fault = JSONMembers.fault(in: bytes) {
                (try? WireCodec.parse(type, $0, .json)) != nil
            }
            throw refusal(fault ?? what, problem(error))
        }
    }

    /// What is wrong, in words.
    private static func problem(_ error: any Error) -> String {
        switch error as? JSONDecodingError {
        case .malformedNumber, .leadingZero: "is not such a number"
        case .numberRange: "is out of range"
        case .malformedBool: "is not true or false"
        case .malformedString: "is not a string"
        case .invalidUTF8: "is not UTF-8"
        case .unrecognizedEnumValue: "is none of its names"
        case .illegalNull: "must not be null"
        case .conflictingOneOf: "more than one of members that exclude each other"
        case .messageDepthLimit: "is nested too deep"
        case .truncated: "ends too early"
        case .trailingGarbage: "has something behind its end"
        default: "is not JSON of the expected shape"
        }
    }
}
