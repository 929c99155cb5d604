package import ChatModel

/// Where a blob can be read, as the server signed it.
package struct MediaURL: Equatable, Sendable {
    /// Which upload.
    package let blob: BlobID
    /// Relative to the server, or absolute.
    package let url: String
}

/// A server's frame, as a client reads it.
package struct ReceivedFrame: Equatable, Sendable {
    /// The id of the client's frame that it answers.
    package let id: String?
    /// What the server says; nil for a kind that this version doesn't know.
    package let frame: ServerFrame?
    /// The media in it.
    package let mediaURLs: [MediaURL]
}

/// Frames from servers: the client's side.
package enum ServerFrameDecoder {
    /// Reads one frame: the payload of a text or binary message. Throws `invalid_argument` with
    /// the name of the field when it has the wrong shape.
    package static func decode(
        _ bytes: [UInt8], _ encoding: WireEncoding
    ) throws(ServiceError) -> ReceivedFrame {
        let wire = try FieldReader.parse(WireServerFrame.self, bytes, encoding, what: "frame")
        var views = WireViews()
        let frame = try wire.body.map { body throws(ServiceError) in
            try self.frame(body, &views)
        }
        return ReceivedFrame(
            id: wire.hasID ? wire.id : nil, frame: frame, mediaURLs: views.mediaURLs)
    }

    private static func frame(
        _ body: WireServerFrame.OneOf_Body, _ views: inout WireViews
    ) throws(ServiceError) -> ServerFrame {
        switch body {
        case .hello(let hello):
            return .hello(
                Hello(
                    version: hello.protocol, node: hello.node, serverTimeMs: hello.serverTimeMs,
                    heartbeatSeconds: Int(hello.heartbeatSeconds),
                    limits: views.limits(hello.limits)))
        case .ready(let ready):
            return .ready(
                Ready(
                    user: try FieldReader.identifier(ready.user, "ready.user"),
                    device: try FieldReader.identifier(ready.device, "ready.device"),
                    epoch: ready.epoch,
                    changes: FeedChanges(
                        changed: try views.changed(ready.changed), position: ready.feed,
                        isComplete: ready.complete)))
        case .changed(let list):
            return .changed(try views.changed(list.changed), isComplete: list.complete)
        case .sent(let sent): return .sent(try views.sent(sent))
        case .entry(let entry): return .entry(try views.entry(entry))
        case .gap(let gap):
            return .gap(
                try FieldReader.identifier(gap.conversation, "gap.conversation"), head: gap.head)
        case .mark(let mark):
            return .mark(
                try FieldReader.identifier(mark.conversation, "mark.conversation"),
                MarkView(
                    user: try FieldReader.identifier(mark.user, "mark.user"),
                    delivered: mark.delivered, read: mark.read))
        case .typing(let typing):
            return .typing(
                try FieldReader.identifier(typing.conversation, "typing.conversation"),
                try FieldReader.identifier(typing.user, "typing.user"))
        case .presence(let presence): return .presence(try views.presence(presence))
        case .page(let page): return .page(try views.page(page))
        case .results(let results): return .results(try views.results(results))
        case .pong(let pong): return .pong(serverTimeMs: pong.serverTimeMs, feed: pong.feed)
        case .done: return .done
        case .error(let error): return .error(serviceError(error))
        case .closing(let closing):
            guard let raw = UInt16(exactly: closing.code), let code = CloseCode(rawValue: raw)
            else { throw FieldReader.refusal("closing.code", "is not known") }
            return .closing(code, waitMs: closing.waitMs)
        }
    }

    private static func serviceError(_ wire: WireErrorAnswer) -> ServiceError {
        ServiceError(
            ErrorCode(rawValue: wire.code) ?? .internal, wire.detail,
            retryAfterMs: wire.hasRetryAfterMs ? wire.retryAfterMs : nil)
    }
}
