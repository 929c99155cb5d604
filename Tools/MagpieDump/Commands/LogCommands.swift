import ArgumentParser

/// `magpie-dump log …`
struct LogCommands: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log", abstract: "The replicated log.",
        discussion: Manual.page(
            """
            One log has the entries, terms and votes of all groups on a node; \
            docs/formats/record-log.md and raft-log.md draw it.
            """,
            examples: "log verify ./data", "log gaps ./data"),
        subcommands: [Dump.self, Gaps.self, Verify.self])

    struct Dump: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints every record.",
            discussion: Manual.page(examples: "log dump ./data/log --payload"))
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

    struct Gaps: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints which entries of each group the log holds, by term, and which not.",
            discussion: Manual.page(
                """
                For each segment also how far its bytes are proved durable. Holes before copies of \
                a whole tail are normal. Entries that neither the log nor the tables have, as the \
                manifest of the directory says, are corruption.
                """,
                examples: "log gaps ./data", "log gaps ./data/log --json"))
        @Argument(help: "Segment files or directories.") var paths: [String]
        @OptionGroup var common: CommonOptions

        func run() throws {
            try common.inspect { places, report, _ in
                let inspector = LogInspector(places: places, report: report)
                for path in paths { try inspector.gaps(path) }
            }
        }
    }

    struct Verify: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Checks every record and the links between segments.",
            discussion: Manual.page(
                """
                A tail that a power cut tore is not corruption; a hole below a durable mark is.
                """,
                examples: "log verify ./data"))
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
