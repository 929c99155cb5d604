import ArgumentParser

/// `magpie-dump db …`
struct TreeCommands: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "db", abstract: "A whole data directory.",
        subcommands: [Check.self, Props.self, Levels.self, Find.self, Positions.self])

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Checks manifest, tables and log, and that they belong together.",
            discussion: "Example: magpie-dump db check ./data")
        @Argument(help: "Data directories.") var paths: [String]
        @OptionGroup var common: CommonOptions

        func run() throws {
            try common.inspect { places, report, keys in
                let inspector = ManifestInspector(places: places, report: report, keys: keys)
                for path in paths { try inspector.checkDatabase(path) }
            }
        }
    }

    struct Props: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints totals of each keyspace and level, and how far the shards are.",
            discussion: "Example: magpie-dump db props ./data")
        @Argument(help: "Data directories.") var paths: [String]
        @OptionGroup var common: CommonOptions

        func run() throws {
            try common.inspect { places, report, keys in
                let inspector = ManifestInspector(places: places, report: report, keys: keys)
                for path in paths { try inspector.databaseProperties(path) }
            }
        }
    }

    struct Levels: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "lsm", abstract: "Prints the tables of each level.",
            discussion: "Example: magpie-dump db lsm ./data")
        @Argument(help: "Data directories.") var paths: [String]
        @OptionGroup var common: CommonOptions

        func run() throws {
            try common.inspect { places, report, keys in
                let inspector = ManifestInspector(places: places, report: report, keys: keys)
                for path in paths { try inspector.levels(path) }
            }
        }
    }

    struct Positions: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints how far each directory has every shard, in tables and log.",
            discussion: """
                For nodes that are stopped. With several directories it says which has most of \
                each shard: what to look at when a quorum is lost.

                Example: magpie-dump db positions /srv/magpie-1 /srv/magpie-2
                """)
        @Argument(help: "Data directories.") var paths: [String]
        @OptionGroup var common: CommonOptions

        func run() throws {
            try common.inspect { places, report, _ in
                try PositionInspector(places: places, report: report).positions(paths)
            }
        }
    }

    struct Find: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Prints every manifest record and table that speaks of keys starting with KEY.",
            discussion: """
                KEY is an identifier (all rows of that user or conversation) or hexadecimal bytes.

                Example: magpie-dump db find 8a6e0804-2bd0-4672-b79d-d97027f9071a ./data
                """)
        @Argument(help: "An identifier or hexadecimal bytes.") var key: String
        @Argument(help: "Data directories.") var paths: [String]
        @OptionGroup var common: CommonOptions

        func run() throws {
            let prefix = try KeyText.parse(key)
            try common.inspect { places, report, keys in
                let inspector = ManifestInspector(places: places, report: report, keys: keys)
                for path in paths { try inspector.find(prefix, path) }
            }
        }
    }
}
