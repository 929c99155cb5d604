import ChatModel
import ChatNode
import Session

// What every node shows in the end.
extension SimulationRun {
    /// Reads every conversation and every feed from every node.
    func readEverything() {
        for member in world.members {
            var logs: [(room: Town.Room, log: WholeLog)] = []
            for room in town.rooms {
                let reader = town.devices.first { room.residents.contains($0.identity.user) }
                guard let reader else { continue }
                let log = WholeLog(
                    world: world, member: member, room: room, identity: reader.identity)
                log.start()
                guard pass(ms: 60_000, until: { log.isDone }) else {
                    _ = fail("node \(member.number) does not answer a reader")
                    return
                }
                world.history.finish(
                    room.id, log.entries, founders: room.founders, on: "node \(member.number)")
                checkClients(room, head: log.entries.last?.seq ?? 0)
                logs.append((room, log))
                if world.verdict.violation != nil { return }
            }
            self.logs = logs
            readFeeds(member, logs)
            checkStrangers(member, logs)
        }
    }

    /// All nodes come to the same rows, and those of different partitions agree.
    func checkRows() {
        guard settle(ms: 60_000, until: { world.isLevel }) else {
            explain()
            _ = fail("the nodes do not come to the same index")
            return
        }
        world.compareRows()
        checkMaps()
        guard settle(ms: 60_000, until: { world.feedProblem(of: town.people) == nil }) else {
            let problem = world.feedProblem(of: town.people) ?? ""
            return world.verdict.fail(.streams, problem)
        }
    }

    /// All nodes have applied the same, so they go by the same map.
    private func checkMaps() {
        for member in world.members {
            if let map = member.node?.clusterMap { world.ownership.goes(member.number, by: map) }
        }
        world.ownership.finish(world.members.map(\.number))
    }

    /// Like ``pass(ms:until:)``, for conditions that are dear to ask.
    func settle(ms: UInt64, until condition: () -> Bool) -> Bool {
        for _ in 0..<(ms / 500) {
            if condition() || world.verdict.violation != nil { return true }
            let next = world.nowMs + 500
            pass(ms: 600) { [world] in world.nowMs >= next }
        }
        return condition()
    }

    private func checkClients(_ room: Town.Room, head: EntrySequence) {
        for client in clients where room.residents.contains(client.user) {
            let whole = client.session.whole(room.id)
            if whole != head {
                world.verdict.fail(
                    .streams,
                    "client \(client.index) has \(room.id) up to seq \(whole) after "
                        + "its last pings, the log ends at \(head)")
            }
        }
    }

    /// Each person's list shows the rooms they belong to, at their heads, and no others.
    private func readFeeds(_ member: SimulatedMember, _ logs: [(room: Town.Room, log: WholeLog)]) {
        for person in town.people {
            guard let device = town.devices.first(where: { $0.identity.user == person }) else {
                continue
            }
            let feed = WholeFeed(world: world, member: member, identity: device.identity)
            feed.start()
            guard pass(ms: 60_000, until: { feed.isDone }) else {
                _ = fail("node \(member.number) does not list changes")
                return
            }
            for (room, log) in logs where room.founders.contains(person) {
                check(feed.views[room.id], log, of: person, on: member)
            }
        }
    }

    /// Who was put out of a room sees nothing of those they share no other room with, though these
    /// are online.
    private func checkStrangers(
        _ member: SimulatedMember, _ logs: [(room: Town.Room, log: WholeLog)]
    ) {
        for (room, log) in logs {
            guard let guest = room.guest, !log.hasMember(guest),
                let device = town.devices.first(where: { $0.identity.user == guest })
            else { continue }
            let strangers = room.founders.filter { person in
                person != guest
                    && !logs.contains { $0.log.hasMember(person) && $0.log.hasMember(guest) }
            }
            if strangers.isEmpty { continue }
            let question = PresenceQuestion(
                world: world, member: member, users: strangers, identity: device.identity)
            question.start()
            guard pass(ms: 60_000, until: { question.isDone }) else {
                _ = fail("node \(member.number) does not tell who is there")
                return
            }
            for view in question.views where view.state != .offline || view.lastSeenMs != nil {
                world.verdict.fail(
                    .membership,
                    "node \(member.number) shows \(view.user) to \(guest), who was "
                        + "put out of \(room.id)")
            }
        }
    }

    private func check(
        _ view: ChangedView?, _ log: WholeLog, of person: UserID, on member: SimulatedMember
    ) {
        guard let last = log.entries.last else { return }
        if !log.hasMember(person) {
            if let view, !view.hasLeft {
                world.verdict.fail(
                    .streams,
                    "node \(member.number) lists \(last.conversation) for \(person), "
                        + "who was put out of it")
            }
            return
        }
        if view?.hasLeft != false || view?.head != last.seq {
            world.verdict.fail(
                .streams,
                "node \(member.number) lists \(last.conversation) for \(person) up to "
                    + "seq \(view?.head ?? 0), the log ends at \(last.seq)")
        }
    }
}
