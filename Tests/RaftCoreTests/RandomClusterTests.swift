import Bytes
import Foundation
import RaftCore
import Testing

/// Whole groups under loss, reordering, duplication, partitions, slow disks and crashes, every
/// choice drawn from a seed; the rules of Raft are checked at every step, progress at the end.
@Suite("Random clusters")
struct RandomClusterTests {
    static let isLong = ProcessInfo.processInfo.environment["MAGPIE_LONG"] == "1"
    static let seeds: Range<UInt64> = isLong ? 0..<2_000 : 0..<40

    @Test("Safety holds under faults and progress returns without them", arguments: [1, 3, 5])
    func safetyHoldsUnderFaultsAndProgressReturnsWithoutThem(count: Int) {
        var totals = Totals()
        for seed in Self.seeds {
            var run = RandomRun(count: count, seed: seed)
            run.disturb(steps: 1_500)
            run.calm()
            #expect(run.problems.isEmpty, "seed \(seed), \(count) nodes: \(run.problems)")
            totals.add(run.totals)
            if !run.problems.isEmpty { break }
        }
        // A run in which nothing happened would prove nothing.
        #expect(totals.decided > 100 * Self.seeds.count / 40, "\(totals)")
        #expect(totals.elections > Self.seeds.count, "\(totals)")
        #expect(totals.crashes > Self.seeds.count, "\(totals)")
        if count > 1 { #expect(totals.replaced > 0 && totals.logReads > 0, "\(totals)") }
    }

    @Test("The same seed gives the same run")
    func theSameSeedGivesTheSameRun() {
        var traces: [[String]] = []
        for _ in 0..<2 {
            var run = RandomRun(count: 3, seed: 7)
            run.disturb(steps: 1_500)
            traces.append(run.cluster.events)
        }
        #expect(traces[0] == traces[1])
        #expect(traces[0].count > 100)
    }

    /// What happened, summed over runs.
    struct Totals {
        var decided = 0
        var elections = 0
        var crashes = 0
        var replaced = 0
        var logReads = 0

        mutating func add(_ other: Totals) {
            decided += other.decided
            elections += other.elections
            crashes += other.crashes
            replaced += other.replaced
            logReads += other.logReads
        }
    }
}

/// One run: chance, the cluster and its judge.
struct RandomRun {
    let cluster: Cluster
    private var generator: SplitMix64
    private let judge: Judge
    private var proposals = 0
    private let lossPercent: UInt64
    private let copyPercent: UInt64
    var totals = RandomClusterTests.Totals()

    var problems: [String] { judge.problems }

    init(count: Int, seed: UInt64) {
        generator = SplitMix64(seed: seed)
        var options = RaftOptions()
        // Small limits, so that windows fill, caches drop and several messages carry one log.
        options.electionTicks = 4
        options.entryBytesMax = 64
        options.unappliedBytesMax = 2_000
        options.messageBytesMax = 150
        options.inflightBytesMax = 400
        options.cacheBytesMax = [0, 200, 1 << 20][Int(generator.next() % 3)]
        options.committedBytesMax = 100
        lossPercent = [0, 5, 30][Int(generator.next() % 3)]
        copyPercent = [0, 10, 40][Int(generator.next() % 3)]
        cluster = Cluster(count: count, options: options, seed: seed)
        cluster.writeBytesMax = [100, Int.max][Int(generator.next() % 2)]
        judge = Judge(cluster)
    }

    private mutating func chance(_ percent: UInt64) -> Bool { generator.next() % 100 < percent }

    private mutating func pick(_ count: Int) -> Int { Int(generator.next() % UInt64(count)) }

    /// Steps with faults.
    mutating func disturb(steps: Int) {
        for step in 0..<steps where judge.problems.isEmpty {
            let id = cluster.ids[pick(cluster.ids.count)]
            let place = Int(id) - 1
            switch generator.next() % 100 {
            case 0..<20: cluster.with(id, takesWrite: chance(70)) { $0.tick() }
            case 20..<60:
                for _ in 0..<min(cluster.network.count, 6) { deliverSome() }
            case 60..<80:
                let count = cluster.machines[place].writes.count
                if count > 0 { cluster.store(id, count: 1 + pick(count)) }
            case 80..<92: propose(id)
            case 92 where chance(60):
                cluster.crash(id, surviving: pick(cluster.machines[place].writes.count + 1))
                totals.crashes += 1
            case 93..<96:
                if !cluster.isRunning(id) { cluster.restart(id) }
            case 96 where chance(50): cut(id)
            case 97...98: cluster.cutLinks = []
            default: saveApplied(id)
            }
            judge.look(thoroughly: step % 50 == 0)
        }
        totals.decided = judge.decided.count
        totals.elections = judge.leaders.count
        totals.replaced = judge.replaced
        totals.logReads = judge.logReads()
    }

    private mutating func deliverSome() {
        guard !cluster.network.isEmpty else { return }
        // Mostly the oldest, sometimes any: mild and wild reordering.
        let position = chance(70) ? 0 : pick(cluster.network.count)
        if chance(lossPercent) {
            cluster.network.remove(at: position)
        } else {
            cluster.deliver(at: position, keepsCopy: chance(copyPercent))
        }
        if cluster.network.count > 200 { cluster.network.removeFirst(100) }
    }

    private mutating func propose(_ id: ReplicaID) {
        proposals += 1
        let padding = String(repeating: "x", count: pick(40))
        let text = "p\(proposals) \(padding)"
        cluster.with(id, takesWrite: chance(70)) { $0.propose([UInt8](text.utf8)) }
    }

    private mutating func cut(_ id: ReplicaID) {
        for other in cluster.ids where other != id {
            if chance(70) { cluster.cutLinks.insert("\(id)>\(other)") }
            if chance(70) { cluster.cutLinks.insert("\(other)>\(id)") }
        }
    }

    /// The state machine's own disk catches up, and what nobody needs any more is compacted.
    private mutating func saveApplied(_ id: ReplicaID) {
        let place = Int(id) - 1
        guard let replica = cluster.machines[place].replica else { return }
        cluster.machines[place].savedApplied = min(replica.appliedIndex, replica.durableIndex)
        let bound = cluster.machines.map(\.savedApplied).min() ?? 0
        guard bound > cluster.machines[place].baseIndex, chance(50) else { return }
        cluster.with(id) { $0.compact(through: bound) }
        guard let log = cluster.machines[place].replica?.log else { return }
        let dropped = Int(log.baseIndex - cluster.machines[place].baseIndex)
        cluster.machines[place].disk.removeFirst(dropped)
        cluster.machines[place].baseIndex = log.baseIndex
        cluster.machines[place].baseTerm = log.baseTerm
    }

    /// No more faults: everything proposed now is decided everywhere.
    mutating func calm() {
        guard judge.problems.isEmpty else { return }
        cluster.cutLinks = []
        for id in cluster.ids where !cluster.isRunning(id) { cluster.restart(id) }
        let wanted = [UInt8]("the last word".utf8)
        for _ in 0..<200 {
            for id in cluster.ids { cluster.with(id) { $0.tick() } }
            cluster.settle()
            judge.look(thoroughly: false)
            if judge.decided.last?.payload != wanted {
                for id in cluster.ids where cluster.machines[Int(id) - 1].replica?.role == .leader {
                    cluster.with(id) { $0.propose(wanted) }
                }
                continue
            }
            let commits = cluster.machines.map { $0.replica?.appliedIndex ?? 0 }
            if commits.allSatisfy({ $0 == judge.decidedLast }) {
                judge.look(thoroughly: true)
                return
            }
        }
        judge.problems.append("no progress in calm: \(cluster.machines.map { $0.replica?.role })")
    }
}
