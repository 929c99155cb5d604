import Foundation
import RaftCore
import Testing

/// Runs the scripts in `Scenarios/`: blocks of commands, a divider, what they print. With
/// MAGPIE_REWRITE=1 the files are rewritten with what the commands print now.
@Suite("Scenarios")
struct ScenarioTests {
    static let names = [
        "alone", "async-append-aba", "check-quorum", "commit-of-old-term", "duelling-candidates",
        "election", "five-nodes", "joint-change", "lagging-follower", "learner-promotion",
        "lost-appends", "partition-rejoin", "pre-vote", "read-alone", "read-before-commit",
        "read-index", "read-paused-leader", "rejection", "removed-leader", "removed-stands",
        "replication", "restart-keeps-vote", "slow-disk", "snapshot-install", "snapshot-repeated",
        "stale-log-loses", "transfer-behind", "transfer",
    ]

    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Scenarios")

    @Test("Every script is registered")
    func everyScriptIsRegistered() throws {
        let files = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
        #expect(files.sorted() == Self.names.map { $0 + ".txt" })
    }

    @Test("A script prints what it says", arguments: names)
    func aScriptPrintsWhatItSays(name: String) throws {
        let url = Self.folder.appendingPathComponent(name + ".txt")
        let text = try String(contentsOf: url, encoding: .utf8)
        var runner = ScriptRunner()
        let actual = runner.run(text)
        if ProcessInfo.processInfo.environment["MAGPIE_REWRITE"] == "1" {
            try actual.write(to: url, atomically: true, encoding: .utf8)
        }
        #expect(actual == text, "\(name): set MAGPIE_REWRITE=1 to rewrite the expectation")
    }
}
