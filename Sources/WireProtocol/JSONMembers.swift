/// Finds the members of a JSON object without reading their values: only for bodies that the real
/// parser refused, to say which field was at fault, and for names it passed over.
struct JSONMembers {
    /// One member: its name as written (escapes left alone), and where the whole member and its
    /// value lie.
    struct Member {
        let name: String
        let range: Range<Int>
        let value: Range<Int>
    }

    /// The members in order.
    let members: [Member]

    /// The members of the object that fills `bytes[range]`; nil when there is no such object. The
    /// values need not be valid JSON, only their brackets and quotes must match.
    init?(_ bytes: [UInt8], in range: Range<Int>) {
        var scanner = Scanner(bytes: bytes, index: range.lowerBound, end: range.upperBound)
        guard scanner.take(UInt8(ascii: "{")) else { return nil }
        var members: [Member] = []
        while !scanner.take(UInt8(ascii: "}")) {
            if !members.isEmpty, !scanner.take(UInt8(ascii: ",")) { return nil }
            scanner.skipSpace()
            let start = scanner.index
            guard scanner.skipString() else { return nil }
            let name = String(decoding: bytes[start + 1..<scanner.index - 1], as: UTF8.self)
            guard scanner.take(UInt8(ascii: ":")) else { return nil }
            scanner.skipSpace()
            let valueStart = scanner.index
            guard scanner.skipValue() else { return nil }
            members.append(
                Member(
                    name: name, range: start..<scanner.index, value: valueStart..<scanner.index))
        }
        scanner.skipSpace()
        guard scanner.index == scanner.end else { return nil }
        self.members = members
    }

    /// The path of the first member that `isValid` refuses when it stands alone, one level further
    /// in where that says more. Cost: each byte is parsed at most twice more.
    static func fault(in bytes: [UInt8], isValid: ([UInt8]) -> Bool) -> String? {
        guard let outer = JSONMembers(bytes, in: 0..<bytes.count) else { return nil }
        let brace = [UInt8(ascii: "{")]
        let end = [UInt8(ascii: "}")]
        for member in outer.members where !isValid(brace + bytes[member.range] + end) {
            let key = bytes[member.range.lowerBound..<member.value.lowerBound]
            for inner in JSONMembers(bytes, in: member.value)?.members ?? []
            where !isValid(brace + key + brace + bytes[inner.range] + end + end) {
                return "\(member.name).\(inner.name)"
            }
            return member.name
        }
        return nil
    }

    /// True when the object has a member of that name whose value isn't null.
    func has(_ name: String, in bytes: [UInt8]) -> Bool {
        members.contains { $0.name == name && !bytes[$0.value].elementsEqual("null".utf8) }
    }
}

/// A cursor that never leaves its range.
private struct Scanner {
    let bytes: [UInt8]
    var index: Int
    let end: Int

    mutating func skipSpace() {
        while index < end, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[index]) { index += 1 }
    }

    /// Skips space, then `byte` if it comes next.
    mutating func take(_ byte: UInt8) -> Bool {
        skipSpace()
        guard index < end, bytes[index] == byte else { return false }
        index += 1
        return true
    }

    /// Skips a quoted string.
    mutating func skipString() -> Bool {
        guard index < end, bytes[index] == UInt8(ascii: "\"") else { return false }
        index += 1
        while index < end {
            switch bytes[index] {
            case UInt8(ascii: "\""):
                index += 1
                return true
            case UInt8(ascii: "\\"): index += 2
            default: index += 1
            }
        }
        index = end
        return false
    }

    /// Skips one value: up to the comma or bracket that ends it, by counting brackets.
    mutating func skipValue() -> Bool {
        var depth = 0
        let start = index
        while index < end {
            switch bytes[index] {
            case UInt8(ascii: "\""):
                guard skipString() else { return false }
                continue
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                if depth == 0 { return index > start }
                depth -= 1
            case UInt8(ascii: ","):
                if depth == 0 { return index > start }
            default: break
            }
            index += 1
        }
        return false
    }
}
