import ArgumentParser

/// `magpie-dump manifest …`
struct ManifestCommands: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "manifest", abstract: "The list of tables, as it changed.",
        subcommands: [Dump.self, Check.self])

    struct Dump: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints every record.",
            discussion: "Example: magpie-dump manifest dump ./data")
        @Argument(help: "Manifest files or directories.") var paths: [String]
        @OptionGroup var common: CommonOptions

        func run() throws {
            try common.inspect { places, report, keys in
                let inspector = ManifestInspector(places: places, report: report, keys: keys)
                for path in paths { try inspector.dump(path) }
            }
        }
    }

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Checks every record and that they add up to a tree.",
            discussion: "Example: magpie-dump manifest check ./data")
        @Argument(help: "Manifest files or directories.") var paths: [String]
        @OptionGroup var common: CommonOptions

        func run() throws {
            try common.inspect { places, report, keys in
                let inspector = ManifestInspector(places: places, report: report, keys: keys)
                for path in paths { try inspector.check(path) }
            }
        }
    }
}
