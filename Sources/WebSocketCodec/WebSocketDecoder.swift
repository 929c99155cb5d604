package import NIOCore

/// What a peer sent, once it is whole and checked.
package enum WebSocketEvent: Hashable, Sendable {
    /// A text message; the bytes are UTF-8.
    case text(ByteBuffer)
    case binary(ByteBuffer)
    /// At most 125 bytes, to be answered by a pong of the same bytes.
    case ping(ByteBuffer)
    case pong(ByteBuffer)
    /// The peer closes; nothing that follows is read. Without a code the frame was empty.
    case close(WebSocketCloseCode?, reason: String)
}

/// Bytes of a connection in, messages out: RFC 6455 framing without I/O.
///
/// The decoder takes whatever has arrived, at any split, and keeps only what it must: at most 14
/// bytes of a head, one control payload of at most 125 bytes, and the message that is being put
/// together. A payload is unmasked while it is copied into the message, and text is validated in
/// the same pass, so an invalid byte is refused when it arrives rather than when its message ends.
/// Memory follows what has arrived, not what a length claims.
///
/// After a violation or a close frame the decoder reads nothing more.
package struct WebSocketDecoder: Sendable {
    /// Bounds on what a peer may make this side hold.
    package struct Limits: Hashable, Sendable {
        /// Payload bytes of one frame.
        package var frameBytesMax: Int
        /// Payload bytes of one message over all its fragments.
        package var messageBytesMax: Int
        /// Frames of one message.
        package var fragmentsMax: Int

        /// Limits that hold `frameBytesMax` for a message as well unless told otherwise.
        package init(
            frameBytesMax: Int, messageBytesMax: Int? = nil, fragmentsMax: Int = 65_536
        ) {
            precondition(frameBytesMax >= 0, "a frame limit is not negative")
            self.frameBytesMax = frameBytesMax
            self.messageBytesMax = messageBytesMax ?? frameBytesMax
            self.fragmentsMax = fragmentsMax
        }
    }

    private enum Phase: Sendable {
        case header
        case payload(FrameHeader, read: Int)
        case closed
        case failed(WebSocketViolation)
    }

    private enum MessageKind: Sendable {
        case text
        case binary
    }

    private let role: WebSocketRole
    private let limits: Limits
    private var phase = Phase.header
    private var header = FrameHeader()
    /// The open message, nil between messages.
    private var kind: MessageKind?
    private var message = ByteBuffer()
    private var fragments = 0
    private var utf8 = UTF8Validator()
    private var control = ByteBuffer()

    /// A decoder at the start of a connection; `role` is this side's.
    package init(role: WebSocketRole, limits: Limits) {
        self.role = role
        self.limits = limits
    }

    /// Payload bytes held for a message or control frame that is not whole yet.
    package var heldBytes: Int { message.readableBytes + control.readableBytes }

    /// Reads from the front of `input` until something is whole. Nil: all of `input` is consumed
    /// and more is needed. Throws the same violation again once it has thrown.
    package mutating func next(
        from input: inout ByteBuffer
    ) throws(WebSocketViolation) -> WebSocketEvent? {
        do throws(WebSocketViolation) {
            return try step(&input)
        } catch {
            phase = .failed(error)
            message = ByteBuffer()
            control = ByteBuffer()
            throw error
        }
    }

    private mutating func step(
        _ input: inout ByteBuffer
    ) throws(WebSocketViolation) -> WebSocketEvent? {
        while true {
            switch phase {
            case .failed(let violation):
                throw violation
            case .closed:
                input.moveReaderIndex(to: input.writerIndex)
                return nil
            case .header:
                guard let byte: UInt8 = input.readInteger() else { return nil }
                guard try header.take(byte, role: role) else { continue }
                let whole = header
                header = FrameHeader()
                try open(whole, arrived: input.readableBytes)
                phase = .payload(whole, read: 0)
            case .payload(let frame, let read):
                let count = min(frame.length &- read, input.readableBytes)
                try take(count, of: frame, read: read, from: &input)
                guard read &+ count == frame.length else {
                    phase = .payload(frame, read: read &+ count)
                    return nil
                }
                phase = .header
                if let event = try finish(frame) { return event }
            }
        }
    }

    /// Judges a head against the message it would join and the limits, before any payload.
    private mutating func open(
        _ frame: FrameHeader, arrived: Int
    ) throws(WebSocketViolation) {
        if frame.opcode.isControl { return }
        if frame.opcode == .continuation {
            guard kind != nil else { throw .unexpectedContinuation }
        } else {
            guard kind == nil else { throw .unfinishedMessage }
            kind = frame.opcode == .text ? .text : .binary
            utf8 = UTF8Validator()
            fragments = 0
        }
        guard frame.length <= limits.frameBytesMax else {
            throw .frameTooLarge(limit: limits.frameBytesMax)
        }
        guard frame.length <= limits.messageBytesMax &- message.readableBytes else {
            throw .messageTooLarge(limit: limits.messageBytesMax)
        }
        fragments &+= 1
        guard fragments <= limits.fragmentsMax else {
            throw .tooManyFragments(limit: limits.fragmentsMax)
        }
        // A frame that is here whole gets its exact size at once; a promised one grows with what
        // arrives.
        if frame.length > 0, arrived >= frame.length {
            message.reserveCapacity(minimumWritableBytes: frame.length)
        }
    }

    private mutating func take(
        _ count: Int, of frame: FrameHeader, read: Int, from input: inout ByteBuffer
    ) throws(WebSocketViolation) {
        guard count > 0 else { return }
        if frame.opcode.isControl {
            _ = control.append(count, from: &input, mask: frame.mask, offset: read) { _ in true }
            return
        }
        let isText = kind == .text
        let isValid = message.append(count, from: &input, mask: frame.mask, offset: read) { bytes in
            isText ? utf8.accept(bytes) : true
        }
        guard isValid else { throw .invalidUTF8 }
    }

    private mutating func finish(
        _ frame: FrameHeader
    ) throws(WebSocketViolation) -> WebSocketEvent? {
        guard !frame.opcode.isControl else {
            let payload = control
            control = ByteBuffer()
            switch frame.opcode {
            case .ping: return .ping(payload)
            case .pong: return .pong(payload)
            default: return try close(payload)
            }
        }
        guard frame.isFinal else { return nil }
        let whole = message
        message = ByteBuffer()
        defer { kind = nil }
        guard kind == .text else { return .binary(whole) }
        guard utf8.isComplete else { throw .invalidUTF8 }
        return .text(whole)
    }

    private mutating func close(
        _ payload: ByteBuffer
    ) throws(WebSocketViolation) -> WebSocketEvent {
        var payload = payload
        guard payload.readableBytes > 0 else {
            phase = .closed
            return .close(nil, reason: "")
        }
        guard let number: UInt16 = payload.readInteger() else { throw .truncatedCloseCode }
        let code = WebSocketCloseCode(rawValue: number)
        guard code.isValidInFrame else { throw .invalidCloseCode(number) }
        var validator = UTF8Validator()
        let isText = payload.withUnsafeReadableBytes { validator.accept($0) }
        guard isText, validator.isComplete else { throw .invalidUTF8 }
        phase = .closed
        message = ByteBuffer()
        return .close(code, reason: String(buffer: payload))
    }
}
