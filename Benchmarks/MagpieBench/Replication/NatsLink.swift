import NIOCore

/// A connection to a NATS server, in its text protocol. A message is a publish with a reply
/// subject; the stream answers there once a majority of its servers has stored it.
final class NatsLink: Link {
    /// An answer to a request.
    typealias Answer = (Result<ByteBuffer, ProtocolError>) -> Void

    private let subjects: [[UInt8]]
    private let isDeduplicated: Bool
    private let inbox: [UInt8]
    private var calls: [UInt64: Answer] = [:]
    private var nextCall: UInt64 = 0

    /// `inbox` is this connection's own; `isDeduplicated`: messages carry an id, so that the stream
    /// takes each once.
    init(
        subjects: [String], inbox: String, isDeduplicated: Bool,
        report: @escaping (LinkEvent) -> Void
    ) {
        self.subjects = subjects.map { Array($0.utf8) }
        self.inbox = Array(inbox.utf8)
        self.isDeduplicated = isDeduplicated
        super.init(report: report)
    }

    override func begin() {
        let options = #"{"verbose":false,"pedantic":false,"headers":true,"no_responders":true}"#
        write { output in
            output.writeString("CONNECT \(options)\r\nSUB ")
            output.writeBytes(inbox)
            output.writeString(".* 1\r\nPING\r\n")
        }
    }

    override func send(_ number: UInt64) {
        let body = Bodies.body(number)
        write { output in
            output.writeString(isDeduplicated ? "HPUB " : "PUB ")
            output.writeBytes(subjects[Int(number % UInt64(subjects.count))])
            output.writeString(" ")
            output.writeBytes(inbox)
            output.writeString(".")
            output.writeBytes(number.hexDigits)
            if isDeduplicated {
                let head = "NATS/1.0\r\nNats-Msg-Id:"
                let headBytes = head.utf8.count + 16 + 4
                output.writeString(" \(headBytes) \(headBytes + body.count)\r\n\(head)")
                output.writeBytes(number.hexDigits)
                output.writeString("\r\n\r\n")
            } else {
                output.writeString(" 300\r\n")
            }
            output.writeBytes(body)
            output.writeString("\r\n")
        }
    }

    /// Asks the server's own services.
    func call(_ subject: String, _ payload: String, _ answer: @escaping Answer) {
        nextCall += 1
        calls[nextCall] = answer
        let token = "c" + String(decoding: nextCall.hexDigits, as: UTF8.self)
        write { output in
            output.writeString("PUB \(subject) ")
            output.writeBytes(inbox)
            output.writeString(".\(token) \(payload.utf8.count)\r\n\(payload)\r\n")
        }
    }

    override func receive() throws {
        while let end = endOfLine() {
            let before = input
            guard let line = input.readBytes(length: end) else { return }
            input.moveReaderIndex(forwardBy: 2)
            switch line.first {
            case UInt8(ascii: "M"), UInt8(ascii: "H"):
                guard let (token, payload, hasHeaders) = try message(line) else {
                    input = before
                    return
                }
                take(token, payload, hasHeaders: hasHeaders)
            // PING or PONG.
            case UInt8(ascii: "P"):
                if line.count > 1, line[1] == UInt8(ascii: "I") {
                    write { $0.writeString("PONG\r\n") }
                } else {
                    tell(.opened)
                }
            case UInt8(ascii: "-"):
                throw ProtocolError("the server says \(String(decoding: line, as: UTF8.self))")
            // INFO and +OK.
            default: continue
            }
        }
    }

    /// Where the next line ends, without its line feed.
    private func endOfLine() -> Int? {
        let view = input.readableBytesView
        guard let feed = view.firstIndex(of: 0x0A), feed > view.startIndex else { return nil }
        return feed - view.startIndex - 1
    }

    /// `MSG subject sid bytes` or `HMSG subject sid headBytes bytes`, and what follows; nil until
    /// it is all there.
    private func message(
        _ line: [UInt8]
    ) throws -> (token: ArraySlice<UInt8>, payload: ByteBuffer, hasHeaders: Bool)? {
        let parts = line.split(separator: 0x20)
        let hasHeaders = line.first == UInt8(ascii: "H")
        guard parts.count >= 4,
            let total = Int(String(decoding: parts[parts.count - 1], as: UTF8.self)),
            total >= 0
        else { throw ProtocolError("a message without a length") }
        guard input.readableBytes >= total + 2 else { return nil }
        var head = 0
        if hasHeaders {
            head = Int(String(decoding: parts[parts.count - 2], as: UTF8.self)) ?? 0
        }
        guard head <= total, let whole = input.readSlice(length: total) else {
            throw ProtocolError("a message with wrong lengths")
        }
        input.moveReaderIndex(forwardBy: 2)
        var payload = whole
        payload.moveReaderIndex(forwardBy: head)
        return (parts[1].dropFirst(inbox.count + 1), payload, hasHeaders)
    }

    private func take(_ token: ArraySlice<UInt8>, _ payload: ByteBuffer, hasHeaders: Bool) {
        if token.first == UInt8(ascii: "c") {
            guard let number = UInt64(hexDigits: token.dropFirst()),
                let answer = calls.removeValue(forKey: number)
            else { return }
            // Headers on an answer mean that nobody serves the subject.
            answer(hasHeaders ? .failure(ProtocolError("nobody answers")) : .success(payload))
            return
        }
        guard let number = UInt64(hexDigits: token) else { return }
        // {"stream":"m0","seq":1} or {"error":{…}}.
        let isAcknowledged = !hasHeaders && payload.readableBytesView.starts(with: Self.goodStart)
        if isAcknowledged {
            tell(.acknowledged(number))
        } else {
            tell(.refused(number, reason: String(buffer: payload)))
        }
    }

    private static let goodStart = Array(#"{"stream":"#.utf8)
}
