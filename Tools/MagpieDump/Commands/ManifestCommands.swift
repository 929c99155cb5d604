import ArgumentParser

/// `magpie-dump manifest …`
struct ManifestCommands: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "manifest", abstract: "The list of tables, as it changed.",
        discussion: Manual.page(
            """
            Under a directory the manifest that CURRENT names is taken; any other by its own name. \
            docs/formats/manifest.md draws it.
            """,
            examples: "manifest check ./data", "manifest dump ./data/tree/0000000000000001.manifest"
        ),
        subcommands: [Dump.self, Summarize.self, Check.self])

    struct Dump: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints every record.",
            discussion: Manual.page(examples: "manifest dump ./data", "manifest dump ./data --hex"))
        @Argument(help: "Manifest files or directories.") var paths: [String]
        @OptionGroup var common: CommonOptions

        func run() throws {
            try common.inspectTrees { inspector in
                for path in paths { try inspector.dump(path) }
            }
        }
    }

    struct Summarize: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints what was done: cuts, merges, moves, drops, write amplification.",
            discussion: Manual.page(
                """
                Records have no time, so the edits are added up in runs of a number of them. Write \
                amplification is of tables alone: bytes of cuts and merges for each byte of cuts. \
                A manifest starts anew with each start of the node.
                """,
                examples: "manifest summarize ./data", "manifest summarize ./data --every 50"))
        @Argument(help: "Manifest files or directories.") var paths: [String]
        @Option(help: "Edits of a run.") var every = 100
        @OptionGroup var common: CommonOptions

        func validate() throws {
            if every < 1 { throw ValidationError("--every is at least 1") }
        }

        func run() throws {
            try common.inspectTrees { inspector in
                for path in paths { try inspector.summarize(path, every: every) }
            }
        }
    }

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Checks every record and that they add up to a tree.",
            discussion: Manual.page(examples: "manifest check ./data"))
        @Argument(help: "Manifest files or directories.") var paths: [String]
        @OptionGroup var common: CommonOptions

        func run() throws {
            try common.inspectTrees { inspector in
                for path in paths { try inspector.check(path) }
            }
        }
    }
}
