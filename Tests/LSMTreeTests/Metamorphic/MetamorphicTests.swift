import Bytes
import Simulation
import Testing

@testable import LSMTree

/// One list of operations on many trees that are laid out differently: every reader must see the
/// same everywhere, which is what a dictionary shows.
@Suite struct MetamorphicTests {
    private static let operationsPerList = isLong ? 400 : 250
    private static let setsPerList: UInt64 = isLong ? 100 : 16

    @Test(
        "every layout of the tree shows the same to every reader, over crashes and restarts",
        arguments: 0..<(isLong ? 100 : 4) as Range<UInt64>)
    func sameEverywhere(seed: UInt64) throws {
        let list = MetaOperation.list(seed: seed, count: Self.operationsPerList)
        let expected = MetaModel.observe(list)
        var counts = MetaCounts()
        for number in 0..<Self.setsPerList {
            let setup = MetaOptions(seed: seed &* 1000 &+ number)
            let outcome = MetaJudge.run(list, expected, setup)
            counts.add(outcome.counts)
            guard outcome.difference != nil else { continue }
            let short = MetaJudge.shrink(list) { MetaJudge.run($0, setup).difference }
            Issue.record("list \(seed), options \(setup.seed)\n    \(setup)\n\(short)")
            return
        }
        #expect(counts.reads > 100 && counts.cuts > 10 && counts.merges > 0, "seed \(seed)")
        #expect(counts.crashes > 0 && counts.replayed > 0, "seed \(seed)")
        counts.report()
    }

    @Test("a tree that forgets range deletes is found out, and the list that shows it is short")
    func plantedBug() throws {
        let list = MetaOperation.list(seed: 7, count: 160)
        let setup = MetaOptions(seed: 1)
        func difference(_ list: [MetaOperation]) -> String? {
            MetaJudge.run(list, setup, forgetsRangeDeletes: true).difference
        }
        #expect(difference(list) != nil)
        let short = MetaJudge.shrink(list, difference)
        #expect(short.operations.count <= 4, "\(short)")
    }
}

/// Runs lists, compares, and makes failing ones short.
enum MetaJudge {
    struct Outcome {
        var counts: MetaCounts
        /// What was seen that should not have been; nil: nothing.
        var difference: String?
    }

    /// A list that fails, and how.
    struct Short: CustomStringConvertible {
        var operations: [MetaOperation]
        var difference: String
        var runs: Int

        var description: String {
            "\(difference)\nafter \(operations.count) operations (\(runs) runs to find them):\n"
                + operations.map { "  \($0)" }.joined(separator: "\n")
        }
    }

    static func run(
        _ list: [MetaOperation], _ setup: MetaOptions, forgetsRangeDeletes: Bool = false
    ) -> Outcome {
        run(list, MetaModel.observe(list), setup, forgetsRangeDeletes: forgetsRangeDeletes)
    }

    static func run(
        _ list: [MetaOperation], _ expected: [MetaObservation], _ setup: MetaOptions,
        forgetsRangeDeletes: Bool = false
    ) -> Outcome {
        var counts = MetaCounts()
        do {
            var run = try MetaRun(setup, forgetsRangeDeletes: forgetsRangeDeletes)
            for (index, operation) in list.enumerated() {
                do {
                    let seen = try run.perform(operation)
                    if seen != expected[index] {
                        return Outcome(
                            counts: run.counts,
                            difference: "\(operation)\n  must show \(expected[index])"
                                + "\n  showed \(seen)")
                    }
                } catch {
                    return Outcome(counts: run.counts, difference: "\(operation)\n  \(error)")
                }
            }
            try run.finish()
            counts = run.counts
        } catch {
            return Outcome(counts: counts, difference: "start or end: \(error)")
        }
        return Outcome(counts: counts, difference: nil)
    }

    /// Leaves out halves, quarters, … single operations, as long as the rest still fails.
    static func shrink(
        _ list: [MetaOperation], _ difference: ([MetaOperation]) -> String?
    ) -> Short {
        var short = Short(operations: list, difference: difference(list) ?? "nothing", runs: 1)
        var size = max(1, list.count / 2)
        while true {
            var start = 0
            var isShorter = false
            while start < short.operations.count, short.runs < 600 {
                var rest = short.operations
                rest.removeSubrange(start..<min(start + size, rest.count))
                short.runs += 1
                if let found = difference(rest) {
                    short.operations = rest
                    short.difference = found
                    isShorter = true
                } else {
                    start += size
                }
            }
            if size == 1, !isShorter || short.runs >= 600 { return short }
            size = max(1, size / 2)
        }
    }
}
