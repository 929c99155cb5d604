import ChatModel
import ChatNode
import Platform
import Replication

/// Fate: strikes the cluster with the run's kinds of faults at drawn times, and takes them back
/// after drawn times.
///
/// Two limits keep a failure a bug: what destroys durable data hits one member at a time, while the
/// others are whole, so that a majority of good copies always remains; and every fault that stops
/// something ends.
// Confined to the thread that steps the scheduler.
final class Nemesis: @unchecked Sendable {
    private let world: SimulatedWorld
    private let kinds: [FaultKind]
    private let weight: UInt64
    private var faults: Int { world.faultCount }

    init(world: SimulatedWorld) {
        self.world = world
        kinds = world.options.faults
        weight = kinds.reduce(0) { $0 + $1.weight }
    }

    func start() {
        world.isStormy = true
        next()
    }

    private func next() {
        let mean = world.options.faultSeconds * 1_000
        world.later(ms: mean / 4 + world.around(ms: mean * 3 / 4)) { [self] in
            guard world.isStormy else { return }
            if let kind = draw() { strike(kind) }
            next()
        }
    }

    private func draw() -> FaultKind? {
        var rest = world.generator.next() % max(1, weight)
        for kind in kinds {
            if rest < kind.weight { return kind }
            rest -= kind.weight
        }
        return nil
    }

    private var lastingMs: UInt64 { 100 + world.around(ms: world.options.lastingMs) }

    private func strike(_ kind: FaultKind) {
        let did =
            switch kind {
            case .kill, .powerCut, .powerCutAll, .powerCutInside, .gracefulStop, .pause:
                strikeProcess(kind)
            case .isolate, .split, .oneWay, .mask, .clog, .slowLink, .reset:
                strikeNetwork(kind)
            case .clockJump, .clockDrift: strikeClock(kind)
            case .diskStall, .diskSlow, .syncFails, .writeFails, .readFails, .diskFull:
                strikeDisk(kind)
            case .bitFlip, .wipe: destroy(kind)
            case .clientReset: breakSocket()
            case .mapChange: changeMap()
            }
        if did { world.faultCount += 1 }
    }

    private func breakSocket() -> Bool {
        world.dropSomeClient()
        world.marks.reach(.clientReset)
        return true
    }

    /// An operator moves some node's URL, at any node: the map's epoch grows by one, and the nodes
    /// learn of it one after the other.
    private func changeMap() -> Bool {
        guard let member = world.pick(world.serving), let host = member.host,
            let moved = world.pick(world.configuration(of: member).cluster?.nodes ?? [])
        else { return false }
        let node = ClusterMap.Node(
            number: moved.number, peerAddress: moved.peerAddress,
            url: "http://node\(moved.number)/\(world.draw(1_000_000))")
        world.trace.note("node \(member.number): an operator gives node \(moved.number) a new URL")
        host.lane.submit { [world] in
            member.node?.replaceNode(node) { result in
                if case .success = result { world.marks.reach(.mapChanged) }
            }
        }
        return true
    }

    // MARK: Processes

    private func strikeProcess(_ kind: FaultKind) -> Bool {
        guard let member = world.pick(world.members.filter(\.isRunning)) else {
            return false
        }
        let number = UInt64(member.number)
        switch kind {
        case .kill:
            world.trace.note(.killed, number)
            world.marks.reach(.killed)
            member.kill()
            world.restartLater(member)
        case .powerCut:
            world.trace.note(.powerCut, number)
            world.marks.reach(.powerCut)
            member.cutPower(seed: world.generator.next())
            world.restartLater(member)
        case .powerCutAll:
            world.marks.reach(.powerCutAll)
            for member in world.members where member.isRunning {
                world.trace.note(.powerCut, UInt64(member.number))
                member.cutPower(seed: world.generator.next())
                world.restartLater(member)
            }
        case .powerCutInside:
            world.trace.note(.powerCut, number, 1)
            let index = member.disk.operationCount + world.draw(40)
            let moment = CrashPlan.Moment.allCases[world.draw(3)]
            member.disk.plan(
                CrashPlan(index: index, moment: moment, seed: world.generator.next()))
        case .gracefulStop:
            world.marks.reach(.gracefulStop)
            if member.node == nil || member.machine?.isPaused == true { return false }
            member.stop()
        default: return pause(member)
        }
        return true
    }

    private func pause(_ member: SimulatedMember) -> Bool {
        guard let machine = member.machine, !machine.isPaused else { return false }
        world.trace.note(.paused, UInt64(member.number))
        world.marks.reach(.paused)
        machine.pause()
        world.later(ms: lastingMs) { [self] in
            machine.resume()
            world.trace.note(.resumed, UInt64(member.number))
        }
        return true
    }

    // MARK: Network

    private func strikeNetwork(_ kind: FaultKind) -> Bool {
        let network = world.network
        let numbers = network.numbers
        guard let one = world.pick(numbers),
            let other = world.pick(numbers.filter { $0 != one })
        else { return false }
        switch kind {
        case .isolate:
            cut(numbers.filter { $0 != one }.flatMap { [(one, $0), ($0, one)] })
            world.marks.reach(.partitioned)
        case .split:
            let side = numbers.map { _ in world.isDrawn(2) }
            var links: [(NodeNumber, NodeNumber)] = []
            for (place, from) in numbers.enumerated() {
                for (index, to) in numbers.enumerated() where side[place] != side[index] {
                    links.append((from, to))
                }
            }
            cut(links)
            world.marks.reach(.partitioned)
        case .oneWay:
            cut([(one, other)])
            world.marks.reach(.oneWayCut)
        case .mask:
            // Any subset of the directed links.
            let links = numbers.flatMap { from in
                numbers.filter { $0 != from }.map { (from, $0) }
            }
            cut(links.filter { _ in world.isDrawn(2) })
            world.marks.reach(.oneWayCut)
        case .clog: network.clog(from: one, to: other, nanoseconds: lastingMs * 1_000_000)
        case .slowLink:
            let slowness = (50 + world.around(ms: 300)) * 1_000_000
            network.slow(from: one, to: other, nanoseconds: slowness)
            world.later(ms: lastingMs) { network.slow(from: one, to: other, nanoseconds: 0) }
        default: network.reset(from: one, to: other)
        }
        return true
    }

    private func cut(_ links: [(NodeNumber, NodeNumber)]) {
        let network = world.network
        for (from, to) in links { network.cut(from: from, to: to) }
        let isTogether = world.isDrawn(2)
        let wait = lastingMs
        // All at once, or one by one in another order.
        for (from, to) in links {
            world.later(ms: isTogether ? wait : lastingMs) { network.heal(from: from, to: to) }
        }
    }

    // MARK: Clocks

    private func strikeClock(_ kind: FaultKind) -> Bool {
        guard let member = world.pick(world.members) else { return false }
        if kind == .clockJump {
            let step = [1_000, 20_000, 3_600_000, 86_400_000][world.draw(4)] + world.draw(1_000)
            let jump = Int64(world.isDrawn(2) ? step : -step)
            member.clock.jump(milliseconds: jump)
            world.trace.note(.clockJump, UInt64(member.number), jump.magnitude)
            world.marks.reach(.clockJumped)
        } else {
            let drift = Int64(world.draw(20_000)) - 10_000
            member.clock.setDrift(partsPerMillion: drift)
            member.machine?.setDrift(partsPerMillion: drift)
            world.trace.note(.drift, UInt64(member.number), drift.magnitude)
            world.marks.reach(.clockDrifted)
        }
        return true
    }

    // MARK: Disks

    private func strikeDisk(_ kind: FaultKind) -> Bool {
        guard let member = world.pick(world.members.filter(\.isRunning)) else {
            return false
        }
        let number = UInt64(member.number)
        let disk = member.disk
        let lasting = lastingMs
        switch kind {
        case .diskStall:
            let until = world.clock.monotonicNanoseconds() + lasting * 1_000_000
            member.machine?.stallDisk(until: until)
            world.trace.note(.diskStall, number)
            world.marks.reach(.diskStalled)
        case .diskSlow:
            let usual = world.options.disk
            let mean = (5 + world.around(ms: 60)) * 1_000_000
            member.diskDelay = LaneDelay(minimumNanoseconds: mean / 2, meanNanoseconds: mean)
            member.machine?.setDiskDelay(member.diskDelay)
            world.trace.note(.diskSlow, number, mean / 1_000_000)
            world.later(ms: lasting) {
                member.diskDelay = usual
                member.machine?.setDiskDelay(usual)
            }
        case .syncFails:
            member.troubleUntilMs = max(member.troubleUntilMs, world.nowMs + lasting)
            disk.inject(DiskFault([.sync, .syncDirectory], .inputOutput, .after(world.draw(20))))
            world.later(ms: lasting) { disk.clearFaults() }
            world.trace.note(.diskFault, number, 1)
            world.marks.reach(.syncFailed)
        case .writeFails:
            member.troubleUntilMs = max(member.troubleUntilMs, world.nowMs + lasting)
            disk.inject(DiskFault([.write], .inputOutput, .after(world.draw(20))))
            world.later(ms: lasting) { disk.clearFaults() }
            world.trace.note(.diskFault, number, 2)
            world.marks.reach(.writeFailed)
        case .readFails:
            disk.inject(DiskFault([.read], .inputOutput, .chance(2_000)))
            member.troubleUntilMs = max(member.troubleUntilMs, world.nowMs + lasting)
            world.later(ms: lasting) { disk.clearFaults() }
            world.trace.note(.diskFault, number, 3)
            world.marks.reach(.readFailed)
        default:
            disk.setCapacity(disk.usedBytes + UInt64(world.draw(100_000)))
            world.trace.note(.diskFull, number)
            world.marks.reach(.diskFull)
            member.troubleUntilMs = max(member.troubleUntilMs, world.nowMs + lasting)
            world.later(ms: lasting) { [self] in
                disk.setCapacity(SimulatedFileSystem.unlimited)
                world.trace.note(.diskRoom, number)
            }
        }
        return true
    }

    // MARK: What cannot be taken back

    private func destroy(_ kind: FaultKind) -> Bool {
        guard world.isWhole,
            let member = world.pick(world.members)
        else { return false }
        world.trace.note(.killed, UInt64(member.number))
        member.kill()
        if kind == .wipe {
            world.replace(member)
        } else if !flip(member) {
            world.restartLater(member)
            return false
        }
        world.restartLater(member)
        return true
    }

    /// Rots one bit of a log segment, a table, a manifest, the superblock or the search index.
    private func flip(_ member: SimulatedMember) -> Bool {
        let living = member.disk.paths.filter { path in
            path.hasSuffix(".log")
                && member.disk.contents(path)?.prefix(8).contains { $0 != 0 } == true
        }
        // Rot in the last batch of the log cannot be told from a torn tail: unless the log had the
        // time to say how far it is durable, its newest segment is spared.
        let spared = member.quietProbes >= 4 ? nil : living.last
        // Files of the search index are many, and rot in one does less.
        let sparesIndex = world.draw(4) > 0
        let targets = member.disk.paths.filter { path in
            let isLog = path.hasSuffix(".log")
            if sparesIndex, path.contains("/search/") { return false }
            return path != spared && !path.contains("/damaged-") && !path.contains("/blobs/")
                && !path.hasSuffix("LOCK") && (!isLog || living.contains(path))
        }
        guard let path = world.pick(targets), let bytes = member.disk.contents(path) else {
            return false
        }
        let written = bytes.indices.filter { bytes[$0] != 0 }
        guard let offset = world.pick(written) else { return false }
        member.disk.flipBit(path, offset: offset, bit: world.draw(8))
        member.rottenPath = path
        member.isDamaged = true
        world.trace.note("node \(member.number): a bit of \(path) flips at byte \(offset)")
        world.marks.reach(.bitFlipped)
        return true
    }
}
