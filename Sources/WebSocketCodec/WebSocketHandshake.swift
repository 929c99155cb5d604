/// The opening handshake's rules (RFC 6455, section 4) as functions of header values.
package enum WebSocketHandshake {
    /// The only protocol version there is.
    package static let version = "13"

    private static let guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

    /// The `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key`.
    package static func accept(forKey key: String) -> String {
        Base64.encode(SHA1.digest([UInt8]((key + guid).utf8)))
    }

    /// True when `key` is the base64 of 16 bytes, as every honest client's is.
    package static func isValidKey(_ key: String) -> Bool {
        key.utf8.count == 24 && Base64.decodedCount(key) == 16
    }

    /// A client's `Sec-WebSocket-Key` from 128 random bits.
    package static func makeKey(_ high: UInt64, _ low: UInt64) -> String {
        Base64.encode(
            [high, low].flatMap { word in
                stride(from: UInt64(56), through: 0, by: -8).map {
                    UInt8(truncatingIfNeeded: word >> $0)
                }
            })
    }

    /// What a server does about an offer of subprotocols.
    package enum Subprotocol: Hashable, Sendable {
        /// The client offered none: speak the default, name none in the answer.
        case notOffered
        /// The first of the client's offers that this side speaks.
        case chosen(String)
        /// The client offered only others: refuse the upgrade.
        case noneInCommon
    }

    /// Chooses among the values of all `Sec-WebSocket-Protocol` headers, in the client's order of
    /// preference.
    package static func choose(
        offered headers: [String], supported: [String]
    ) -> Subprotocol {
        let offers = tokens(headers)
        guard !offers.isEmpty else { return .notOffered }
        return offers.first(where: supported.contains).map(Subprotocol.chosen) ?? .noneInCommon
    }

    /// The elements of comma-separated headers, without blanks around them, empty ones left out.
    package static func tokens(_ headers: [String]) -> [String] {
        headers.flatMap { $0.utf8.split(separator: UInt8(ascii: ",")) }.compactMap { element in
            let isBlank = { (byte: UInt8) in byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t")
            }
            let head = element.drop(while: isBlank)
            var tail = head
            while let byte = tail.last, isBlank(byte) { tail = tail.dropLast() }
            return tail.isEmpty ? nil : String(decoding: tail, as: UTF8.self)
        }
    }

    /// True when a comma-separated header such as `Connection` names `token`, whatever its case.
    package static func names(_ headers: [String], _ token: String) -> Bool {
        tokens(headers).contains { $0.lowercased() == token.lowercased() }
    }
}
