import ArgumentParser

/// `magpie-dump db …`
struct TreeCommands: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "db", abstract: "A whole data directory.",
        discussion: Manual.page(
            "For nodes that are stopped: files of a running one change while they are read.",
            examples: "db check ./data", "db space ./data --by conversation --top 10"),
        subcommands: [
            Check.self, Props.self, Levels.self, Find.self, Space.self, Positions.self,
            Verify.self, Repair.self,
        ])

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Checks manifest, tables and log, and that they belong together.",
            discussion: Manual.page(examples: "db check ./data"))
        @Argument(help: "Data directories.") var paths: [String]
        @OptionGroup var common: CommonOptions

        func run() throws {
            try common.inspectTrees { inspector in
                for path in paths { try inspector.checkDatabase(path) }
            }
        }
    }

    struct Props: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints totals of each keyspace and level, and how far the shards are.",
            discussion: Manual.page(examples: "db props ./data --json"))
        @Argument(help: "Data directories.") var paths: [String]
        @OptionGroup var common: CommonOptions

        func run() throws {
            try common.inspectTrees { inspector in
                for path in paths { try inspector.databaseProperties(path) }
            }
        }
    }

    struct Levels: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "lsm", abstract: "Prints the tables of each level.",
            discussion: Manual.page(
                """
                With --html it writes a page that shows the shape after every edit of the \
                manifest, with a slider. The page needs no network.
                """,
                examples: "db lsm ./data", "db lsm ./data --html shape.html"))
        @Argument(help: "Data directories.") var paths: [String]
        @Option(help: "Write a page to this new file.") var html: String?
        @OptionGroup var common: CommonOptions

        func validate() throws {
            if html != nil, paths.count != 1 {
                throw ValidationError("--html is for one directory")
            }
        }

        func run() throws {
            try common.inspectTrees { inspector in
                for path in paths {
                    if let html {
                        try inspector.writePage(path, to: html)
                    } else {
                        try inspector.levels(path)
                    }
                }
            }
        }
    }

    struct Find: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Prints every manifest record and table that speaks of keys starting with KEY.",
            discussion: Manual.page(
                """
                KEY is an identifier (all rows of that user or conversation) or hexadecimal bytes.
                """,
                examples: "db find 8a6e0804-2bd0-4672-b79d-d97027f9071a ./data"))
        @Argument(help: "An identifier or hexadecimal bytes.") var key: String
        @Argument(help: "Data directories.") var paths: [String]
        @OptionGroup var common: CommonOptions

        func run() throws {
            let prefix = try KeyText.parse(key)
            try common.inspectTrees { inspector in
                for path in paths { try inspector.find(prefix, path) }
            }
        }
    }

    struct Space: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints which conversations, users, keyspaces or levels take the bytes.",
            discussion: Manual.page(
                """
                Of the tables that the manifest lists; rows that newer ones hide count until they \
                are merged away. Bytes of keys and values are counted, bytes on disk are the \
                files', shared out by raw bytes. `conversation` counts messages, heads, members, \
                marks, dedup, media shown and pending work; `user` accounts, feeds and presence.
                """,
                examples: "db space ./data --by conversation --top 10",
                "db space ./data --by level --json"))
        @Argument(help: "Data directories.") var paths: [String]
        @OptionGroup var space: SpaceOptions
        @OptionGroup var common: CommonOptions

        func run() throws {
            try common.inspectTrees { inspector in
                for path in paths { try inspector.space(path, by: space.by, top: space.top) }
            }
        }
    }

    struct Positions: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints how far each directory has every shard, in tables and log.",
            discussion: Manual.page(
                """
                With several directories it says which has most of each shard: what to look at \
                when a quorum is lost.
                """,
                examples: "db positions /srv/magpie-1 /srv/magpie-2"))
        @Argument(help: "Data directories.") var paths: [String]
        @OptionGroup var common: CommonOptions

        func run() throws {
            try common.inspect { places, report, _ in
                try PositionInspector(places: places, report: report).positions(paths)
            }
        }
    }
}
