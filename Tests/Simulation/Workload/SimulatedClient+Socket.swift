import ChatModel
import Platform
import Session

// The client's socket: opening, frames both ways, losing it.
extension SimulatedClient {
    // MARK: Opening and losing

    func connect() {
        guard connection == nil else { return }
        guard let member = world.pick(world.serving) else {
            return world.later(ms: 300) { [self] in connect() }
        }
        connectionCount += 1
        let number = connectionCount
        connection = Connection(number: number, member: member, lastHeardMs: world.nowMs)
        world.trace.note(.clientOpen, UInt64(index), UInt64(member.number))
        let way = ClientWay(client: self, number: number)
        world.later(ms: 1) { [self] in
            guard let host = member.host else { return lost(number) }
            host.lane.submit { [self] in
                let slot = host.accept(send: way.send, close: way.close)
                world.lane.submit { [self] in opened(number, host, slot) }
            }
        }
        world.later(ms: 6_000) { [self] in
            if connection?.number == number, connection?.isReady == false { lost(number) }
        }
    }

    private func opened(_ number: UInt64, _ host: SocketHost, _ slot: UInt64) {
        guard connection?.number == number else {
            return host.lane.submit { host.lost(slot: slot, isClean: false) }
        }
        connection?.slot = slot
        session.opens()
        let resume = epoch.map { Resume(epoch: $0, feed: feed, have: session.have) }
        transmit(ClientFrame(id: "auth", body: .auth(.token(device.token), resume: resume)))
    }

    /// The client closes its socket, with or without saying so.
    func drop(isClean: Bool) {
        guard let connection else { return }
        if let slot = connection.slot, let host = connection.member.host {
            world.later(ms: 1) { host.lane.submit { host.lost(slot: slot, isClean: isClean) } }
        }
        lost(connection.number)
    }

    /// The socket is gone: what was asked over it may or may not have happened.
    func lost(_ number: UInt64) {
        guard let connection, connection.number == number else { return }
        world.trace.note(.clientLost, UInt64(index), UInt64(connection.member.number))
        lastNode = connection.member.number
        self.connection = nil
        isPulling = false
        let open = pending.filter { $0.value.isUnderWay && $0.value.node == 0 }.keys.sorted()
        for request in open { tryFailed(request, isUncertain: true) }
        world.later(ms: 100 + world.around(ms: 400)) { [self] in connect() }
    }

    // MARK: Frames

    /// A frame to the server, behind those sent before it.
    func transmit(_ frame: ClientFrame) {
        guard let connection, let slot = connection.slot, let host = connection.member.host else {
            return
        }
        let arrival = world.arrival(after: connection.lastArrivalUp)
        self.connection?.lastArrivalUp = arrival
        world.at(nanoseconds: arrival) {
            host.lane.submit { host.received(frame, slot: slot) }
        }
    }

    /// A frame of the server arrived.
    func received(_ frame: ServerFrame, _ id: String?, on number: UInt64) {
        guard connection?.number == number else { return }
        connection?.lastHeardMs = world.nowMs
        switch frame {
        case .ready(let ready): becameReady(ready)
        case .changed(let views, _): for view in views { changed(view) }
        case .sent(let sent): answered(sent, id)
        case .entry(let entry): heard(entry)
        case .gap(let conversation, let head):
            world.trace.note(.gap, UInt64(index), conversation.low, head)
            session.gap(conversation, head: head)
            pull()
        case .mark(let conversation, let mark): session.marked(conversation, mark)
        case .page(let page): pulled(page)
        case .pong(_, let feed):
            self.feed = max(self.feed, feed)
            if isDraining { drainPings += 1 }
        case .error(let error): refused(error, id)
        case .hello, .typing, .presence, .done, .results, .closing: break
        }
    }

    private func becameReady(_ ready: Ready) {
        if ready.user != user {
            world.verdict.fail(.honesty, "client \(index) was let in as \(ready.user)")
        }
        connection?.isReady = true
        world.trace.note(.clientLive, UInt64(index), UInt64(connection?.member.number ?? 0))
        if lastNode != 0, lastNode != connection?.member.number { world.marks.reach(.resumed) }
        epoch = ready.epoch
        for view in ready.changes.changed { changed(view) }
        // Until all changes are listed the position is not ours to keep: a pong says so.
        if ready.changes.isComplete { feed = max(feed, ready.changes.position) }
        pull()
    }

    private func changed(_ view: ChangedView) {
        world.trace.note(
            .listed, UInt64(index), view.conversation.low, view.head, view.floor)
        if let last = view.last { world.history.saw(last, by: "client \(self.index)") }
        session.changed(view)
        pull()
    }

    private func heard(_ entry: Entry) {
        world.trace.note(.delivered, UInt64(index), entry.conversation.low, entry.seq)
        world.history.saw(entry, by: "client \(self.index)")
        if case .membership(user, .joined, _) = entry.body {
            session.joined(entry.conversation, entry.seq)
        }
        session.streamed(entry.conversation, entry.seq)
        if case .membership(user, let change, _) = entry.body,
            change == .left || change == .removed
        {
            session.left(entry.conversation)
        }
        pull()
    }

    // MARK: Pulling

    /// Asks for what is missing, one page at a time.
    func pull() {
        guard !isPulling, connection?.isReady == true, let gap = session.gaps.first else { return }
        isPulling = true
        pullCount += 1
        let pull = pullCount
        pulledConversation = gap.conversation
        let number = connection?.number
        transmit(
            ClientFrame(id: "pull", body: .pull(gap.conversation, .after(gap.after), limit: 100)))
        world.later(ms: 5_000) { [self] in
            // Only this one's own time is up: each would otherwise begin another beside the rest.
            guard connection?.number == number, isPulling, pullCount == pull else { return }
            isPulling = false
            self.pull()
        }
    }

    private func pulled(_ page: PageView) {
        world.history.saw(page, by: "client \(self.index)")
        if session.pulled(page) { world.marks.reach(.gapPulled) }
        pullLater(ms: 1)
    }

    func pullLater(ms: UInt64) {
        world.later(ms: ms) { [self] in
            isPulling = false
            pull()
        }
    }
}

/// The server's way to one socket of a client; frames keep their order.
// Confined to the thread that steps the scheduler.
private final class ClientWay: @unchecked Sendable {
    private let client: SimulatedClient
    private let number: UInt64
    private var lastArrival: UInt64 = 0

    init(client: SimulatedClient, number: UInt64) {
        self.client = client
        self.number = number
    }

    @Sendable func send(_ frame: ServerFrame, _ id: String?) {
        later { [self] in client.received(frame, id, on: number) }
    }

    @Sendable func close(_ code: CloseCode?) {
        later { [self] in client.lost(number) }
    }

    private func later(_ job: @escaping @Sendable () -> Void) {
        let world = client.world
        lastArrival = world.arrival(after: lastArrival)
        world.at(nanoseconds: lastArrival, job)
    }
}
