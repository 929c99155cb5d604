import Bytes
import RaftCore

/// A few replicas, the messages between them and their disks, all under the test's hand.
///
/// A disk is a list of writes that are stored and a queue of writes that are not yet: a crash loses
/// the queue. The state machine is a list of entries; what of it outlives a crash the test decides.
/// A snapshot is no more than how far another machine has applied.
final class Cluster {
    /// A state that outlives crashes, or travels: how far it has applied, and who counts there.
    struct Saved {
        var index: LogIndex = 0
        var term: Term = 0
        var configuration: Configuration
    }

    /// A machine: the replica while it runs, and what outlives it.
    struct Machine {
        var replica: Replica?
        var hardState = HardState()
        /// The durable log after `base`.
        var disk: [Entry] = []
        /// Where the log begins; the configuration is that of there.
        var base: Saved
        /// Writes under way, oldest first.
        var writes: [StoreWrite] = []
        var isDiskHeld = false
        /// Applied entries, in order, since the machine started.
        var applied: [Entry] = []
        /// What of the state machine outlives a crash.
        var saved: Saved
        /// The state it was last asked to fetch.
        var need: SnapshotNeed?

        init(_ configuration: Configuration) {
            base = Saved(configuration: configuration)
            saved = base
        }

        var diskLast: LogIndex { base.index + LogIndex(disk.count) }

        /// Puts a write on the disk. False when it leaves a gap.
        mutating func put(_ write: StoreWrite) -> Bool {
            if let state = write.hardState { hardState = state }
            if let reset = write.reset {
                // Recovery will take the state machine's word for the base.
                base = Saved(
                    index: reset.index, term: reset.term, configuration: saved.configuration)
                disk = []
            }
            guard let first = write.entries.first else { return true }
            disk.removeAll { $0.index >= first.index }
            disk.append(contentsOf: write.entries)
            return first.index > base.index && write.entries.last?.index == diskLast
        }

        /// The entry on the disk at `index`.
        func stored(_ index: LogIndex) -> Entry? {
            guard index > base.index, index <= diskLast else { return nil }
            return disk[Int(index - base.index) - 1]
        }

        /// True when the entry outlives a crash here.
        func holds(_ entry: Entry) -> Bool {
            max(base.index, saved.index) >= entry.index || stored(entry.index) == entry
        }

        /// What recovery does: a log that does not go through the saved state is of no use.
        mutating func recover() {
            let term = saved.index == base.index ? base.term : stored(saved.index)?.term
            if term == saved.term { return }
            disk = []
            base = saved
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

    var onReads: (ReplicaID, Effects) -> Void = { _, _ in }

    /// A cluster of `count` voters and `waiting` machines that wait to be let in.
    init(
        count: Int, waiting: Int = 0, options: RaftOptions = RaftOptions(), seed: UInt64 = 1
    ) {
        self.options = options
        self.seed = seed
        let voters = (1...count).map { ReplicaID($0) }
        machines = (0..<count + waiting).map { place in
            Machine(Configuration(voters: place < count ? voters : []))
        }
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
            tellReads(id, effects)
            if let need = effects.snapshotsNeeded.last {
                machines[place].need = need
                events.append("\(id) needs a snapshot of \(need.index) from \(need.from)")
            }
            for read in effects.logReads {
                logReads += 1
                let entries = (read.first...read.last).compactMap { machines[place].stored($0) }
                replica.provide(Array(entries.prefix(3)), for: read)
            }
        } while !effects.logReads.isEmpty || effects.hasMoreCommitted
        if takesWrite, let write = replica.takeWrite(bytesMax: writeBytesMax) {
            machines[place].writes.append(write)
        }
        machines[place].replica = replica
    }

    private func tellReads(_ id: ReplicaID, _ effects: Effects) {
        onReads(id, effects)
        for grant in effects.reads {
            events.append("\(id) grants reads \(grant.position) at \(grant.index)")
        }
        if effects.readsLost > 0 {
            events.append("\(id) has lost reads through \(effects.readsLost)")
        }
    }

    private func put(_ write: StoreWrite, on place: Int) {
        if !machines[place].put(write) { events.append("BROKEN \(place + 1): a gap in the log") }
    }

    /// The state machine's disk catches up with what is applied and durable.
    func save(_ id: ReplicaID) {
        let place = Int(id) - 1
        guard let replica = machines[place].replica else { return }
        let index = min(replica.appliedIndex, replica.durableIndex)
        guard index > machines[place].saved.index, let term = replica.log.term(at: index) else {
            return
        }
        machines[place].saved = Saved(
            index: index, term: term, configuration: replica.configuration(at: index))
    }

    /// Drops the log up to `index`, as far as the saved state allows.
    func compact(_ id: ReplicaID, through index: LogIndex) {
        let place = Int(id) - 1
        let bound = min(index, machines[place].saved.index)
        with(id) { $0.compact(through: bound) }
        guard let replica = machines[place].replica else { return }
        let base = replica.log.baseIndex
        guard base > machines[place].base.index, base <= machines[place].diskLast else { return }
        machines[place].disk.removeFirst(Int(base - machines[place].base.index))
        machines[place].base = Saved(
            index: base, term: replica.log.baseTerm, configuration: replica.configuration(at: base))
    }

    /// Fetches the state of another machine and installs it. False when it is of no use.
    @discardableResult
    func install(_ id: ReplicaID, from other: ReplicaID) -> Bool {
        guard let source = machines[Int(other) - 1].replica, isRunning(id),
            let term = source.log.term(at: source.appliedIndex)
        else { return false }
        let place = Int(id) - 1
        let index = source.appliedIndex
        let configuration = source.configuration(at: index)
        let before = machines[place].saved
        machines[place].saved = Saved(index: index, term: term, configuration: configuration)
        let isInstalled = with(id) {
            $0.install(index: index, term: term, configuration: configuration)
        }
        if isInstalled != true { machines[place].saved = before }
        return isInstalled == true
    }

    /// Completes the oldest `count` writes.
    func store(_ id: ReplicaID, count: Int = 1) {
        let place = Int(id) - 1
        let done = machines[place].writes.prefix(count)
        guard let last = done.last else { return }
        for write in done { put(write, on: place) }
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
        for write in machines[place].writes.prefix(surviving) { put(write, on: place) }
        machines[place].writes = []
        machines[place].replica = nil
        machines[place].applied = []
        machines[place].need = nil
    }

    /// Starts a machine from its disk.
    func restart(_ id: ReplicaID) {
        let place = Int(id) - 1
        machines[place].recover()
        let machine = machines[place]
        restarts += 1
        var log = LogView(baseIndex: machine.base.index, baseTerm: machine.base.term)
        let applied = machine.saved.index
        for entry in machine.disk { log.append(entry, keepsPayload: entry.index > applied) }
        machines[place].replica = Replica(
            id: id, configuration: machine.base.configuration, options: options,
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
