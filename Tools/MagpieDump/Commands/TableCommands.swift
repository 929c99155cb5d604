import ArgumentParser

/// `magpie-dump sst …`
struct TableCommands: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sst", abstract: "Sorted tables.",
        discussion: Manual.page(
            """
            A table holds rows of one keyspace in key order; docs/formats/sorted-table.md draws it.
            Nothing here needs a manifest: a table says enough of itself to be read alone.
            """,
            examples: "sst check ./data", "sst space ./data --by conversation --top 10"),
        subcommands: [
            Check.self, Verify.self, Scan.self, Find.self, Raw.self, Layout.self, Props.self,
            Space.self, Recompress.self,
        ])

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Reads every byte and checks all there is to check.",
            discussion: Manual.page(
                """
                Checksums, that blocks tile the file, the order of keys, separators, that filters \
                know every key, and that the properties are those of the rows.
                """,
                examples: "sst check ./data", "sst check 00000000000000ab.sst --json"))
        @Argument(help: "Table files or directories.") var paths: [String]
        @OptionGroup var common: CommonOptions

        func run() throws {
            try common.inspectTables { inspector in
                for path in paths { try inspector.check(path) }
            }
        }
    }

    struct Verify: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Checks block checksums and the digest of the whole file: quick.",
            discussion: Manual.page(
                """
                Finds rot, not mistakes of a writer: `sst check` looks at rows too. The digest is \
                compared with the manifest beside the table when that lists it.
                """,
                examples: "sst verify ./data", "sst verify ./data/tree/00000000000000ab.sst"))
        @Argument(help: "Table files or directories.") var paths: [String]
        @OptionGroup var common: CommonOptions

        func run() throws {
            try common.inspectTables { inspector in
                for path in paths { try inspector.verify(path) }
            }
        }
    }

    struct Raw: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints every block and row with its place and parts.",
            discussion: Manual.page(
                "The dump that stands beside the golden file, for somebody who writes a reader.",
                examples: "sst raw 00000000000000ab.sst | less"))
        @Argument(help: "Table files or directories.") var paths: [String]
        @OptionGroup var common: CommonOptions

        func run() throws {
            try common.inspectTables { inspector in
                for path in paths { try inspector.raw(path) }
            }
        }
    }

    struct Layout: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints the map of a table's blocks.",
            discussion: Manual.page(
                "One line a block: offset, role, bytes, encoding, expanded bytes, rows, bounds.",
                examples: "sst layout 00000000000000ab.sst"))
        @Argument(help: "Table files or directories.") var paths: [String]
        @OptionGroup var common: CommonOptions

        func run() throws {
            try common.inspectTables { inspector in
                for path in paths { try inspector.layout(path) }
            }
        }
    }

    struct Props: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints what a table says of its rows.",
            discussion: Manual.page(examples: "sst props ./data --json"))
        @Argument(help: "Table files or directories.") var paths: [String]
        @OptionGroup var common: CommonOptions

        func run() throws {
            try common.inspectTables { inspector in
                for path in paths { try inspector.properties(path) }
            }
        }
    }
}
