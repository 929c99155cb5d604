import ChatEngine
import ChatModel
import LSMTree
import Platform
import RaftCore
import RecordLog
import ShardStore
import Simulation
import Testing

@testable import MagpieDump

/// A data directory on a simulated disk: two cuts of messages of two conversations, and a log of
/// several segments.
struct DataFixture {
    let disk = SimulatedFileSystem()
    let first = ConversationID(high: 0x1111_2222_3333_4444, low: 0x8555_6666_7777_8888)
    let second = ConversationID(high: 0x9999_2222_3333_4444, low: 0x8555_6666_7777_8888)

    init() throws {
        try writeTree()
        try writeLog()
    }

    private func writeTree() throws {
        let scheduler = SimulatedScheduler(seed: 1)
        let tree = try Tree.open(
            fileSystem: disk, directory: "/data/tree",
            options: TreeOptions(keyspaces: KeySchema.all), scheduler: scheduler,
            onFailure: { Issue.record("the tree failed: \($0)") })
        for cut in 0..<2 {
            for number in 0..<30 {
                var batch = WriteBatch()
                let seq = EntrySequence(cut * 30 + number + 1)
                for conversation in [first, second] {
                    batch.put(
                        .entries, key: KeySchema.entry(conversation, seq),
                        value: Array("message \(seq)".utf8))
                }
                tree.apply(batch)
            }
            let position = ShardPosition(
                shard: 3, replica: 7, index: UInt64(cut + 1) * 30, term: 2, hash: 9,
                configuration: Configuration(voters: [7]))
            tree.cut(state: CutStateFormat.encode([position]), installed: { _ in })
            scheduler.runUntilIdle()
        }
        tree.close()
        scheduler.runUntilIdle()
    }

    private func writeLog() throws {
        let log = try SegmentLog.recover(
            fileSystem: disk, directory: "/data/log",
            options: SegmentLogOptions(segmentBytes: 4096), segmentHeader: { [1, 0] },
            visit: { (_, _, _) throws(LogError) in })
        for number in 0..<60 {
            // Group 3, replica 7, entry `number + 1` of term 2, a command of 100 bytes.
            let command = [UInt8](repeating: UInt8(number), count: 100)
            let entry: [UInt8] = [3, 7, UInt8(number + 1), 1, 2, 2, 100] + command
            _ = try log.append([LogRecord(type: 1, payload: entry)])
            try log.sync()
        }
        try log.mark()
        try log.sync()
        log.close()
    }

    /// Runs `body` and gives the lines it reported and how many of them were corruption.
    func run(
        json: Bool = false, _ body: (Places, Report) throws -> Void
    ) throws -> (lines: [String], problems: Int) {
        let collected = Collected()
        let report = Report(isJSON: json) { collected.lines.append($0) }
        try body(Places(disk), report)
        return (collected.lines, report.problems)
    }

    func checkDatabase() throws -> (lines: [String], problems: Int) {
        try run { try ManifestInspector(places: $0, report: $1).checkDatabase("/data") }
    }

    /// Files of one ending.
    func files(_ ending: String) -> [String] {
        disk.paths.filter { $0.hasSuffix(ending) }.map { "/" + $0 }
    }
}

final class Collected {
    var lines: [String] = []
}
