import Bytes
import Foundation
import RaftCore
import Replication
import Simulation
import Testing

/// Three replicators through cuts of power and network, releases of the log and snapshots, drawn
/// from a seed: what any of them called decided stays decided, and in the end all have it.
@Suite("Replicators with peers, at random")
struct RandomPeersTests {
    static let isLong = ProcessInfo.processInfo.environment["MAGPIE_LONG"] == "1"
    static let seeds: Range<UInt64> = isLong ? 0..<1_000 : 0..<40

    private struct Totals {
        var crashes = 0
        var snapshots = 0
        var halfSnapshots = 0
        var decided = 0
    }

    @Test("What is decided stays decided")
    func decided() {
        var totals = Totals()
        for seed in Self.seeds {
            let problems = run(seed, &totals)
            #expect(problems == [], "seed \(seed)")
            if !problems.isEmpty { break }
        }
        #expect(totals.crashes > Self.seeds.count && totals.decided > Self.seeds.count * 20)
        #expect(totals.snapshots > 20 && totals.halfSnapshots > 5, "\(totals)")
    }

    private func run(_ seed: UInt64, _ totals: inout Totals) -> [String] {
        let trio = Trio(seed: seed) {
            $0.raft.cacheBytesMax = 0
            $0.pinnedSegmentsMax = 1
            $0.releaseTicks = 3
        }
        var random = SplitMix64(seed: seed)
        trio.startAll()
        trio.elect()
        for _ in 0..<100 where trio.problems.isEmpty { step(trio, &random, &totals) }
        heal(trio, &random, &totals)
        totals.decided += trio.texts.count
        let last = trio.decided.keys.max() ?? 0
        for place in 0..<3 where (trio.status(place)?.commitIndex ?? 0) < last {
            return trio.problems + ["node \(place) lacks what is decided up to \(last)"]
        }
        return trio.problems
    }

    private func step(_ trio: Trio, _ random: inout SplitMix64, _ totals: inout Totals) {
        let place = Int(random.next() % 3)
        switch random.next() % 16 {
        case 0...5:
            for _ in 0..<(1 + random.next() % 8) {
                let text = "\(random.next()) " + String(repeating: "p", count: 700)
                _ = trio.leader.map { trio.nodes[$0]?.propose(Trio.group, text) }
            }
            trio.settle()
        case 6...9: trio.tick()
        case 10: for place in 0..<3 { trio.cut(place) }
        case 11:
            trio.cutOff = random.next() % 3 == 0 ? [] : [place]
        case 12:
            // The power goes at one of the next operations, or now.
            let moment = CrashPlan.Moment.allCases[Int(random.next() % 3)]
            let disk = trio.disks[place]
            disk.plan(
                CrashPlan(
                    index: disk.operationCount + Int(random.next() % 12), moment: moment,
                    seed: random.next()))
            for _ in 0..<4 { trio.tick() }
            trio.cutPower(place, seed: random.next())
            trio.start(place)
            totals.crashes += 1
        case 13:
            if trio.fetchSnapshot(place, powerGoesBetween: random.next()) {
                totals.halfSnapshots += 1
            }
        default:
            if trio.fetchSnapshot(place) { totals.snapshots += 1 }
        }
        trio.checkInvariants()
    }

    private func heal(_ trio: Trio, _ random: inout SplitMix64, _ totals: inout Totals) {
        trio.cutOff = []
        trio.elect()
        for _ in 0..<40 {
            trio.tick()
            for place in 0..<3 where trio.fetchSnapshot(place) { totals.snapshots += 1 }
        }
        trio.checkInvariants()
    }
}
