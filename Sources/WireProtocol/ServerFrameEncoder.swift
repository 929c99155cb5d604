package import ChatModel

/// Frames to clients, to bytes.
package enum ServerFrameEncoder {
    /// The payload of one text (JSON) or binary message.
    ///
    /// `id` repeats the id of the frame answered; events have none, so that their bytes are the
    /// same for all sockets of an encoding. `links` signs the media in entries at this moment.
    package static func encode(
        _ frame: ServerFrame, id: String?, _ encoding: WireEncoding, links: any MediaLinks
    ) -> [UInt8] {
        var wire = WireServerFrame()
        if let id { wire.id = id }
        wire.body = body(frame, WireWriter(links: links))
        return WireCodec.encode(wire, encoding)
    }

    private static func body(
        _ frame: ServerFrame, _ writer: WireWriter
    ) -> WireServerFrame.OneOf_Body {
        switch frame {
        case .hello(let hello): return .hello(self.hello(hello, writer))
        case .ready(let ready): return .ready(self.ready(ready, writer))
        case .changed(let changed, let isComplete):
            var wire = WireChangedList()
            wire.changed = changed.map(writer.changed)
            wire.complete = isComplete
            return .changed(wire)
        case .sent(let sent): return .sent(writer.sent(sent))
        case .entry(let entry): return .entry(writer.entry(entry))
        case .gap(let conversation, let head):
            var wire = WireGap()
            wire.conversation = conversation.description
            wire.head = head
            return .gap(wire)
        case .mark(let conversation, let mark):
            var wire = WireConversationMark()
            wire.conversation = conversation.description
            wire.user = mark.user.description
            wire.delivered = mark.delivered
            wire.read = mark.read
            return .mark(wire)
        case .typing(let conversation, let user):
            var wire = WireTyping()
            wire.conversation = conversation.description
            wire.user = user.description
            return .typing(wire)
        case .presence(let presence): return .presence(writer.presence(presence))
        case .page(let page): return .page(writer.page(page))
        case .results(let results): return .results(writer.results(results))
        case .pong(let serverTimeMs, let feed):
            var wire = WirePong()
            wire.serverTimeMs = serverTimeMs
            wire.feed = feed
            return .pong(wire)
        case .done: return .done(WireDone())
        case .error(let error):
            var wire = WireErrorAnswer()
            wire.code = error.code.rawValue
            wire.detail = error.detail
            if let retryAfterMs = error.retryAfterMs { wire.retryAfterMs = retryAfterMs }
            return .error(wire)
        case .closing(let code, let waitMs):
            var wire = WireClosing()
            wire.code = UInt32(code.rawValue)
            wire.resume = code.isResumable
            wire.waitMs = waitMs
            return .closing(wire)
        }
    }

    private static func hello(_ hello: Hello, _ writer: WireWriter) -> WireHello {
        var wire = WireHello()
        wire.protocol = hello.version
        wire.node = hello.node
        wire.serverTimeMs = hello.serverTimeMs
        wire.heartbeatSeconds = UInt32(clamping: hello.heartbeatSeconds)
        wire.limits = writer.limits(hello.limits)
        return wire
    }

    private static func ready(_ ready: Ready, _ writer: WireWriter) -> WireReady {
        var wire = WireReady()
        wire.user = ready.user.description
        wire.device = ready.device.description
        wire.epoch = ready.epoch
        wire.feed = ready.changes.position
        wire.changed = ready.changes.changed.map(writer.changed)
        wire.complete = ready.changes.isComplete
        return wire
    }
}
