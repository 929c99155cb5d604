import Bytes
import Foundation
import RaftCore
import Testing

/// Whole groups under loss, reordering, duplication, partitions, slow disks and crashes, while
/// members come and go, leadership is handed over and logs are cut off; every choice is drawn from
/// a seed; the rules of Raft are checked at every step, progress at the end.
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
        #expect(totals.changes > 0 && totals.jointChanges > 0, "\(totals)")
        #expect(totals.readsGranted > 0 && totals.readsLost > 0, "\(totals)")
        #expect(totals.installs > 0 && totals.handovers > 0, "\(totals)")
        // A run in which nothing happened would prove nothing.
        #expect(totals.decided > 100 * Self.seeds.count / 40, "\(totals)")
        #expect(totals.elections > Self.seeds.count, "\(totals)")
        #expect(totals.crashes > Self.seeds.count, "\(totals)")
        #expect(totals.replaced > 0 && totals.logReads > 0, "\(totals)")
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
        var changes = 0
        var jointChanges = 0
        var readsGranted = 0
        var readsLost = 0
        var handovers = 0
        var installs = 0

        mutating func add(_ other: Totals) {
            decided += other.decided
            elections += other.elections
            crashes += other.crashes
            replaced += other.replaced
            logReads += other.logReads
            changes += other.changes
            jointChanges += other.jointChanges
            readsGranted += other.readsGranted
            readsLost += other.readsLost
            handovers += other.handovers
            installs += other.installs
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
    private let changesMembership: Bool
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
        changesMembership = generator.next() % 4 > 0
        options.readsMax = [3, 1_000][Int(generator.next() % 2)]
        cluster = Cluster(
            count: count, waiting: changesMembership ? 2 : 0, options: options, seed: seed)
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
            case 0..<18: cluster.with(id, takesWrite: chance(70)) { $0.tick() }
            case 18..<55:
                for _ in 0..<min(cluster.network.count, 6) { deliverSome() }
            case 55..<73:
                let count = cluster.machines[place].writes.count
                if count > 0 { cluster.store(id, count: 1 + pick(count)) }
            case 73..<82: propose(id)
            case 82..<86: read(id)
            case 86: changeMembership(id)
            case 87: transfer(id)
            case 88..<91: install(id)
            case 91 where chance(60): crash(id)
            case 92..<95:
                if !cluster.isRunning(id) { cluster.restart(id) }
            case 95 where chance(50): cut(id)
            case 96...97: cluster.cutLinks = []
            default: save(id)
            }
            if let broken = cluster.events.last(where: { $0.hasPrefix("BROKEN") }) {
                judge.problems.append(broken)
            }
            judge.look(thoroughly: step % 50 == 0)
        }
        totals.decided = judge.decided.count
        totals.elections = judge.leaders.count
        totals.replaced = judge.replaced
        totals.logReads = judge.logReads()
        totals.changes = judge.changes
        totals.jointChanges = judge.jointChanges
        totals.readsGranted = judge.readsGranted
        totals.readsLost = judge.readsLost
        totals.handovers = judge.handovers
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

    private mutating func crash(_ id: ReplicaID) {
        cluster.crash(id, surviving: pick(cluster.machines[Int(id) - 1].writes.count + 1))
        judge.forgets(id)
        totals.crashes += 1
    }

    private mutating func read(_ id: ReplicaID) {
        let judge = judge
        for _ in 0...pick(3) {
            // The judge must know of the read before its grant comes out with the effects.
            cluster.with(id, takesWrite: chance(70)) { replica in
                if case .waiting(let position) = replica.requestRead() {
                    judge.asks(replica.id, position)
                }
            }
        }
    }

    private mutating func changeMembership(_ id: ReplicaID) {
        guard changesMembership else { return }
        var voters: [ReplicaID] = []
        var learners: [ReplicaID] = []
        for other in cluster.ids {
            if chance(60) { voters.append(other) } else if chance(40) { learners.append(other) }
        }
        if voters.isEmpty { voters = [id] }
        cluster.with(id, takesWrite: chance(70)) {
            // Sometimes the learners alone change.
            _ = $0.changeMembership(
                voters: voters.count % 3 == 0 ? $0.configuration.voters + [id] : voters,
                learners: learners)
        }
    }

    private mutating func transfer(_ id: ReplicaID) {
        let target = cluster.ids[pick(cluster.ids.count)]
        cluster.with(id) { _ = $0.transferLeadership(to: target) }
    }

    /// Fetches the state that was asked for, from anyone, or one that nobody asked for.
    private mutating func install(_ id: ReplicaID) {
        guard cluster.machines[Int(id) - 1].need != nil || chance(5) else { return }
        let other = cluster.ids[pick(cluster.ids.count)]
        if other != id, cluster.install(id, from: other) {
            cluster.machines[Int(id) - 1].need = nil
            totals.installs += 1
        }
    }

    /// The state machine's own disk catches up, and the log is cut off: behind what everybody has
    /// saved, or without regard to others.
    private mutating func save(_ id: ReplicaID) {
        cluster.save(id)
        let everybody = cluster.machines.map(\.saved.index).min() ?? 0
        if chance(50) { cluster.compact(id, through: chance(50) ? everybody : LogIndex.max) }
    }

    /// No more faults: everything proposed now is decided everywhere.
    mutating func calm() {
        guard judge.problems.isEmpty else { return }
        cluster.cutLinks = []
        for id in cluster.ids where !cluster.isRunning(id) { cluster.restart(id) }
        let wanted = [UInt8]("the last word".utf8)
        for _ in 0..<300 {
            for id in cluster.ids { cluster.with(id) { $0.tick() } }
            cluster.settle()
            for id in cluster.ids {
                if let need = cluster.machines[Int(id) - 1].need {
                    cluster.machines[Int(id) - 1].need = nil
                    cluster.install(id, from: need.from)
                }
            }
            judge.look(thoroughly: false)
            let leader = cluster.machines.compactMap(\.replica).filter { $0.role == .leader }
                .max { $0.term < $1.term }
            guard let leader else { continue }
            if judge.decided.last?.payload != wanted {
                cluster.with(leader.id) { $0.propose(wanted) }
                continue
            }
            let isEverywhere = leader.configuration.members.allSatisfy { member in
                cluster.machines[Int(member) - 1].replica?.appliedIndex == judge.decidedLast
            }
            if isEverywhere && !leader.configuration.isJoint {
                judge.look(thoroughly: true)
                return
            }
        }
        let replicas = cluster.machines.compactMap(\.replica)
        judge.problems.append(
            "no progress in calm: "
                + replicas.map {
                    "\($0.id) \($0.role) term \($0.term) commit \($0.commitIndex) "
                        + "last \($0.log.lastIndex) \(describe($0.configuration))"
                }.joined(separator: "; "))
    }
}
