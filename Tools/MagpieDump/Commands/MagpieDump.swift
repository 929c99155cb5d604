import ArgumentParser
import Bytes
import Glibc

/// The program: `magpie-dump`.
@main
struct MagpieDump: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "magpie-dump",
        abstract: "Looks into Magpie's files. Only `db repair --write` changes any.",
        discussion: Manual.page(
            """
            A PATH is a file or a directory; under a directory everything of the kind is taken, \
            but nothing in directories named damaged-…, where a node or a repair set files aside. \
            `magpie-dump help sst scan` explains one command.
            """,
            examples: "sst check ./data", "sst scan ./data/tree/00000000000000ab.sst --limit 20",
            "log verify ./data/log", "db find 8a6e0804-2bd0-4672-b79d-d97027f9071a ./data"),
        version: Release.version,
        subcommands: [
            TableCommands.self, LogCommands.self, ManifestCommands.self, TreeCommands.self,
            IndexCommands.self,
        ])

    /// Parses, runs, and ends with the status that the discussion above promises.
    static func main() {
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch let error as ExitCode {
            exit(withError: error)
        } catch let error where exitCode(for: error) == .success {
            exit(withError: error)
        } catch let mistake as UsageMistake {
            complain("magpie-dump: \(mistake)")
            exit(withError: ExitCode(2))
        } catch let error where exitCode(for: error) == .validationFailure {
            complain(fullMessage(for: error))
            exit(withError: ExitCode(2))
        } catch {
            complain("magpie-dump: \(error)")
            exit(withError: ExitCode(1))
        }
    }

    private static func complain(_ text: String) {
        let line = Array((text + "\n").utf8)
        _ = line.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}

/// What every command takes.
struct CommonOptions: ParsableArguments {
    @Flag(help: "One JSON object a line.")
    var json = false

    @Flag(help: "Keys as bytes, not in the words of the chat schema.")
    var hex = false

    /// Runs `body` with a report on standard output; ends with status 1 when it found corruption.
    func inspect(_ body: (Places, Report, KeyText) throws -> Void) throws {
        let report = Report(isJSON: json) { print($0) }
        try body(Places(), report, KeyText(isHex: hex))
        if report.problems > 0 { throw ExitCode(1) }
    }

    /// ``inspect(_:)`` for commands about tables.
    func inspectTables(_ body: (TableInspector) throws -> Void) throws {
        try inspect { places, report, keys in
            try body(TableInspector(places: places, report: report, keys: keys))
        }
    }

    /// ``inspect(_:)`` for commands about trees.
    func inspectTrees(_ body: (ManifestInspector) throws -> Void) throws {
        try inspect { places, report, keys in
            try body(ManifestInspector(places: places, report: report, keys: keys))
        }
    }
}
