/// The rules for Swift code: imports, sizes, bans, reasons, doc comments.
enum CodeRules {
    static let fileLinesMax = 500
    static let functionLinesMax = 70
    static let columnsMax = 100

    /// A word that may not stand in code, and what stands in its place.
    private struct Ban {
        let word: String
        let instead: String
        var inTests = true
    }

    private static let bans = [
        Ban(word: "fatalError(", instead: "precondition or preconditionFailure with a reason"),
        Ban(word: "try!", instead: "try, and say what a failure means"),
        Ban(word: "Task.sleep", instead: "a timer of the event loop or Lane.submit(after:)"),
        Ban(word: "Thread.sleep", instead: "Lane.submit(after:)"),
        Ban(word: "usleep(", instead: "Lane.submit(after:)"),
        Ban(word: "DispatchQueue", instead: "a Lane of Platform.Scheduler"),
        Ban(word: "Task.detached", instead: "a structured task or a Lane"),
        Ban(word: "Date()", instead: "Platform.Clock"),
        Ban(word: "ContinuousClock.now", instead: "Platform.Clock", inTests: false),
        Ban(word: "SystemRandomNumberGenerator", instead: "a seeded generator", inTests: false),
        Ban(word: "-Ounchecked", instead: "checked code with unchecked access after validation"),
    ]

    /// Words that mark something left undone.
    private static let debts = ["TO" + "DO", "FIX" + "ME"]

    /// Everything wrong with one file.
    static func check(_ file: SourceFile) -> [Finding] {
        if file.isGenerated { return [] }
        return imports(file) + sizes(file) + banned(file) + reasons(file) + documentation(file)
    }

    static func imports(_ file: SourceFile) -> [Finding] {
        guard let target = file.target else { return [] }
        return file.code.enumerated().compactMap { index, line in
            guard let module = importedModule(line),
                let objection = House.objection(to: module, in: target)
            else { return nil }
            return Finding(path: file.path, line: index + 1, message: objection)
        }
    }

    /// The module that a line imports, or nil when it is no import.
    static func importedModule(_ line: String) -> String? {
        var words = line.split(separator: " ").map(String.init)
        while let first = words.first, first.hasPrefix("@") { words.removeFirst() }
        if let first = words.first,
            ["package", "public", "internal", "private", "fileprivate"].contains(first)
        {
            words.removeFirst()
        }
        guard words.first == "import", words.count >= 2 else { return nil }
        let kinds = ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"]
        let path = kinds.contains(words[1]) && words.count > 2 ? words[2] : words[1]
        return path.split(separator: ".").first.map(String.init)
    }

    static func sizes(_ file: SourceFile) -> [Finding] {
        var findings: [Finding] = []
        if file.lines.count > fileLinesMax {
            findings.append(
                Finding(
                    path: file.path, line: file.lines.count,
                    message:
                        "\(file.lines.count) lines; a file has at most \(fileLinesMax): "
                        + "split it by topic"
                ))
        }
        for (index, line) in file.lines.enumerated() where line.count > columnsMax {
            findings.append(
                Finding(
                    path: file.path, line: index + 1,
                    message: "\(line.count) columns; a line has at most \(columnsMax)"))
        }
        return findings + longFunctions(file)
    }

    private static func longFunctions(_ file: SourceFile) -> [Finding] {
        var findings: [Finding] = []
        var depth = 0
        var open: [(line: Int, depth: Int)] = []
        var pending: Int?
        for (index, line) in file.code.enumerated() {
            if startsFunction(line) { pending = index }
            for character in line {
                if character == "{" {
                    if let start = pending {
                        open.append((start, depth))
                        pending = nil
                    }
                    depth += 1
                } else if character == "}" {
                    depth -= 1
                    if let last = open.last, last.depth == depth {
                        open.removeLast()
                        let count = index - last.line + 1
                        if count > functionLinesMax {
                            findings.append(
                                Finding(
                                    path: file.path, line: last.line + 1,
                                    message:
                                        "a function of \(count) lines; at most \(functionLinesMax)")
                            )
                        }
                    }
                }
            }
        }
        return findings
    }

    private static func startsFunction(_ line: String) -> Bool {
        let words = line.split(whereSeparator: { " (<?".contains($0) }).map(String.init)
        let modifiers: Set<String> = [
            "package", "public", "private", "internal", "fileprivate", "static", "mutating",
            "override", "consuming", "borrowing", "nonisolated", "final", "convenience", "required",
        ]
        guard let word = words.first(where: { !modifiers.contains($0) && !$0.hasPrefix("@") })
        else { return false }
        return ["func", "init", "deinit", "subscript"].contains(word)
    }

    static func banned(_ file: SourceFile) -> [Finding] {
        let isTest = file.path.hasPrefix("Tests/") || file.path.hasPrefix("Benchmarks/")
        var findings: [Finding] = []
        for (index, line) in file.code.enumerated() {
            for ban in bans where line.contains(ban.word) && (ban.inTests || !isTest) {
                findings.append(
                    Finding(
                        path: file.path, line: index + 1,
                        message: "\(ban.word) is banned: use \(ban.instead)"))
            }
            if file.target != nil, !file.isProgram,
                line.contains(" print(") || line.hasPrefix("print(")
            {
                findings.append(
                    Finding(
                        path: file.path, line: index + 1,
                        message: "print is for executables: return or throw, or log at rank 5"))
            }
            if debts.contains(where: { file.lines[index].contains("// " + $0) }) {
                findings.append(
                    Finding(
                        path: file.path, line: index + 1,
                        message:
                            "nothing is left undone without a decision record: "
                            + "leave it out or do it"
                    ))
            }
        }
        return findings
    }

    /// The marks that switch a check of the compiler off.
    static let unchecked = ["@unchecked Sendable", "nonisolated(unsafe)"]

    static func reasons(_ file: SourceFile) -> [Finding] {
        var findings: [Finding] = []
        for (index, line) in file.code.enumerated() {
            guard let mark = unchecked.first(where: { line.contains($0) }) else { continue }
            let above = file.lines[0..<index].last {
                !$0.trimmed.isEmpty && !$0.trimmed.hasPrefix("@")
            }
            if above?.trimmed.hasPrefix("//") != true {
                findings.append(
                    Finding(
                        path: file.path, line: index + 1,
                        message:
                            "\(mark) needs a comment above it that says what protects the value"))
            }
        }
        return findings
    }

    /// How often the file switches a check of the compiler off.
    static func uncheckedCount(_ file: SourceFile) -> Int {
        file.code.reduce(0) { sum, line in
            sum + (unchecked.contains { line.contains($0) } ? 1 : 0)
        }
    }

    static func documentation(_ file: SourceFile) -> [Finding] {
        guard file.target != nil else { return [] }
        var findings: [Finding] = []
        for (index, line) in file.code.enumerated() {
            let text = line.trimmed
            guard text.hasPrefix("package ") || text.hasPrefix("public "), isDeclaration(text)
            else { continue }
            var above = index - 1
            while above >= 0, isBetween(file.lines[above].trimmed) { above -= 1 }
            if above < 0 || !file.lines[above].trimmed.hasPrefix("///") {
                findings.append(
                    Finding(
                        path: file.path, line: index + 1,
                        message: "a declaration that others use needs a doc comment"))
            }
        }
        return findings
    }

    /// What may stand between a doc comment and its declaration: attributes, and the reason that
    /// unchecked code needs.
    private static func isBetween(_ text: String) -> Bool {
        text.hasPrefix("@") || (text.hasPrefix("//") && !text.hasPrefix("///"))
    }

    private static func isDeclaration(_ text: String) -> Bool {
        let words = text.split(whereSeparator: { " (<".contains($0) }).map(String.init)
        let keywords: Set<String> = [
            "func", "init", "subscript", "var", "let", "struct", "class", "enum", "protocol",
            "typealias", "actor", "case", "associatedtype",
        ]
        guard !words.contains("import"), !words.contains("extension") else { return false }
        return words.dropFirst().prefix(5).contains { keywords.contains($0) }
    }
}

extension StringProtocol {
    /// Without blanks at either end.
    var trimmed: String {
        guard let first = firstIndex(where: { $0 != " " && $0 != "\t" }),
            let last = lastIndex(where: { $0 != " " && $0 != "\t" })
        else { return "" }
        return String(self[first...last])
    }
}
