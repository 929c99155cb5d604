import Bytes
import RaftCore

/// A few replicas, the messages between them and their disks, all under the test's hand.
///
/// A disk is a list of writes that are stored and a queue of writes that are not yet: a crash loses
/// the queue. The state machine is a list of entries; what of it outlives a crash the test decides.
final class Cluster {
    /// A machine: the replica while it runs, and what outlives it.
    struct Machine {
        var replica: Replica?
        var hardState = HardState()
        /// The durable log after `base`.
        var disk: [Entry] = []
        var baseIndex: LogIndex = 0
        var baseTerm: Term = 0
        /// Writes under way, oldest first.
        var writes: [StoreWrite] = []
        var isDiskHeld = false
        /// Applied entries, in order, since the machine started.
        var applied: [Entry] = []
        /// What of the applied entries outlives a crash.
        var savedApplied: LogIndex = 0

        /// Puts a write on the disk.
        mutating func put(_ write: StoreWrite) {
            if let state = write.hardState { hardState = state }
            guard let first = write.entries.first else { return }
            disk.removeAll { $0.index >= first.index }
            disk.append(contentsOf: write.entries)
        }

        /// The entry on the disk at `index`.
        func stored(_ index: LogIndex) -> Entry? {
            guard index > baseIndex, index <= baseIndex + LogIndex(disk.count) else { return nil }
            return disk[Int(index - baseIndex) - 1]
        }
    }

    var machines: [Machine] = []
    var network: [Message] = []
    var events: [String] = []
    var options: RaftOptions
    /// The most that one write takes.
    var writeBytesMax = Int.max
    /// Links that lose everything, as "from>to".
    var cutLinks: Set<String> = []
    private let seed: UInt64
    private var restarts: UInt64 = 0
    /// How often a leader asked for entries from its disk.
    private(set) var logReads = 0
    /// Called with every message that leaves and every change the checkers want to see.
    var onSend: (Message) -> Void = { _ in }
    var onRole: (ReplicaID, RoleChange) -> Void = { _, _ in }
    var onCommit: (ReplicaID, Entry) -> Void = { _, _ in }

    init(count: Int, options: RaftOptions = RaftOptions(), seed: UInt64 = 1) {
        self.options = options
        self.seed = seed
        machines = Array(repeating: Machine(), count: count)
        for id in ids { restart(id) }
        events = []
    }

    var ids: [ReplicaID] { machines.indices.map { ReplicaID($0 + 1) } }

    func isRunning(_ id: ReplicaID) -> Bool { machines[Int(id) - 1].replica != nil }

    /// Gives the replica an input, then gathers what it wants done.
    @discardableResult
    func with<Value>(
        _ id: ReplicaID, takesWrite: Bool = true, _ body: (inout Replica) -> Value
    ) -> Value? {
        let place = Int(id) - 1
        guard var replica = machines[place].replica else { return nil }
        machines[place].replica = nil
        let value = body(&replica)
        machines[place].replica = replica
        gather(id, takesWrite: takesWrite)
        return value
    }

    /// Takes effects and, if asked, the write.
    func gather(_ id: ReplicaID, takesWrite: Bool) {
        let place = Int(id) - 1
        guard var replica = machines[place].replica else { return }
        var effects = Effects()
        repeat {
            effects.removeAll()
            replica.takeEffects(into: &effects)
            for change in effects.roleChanges {
                let leader = change.leader.map { ", leader \($0)" } ?? ""
                events.append("\(id) is \(change.role) in term \(change.term)\(leader)")
                machines[place].replica = replica
                onRole(id, change)
            }
            for message in effects.messages {
                network.append(message)
                onSend(message)
            }
            for entry in effects.committed {
                machines[place].applied.append(entry)
                events.append("\(id) applies \(describe(entry))")
                onCommit(id, entry)
            }
            if let last = effects.committed.last { replica.applied(through: last.index) }
            for read in effects.logReads {
                logReads += 1
                let entries = (read.first...read.last).compactMap { machines[place].stored($0) }
                replica.provide(Array(entries.prefix(3)), for: read)
            }
        } while !effects.logReads.isEmpty || replica.hasMoreCommitted
        if takesWrite, let write = replica.takeWrite(bytesMax: writeBytesMax) {
            machines[place].writes.append(write)
        }
        machines[place].replica = replica
    }

    /// Completes the oldest `count` writes.
    func store(_ id: ReplicaID, count: Int = 1) {
        let place = Int(id) - 1
        let done = machines[place].writes.prefix(count)
        guard let last = done.last else { return }
        for write in done { machines[place].put(write) }
        machines[place].writes.removeFirst(done.count)
        with(id) { $0.stored(last.ticket) }
    }

    /// Delivers one message of the network, or loses it on a link that is cut.
    func deliver(at position: Int, keepsCopy: Bool = false) {
        let message = network[position]
        if !keepsCopy { network.remove(at: position) }
        if cutLinks.contains("\(message.from)>\(message.to)") { return }
        with(message.to) { $0.receive(message) }
    }

    /// Ends a machine: of its writes under way, the oldest `surviving` reach the disk.
    func crash(_ id: ReplicaID, surviving: Int = 0) {
        let place = Int(id) - 1
        for write in machines[place].writes.prefix(surviving) { machines[place].put(write) }
        machines[place].writes = []
        machines[place].replica = nil
        machines[place].applied = []
    }

    /// Starts a machine from its disk.
    func restart(_ id: ReplicaID) {
        let place = Int(id) - 1
        let machine = machines[place]
        restarts += 1
        var log = LogView(baseIndex: machine.baseIndex, baseTerm: machine.baseTerm)
        let applied = max(machine.baseIndex, machine.savedApplied)
        for entry in machine.disk { log.append(entry, keepsPayload: entry.index > applied) }
        machines[place].replica = Replica(
            id: id, configuration: Configuration(voters: ids), options: options,
            hardState: machine.hardState, log: log, applied: applied,
            seed: SplitMix64.mix(seed ^ id << 32 ^ restarts))
        gather(id, takesWrite: true)
    }

    /// Stores and delivers everything that can be until nothing moves.
    func settle() {
        for _ in 0..<10_000 {
            var isQuiet = network.isEmpty
            for id in ids where isRunning(id) {
                let place = Int(id) - 1
                if machines[place].isDiskHeld { continue }
                if machines[place].replica?.hasWrite == true { gather(id, takesWrite: true) }
                if !machines[place].writes.isEmpty {
                    isQuiet = false
                    store(id, count: machines[place].writes.count)
                }
            }
            for _ in 0..<network.count { deliver(at: 0) }
            if isQuiet && network.isEmpty { return }
        }
        events.append("never settles")
    }
}

/// An entry as `index/term payload`.
func describe(_ entry: Entry) -> String {
    let text = entry.kind == .noop ? "noop" : String(decoding: entry.payload, as: UTF8.self)
    return "\(entry.index)/\(entry.term) \(text)"
}

/// A message on one line.
func describe(_ message: Message) -> String {
    let head = "\(message.from)>\(message.to) t\(message.term) "
    switch message.body {
    case .preVote(let index, let term): return head + "preVote last \(index)/\(term)"
    case .preVoteReply(let isGranted): return head + "preVoteReply \(isGranted)"
    case .vote(let index, let term): return head + "vote last \(index)/\(term)"
    case .voteReply(let isGranted): return head + "voteReply \(isGranted)"
    case .append(let index, let term, let entries, let commit):
        let list = entries.map(describe).joined(separator: ", ")
        return head + "append after \(index)/\(term) [\(list)] commit \(commit)"
    case .appendReply(let match): return head + "appendReply match \(match)"
    case .appendRejected(let previous, let index, let term):
        return head + "appendRejected after \(previous), try \(index)/\(term)"
    case .heartbeat(let commit): return head + "heartbeat commit \(commit)"
    case .heartbeatReply: return head + "heartbeatReply"
    }
}
