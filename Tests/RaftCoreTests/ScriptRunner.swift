import RaftCore

/// The interpreter of scripts.
struct ScriptRunner {
    private var cluster = Cluster(count: 1)
    private var options = RaftOptions()

    /// The script with every block's output replaced by what its commands print.
    mutating func run(_ script: String) -> String {
        var result: [String] = []
        var output: [String]?
        for line in script.split(separator: "\n", omittingEmptySubsequences: false) {
            if output != nil {
                guard line.isEmpty else { continue }
                result.append("")
                output = nil
                continue
            }
            result.append(String(line))
            if line == "----" {
                cluster.events.append(contentsOf: brokenInvariants())
                result.append(contentsOf: cluster.events)
                output = cluster.events
                cluster.events = []
            } else if !line.isEmpty, !line.hasPrefix("#") {
                perform(line.split(separator: " ").map(String.init))
            }
        }
        return result.joined(separator: "\n")
    }

    private func brokenInvariants() -> [String] {
        cluster.ids.compactMap { id in
            cluster.machines[Int(id) - 1].replica?.brokenInvariant().map { "BROKEN \(id): \($0)" }
        }
    }

    private mutating func perform(_ words: [String]) {
        let numbers = words.dropFirst().map { Int($0) ?? 0 }
        let id = ReplicaID(numbers.first ?? 0)
        switch words[0] {
        case "limits":
            options.entryBytesMax = numbers[0]
            options.unappliedBytesMax = numbers[1]
            options.inflightBytesMax = numbers[2]
            options.messageBytesMax = numbers[3]
            options.cacheBytesMax = numbers[4]
        case "nodes":
            cluster = Cluster(
                count: numbers[0], waiting: numbers.count > 1 ? numbers[1] : 0, options: options)
        case "tick":
            for _ in 0..<numbers[1] { cluster.with(id) { $0.tick() } }
        case "beat":
            for _ in 0..<numbers[1] {
                cluster.with(id) { $0.tick() }
                cluster.settle()
            }
        case "campaign": cluster.with(id) { $0.campaign() }
        case "propose": propose(id, words.dropFirst(2).joined(separator: " "))
        case "settle": cluster.settle()
        case "deliver": deliver(words.dropFirst().first)
        case "network": cluster.events.append(contentsOf: cluster.network.map(describe))
        case "drop": drop(words.dropFirst().first)
        case "cut":
            for other in cluster.ids where other != id {
                cluster.cutLinks.insert("\(id)>\(other)")
                cluster.cutLinks.insert("\(other)>\(id)")
            }
        case "cut-link": cluster.cutLinks.insert(words[1])
        case "heal": cluster.cutLinks = []
        case "hold-disk": cluster.machines[Int(id) - 1].isDiskHeld = true
        case "free-disk": cluster.machines[Int(id) - 1].isDiskHeld = false
        case "store": store(id, count: numbers.count > 1 ? numbers[1] : 1)
        case "crash": cluster.crash(id)
        case "restart": cluster.restart(id)
        case "status": cluster.events.append(contentsOf: cluster.ids.map(status))
        case "log": showLog(id)
        case "change": change(id, words.dropFirst(2))
        case "read": read(id)
        case "transfer": transfer(id, to: ReplicaID(numbers[1]))
        case "save": cluster.save(id)
        case "compact": cluster.compact(id, through: LogIndex(numbers[1]))
        case "install": install(id, from: ReplicaID(numbers[1]))
        case "members": showMembers(id)
        default: cluster.events.append("unknown command \(words[0])")
        }
    }

    private func propose(_ id: ReplicaID, _ text: String) {
        tell(cluster.with(id) { $0.propose([UInt8](text.utf8)) }, id)
    }

    /// `change 1 1 2 4 learners 5`
    private func change(_ id: ReplicaID, _ words: ArraySlice<String>) {
        let lists = words.split(separator: "learners", omittingEmptySubsequences: false)
            .map { $0.compactMap { ReplicaID($0) } }
        let outcome = cluster.with(id) {
            $0.changeMembership(voters: lists[0], learners: lists.count > 1 ? lists[1] : [])
        }
        tell(outcome, id)
    }

    private func tell(_ outcome: ProposalOutcome?, _ id: ReplicaID) {
        switch outcome {
        case .accepted(let index, let term): cluster.events.append("accepted at \(index)/\(term)")
        case .rejected(.notLeader(let leader)): refuse(leader)
        case .rejected(.tooLarge(let limit)):
            cluster.events.append("refused: larger than \(limit) bytes")
        case .rejected(let reason): cluster.events.append("refused: \(reason)")
        case nil: cluster.events.append("\(id) is down")
        }
    }

    private func refuse(_ leader: ReplicaID?) {
        cluster.events.append("refused: the leader is \(leader.map { "\($0)" } ?? "unknown")")
    }

    private func read(_ id: ReplicaID) {
        // The answer comes before what it causes.
        cluster.with(id) { [cluster] in
            switch $0.requestRead() {
            case .waiting(let position): cluster.events.append("reads at position \(position)")
            case .rejected(.notLeader(let leader)): refuse(leader)
            case .rejected(.overloaded): cluster.events.append("refused: overloaded")
            }
        }
    }

    private func transfer(_ id: ReplicaID, to target: ReplicaID) {
        switch cluster.with(id, { $0.transferLeadership(to: target) }) {
        case .started: cluster.events.append("hands over to \(target)")
        case .rejected(.notLeader(let leader)): refuse(leader)
        case .rejected(let reason): cluster.events.append("refused: \(reason)")
        case nil: cluster.events.append("\(id) is down")
        }
    }

    private func install(_ id: ReplicaID, from other: ReplicaID) {
        let isInstalled = cluster.install(id, from: other)
        cluster.events.append(isInstalled ? "\(id) installs" : "\(id) has no use for it")
    }

    /// A replica's configuration, and on a leader what it knows of the members.
    private func showMembers(_ id: ReplicaID) {
        guard let replica = cluster.machines[Int(id) - 1].replica else { return }
        var line = "\(id) " + describe(replica.configuration) + " floor \(replica.retentionFloor)"
        if let target = replica.transferTarget { line += " hands over to \(target)" }
        cluster.events.append(line)
        for member in replica.configuration.members {
            guard let status = replica.peerStatus(of: member) else { continue }
            let activity = status.isActive ? "active" : "silent"
            cluster.events.append("  \(member) \(status.state) match \(status.match) \(activity)")
        }
    }

    /// Delivers what is on the network now, on one link or all, and prints it.
    private func deliver(_ link: String?) {
        var position = 0
        for _ in 0..<cluster.network.count {
            let message = cluster.network[position]
            if let link, link != "\(message.from)>\(message.to)" {
                position += 1
                continue
            }
            cluster.events.append(describe(message))
            cluster.deliver(at: position)
        }
    }

    private func drop(_ link: String?) {
        cluster.network.removeAll { link == nil || link == "\($0.from)>\($0.to)" }
    }

    private func store(_ id: ReplicaID, count: Int) {
        for write in cluster.machines[Int(id) - 1].writes.prefix(count) {
            let state = write.hardState.map { state in
                "term \(state.term) vote \(state.vote.map { "\($0)" } ?? "none") "
            }
            let entries = write.entries.map(describe).joined(separator: ", ")
            cluster.events.append("\(id) stores \(state ?? "")[\(entries)]")
            cluster.store(id)
        }
    }

    private func status(_ id: ReplicaID) -> String {
        let machine = cluster.machines[Int(id) - 1]
        guard let replica = machine.replica else { return "\(id) down" }
        return "\(id) \(replica.role) term \(replica.term) commit \(replica.commitIndex) "
            + "durable \(replica.durableIndex) last \(replica.log.lastIndex) "
            + "cached \(replica.log.lastIndex + 1 - replica.log.cachedFirst) "
            + "writes \(machine.writes.count)"
    }

    private func showLog(_ id: ReplicaID) {
        guard let log = cluster.machines[Int(id) - 1].replica?.log else { return }
        guard log.lastIndex > log.baseIndex else { return }
        let terms = (log.baseIndex + 1...log.lastIndex).map { "\($0)/\(log.term(at: $0) ?? 0)" }
        cluster.events.append("\(id) log " + terms.joined(separator: " "))
    }
}
