/// A request's `Range` against a blob's size (RFC 9110, section 14).
///
/// One range is honoured; several, other units and whatever cannot be read are answered with the
/// whole, as the RFC allows.
enum ByteRange: Equatable {
    /// 200: everything.
    case whole
    /// 206: these bytes.
    case part(Range<UInt64>)
    /// 416: the range begins at or after the end.
    case notSatisfiable

    /// Reads `bytes=a-b`, `bytes=a-` or `bytes=-n`.
    init(_ header: String?, size: UInt64) {
        self = Self.parse(header, size: size) ?? .whole
    }

    private static func parse(_ header: String?, size: UInt64) -> ByteRange? {
        guard let header, let equals = header.firstIndex(of: "="),
            header[..<equals].lowercased() == "bytes"
        else { return nil }
        let spec = header[header.index(after: equals)...]
        guard let dash = spec.firstIndex(of: "-"), !spec.contains(",") else { return nil }
        let first = spec[..<dash]
        let last = spec[spec.index(after: dash)...]
        if first.isEmpty {
            guard let count = number(last) else { return nil }
            guard count > 0, size > 0 else { return .notSatisfiable }
            return .part(size - min(count, size)..<size)
        }
        guard let start = number(first) else { return nil }
        if last.isEmpty {
            return start < size ? .part(start..<size) : .notSatisfiable
        }
        guard let end = number(last), start <= end else { return nil }
        guard start < size else { return .notSatisfiable }
        return .part(start..<min(end, size - 1) + 1)
    }

    /// Digits only: `UInt64.init` would take a sign.
    private static func number(_ text: Substring) -> UInt64? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) })
        else { return nil }
        return UInt64(text)
    }
}

/// Entity tags in `If-None-Match` and `If-Range` (RFC 9110, section 13).
enum EntityTag {
    /// True when the header lists `etag`, compared weakly, or is `*`.
    static func matches(_ header: String?, _ etag: String) -> Bool {
        guard let header else { return false }
        return header.split(separator: ",").contains { element in
            let tag = element.trimmingBlanks()
            return tag == "*" || tag == etag || tag == "W/" + etag
        }
    }
}

extension StringProtocol {
    /// Without blanks and tabs at both ends.
    func trimmingBlanks() -> String {
        let isBlank = { (character: Character) in character == " " || character == "\t" }
        var part = self[...].drop(while: isBlank)
        while let last = part.last, isBlank(last) { part = part.dropLast() }
        return String(part)
    }
}
