import ArgumentParser

extension TableCommands {
    struct Scan: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints rows in order.",
            discussion: Manual.page(
                """
                Keys on the command line are identifiers (all rows of that user or \
                conversation) or hexadecimal bytes.
                """,
                examples: "sst scan 00000000000000ab.sst --from 0005c0ff --limit 50",
                "sst scan ./data --keys-only --hex"))
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
            try common.inspectTables { inspector in
                for path in paths {
                    try inspector.scan(
                        path, from: lower, to: upper, limit: limit ?? .max, showsValues: !keysOnly)
                }
            }
        }
    }

    struct Find: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints all versions of the keys that start with KEY.",
            discussion: Manual.page(
                """
                KEY is an identifier (all rows of that user or conversation) or hexadecimal bytes. \
                Range deletes over them are shown too.
                """,
                examples: "sst find 8a6e0804-2bd0-4672-b79d-d97027f9071a ./data"))
        @Argument(help: "An identifier or hexadecimal bytes.") var key: String
        @Argument(help: "Table files or directories.") var paths: [String]
        @OptionGroup var common: CommonOptions

        func run() throws {
            let prefix = try KeyText.parse(key)
            try common.inspectTables { inspector in
                for path in paths { try inspector.find(prefix, path) }
            }
        }
    }

    struct Space: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints where the bytes of tables are.",
            discussion: Manual.page(
                """
                Bytes of keys and values are counted. Bytes on disk are the files', shared out \
                among the groups by their raw bytes; overhead is index, filters, properties and \
                footer. `prefix` groups by keyspace and partition.
                """,
                examples: "sst space ./data", "sst space ./data --by conversation --top 10"))
        @Argument(help: "Table files or directories.") var paths: [String]
        @OptionGroup var space: SpaceOptions
        @OptionGroup var common: CommonOptions

        func run() throws {
            try common.inspectTables { inspector in
                for path in paths { try inspector.space(path, by: space.by, top: space.top) }
            }
        }
    }

    struct Recompress: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Says what a table would take with other blocks.",
            discussion: Manual.page(
                """
                Writes each table anew in memory for each block size and encoding, and reads it \
                back: bytes, ratio to keys and values, blocks that lz4 could not shrink by an \
                eighth (refused), seconds. The files stay as they are.
                """,
                examples: "sst recompress 00000000000000ab.sst",
                "sst recompress ./data --block-sizes 4096,32768 --encodings lz4 --json"))
        @Argument(help: "Table files or directories.") var paths: [String]
        @Option(help: "Block sizes in bytes, with commas.")
        var blockSizes = "4096,8192,16384,32768,65536"
        @Option(help: "Of raw and lz4, with commas.") var encodings = "raw,lz4"
        @OptionGroup var common: CommonOptions

        func run() throws {
            let packings = try Packing.parse(blockBytes: blockSizes, encodings: encodings)
            try common.inspectTables { inspector in
                for path in paths { try inspector.recompress(path, packings) }
            }
        }
    }
}

/// What the `space` commands take.
struct SpaceOptions: ParsableArguments {
    @Option(help: "keyspace, level, conversation, user, or prefix.")
    var by: SpaceGrouping = .keyspace

    @Option(help: "Lines at most; the others are added up.")
    var top = 20

    func validate() throws {
        if top < 0 { throw ValidationError("--top is not negative") }
    }
}

extension SpaceGrouping: ExpressibleByArgument {}
