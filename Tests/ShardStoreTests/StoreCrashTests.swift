import Bytes
import Foundation
import LSMTree
import Platform
import RaftCore
import RecordLog
import Replication
import Simulation
import Testing

@testable import ShardStore

private let isLong = ProcessInfo.processInfo.environment["MAGPIE_LONG"] == "1"

/// Power cuts through log and tree together (invariant I12): what is recovered is the state after a
/// prefix of each shard's commands that holds every acknowledged one, whole batches only.
@Suite struct StoreCrashTests {
    @Test("a crash at any operation leaves a prefix with all that was promised", arguments: 0..<2)
    func everywhere(seed: UInt64) throws {
        var whole = StoreRun(seed: seed)
        try whole.life(plan: nil)
        let count = whole.disk.operationCount
        #expect(count > 150 && whole.cuts > 3, "the script is long enough to mean something")
        #expect(whole.released > 1, "cuts let segments of the log go")
        let step = isLong ? 1 : 19
        var index = Int(seed) % step
        var crashes = 0
        defer { Trust.report(crashes, "simulated crashes") }
        while index < count {
            let all = CrashPlan.Moment.allCases
            for moment in isLong ? all : [all[index % all.count]] {
                var run = StoreRun(seed: seed)
                let plan = CrashPlan(index: index, moment: moment, seed: UInt64(index) &+ seed)
                try run.life(plan: plan)
                run.powerOff(plan.seed)
                try run.life(plan: nil)
                #expect(run.problems == [], "seed \(seed), \(plan)")
                crashes += 1
            }
            index += step
        }
    }

    @Test("lives on one disk, each ended by a power cut", arguments: 0..<(isLong ? 200 : 6))
    func lives(seed: UInt64) throws {
        var run = StoreRun(seed: 1000 + seed)
        var generator = SplitMix64(seed: seed)
        for _ in 0..<6 where run.problems.isEmpty {
            let ahead = Int(generator.next() % 260)
            let moment = CrashPlan.Moment.allCases[Int(generator.next() % 3)]
            let plan = CrashPlan(
                index: run.disk.operationCount + ahead, moment: moment, seed: generator.next())
            try run.life(plan: plan)
            run.powerOff(plan.seed)
        }
        try run.life(plan: nil)
        #expect(run.problems == [], "seed \(seed)")
        #expect(run.acknowledged > 10, "seed \(seed)")
    }
}

/// Lives on one disk, and what must hold across them.
private struct StoreRun {
    let disk: SimulatedFileSystem
    var problems: [String] = []
    var cuts = 0
    /// Segments of the log that are gone.
    var released: UInt64 = 0
    /// Numbers of decided commands of each shard, in order.
    private var decided: [[UInt64]] = [[], [], []]
    /// Entries by shard and index: the command's number, or nil for an entry without one.
    private var entries: [[LogIndex: UInt64?]] = [[:], [:], [:]]
    /// Hash chain at each index.
    private var hashes: [[LogIndex: UInt64]] = [[:], [:], [:]]
    private var nextNumber: UInt64 = 1
    private var generator: SplitMix64
    private let seed: UInt64

    init(seed: UInt64) {
        self.seed = seed
        disk = SimulatedFileSystem(seed: seed)
        generator = SplitMix64(seed: seed)
    }

    var acknowledged: Int { decided.reduce(0) { $0 + $1.count } }

    mutating func powerOff(_ seed: UInt64) {
        disk.crash(seed: seed)
        disk.restart()
    }

    mutating func life(plan: CrashPlan?) throws {
        disk.plan(plan)
        let node: StoreNode
        do {
            node = try StoreNode(disk, seed: generator.next())
        } catch {
            if !disk.isDown { problems.append("no start: \(error)") }
            return
        }
        defer { node.machine.kill() }
        if !disk.isDown { try checkCut(node) }
        var seen: [(ShardID, LogIndex, UInt64?)] = []
        node.onCommitted = { committed in
            let entry = committed.entry
            let number = entry.kind == .command ? Commands.number(entry.payload) : nil
            seen.append((committed.group, entry.index, number))
        }
        node.settle()
        take(&seen)
        if !disk.isDown { try checkRecovered(node) }
        for _ in 0..<40 where !disk.isDown && problems.isEmpty {
            for _ in 0..<(generator.next() % 5) {
                if node.propose(ShardID(generator.next() % 3), nextNumber) { nextNumber += 1 }
            }
            node.turn()
            take(&seen)
            for _ in 0..<(generator.next() % 5) { node.scheduler.step() }
            node.nowMs += generator.next() % 100
            node.turn()
            take(&seen)
            noteHashes(node)
        }
        node.settle()
        take(&seen)
        noteHashes(node)
        cuts += node.installed.count
        let segments = disk.paths.filter { $0.hasSuffix(".log") }
            .compactMap { $0.split(separator: "/").last?.prefix(16) }
        released = segments.compactMap { UInt64($0, radix: 16) }.min() ?? 0
        if !disk.isDown {
            if let failure = node.logFailure { problems.append("log: \(failure)") }
            if let failure = node.treeFailures.first { problems.append("tree: \(failure)") }
            if plan == nil { try checkRecovered(node) }
        }
    }

    /// Takes what came out decided: acknowledged from now on. An entry that came out before must be
    /// the same.
    private mutating func take(_ seen: inout [(ShardID, LogIndex, UInt64?)]) {
        for (shard, index, number) in seen {
            let place = Int(shard)
            if let known = entries[place][index] {
                if known != number { problems.append("shard \(shard), entry \(index) changed") }
                continue
            }
            entries[place][index] = .some(number)
            if let number { decided[place].append(number) }
        }
        seen = []
    }

    private mutating func noteHashes(_ node: StoreNode) {
        for (place, shard) in StoreNode.shards.enumerated() {
            guard let position = node.store.position(of: shard.shard) else { continue }
            if let known = hashes[place][position.index], known != position.hash {
                problems.append("shard \(shard.shard): another hash at \(position.index)")
            }
            hashes[place][position.index] = position.hash
        }
    }

    /// The model after the entries of each shard up to an index.
    private func model(_ upTo: (ShardID) -> LogIndex) -> StoreModel {
        var model = StoreModel()
        for (place, shard) in StoreNode.shards.enumerated() {
            for index in entries[place].keys.sorted() where index <= upTo(shard.shard) {
                if let number = entries[place][index] ?? nil {
                    model.apply(Commands.batch(number, shard: shard.shard))
                }
            }
        }
        return model
    }

    /// Before any replay: the tree is at exactly the positions of its cut.
    private mutating func checkCut(_ node: StoreNode) throws {
        let expected = model { node.store.position(of: $0)?.index ?? 0 }
        if try StoreModel.read(node.store.tree) != expected {
            problems.append("the tree is not what its cut says")
        }
        noteHashes(node)
    }

    /// After replay: every acknowledged entry is there, nothing else but a longer prefix.
    private mutating func checkRecovered(_ node: StoreNode) throws {
        for (place, shard) in StoreNode.shards.enumerated() {
            let reached = node.store.position(of: shard.shard)?.index ?? 0
            let known = entries[place].keys.max() ?? 0
            if reached < known { problems.append("shard \(shard.shard) lost \(known - reached)") }
            let missing = known == 0 ? [] : (1...known).filter { entries[place][$0] == nil }
            if !missing.isEmpty { problems.append("shard \(shard.shard): hole at \(missing)") }
        }
        let expected = model { _ in .max }
        if try StoreModel.read(node.store.tree) != expected {
            problems.append("the recovered rows are not those of the entries")
        }
        noteHashes(node)
    }
}
