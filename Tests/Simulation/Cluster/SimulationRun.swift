import ChatModel
import ChatNode
import Session

/// What a seed came to.
package struct SimulationOutcome: Sendable {
    /// The options, one text of some lines.
    package var options: String
    /// What was broken first; nil: nothing.
    package var violation: Violation?
    /// The last events before that, one a line; empty when nothing was broken.
    package var trace: [String] = []
    /// Two runs of a seed have the same.
    package var traceHash: UInt64 = 0
    /// Simulated seconds.
    package var seconds: UInt64 = 0
    /// Changes that were acknowledged.
    package var acknowledged = 0
    /// Newest pages read in full.
    package var reads = 0
    /// Answers to searches.
    package var searches = 0
    /// Elections that came to a leader.
    package var elections = 0
    /// Faults that struck.
    package var faults = 0
    /// Jobs run.
    package var steps: UInt64 = 0
    /// Counts of reach marks, in their order.
    package var marks: [UInt64] = []

    /// True when the run was long and hard enough to prove something.
    package var counts: Bool {
        seconds >= 600 && acknowledged >= 500 && elections >= 1 && faults >= 5
    }
}

/// One seed from its first step to its verdict:
///
/// 1. the cluster is made, people register and open their conversations;
/// 2. **safety**: clients chat while faults strike, for ten minutes at least;
/// 3. **liveness**: the network heals, a majority of the nodes stays up, the others are gone for
///    good: everything that was asked must be finished;
/// 4. **convergence**: the others come back, and every node shows the same.
// Confined to the thread that runs it.
package final class SimulationRun {
    let world: SimulatedWorld
    private var stepsOfRun = 0
    private(set) var clients: [SimulatedClient] = []
    private(set) var town = Town()
    /// Every conversation, read from one node in the end.
    var logs: [(room: Town.Room, log: WholeLog)] = []

    /// A run of a seed.
    package init(_ options: SimulationOptions) {
        world = SimulatedWorld(options)
    }

    /// Runs it to its end.
    package func run() -> SimulationOutcome {
        if begin(), storm(), calm() { converge() }
        return outcome()
    }

    // MARK: Phases

    private func begin() -> Bool {
        world.trace.note(.phase, 1)
        for member in world.members { member.boot() }
        world.startProbing()
        let builder = TownBuilder(world: world)
        builder.start()
        guard pass(ms: 120_000, until: { builder.isDone }) else {
            return fail("the cluster does not begin to serve")
        }
        town = builder.town
        clients = town.devices.indices.map { index in
            SimulatedClient(index: index, world: world, town: town)
        }
        for client in clients { client.start() }
        world.dropSomeClient = { [unowned world, clients] in
            world.pick(clients)?.drop(isClean: false)
        }
        return world.verdict.violation == nil
    }

    private func storm() -> Bool {
        world.trace.note(.phase, 2)
        world.network.setProfile(world.options.network)
        let nemesis = Nemesis(world: world)
        nemesis.start()
        let least = world.nowMs + world.options.seconds * 1_000
        pass(ms: 4 * world.options.seconds * 1_000) { [world] in
            world.nowMs >= least && world.faultCount >= 5
                && world.history.acknowledgedCount >= 500
        }
        return world.verdict.violation == nil
    }

    /// The faults end for a majority; the rest is gone.
    private func calm() -> Bool {
        world.trace.note(.phase, 3)
        world.isStormy = false
        var core = world.members
        if world.options.nodes > 1, world.isDrawn(2) {
            while core.count > world.majority {
                let whole = core.filter { !$0.isUnsound }
                let spare = core.filter(\.isUnsound)
                guard let lost = world.pick(spare.isEmpty ? whole : spare) else { break }
                core.removeAll { $0 === lost }
                lost.kill()
                lost.isGone = true
            }
            world.marks.reach(.coreOnly)
        }
        heal(core)
        for client in clients {
            client.isDraining = true
            client.drainPings = 0
        }
        let settled = pass(ms: 120_000) { [clients] in clients.allSatisfy(\.isSettled) }
        guard settled else {
            let complaint = clients.first { !$0.isSettled }?.complaint ?? ""
            explain()
            return fail("two minutes after the faults ended: \(complaint)")
        }
        if let open = world.history.openRequests.first {
            return fail("request \(open.number) was forgotten by its client")
        }
        return world.verdict.violation == nil
    }

    private func heal(_ core: [SimulatedMember]) {
        world.network.setProfile(NetworkProfile())
        world.network.healAll()
        for member in core {
            member.disk.setCapacity(SimulatedFileSystem.unlimited)
            member.disk.clearFaults()
            member.disk.plan(nil)
            member.diskDelay = LaneDelay(minimumNanoseconds: 50_000, meanNanoseconds: 100_000)
            member.machine?.setDiskDelay(member.diskDelay)
            member.machine?.stallDisk(until: 0)
            member.machine?.resume()
            member.clock.correct()
            member.machine?.setDrift(partsPerMillion: 0)
            if !member.isRunning { world.restartLater(member) }
            member.troubleUntilMs = 0
        }
    }

    private func converge() {
        world.trace.note(.phase, 4)
        let gone = world.members.filter(\.isGone)
        for member in gone { member.isGone = false }
        heal(gone)
        let isReady = pass(ms: 120_000) { [world] in
            world.serving.count == world.members.count
        }
        guard isReady else {
            explain()
            _ = fail("not all nodes are ready two minutes after the faults ended")
            return
        }
        checkRows()
        // Feeds follow their conversations in time of their own. Now that they have, a ping must
        // tell every client of whatever it misses.
        for client in clients { client.drainPings = 0 }
        let settled = pass(ms: 60_000) { [clients] in clients.allSatisfy(\.isSettled) }
        guard settled else {
            _ = fail(clients.first { !$0.isSettled }?.complaint ?? "")
            return
        }
        readEverything()
        searchEverything()
        if world.verdict.violation == nil { world.history.finish() }
    }

    // MARK: Steps

    /// More jobs than any honest moment of these small worlds has.
    private static let stepsOfMomentMax = 1_000_000
    /// More than any honest run takes.
    private static let stepsOfRunMax = 50_000_000

    /// Lets the world go on; false when the time passed without what was waited for.
    @discardableResult
    func pass(ms: UInt64, until condition: () -> Bool) -> Bool {
        let end = world.nowMs + ms
        var steps = 0
        var stepsOfMoment = 0
        while world.verdict.violation == nil {
            if steps % 64 == 0, condition() { return true }
            steps += 1
            stepsOfMoment += 1
            stepsOfRun += 1
            if stepsOfMoment > Self.stepsOfMomentMax || stepsOfRun > Self.stepsOfRunMax {
                explain()
                return fail(
                    "\(stepsOfMoment) jobs at one moment, \(stepsOfRun) in all: something runs in "
                        + "a circle")
            }
            if world.scheduler.step() { continue }
            stepsOfMoment = 0
            if condition() { return true }
            guard let next = world.scheduler.nextDeadline else { return false }
            let now = world.clock.monotonicNanoseconds()
            if next > now { world.clock.advance(nanoseconds: next - now) }
            if world.nowMs > end { return condition() }
        }
        return true
    }

    /// Puts down how all nodes are, before a run fails for want of progress.
    func explain() {
        for member in world.members {
            world.trace.note("node \(member.number): \(world.account(of: member))")
        }
    }

    func fail(_ text: String) -> Bool {
        world.verdict.fail(.liveness, text)
        return false
    }

    private func outcome() -> SimulationOutcome {
        var outcome = SimulationOutcome(options: world.options.description)
        outcome.violation = world.verdict.violation
        outcome.traceHash = world.trace.hash
        if let violation = outcome.violation {
            outcome.trace =
                world.trace.lines(isVerbose: world.options.isVerbose) + ["broken: \(violation)"]
        }
        outcome.seconds = world.nowMs / 1_000
        outcome.acknowledged = world.history.acknowledgedCount
        outcome.reads = world.history.readCount
        outcome.searches = world.searches.count
        outcome.elections = world.replicas.electionCount
        outcome.faults = world.faultCount
        outcome.steps = world.scheduler.stepCount
        outcome.marks = world.marks.all
        for member in world.members { member.kill() }
        world.scheduler.abandon()
        world.dropSomeClient = {}
        return outcome
    }
}
