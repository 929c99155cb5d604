import ArgumentParser

/// `magpie-dump log …`
struct LogCommands: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log", abstract: "The replicated log.",
        subcommands: [Dump.self, Verify.self])

    struct Dump: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints every record.",
            discussion: "Example: magpie-dump log dump ./data/log --payload")
        @Argument(help: "Segment files or directories.") var paths: [String]
        @Flag(help: "Print payloads.") var payload = false
        @OptionGroup var common: CommonOptions

        func run() throws {
            try common.inspect { places, report, _ in
                let inspector = LogInspector(places: places, report: report)
                for path in paths { try inspector.dump(path, showsPayload: payload) }
            }
        }
    }

    struct Verify: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Checks every record and the links between segments.",
            discussion: """
                A tail that a power cut tore is not corruption; a hole below a durable mark is.

                Example: magpie-dump log verify ./data
                """)
        @Argument(help: "Segment files or directories.") var paths: [String]
        @OptionGroup var common: CommonOptions

        func run() throws {
            try common.inspect { places, report, _ in
                let inspector = LogInspector(places: places, report: report)
                for path in paths { try inspector.verify(path) }
            }
        }
    }
}
