import ArgumentParser
import SortedTable

extension TreeCommands {
    struct Repair: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Rebuilds the manifest of a tree that does not open.",
            discussion: Manual.page(
                """
                Without --write it only says what it would do. It refuses while a node holds the \
                directory's lock. Tables are never changed.

                As long as the old manifest can be read up to some record, that record counts: its \
                tables on its levels with its positions. When tables of it are gone because later \
                merges replaced them, or no manifest can be read, all tables that are whole are \
                listed, on levels found from their rows so that newer rows win. What can't be \
                listed is named: rows, keys, sequences.

                The report ends with each shard's position and whether the log covers what comes \
                after. A node of a cluster is better rebuilt from its peers with an empty \
                directory. Copy the directory first.

                The old CURRENT and manifests, and tables that are not listed, keep second names \
                in damaged-repair-N beside the tables.

                The status is 1 while something is lost or the repair is not written.
                """,
                examples: "db repair ./data", "db repair ./data --write",
                "db repair ./data --from tables --leave-out 00000000000000ab.sst --write"))
        @Argument(help: "A data directory.") var path: String
        @Flag(help: "Do it.") var write = false
        @Option(help: "auto, manifest, or tables.")
        var from: RepairInspector.Source = .automatic
        @Option(help: "A table that is not to be listed; may be given again.")
        var leaveOut: [String] = []
        @Flag(help: "Where positions are lost, make them of what the log says. For a lone node.")
        var positionsFromLog = false
        @OptionGroup var common: CommonOptions

        func run() throws {
            var wishes = RepairInspector.Wishes(
                source: from, writes: write, takesPositionsFromLog: positionsFromLog)
            for name in leaveOut {
                guard let id = TableName.fileID(Places.name(name)) else {
                    throw UsageMistake("'\(name)' is no table's name")
                }
                wishes.leftOut.insert(id)
            }
            try common.inspect { places, report, keys in
                let inspector = RepairInspector(places: places, report: report, keys: keys)
                try inspector.repair(path, wishes)
            }
        }
    }
}

extension RepairInspector.Source: ExpressibleByArgument {}
