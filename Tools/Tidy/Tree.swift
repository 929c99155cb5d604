import Foundation

/// The files of a checkout that git tracks or would track.
struct Tree {
    let root: String
    let paths: [String]
    let swiftFiles: [SourceFile]

    init?(root: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard",
        ]
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return nil }
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { return nil }
        self.root = root
        paths = String(decoding: output, as: UTF8.self).split(separator: "\n").map(String.init)
            .filter { FileManager.default.fileExists(atPath: root + "/" + $0) }.sorted()
        swiftFiles = paths.filter { $0.hasSuffix(".swift") && $0 != "Package.swift" }.compactMap {
            guard let text = try? String(contentsOfFile: root + "/" + $0, encoding: .utf8)
            else { return nil }
            return SourceFile(path: $0, text: text)
        }
    }

    var uncheckedCount: Int {
        swiftFiles.reduce(0) { $0 + CodeRules.uncheckedCount($1) }
    }

    /// Everything wrong in the tree.
    func check() -> [Finding] {
        var findings = swiftFiles.flatMap(CodeRules.check)
        findings += TreeRules.topLevel(
            Set(paths.compactMap { $0.split(separator: "/").first.map(String.init) }))
        findings += TreeRules.formats(paths)
        let known = Set(paths)
        let folders = Set(
            paths.flatMap { path -> [String] in
                let parts = path.split(separator: "/").dropLast()
                return (0...parts.count).map { parts.prefix($0).joined(separator: "/") }
            })
        for path in paths where path.hasSuffix(".md") {
            let text = (try? String(contentsOfFile: root + "/" + path, encoding: .utf8)) ?? ""
            findings += TreeRules.document(path: path, text: text) {
                known.contains($0) || folders.contains($0)
            }
        }
        return findings
    }
}
