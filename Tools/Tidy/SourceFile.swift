/// A Swift file as lines, with strings and comments blanked where only code counts.
struct SourceFile {
    /// Path from the root of the repository.
    let path: String
    /// The lines as they are.
    let lines: [String]
    /// The lines with comments and the inside of string literals replaced by blanks.
    let code: [String]

    init(path: String, text: String) {
        self.path = path
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if lines.last == "" { lines.removeLast() }
        self.lines = lines
        code = Self.blank(lines)
    }

    /// The target: the folder below Sources or Tools that the import table speaks of, or nil.
    var target: String? {
        let parts = path.split(separator: "/")
        guard parts.count >= 3 else { return nil }
        let name = String(parts[1])
        return parts[0] == "Sources"
            || (["Tools", "Benchmarks"].contains(parts[0]) && House.rooms[name] != nil)
            ? name : nil
    }

    /// True for a program, which may print.
    var isProgram: Bool { target.flatMap { House.rooms[$0]?.rank } == 6 }

    /// True for code that a program wrote.
    var isGenerated: Bool { path.hasSuffix(".pb.swift") }

    private static func blank(_ lines: [String]) -> [String] {
        var isInMultiline = false
        return lines.map { line in
            if isInMultiline {
                if line.contains("\"\"\"") { isInMultiline = false }
                return ""
            }
            var kept = ""
            var isInString = false
            var previous: Character = " "
            var rest = Substring(line)
            while let character = rest.first {
                if !isInString, rest.hasPrefix("\"\"\"") {
                    isInMultiline = true
                    return kept
                }
                if !isInString, rest.hasPrefix("//") { return kept }
                rest.removeFirst()
                if character == "\"", previous != "\\" {
                    isInString.toggle()
                    kept.append(character)
                } else {
                    kept.append(isInString ? " " : character)
                }
                previous = previous == "\\" && character == "\\" ? " " : character
            }
            return kept
        }
    }
}

/// Something that breaks a rule.
struct Finding: Equatable, CustomStringConvertible {
    let path: String
    let line: Int
    let message: String

    var description: String { "\(path):\(line): \(message)" }
}
