import Bytes
package import Platform

/// Record files and segments as text for people, one line a field.
package enum RecordDump {
    /// Lines for every valid record of `file`, then one that says how it ends.
    ///
    /// - Parameter payloadBytesMax: bytes of a payload that are shown.
    package static func lines(
        _ file: any File, id: UInt64, payloadBytesMax: Int = 64
    ) throws(LogError) -> [String] {
        var scanner = try RecordScanner(file, id: id)
        var lines: [String] = []
        var offset: UInt64 = 0
        while true {
            switch try scanner.scan(at: offset) {
            case .record(let header, let payload, let end):
                let shown = Hex.encode(payload.prefix(payloadBytesMax))
                let dots = payload.count > payloadBytesMax ? "…" : ""
                lines.append("record at \(offset)")
                lines.append("  length    \(header.length)")
                lines.append("  type      \(header.type)\(name(header.type))")
                lines.append("  check     \(hex(UInt64(header.check), digits: 4))")
                lines.append("  mark      \(header.mark)")
                lines.append("  checksum  \(hex(header.checksum, digits: 16))")
                lines.append("  payload   \(shown)\(dots)")
                offset = end
            case .unreadable(let expected, let found):
                let isEnd = offset == scanner.size
                let proof = isEnd ? nil : try scanner.proof(beyond: offset)
                if let proof {
                    lines.append("rot at \(offset), proved at \(proof)")
                    lines.append("  expected  \(expected)")
                    lines.append("  found     \(found)")
                } else {
                    let rest = scanner.size - offset
                    lines.append("end at \(offset)" + (isEnd ? "" : ", \(rest) bytes behind"))
                }
                return lines
            }
        }
    }

    private static func name(_ type: UInt8) -> String {
        switch type {
        case RecordFormat.segmentHeaderType: " (segment header)"
        case RecordFormat.markType: " (mark)"
        case RecordFormat.releaseType: " (release)"
        default: ""
        }
    }

    private static func hex(_ value: UInt64, digits: Int) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: max(0, digits - text.count)) + text
    }
}
