import ArgumentParser
import Platform

extension TreeCommands {
    struct Verify: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints digests of the rows, or compares them with another directory's.",
            discussion: Manual.page(
                """
                Replicas have other tables, but at the same positions the same rows. Of one \
                directory, a digest of the rows of every keyspace and range of slots, to compare \
                by eye with those of another machine. With --against, key by key; a difference at \
                equal positions is corruption. Rows are those in tables: stop the nodes in good \
                order, which leaves nothing in their logs alone.
                """,
                examples: "db verify ./data", "db verify ./data --against /mnt/other/data"))
        @Argument(help: "A data directory.") var path: String
        @Option(help: "Another data directory.") var against: String?
        @OptionGroup var common: CommonOptions

        func run() throws {
            try common.inspect { places, report, keys in
                let comparison = TreeComparison(
                    places: places, report: report, keys: keys,
                    now: LinuxClock().wallMilliseconds())
                if let against {
                    try comparison.compare(path, with: against)
                } else {
                    try comparison.digest(path)
                }
            }
        }
    }
}
