import ArgumentParser

/// `magpie-dump sst …`
struct TableCommands: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sst", abstract: "Sorted tables.",
        subcommands: [Check.self, Scan.self, Raw.self, Props.self, Layout.self, Find.self])

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Reads every byte and checks all there is to check.",
            discussion: "Example: magpie-dump sst check ./data")
        @Argument(help: "Table files or directories.") var paths: [String]
        @OptionGroup var common: CommonOptions

        func run() throws {
            try common.inspect { places, report, keys in
                let inspector = TableInspector(places: places, report: report, keys: keys)
                for path in paths { try inspector.check(path) }
            }
        }
    }

    struct Scan: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints rows in order.",
            discussion: """
                Keys on the command line are identifiers (all rows of that user or \
                conversation) or hexadecimal bytes.

                Example: magpie-dump sst scan 00000000000000ab.sst --from 0005c0ff --limit 50
                """)
        @Argument(help: "Table files or directories.") var paths: [String]
        @Option(help: "The first user key.") var from: String?
        @Option(help: "The user key to stop before.") var to: String?
        @Option(help: "Rows at most, of each path.") var limit: Int?
        @Flag(help: "Leave out the values.") var keysOnly = false
        @OptionGroup var common: CommonOptions

        func validate() throws {
            if let limit, limit < 0 { throw ValidationError("--limit is not negative") }
        }

        func run() throws {
            let lower = try from.map(KeyText.parse)
            let upper = try to.map(KeyText.parse)
            try common.inspect { places, report, keys in
                let inspector = TableInspector(places: places, report: report, keys: keys)
                for path in paths {
                    try inspector.scan(
                        path, from: lower, to: upper, limit: limit ?? .max, showsValues: !keysOnly)
                }
            }
        }
    }

    struct Raw: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints every block and row with its place and parts.",
            discussion: "Example: magpie-dump sst raw 00000000000000ab.sst")
        @Argument(help: "Table files or directories.") var paths: [String]
        @OptionGroup var common: CommonOptions

        func run() throws {
            try common.inspect { places, report, keys in
                let inspector = TableInspector(places: places, report: report, keys: keys)
                for path in paths { try inspector.raw(path) }
            }
        }
    }

    struct Props: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints what a table says of its rows.",
            discussion: "Example: magpie-dump sst props ./data --json")
        @Argument(help: "Table files or directories.") var paths: [String]
        @OptionGroup var common: CommonOptions

        func run() throws {
            try common.inspect { places, report, keys in
                let inspector = TableInspector(places: places, report: report, keys: keys)
                for path in paths { try inspector.properties(path) }
            }
        }
    }

    struct Layout: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints the map of a table's blocks.",
            discussion: "Example: magpie-dump sst layout 00000000000000ab.sst")
        @Argument(help: "Table files or directories.") var paths: [String]
        @OptionGroup var common: CommonOptions

        func run() throws {
            try common.inspect { places, report, keys in
                let inspector = TableInspector(places: places, report: report, keys: keys)
                for path in paths { try inspector.layout(path) }
            }
        }
    }

    struct Find: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints all versions of the keys that start with KEY.",
            discussion: """
                KEY is an identifier (all rows of that user or conversation) or hexadecimal bytes.

                Example: magpie-dump sst find 8a6e0804-2bd0-4672-b79d-d97027f9071a ./data
                """)
        @Argument(help: "An identifier or hexadecimal bytes.") var key: String
        @Argument(help: "Table files or directories.") var paths: [String]
        @OptionGroup var common: CommonOptions

        func run() throws {
            let prefix = try KeyText.parse(key)
            try common.inspect { places, report, keys in
                let inspector = TableInspector(places: places, report: report, keys: keys)
                for path in paths { try inspector.find(prefix, path) }
            }
        }
    }
}
