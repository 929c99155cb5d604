import ChatModel
import Session

// Reads, marks, and what the owner of a group does.
extension SimulatedClient {
    /// The newest page, from any node: it holds everything that was acknowledged before.
    func readNewest(_ room: Town.Room, limit: Int) {
        guard let member = world.pick(world.serving) else { return }
        let floor = world.history.readBegins(room.id)
        let before = session.readBegins(room.id)
        let isResident = room.residents.contains(user)
        let identity = device.identity
        world.call(member) { node, answer in
            node.page(room.id, .newest, limit: limit, for: identity, answer: answer)
        } done: { [self] (outcome: SimulatedWorld.Outcome<PageView>) in
            switch outcome {
            case .answer(.success(let page)):
                let last = page.entries.last?.seq ?? 0
                world.trace.note(
                    .page, UInt64(index), UInt64(member.number), room.id.low, last)
                let observer = "client \(self.index) at node \(member.number)"
                guard isResident else { return world.history.saw(page, by: observer) }
                world.history.read(page, after: floor, by: observer)
                session.read(room.id, upTo: last, after: before)
            case .answer(.failure(let error)):
                world.marks.reach(.readRefused)
                if isResident, error.code == .notFound {
                    world.verdict.fail(
                        .durability,
                        "node \(member.number) does not know \(room.id), whose "
                            + "resident asked for it")
                }
            case .unreachable, .silence: break
            }
        }
    }

    /// An older page.
    func readBack(_ room: Town.Room) {
        guard let member = world.pick(world.serving) else { return }
        let anchor = PageAnchor.before(1 + UInt64(world.draw(60)))
        let identity = device.identity
        world.call(member) { node, answer in
            node.page(room.id, anchor, limit: 20, for: identity, answer: answer)
        } done: { [self] (outcome: SimulatedWorld.Outcome<PageView>) in
            guard case .answer(.success(let page)) = outcome else { return }
            world.history.saw(page, by: "client \(self.index) at node \(member.number)")
        }
    }

    /// Reads up to where nothing is missing.
    func mark(_ room: Town.Room) {
        let seq = session.whole(room.id)
        guard seq > 0, let member = world.pick(world.serving) else { return }
        let request = MarkRequest(conversation: room.id, delivered: seq, read: seq)
        let identity = device.identity
        world.call(member) { node, answer in
            node.submit(.mark(request), by: identity, answer: answer)
        } done: { [self] (outcome: SimulatedWorld.Outcome<CommandResult>) in
            guard case .answer(.success(.done)) = outcome else { return }
            world.trace.note(.marked, UInt64(index), room.id.low, seq)
            world.history.marked(room.id, user, upTo: seq)
        }
    }

    /// The members' marks, from any node.
    func askMarks(_ room: Town.Room) {
        guard room.residents.contains(user), let member = world.pick(world.serving) else { return }
        let floors = world.history.marksBegin(room.id)
        let identity = device.identity
        world.call(member) { node, answer in
            node.marks(of: room.id, for: identity, cursor: nil, limit: 100, answer: answer)
        } done: { [self] (outcome: SimulatedWorld.Outcome<ListView<MarkView>>) in
            guard case .answer(.success(let list)) = outcome else { return }
            world.history.readMarks(
                room.id, list.items, after: floors,
                by: "client \(self.index) at node \(member.number)")
        }
    }

    /// The founder puts the guest out, or takes the guest in again.
    func changeGuest(_ room: Town.Room) {
        guard let guest = room.guest, room.founders.first == user,
            let member = world.pick(world.serving)
        else { return }
        let role: Role? = world.isDrawn(2) ? nil : .member
        let identity = device.identity
        world.call(member) { node, answer in
            node.submit(
                .changeMember(room.id, user: guest, role: role), by: identity, answer: answer)
        } done: { [self] (outcome: SimulatedWorld.Outcome<CommandResult>) in
            guard case .answer(.success) = outcome else { return }
            world.marks.reach(role == nil ? .memberRemoved : .memberReturned)
        }
    }

    func setTitle(_ room: Town.Room) {
        guard room.kind == .group, let member = world.pick(world.serving) else { return }
        let identity = device.identity
        let title = "title \(world.draw(1_000))"
        world.call(member) { node, answer in
            node.submit(.setTitle(room.id, title), by: identity, answer: answer)
        } done: { (_: SimulatedWorld.Outcome<CommandResult>) in
        }
    }
}
