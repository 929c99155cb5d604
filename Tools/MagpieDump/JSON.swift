/// What a line of `--json` output is made of. Objects keep the order they are given in.
enum JSON {
    case text(String)
    case number(UInt64)
    /// Must be finite.
    case real(Double)
    case flag(Bool)
    case list([JSON])
    case object([(String, JSON)])

    /// The value on one line.
    var line: String {
        switch self {
        case .text(let text): Self.quote(text)
        case .number(let number): "\(number)"
        case .real(let number): "\(number)"
        case .flag(let flag): flag ? "true" : "false"
        case .list(let items): "[" + items.map(\.line).joined(separator: ",") + "]"
        case .object(let fields):
            "{" + fields.map { Self.quote($0) + ":" + $1.line }.joined(separator: ",") + "}"
        }
    }

    private static func quote(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}

extension JSON {
    static func number(_ count: Int) -> JSON { .number(UInt64(clamping: count)) }
}
