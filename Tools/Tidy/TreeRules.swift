import Foundation

/// The rules for the tree as a whole: formats, documents, what lies at the top.
enum TreeRules {
    /// What may lie at the top of the repository, besides dot-files.
    static let top: Set<String> = [
        "Package.swift", "Sources", "Tests", "Benchmarks", "Tools", "docs", "README.md",
    ]

    /// Names at the top that do not belong there. `names` are those that git tracks.
    static func topLevel(_ names: Set<String>) -> [Finding] {
        names.filter { !top.contains($0) && !$0.hasPrefix(".") }.sorted().map {
            Finding(path: $0, line: 1, message: "does not belong at the top of the repository")
        }
    }

    /// Every `XFormat.swift` has a page in docs/formats and a golden file. `paths` is the tree.
    static func formats(_ paths: [String]) -> [Finding] {
        paths.filter { $0.hasPrefix("Sources/") && $0.hasSuffix("Format.swift") }.flatMap { path in
            var findings: [Finding] = []
            let parts = path.split(separator: "/")
            let target = String(parts[1])
            let stem = String(parts.last?.dropLast("Format.swift".count) ?? "")
            let pages = paths.filter { $0.hasPrefix("docs/formats/") }.map(key)
            if !pages.contains(where: { $0.contains(key(stem)) }) {
                findings.append(
                    Finding(
                        path: path, line: 1,
                        message: "this format has no page in docs/formats that bears its name"))
            }
            if !paths.contains(where: { $0.hasPrefix("Tests/\(target)Tests/Golden/") }) {
                findings.append(
                    Finding(
                        path: path, line: 1,
                        message: "this format has no golden file in Tests/\(target)Tests/Golden"))
            }
            return findings
        }
    }

    private static func key(_ text: String) -> String {
        text.lowercased().filter { $0.isLetter || $0.isNumber }
    }

    /// One title a document, and no link to a file that is not there.
    static func document(
        path: String, text: String, exists: (String) -> Bool
    ) -> [Finding] {
        var findings: [Finding] = []
        var titles = 0
        var isInFence = false
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false)
            .enumerated()
        {
            if line.hasPrefix("```") { isInFence.toggle() }
            if isInFence { continue }
            if line.hasPrefix("# ") { titles += 1 }
            for link in links(in: line) {
                let file = String(link.split(separator: "#", omittingEmptySubsequences: false)[0])
                if file.isEmpty || file.contains("://") || file.hasPrefix("mailto:") { continue }
                let folder = path.split(separator: "/").dropLast().joined(separator: "/")
                if !exists(resolve(file, from: folder)) {
                    findings.append(
                        Finding(path: path, line: index + 1, message: "dead link to \(file)"))
                }
            }
        }
        if titles != 1 {
            findings.append(
                Finding(path: path, line: 1, message: "\(titles) titles; a document has one"))
        }
        return findings
    }

    private static func links(in line: Substring) -> [String] {
        var found: [String] = []
        var rest = line
        while let open = rest.range(of: "](") {
            rest = rest[open.upperBound...]
            guard let close = rest.firstIndex(of: ")") else { break }
            found.append(String(rest[..<close].split(separator: " ").first ?? ""))
            rest = rest[close...]
        }
        return found
    }

    private static func resolve(_ link: String, from folder: String) -> String {
        var parts = folder.split(separator: "/").map(String.init)
        for part in link.split(separator: "/") {
            if part == ".." {
                if !parts.isEmpty { parts.removeLast() }
            } else if part != "." {
                parts.append(String(part))
            }
        }
        return parts.joined(separator: "/")
    }
}
