import Bytes
import RaftCore
import RecordLog
import Replication
import Simulation
import Testing

/// Three replicators on three simulated disks; the test carries their messages, as bytes.
final class Trio {
    static let group: GroupID = 1
    static let replicas: [ReplicaID] = [11, 12, 13]

    let disks: [SimulatedFileSystem]
    private(set) var nodes: [TestNode?] = [nil, nil, nil]
    /// Nodes that hear nothing and are not heard.
    var cutOff: Set<Int> = []
    /// How far each node's tables go for good, with what the group was there.
    var cuts: [LogBase]
    /// Everything any node called committed, by index; all must agree.
    private(set) var decided: [LogIndex: Entry] = [:]
    private(set) var problems: [String] = []
    /// Appends that carried entries, by receiver, since the test last emptied it.
    var appends: [(to: ReplicaID, first: LogIndex, count: Int)] = []
    private var seen = [0, 0, 0]
    private let seed: UInt64
    private let adjust: (inout ReplicatorOptions) -> Void
    private var lives: UInt64 = 0

    init(seed: UInt64, adjust: @escaping (inout ReplicatorOptions) -> Void = { _ in }) {
        self.seed = seed
        self.adjust = adjust
        disks = (0..<3).map { SimulatedFileSystem(seed: seed &* 3 &+ $0) }
        cuts = Array(repeating: LogBase(index: 0, term: 0), count: 3)
    }

    /// Starts a node on what its disk has; false when it could not.
    @discardableResult
    func start(_ place: Int) -> Bool {
        lives += 1
        let start = GroupStart(
            group: Self.group, replica: Self.replicas[place], appliedIndex: cuts[place].index,
            appliedTerm: cuts[place].term, configuration: Configuration(voters: Self.replicas))
        do {
            nodes[place] = try TestNode(
                disks[place], groups: [start], seed: seed &+ lives, segmentBytes: 4096
            ) {
                $0.hasPeers = true
                $0.seed = self.seed &* 31 &+ UInt64(place)
                self.adjust(&$0)
            }
            seen[place] = 0
            return true
        } catch {
            if !disks[place].isDown { problems.append("node \(place) does not start: \(error)") }
            return false
        }
    }

    func startAll() { for place in 0..<3 { start(place) } }

    /// The power of one node fails; it is off until ``start(_:)``.
    func cutPower(_ place: Int, seed: UInt64) {
        nodes[place] = nil
        disks[place].crash(seed: seed)
        disks[place].restart()
    }

    var leader: Int? {
        nodes.indices.filter { !cutOff.contains($0) && !disks[$0].isDown }.first { place in
            status(place)?.role == .leader
        }
    }

    func status(_ place: Int) -> GroupStatus? { nodes[place]?.replicator.status(of: Self.group) }

    /// Works and carries messages until nothing moves.
    func settle() {
        for _ in 0..<1_000 {
            var messages: [GroupMessage] = []
            for place in nodes.indices {
                nodes[place]?.settle()
                take(place)
                let said = nodes[place]?.takeMessages() ?? []
                if !cutOff.contains(place) { messages += said }
            }
            if messages.isEmpty { return }
            for item in messages { deliver(item) }
        }
        problems.append("never quiet")
    }

    private func deliver(_ item: GroupMessage) {
        guard let place = Self.replicas.firstIndex(of: item.message.to), !cutOff.contains(place),
            let node = nodes[place]
        else { return }
        if case .append(let previous, _, let entries, _) = item.message.body, !entries.isEmpty {
            appends.append((item.message.to, previous + 1, entries.count))
        }
        var (encoder, writer) = (RaftMessageEncoder(), ByteWriter())
        encoder.append(item.group, item.message, to: &writer)
        do {
            for (group, message) in try ByteReader.readAll(
                writer.bytes, { try RaftMessageFormat.decode(&$0) })
            { node.replicator.receive(group, message) }
        } catch {
            problems.append("\(item.message) does not come back: \(error)")
        }
    }

    func tick() {
        for node in nodes { node?.replicator.tick() }
        settle()
    }

    /// Ticks until a node leads and has committed in its term; nil when nobody does.
    @discardableResult
    func elect() -> Int? {
        for _ in 0..<200 {
            settle()
            if let leader, let status = status(leader),
                decided[status.commitIndex]?.term == status.term
            {
                return leader
            }
            tick()
        }
        problems.append("nobody leads")
        return nil
    }

    /// Proposes at the leader and lets it be decided; false when it was refused.
    @discardableResult
    func propose(_ text: String) -> Bool {
        guard let leader else { return false }
        let isTaken = nodes[leader]?.propose(Self.group, text) != nil
        settle()
        return isTaken
    }

    /// A cut of one node's tables at what it has applied.
    func cut(_ place: Int, isErasing: Bool = false) {
        guard let index = status(place)?.appliedIndex, let entry = decided[index] else { return }
        cuts[place] = LogBase(index: index, term: entry.term)
        nodes[place]?.replicator.release(
            applied: [(Self.group, index)], erased: isErasing ? [Self.group] : [])
    }

    /// Gives a node the state that it was offered: what the offering node's tables hold becomes
    /// durable here, and unless the power goes between, the replicator is told. True when due.
    @discardableResult
    func fetchSnapshot(_ place: Int, powerGoesBetween seed: UInt64? = nil) -> Bool {
        guard let node = nodes[place], !cutOff.contains(place),
            let need = node.snapshotsNeeded.last?.need, let status = status(place),
            let source = Self.replicas.firstIndex(of: need.from), nodes[source] != nil,
            cuts[source].index >= need.index, cuts[source].index > status.appliedIndex
        else { return false }
        cuts[place] = cuts[source]
        if let seed {
            cutPower(place, seed: seed)
            start(place)
        } else {
            // False when the log has come further meanwhile; then the tables are behind again.
            _ = node.replicator.install(
                Self.group, index: cuts[place].index, term: cuts[place].term,
                configuration: Configuration(voters: Self.replicas))
        }
        return true
    }

    /// Looks whether every replica's state makes sense.
    func checkInvariants() {
        for place in nodes.indices {
            let replica = nodes[place]?.replicator.replica(of: Self.group)
            if let broken = replica?.brokenInvariant() {
                problems.append("node \(place): \(broken)")
            }
        }
    }

    private func take(_ place: Int) {
        guard let node = nodes[place] else { return }
        for committed in node.committed[seen[place]...] {
            let entry = committed.entry
            if let known = decided[entry.index], known != entry {
                problems.append("node \(place) has another entry \(entry.index)")
            }
            decided[entry.index] = entry
        }
        seen[place] = node.committed.count
        if let failure = node.failures.first, !disks[place].isDown {
            problems.append("node \(place): \(failure)")
        }
    }

    /// The decided commands in order, as text.
    var texts: [String] {
        decided.keys.sorted().compactMap { index in
            decided[index].flatMap { entry in
                entry.kind == .command ? String(decoding: entry.payload, as: UTF8.self) : nil
            }
        }
    }
}
