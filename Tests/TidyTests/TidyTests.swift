import Testing

@testable import Tidy

@Suite struct TidyTests {
    private func findings(_ text: String, path: String = "Sources/RaftCore/A.swift") -> [String] {
        CodeRules.check(SourceFile(path: path, text: text)).map(\.message)
    }

    @Test(
        "An import that the table does not name is found, however it is written",
        arguments: [
            "import LSMTree", "package import ChatNode", "@preconcurrency import Foundation",
            "@testable private import Glibc", "import struct Platform.Clock",
        ])
    func forbiddenImport(line: String) {
        #expect(findings(line + "\n").count == 1)
    }

    @Test("Imports that the table names, and words in comments and strings, pass")
    func allowedImport() {
        #expect(findings("import Bytes\nimport Synchronization\n// import LSMTree\n").isEmpty)
        #expect(findings("let a = \"import Foundation try! fatalError(\"\n").isEmpty)
        #expect(findings("import Glibc\n", path: "Sources/Platform/A.swift").isEmpty)
        #expect(findings("import LSMTree\n", path: "Tests/RaftCoreTests/A.swift").isEmpty)
    }

    @Test("Rows only look down in rank")
    func ranks() {
        for (target, room) in House.rooms {
            for other in room.house {
                let rank = House.rooms[other]?.rank ?? -1
                #expect(rank < room.rank, "\(target) looks up into \(other)")
            }
        }
    }

    @Test(
        "Banned words are found in code",
        arguments: [
            "let a = try! b()", "fatalError(\"x\")", "try await Task.sleep(for: .seconds(1))",
            "DispatchQueue.main.async {}", "print(\"x\")", "// TO" + "DO later",
        ])
    func bans(line: String) {
        #expect(findings("    " + line + "\n").count == 1)
    }

    @Test("Unchecked code needs a reason on the line above")
    func reasons() {
        let bare = "final class A: @unchecked Sendable {}\n"
        #expect(findings(bare).count == 1)
        #expect(findings("// Protected by the lane.\n" + bare).isEmpty)
    }

    @Test("Declarations that others use need a doc comment, attributes in between or not")
    func documentation() {
        #expect(findings("package func a() {}\n").count == 1)
        #expect(findings("/// Says.\n@inline(__always)\npackage func a() {}\n").isEmpty)
        #expect(findings("package import Bytes\nfunc b() {}\n").isEmpty)
        #expect(findings("package extension Int {}\n").isEmpty)
    }

    @Test("Long files, lines and functions are found")
    func sizes() {
        let long = String(repeating: "let a = 1\n", count: 501)
        #expect(findings(long).count == 1)
        #expect(findings("let a = \"" + String(repeating: "x", count: 100) + "\"\n").count == 1)
        let body = String(repeating: "    x += 1\n", count: 70)
        #expect(findings("func f() {\n" + body + "}\n").count == 1)
        #expect(findings("func f() {\n" + body.dropLast(22) + "}\n").isEmpty)
    }

    @Test("A format needs its page and its golden file")
    func formats() {
        let code = "Sources/RecordLog/RecordLogFormat.swift"
        #expect(TreeRules.formats([code]).count == 2)
        let page = "docs/formats/record-log.md"
        let golden = "Tests/RecordLogTests/Golden/one.log"
        #expect(TreeRules.formats([code, page, golden]).isEmpty)
    }

    @Test("A document has one title and no dead links")
    func documents() {
        let text = "# A\n[b](b.md) [c](../c/d.md#x) [w](https://example.org)\n```\n# no\n```\n"
        let good = TreeRules.document(path: "docs/a.md", text: text) {
            ["docs/b.md", "c/d.md"].contains($0)
        }
        #expect(good.isEmpty)
        let bad = TreeRules.document(path: "docs/a.md", text: text + "# B\n") { _ in false }
        #expect(bad.count == 3)
    }

    @Test("Only what belongs there lies at the top")
    func topLevel() {
        #expect(TreeRules.topLevel(["Sources", ".ci", "README.md"]).isEmpty)
        #expect(TreeRules.topLevel(["data"]).count == 1)
    }
}
