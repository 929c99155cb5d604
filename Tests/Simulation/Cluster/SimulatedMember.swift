import Bytes
import ChatNode
import Platform
package import Replication
import Session

/// One machine of a simulated cluster: its disk, its clocks, and the process that runs on it, if
/// one does.
// Confined to the thread that steps the scheduler.
package final class SimulatedMember: @unchecked Sendable {
    /// What the process is doing.
    package enum Phase: Sendable {
        case down, starting, ready
    }

    /// Lanes that wait for the disk before every job.
    static let slowLanes = ["log", "tree", "blob", "search"]

    /// Its number.
    package let number: NodeNumber
    /// Its disk; survives crashes as a disk does.
    package let disk: SimulatedFileSystem
    /// Its clock.
    package let clock: MachineClock
    unowned let world: SimulatedWorld
    let platters = PlatterLedger()
    private(set) var machine: SimulatedMachine?
    private(set) var node: ChatNode?
    private(set) var host: SocketHost?
    private var port: PeerPort?
    private(set) var phase = Phase.down
    /// Counts processes.
    private(set) var lives: UInt64 = 0
    /// Set by a fault that destroys what was durable, until the node is whole again.
    var isDamaged = false
    /// Looks in a row at which nothing new was in its logs.
    var quietProbes = 0
    var lastIndexes: [UInt64] = []
    /// Its disk was replaced by an empty one, and it has not come back.
    var isEmpty = false
    /// A file with a rotten bit, which may be found late.
    var rottenPath: String?
    /// It stays down until the end of the run.
    var isGone = false
    /// Until then the disk may fail or be full: a start may fail too.
    var troubleUntilMs: UInt64 = 0
    var diskDelay: LaneDelay

    init(number: NodeNumber, world: SimulatedWorld) {
        self.number = number
        self.world = world
        disk = SimulatedFileSystem(seed: world.options.seed ^ UInt64(number) &* 0x9E37)
        clock = MachineClock(base: world.clock)
        diskDelay = world.options.disk
        disk.watch(platters)
    }

    /// True while a start may fail for want of a good disk.
    var isDiskTroubled: Bool { world.nowMs < troubleUntilMs }

    /// True while rot lies on its disk, or it does not yet vote everywhere after the loss of its
    /// data: until then the others must not lose anybody.
    var isUnsound: Bool {
        isDamaged || rottenPath.map { disk.contents($0) != nil } ?? false
    }

    /// True when a process runs.
    var isRunning: Bool { machine != nil }

    /// True when a process serves and its machine runs.
    var isServing: Bool { phase == .ready && machine?.isPaused == false }

    // MARK: Starting

    /// Starts a process. It finds its cluster, opens its data, and says later that it is ready.
    func boot() {
        guard machine == nil, !isGone else { return }
        if disk.isDown { disk.restart() }
        disk.setLying(about: world.options.plant == .skipSync ? "" : nil)
        lives += 1
        let life = lives
        let machine = world.scheduler.group()
        machine.waitsForDisk(lanes: Self.slowLanes, diskDelay)
        self.machine = machine
        phase = .starting
        disk.onPowerCut { [self] in powerWentInside(life) }
        world.trace.note(.boot, UInt64(number), life)
        let port = PeerPort(world.network.transport(for: number, on: machine))
        self.port = port
        let configuration = world.configuration(of: self)
        let seams = world.seams(of: self, on: machine, port)
        let lane = machine.lane("starter")
        lane.submit { [self] in
            ClusterFormation.run(configuration, seams: seams) { [self] text in
                notice(text)
            } done: { [self] result in
                lane.submit { self.open(result, configuration, seams, life) }
            }
        }
    }

    private func open(
        _ formation: Result<Void, StartFailure>, _ configuration: NodeConfiguration,
        _ seams: NodeSeams, _ life: UInt64
    ) {
        guard life == lives, let machine else { return }
        let hooks = ChatNode.Hooks(
            ready: { [self] in world.lane.submit { self.becameReady(life) } },
            failed: { [self] failure in
                let reason = failure.description
                world.lane.submit { self.failed(life, reason) }
            },
            incident: { [self] text in notice(text) })
        do {
            try formation.get()
            if world.options.plant == .unsyncedTail { disk.setLying(about: ".log") }
            let made = try ChatNode(configuration, seams: seams, hooks: hooks)
            // The power may have gone in the middle of the start.
            guard life == lives, self.machine != nil else { return }
            if world.options.plant == .unsyncedTail { disk.setLying(about: nil) }
            node = made
            world.checkRecovery(of: self)
            host = SocketHost(node: made, machine: machine, clock: clock)
        } catch {
            guard life == lives, self.machine != nil else { return }
            let reason = "\(error)"
            kill()
            world.startFailed(self, reason)
        }
    }

    private func notice(_ text: String) {
        world.trace.note("node \(number) says: \(text)")
        if text.hasSuffix("this node is rebuilt from its peers") {
            // The rot was found: what it hit is gone, and the node begins anew. A new file may get
            // the rotten one's name.
            isDamaged = true
            rottenPath = nil
            world.marks.reach(.rotRebuilt)
        }
        if text.hasPrefix("shard "), text.contains(" is here, up to") {
            world.marks.reach(.snapshotInstalled)
        }
        if text.contains("it is made anew from the messages") { world.marks.reach(.indexRebuilt) }
        if text.hasSuffix("it is offered again") { world.marks.reach(.snapshotRestarted) }
    }

    /// The node says that it may serve.
    func becameReady(_ life: UInt64) {
        guard life == lives, phase == .starting else { return }
        phase = .ready
        if isEmpty { world.marks.reach(.rejoinedEmpty) }
        isEmpty = false
        world.trace.note(.ready, UInt64(number), lives)
    }

    /// The node stopped itself.
    func failed(_ life: UInt64, _ reason: String) {
        guard life == lives, machine != nil else { return }
        world.marks.reach(.nodeStopped)
        world.trace.note("node \(number) stops itself: \(reason)")
        kill()
        world.restartLater(self)
    }

    // MARK: Ending

    /// The process dies; what it wrote stays in the page cache.
    func kill() {
        guard machine != nil else { return }
        disk.kill()
        ended()
        disk.restart()
    }

    /// The power fails: what was not synced survives in any subset.
    func cutPower(seed: UInt64) {
        guard machine != nil else { return }
        disk.crash(seed: seed)
        ended()
        disk.restart()
        platters.powerCut()
    }

    /// The process is asked to stop: it gives its leaderships away, and ends.
    func stop() {
        guard let node, machine?.isPaused == false else { return kill() }
        world.trace.note(.stopped, UInt64(number))
        host?.close()
        let life = lives
        node.handOver { [self] in
            world.lane.submit { self.finishStop(life) }
        }
    }

    private func finishStop(_ life: UInt64) {
        guard life == lives, let node else { return }
        node.stop()
        ended()
        disk.kill()
        disk.restart()
        world.restartLater(self)
    }

    private func powerWentInside(_ life: UInt64) {
        guard life == lives, machine != nil else { return }
        world.trace.note("node \(number): power cut inside a disk operation")
        world.marks.reach(.crashedInsideOperation)
        ended()
        platters.powerCut()
        // The disk is still inside the operation: it comes back later.
        world.restartLater(self)
    }

    private func ended() {
        disk.onPowerCut(nil)
        // A process that never came so far leaves the promises of the one before it.
        if node != nil { world.replicas.ended(number, world.promises(of: self)) }
        world.ownership.ended(number)
        port?.stop()
        port = nil
        world.network.processEnded(on: number)
        machine?.kill()
        host?.abandon()
        machine = nil
        node = nil
        host = nil
        phase = .down
    }
}
