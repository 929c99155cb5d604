import Bytes
import ChatEngine
import ChatModel
import Platform
import Replication
import Secrets
import Session
import Simulation
import Testing

@testable import ChatNode

/// Whole nodes of one cluster, each on its own simulated disk, on one scheduler; their channels are
/// in memory.
final class SimulatedCluster {
    /// A node's process, and what it told.
    private struct Process {
        var machine: SimulatedMachine
        var port: PeerPort
        var node: ChatNode?
        var formed = Box<Result<Void, StartFailure>?>(nil)
        var isReady = Box(false)
        var failure = Box<String?>(nil)
    }

    let seed: UInt64
    let scheduler: SimulatedScheduler
    let peers = MemoryPeers()
    let count: Int
    private(set) var disks: [NodeNumber: SimulatedFileSystem] = [:]
    private(set) var incidents = Box<[String]>([])
    private var processes: [NodeNumber: Process] = [:]
    private var lives: UInt64 = 0
    /// Prepares the machine of a node that starts.
    var onMachine: (NodeNumber, SimulatedMachine) -> Void = { _, _ in }

    init(seed: UInt64, count: Int = 3) {
        self.seed = seed
        self.count = count
        scheduler = SimulatedScheduler(seed: seed)
        for number in numbers { disks[number] = SimulatedFileSystem(seed: seed &+ UInt64(number)) }
    }

    var numbers: [NodeNumber] { (1...count).map { NodeNumber($0) } }

    func disk(_ number: NodeNumber) -> SimulatedFileSystem {
        disks[number] ?? SimulatedFileSystem(seed: seed)
    }

    private func configuration(_ number: NodeNumber) -> NodeConfiguration {
        var configuration = NodeConfiguration(directory: "/magpie")
        configuration.passwordCost = .init(logN: 2, r: 8, p: 1)
        configuration.segmentBytes = 64 << 10
        configuration.pinnedSegmentsMax = 8
        configuration.memoryBudget = 256 << 10
        configuration.limits.isRateLimited = false
        configuration.dataShards = 2
        configuration.cluster = ClusterConfiguration(
            name: "test", node: number,
            nodes: listed(by: number).map {
                ClusterNode(number: $0, peerAddress: "n\($0):1", url: "")
            })
        return configuration
    }

    /// Whom a node's configuration names: the founders, and itself when it comes later.
    private func listed(by number: NodeNumber) -> [NodeNumber] {
        numbers.contains(number) ? numbers : numbers + [number]
    }

    private func seams(_ number: NodeNumber) -> NodeSeams {
        lives += 1
        let machine = scheduler.group()
        onMachine(number, machine)
        let port = PeerPort(peers.endpoint(number, on: machine))
        processes[number] = Process(machine: machine, port: port)
        return NodeSeams(
            fileSystem: disk(number), clock: scheduler.clock,
            random: SimulatedRandom(seed: seed &* 1_000 &+ lives), scheduler: machine, peers: port)
    }

    /// Starts a process that finds its cluster; with `andOpens` it goes on as a node.
    func start(_ number: NodeNumber, andOpens: Bool = true) {
        let (configuration, seams) = (configuration(number), seams(number))
        guard let process = processes[number] else { return }
        ClusterFormation.run(configuration, seams: seams, notice: { _ in }) { result in
            process.formed.change { $0 = result }
        }
        if andOpens { opening[number] = (configuration, seams) }
    }

    /// Nodes that open as soon as they are formed.
    private var opening: [NodeNumber: (NodeConfiguration, NodeSeams)] = [:]

    /// Opens the nodes that have found their cluster.
    private func openFormed() {
        for (number, (configuration, seams)) in opening {
            guard let process = processes[number], let formed = process.formed.value else {
                continue
            }
            opening[number] = nil
            if case .failure(let error) = formed {
                process.failure.change { $0 = "\(error)" }
                continue
            }
            let hooks = ChatNode.Hooks(
                ready: { process.isReady.change { $0 = true } },
                failed: { failure in process.failure.change { $0 = failure.description } },
                incident: { [incidents] text in incidents.change { $0.append(text) } })
            do {
                processes[number]?.node = try ChatNode(configuration, seams: seams, hooks: hooks)
            } catch {
                process.failure.change { $0 = "\(error)" }
            }
        }
    }

    /// Opens a node whose directory is formed on the caller's thread; why it could not, or nil.
    ///
    /// - Parameter missing: a node that its configuration leaves out.
    func open(
        _ number: NodeNumber, alone: Bool = false, without missing: NodeNumber? = nil
    ) -> String? {
        var configuration = configuration(number)
        if alone { configuration.cluster = nil }
        configuration.cluster?.nodes.removeAll { $0.number == missing }
        let seams = seams(number)
        let hooks = ChatNode.Hooks(
            ready: {}, failed: { _ in },
            incident: { [incidents] text in incidents.change { $0.append(text) } })
        do {
            processes[number]?.node = try ChatNode(configuration, seams: seams, hooks: hooks)
            return nil
        } catch {
            return "\(error)"
        }
    }

    func node(_ number: NodeNumber) -> ChatNode? { processes[number]?.node }
    func isReady(_ number: NodeNumber) -> Bool { processes[number]?.isReady.value == true }
    func failure(_ number: NodeNumber) -> String? { processes[number]?.failure.value }

    /// What became of the search for a cluster; nil while it goes on.
    func formed(_ number: NodeNumber) -> Result<Void, StartFailure>? {
        processes[number]?.formed.value
    }

    /// The process is gone at once.
    func kill(_ number: NodeNumber) {
        processes[number]?.machine.kill()
        processes[number]?.port.stop()
        processes[number] = nil
        opening[number] = nil
        disk(number).kill()
        disk(number).restart()
    }

    /// The power of a node fails; its disk is back afterwards.
    func cutPower(_ number: NodeNumber, seed: UInt64) {
        kill(number)
        disk(number).crash(seed: seed)
        disk(number).restart()
    }

    /// The node is off, and its disk is another, empty one.
    func wipe(_ number: NodeNumber) {
        kill(number)
        lives += 1
        disks[number] = SimulatedFileSystem(seed: seed &+ lives &* 77)
    }

    /// Puts another disk into a node that is off.
    func replaceDisk(_ number: NodeNumber, _ disk: SimulatedFileSystem) {
        disks[number] = disk
    }

    /// Who a node's disk says it is; nil when it says nothing.
    func superblock(_ number: NodeNumber) -> Superblock? {
        disk(number).contents("/magpie/SUPERBLOCK").flatMap { Superblock.decode($0) }
    }

    /// Runs jobs, and lets time pass when there are none, until `condition`; false when it does not
    /// come true.
    @discardableResult
    func run(steps: Int = 400_000, until condition: () -> Bool) -> Bool {
        for _ in 0..<steps {
            if condition() { return true }
            openFormed()
            if scheduler.step() { continue }
            guard let next = scheduler.nextDeadline else { return condition() }
            let now = scheduler.clock.monotonicNanoseconds()
            scheduler.clock.advance(nanoseconds: next > now ? next - now : 1)
        }
        return condition()
    }

    /// Lets simulated time pass.
    func pass(seconds: UInt64) {
        let end = scheduler.clock.monotonicNanoseconds() + seconds * 1_000_000_000
        run { scheduler.clock.monotonicNanoseconds() >= end }
    }

    /// Asks a node and runs until it answers; nil when it does not.
    func call<Value: Sendable>(
        _ number: NodeNumber, _ body: (ChatNode, @escaping Answer<Value>) -> Void
    ) -> Result<Value, ServiceError>? {
        guard let node = node(number) else { return nil }
        let answer = Box<Result<Value, ServiceError>?>(nil)
        body(node) { result in answer.change { $0 = result } }
        run { answer.value != nil }
        return answer.value
    }
}
