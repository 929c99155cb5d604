import Foundation

/// Holds the lines that a machine can hold: see docs/HACKING.md. Exit 0 clean, 1 with findings,
/// 2 on wrong usage.
func run() -> Int32 {
    let arguments = CommandLine.arguments.dropFirst()
    if arguments.contains("--help") || arguments.count > 1 {
        print(
            """
            usage: Tidy [ROOT]

            Checks the repository at ROOT (default: here): the import table, sizes, bans, reasons
            for unchecked code, doc comments, format pages and golden files, documents.
            """)
        return arguments.contains("--help") ? 0 : 2
    }
    let root = arguments.first ?? "."
    guard let tree = Tree(root: root) else {
        FileHandle.standardError.write(Data("Tidy: \(root) is no git checkout\n".utf8))
        return 2
    }
    let findings = tree.check()
    for finding in findings { print(finding) }
    print(
        "tidy: \(tree.swiftFiles.count) Swift files, \(findings.count) findings, "
            + "\(tree.uncheckedCount) unchecked marks with their reasons")
    return findings.isEmpty ? 0 : 1
}

exit(run())
