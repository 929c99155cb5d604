import Bytes
import Foundation
import Platform
import RaftCore
import RecordLog
import Replication
import Simulation
import Testing

/// Power cuts at random operations, life after life on one disk. What came out committed was
/// acknowledged: it must come out again, with the same index, term and bytes, unless a cut has it.
@Suite("Crashes")
struct CrashTests {
    static let isLong = ProcessInfo.processInfo.environment["MAGPIE_LONG"] == "1"
    static let seeds: Range<UInt64> = isLong ? 0..<3_000 : 0..<60

    @Test("Acknowledged entries, terms and votes survive power cuts at random operations")
    func acknowledgedEntriesTermsAndVotesSurvivePowerCutsAtRandomOperations() {
        var totals = CrashRun.Totals()
        for seed in Self.seeds {
            var run = CrashRun(seed: seed)
            run.live(lives: 6)
            #expect(run.problems.isEmpty, "seed \(seed): \(run.problems)")
            totals.add(run.totals)
            if !run.problems.isEmpty { break }
        }
        #expect(totals.crashes > Self.seeds.count && totals.acknowledged > Self.seeds.count * 20)
        #expect(totals.replayed > Self.seeds.count && totals.releases > Self.seeds.count)
    }

    @Test("A power cut at every operation of a short life loses nothing", arguments: 0..<3)
    func aPowerCutAtEveryOperationOfAShortLifeLosesNothing(moment: Int) {
        // The first life without a cut tells how many operations there are.
        var whole = CrashRun(seed: 1)
        whole.live(lives: 1, plan: nil)
        let step = Self.isLong ? 1 : 3
        for index in stride(from: 0, to: whole.operations, by: step) {
            var run = CrashRun(seed: 1)
            run.live(
                lives: 2,
                plan: CrashPlan(
                    index: index, moment: CrashPlan.Moment.allCases[moment],
                    seed: UInt64(index)))
            #expect(run.problems.isEmpty, "cut at \(index), moment \(moment): \(run.problems)")
        }
    }
}

/// Lives on one disk, and what must hold across them.
struct CrashRun {
    struct Totals {
        var crashes = 0
        var acknowledged = 0
        var replayed = 0
        var releases = 0

        mutating func add(_ other: Totals) {
            crashes += other.crashes
            acknowledged += other.acknowledged
            replayed += other.replayed
            releases += other.releases
        }
    }

    /// What is known of a group, across lives.
    private struct Known {
        let group: GroupID
        /// The placement's id.
        let replica: ReplicaID
        /// Acknowledged entries by index.
        var entries: [LogIndex: Entry] = [:]
        var last: LogIndex = 0
        /// The highest term it ever led.
        var term: Term = 0
        /// What the tree holds for good.
        var cut: LogIndex = 0
        var cutTerm: Term = 0
    }

    private let disk: SimulatedFileSystem
    private var generator: SplitMix64
    private var known: [Known]
    private var proposals = 0
    var problems: [String] = []
    var totals = Totals()
    var operations: Int { disk.operationCount }

    init(seed: UInt64) {
        disk = SimulatedFileSystem(seed: seed)
        generator = SplitMix64(seed: seed)
        known = (0..<4).map { Known(group: GroupID($0), replica: ReplicaID($0) + 20) }
    }

    /// Lives that end in power cuts drawn from the seed.
    mutating func live(lives: Int) {
        for _ in 0..<lives where problems.isEmpty {
            let ahead = Int(generator.next() % 120)
            let moment = CrashPlan.Moment.allCases[Int(generator.next() % 3)]
            let seed = generator.next()
            oneLife(CrashPlan(index: disk.operationCount + ahead, moment: moment, seed: seed))
        }
        oneLife(nil)
    }

    /// Lives of which only the first has a plan.
    mutating func live(lives: Int, plan: CrashPlan?) {
        for life in 0..<lives { oneLife(life == 0 ? plan : nil) }
    }

    private mutating func oneLife(_ plan: CrashPlan?) {
        disk.plan(plan)
        defer {
            disk.crash(seed: generator.next())
            disk.restart()
            totals.crashes += 1
        }
        let starts = known.map { group in
            GroupStart(
                group: group.group, replica: group.replica, appliedIndex: group.cut,
                appliedTerm: group.cutTerm)
        }
        let node: TestNode
        do {
            node = try TestNode(disk, groups: starts, seed: generator.next(), segmentBytes: 4096) {
                $0.raft.cacheBytesMax = 0
                $0.pinnedSegmentsMax = 1
            }
        } catch {
            if !disk.isDown { problems.append("no start: \(error)") }
            return
        }
        // Group 3 is slow to apply: its entries stay live, and are copied forward.
        node.heldGroup = 3
        var seen = 0
        let terms = known.map(\.term)
        node.settle()
        for change in node.roleChanges where change.change.role == .leader {
            let place = Int(change.group)
            if change.change.term <= terms[place] {
                problems.append("group \(change.group) leads again in \(change.change.term)")
            }
            known[place].term = max(known[place].term, change.change.term)
        }
        take(node, &seen)
        if !disk.isDown { checkReplay(node) }
        for _ in 0..<12 where !disk.isDown && problems.isEmpty {
            step(node)
            take(node, &seen)
        }
    }

    private mutating func step(_ node: TestNode) {
        for _ in 0..<(1 + generator.next() % 6) {
            proposals += 1
            // Group 3 hears seldom: its entries grow old.
            let group = GroupID(generator.next() % 16 == 0 ? 3 : generator.next() % 3)
            let text = "\(proposals) " + String(repeating: "y", count: Int(generator.next() % 300))
            _ = node.propose(group, text)
        }
        switch generator.next() % 4 {
        case 0:
            node.drain()
        case 1:
            node.replicator.tick()
            node.settle()
        case 2:
            node.settle()
            cut(node)
        default:
            node.settle()
        }
    }

    /// A cut is installed: some groups' entries are in the tree for good.
    private mutating func cut(_ node: TestNode) {
        guard !disk.isDown else { return }
        if generator.next() % 8 == 0 {
            node.replicator.applied(group: 3, through: node.lastCommitted(3))
        }
        var points: [(group: GroupID, index: LogIndex)] = []
        for place in known.indices where generator.next() % 4 != 0 {
            guard known[place].last > known[place].cut,
                let status = node.replicator.status(of: known[place].group),
                let entry = known[place].entries[min(known[place].last, status.appliedIndex)]
            else { continue }
            known[place].cut = entry.index
            known[place].cutTerm = entry.term
            points.append((known[place].group, entry.index))
        }
        node.replicator.release(applied: points)
        node.settle()
        totals.releases += 1
    }

    /// Takes what was committed in this life as acknowledged; what was known must agree.
    private mutating func take(_ node: TestNode, _ seen: inout Int) {
        for committed in node.committed[seen...] {
            let place = Int(committed.group)
            let entry = committed.entry
            if let before = known[place].entries[entry.index] {
                totals.replayed += 1
                if before != entry {
                    problems.append(
                        "group \(committed.group) had \(before.index)/\(before.term), "
                            + "now \(entry.index)/\(entry.term)")
                }
            } else {
                totals.acknowledged += 1
                if entry.index != known[place].last + 1 {
                    problems.append("group \(committed.group) skips to \(entry.index)")
                }
            }
            known[place].entries[entry.index] = entry
            known[place].last = max(known[place].last, entry.index)
        }
        seen = node.committed.count
    }

    /// Everything acknowledged and not cut came out again.
    private mutating func checkReplay(_ node: TestNode) {
        for group in known {
            let replayed = node.committed.filter { $0.group == group.group }.map(\.entry.index)
            guard let first = replayed.first, let last = replayed.last else {
                problems.append("group \(group.group) does not come back")
                continue
            }
            if first != group.cut + 1 || last < group.last {
                problems.append(
                    "group \(group.group) replays \(first)…\(last), known are "
                        + "\(group.cut + 1)…\(group.last)")
            }
        }
    }
}
