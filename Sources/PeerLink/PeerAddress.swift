/// Where a peer listens: `HOST:PORT`, `[IPv6]:PORT`.
struct PeerAddress: Equatable, Sendable {
    var host: String
    var port: Int

    /// Nil when the text is not that.
    init?(_ text: String) {
        guard let colon = text.utf8.lastIndex(of: 0x3A) else { return nil }
        var host = text[..<colon]
        let digits = text[text.index(after: colon)...]
        guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = Int(digits),
            (1...65_535).contains(port)
        else { return nil }
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        guard !host.isEmpty else { return nil }
        self.host = String(host)
        self.port = port
    }
}
