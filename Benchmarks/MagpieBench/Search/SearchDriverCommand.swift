import ArgumentParser
import Foundation

/// `magpie-bench search-magpie`: Magpie's side of `magpie-bench search`, a process of its own as
/// the peers' drivers are.
struct SearchDriverCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "search-magpie",
        abstract: "Measure Magpie's index on given files: a part of search.", shouldDisplay: false)

    @Option var tokens: String
    @Option var changes: String
    @Option var queries: String
    @Option var directory: String
    @Option var passes: Int
    @Option var budgetMs: Int
    @Option var batch: Int
    @Option var seed: UInt64
    @Option var states: String
    @Option var writeRate: Int
    @Option var writeFrom: Int

    func run() throws {
        let settings = DriverSettings(
            tokens: tokens, changes: changes, queries: queries, directory: directory,
            passes: passes, budgetMs: budgetMs, batch: batch, seed: seed,
            states: states.split(separator: ",").compactMap { IndexState(rawValue: String($0)) },
            load: WriteLoad(rate: writeRate, firstBatch: writeFrom))
        var driver = MagpieSearchDriver(settings) { Terminal.out(try JSONLine.of($0)) }
        try driver.perform()
    }
}
