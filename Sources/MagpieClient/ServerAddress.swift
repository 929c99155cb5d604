/// Where a server listens, from its URL.
package struct ServerAddress: Hashable, Sendable, CustomStringConvertible {
    /// Name or address, without brackets.
    package let host: String
    /// TCP port.
    package let port: Int

    /// Reads `http://host[:port]` or `ws://host[:port][/…]`; nil for anything else. What follows
    /// the authority is ignored.
    package init?(_ url: String) {
        var rest = Substring(url)
        guard let scheme = ["http://", "ws://"].first(where: { rest.hasPrefix($0) }) else {
            return nil
        }
        rest = rest.dropFirst(scheme.count)
        rest = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        guard !rest.contains("@") else { return nil }
        var portText: Substring?
        if rest.hasPrefix("[") {
            guard let end = rest.firstIndex(of: "]") else { return nil }
            host = String(rest[rest.index(after: rest.startIndex)..<end])
            let after = rest[rest.index(after: end)...]
            guard after.isEmpty || after.hasPrefix(":") else { return nil }
            if !after.isEmpty { portText = after.dropFirst() }
        } else if let colon = rest.lastIndex(of: ":") {
            host = String(rest[..<colon])
            portText = rest[rest.index(after: colon)...]
        } else {
            host = String(rest)
        }
        guard !host.isEmpty else { return nil }
        if let portText {
            guard let number = UInt16(portText), number > 0 else { return nil }
            port = Int(number)
        } else {
            port = 80
        }
    }

    /// The value of a `Host` header.
    package var authority: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    /// The URL without a path.
    package var description: String { "http://\(authority)" }
}
