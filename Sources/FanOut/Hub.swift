package import ChatModel

/// Who hears what on this node: users' sockets, and who watches which conversation and user.
///
/// The apply lane owns the hub: it is single-threaded and does no I/O. During a drain `publish`
/// collects; `flush()` at its end hands every event loop one batch, so a loop wakes once a drain
/// however many events it gets. One copy of an event per loop, then one reference per socket.
///
/// Fan-out is a hint, the log is the truth: a loop that is full may drop what it is handed.
///
/// Order: a socket gets events in the order they were published. Between sockets the order follows
/// the audience given, so a run can be repeated.
package struct Hub {
    /// A socket by loop number, half the size of an endpoint and without a reference.
    struct Seat: Hashable {
        var loop: Int32
        var slot: UInt64
    }

    struct Record {
        var user: UserID
        var device: DeviceID
        var conversations: [ConversationID] = []
        var users: [UserID] = []
    }

    struct Outbox {
        let loop: any DeliveryLoop
        /// What the next flush hands over.
        var batch: [Delivery] = []
        /// Receivers of the event being published.
        var slots: [UInt64] = []
    }

    let limits: HubLimits
    var outboxes: [Outbox] = []
    var loopNumbers: [ObjectIdentifier: Int32] = [:]
    var records: [Seat: Record] = [:]
    var seats: [UserID: [Seat]] = [:]
    var conversationWatchers: [ConversationID: [Seat]] = [:]
    var userWatchers: [UserID: [Seat]] = [:]
    /// Online users in order, made when a large audience needs it.
    private var sortedOnline: [UserID]?
    private var collected = 0
    /// Receivers that got an event since the start.
    package private(set) var deliveredCount: UInt64 = 0

    /// A hub without sockets.
    package init(limits: HubLimits = HubLimits()) {
        self.limits = limits
    }

    /// Live sockets.
    package var endpointCount: Int { records.count }
    /// Users with a live socket.
    package var onlineUserCount: Int { seats.count }

    /// True when the user has a socket here.
    package func isOnline(_ user: UserID) -> Bool { seats[user] != nil }

    /// The user's sockets, oldest first.
    package func endpoints(of user: UserID) -> [SessionEndpoint] {
        (seats[user] ?? []).map(endpoint)
    }

    /// Adds a socket. A socket that is there already keeps its place.
    ///
    /// - Returns: false when the node or the user has as many sockets as it may have: the socket
    ///   was told to come back later, by ``EventBody/closed(_:)``, and nothing else happened.
    @discardableResult
    package mutating func attach(
        _ endpoint: SessionEndpoint, user: UserID, device: DeviceID
    ) -> Bool {
        if admit(endpoint, user: user, device: device) { return true }
        let event = SharedEvent(.closed(.internal))
        endpoint.loop.deliver([Delivery(event: event, slots: [endpoint.slot])])
        return false
    }

    private mutating func admit(
        _ endpoint: SessionEndpoint, user: UserID, device: DeviceID
    ) -> Bool {
        guard let seat = makeSeat(endpoint) else { return false }
        if let record = records[seat] { return record.user == user }
        guard records.count < limits.endpoints else { return false }
        var mine = seats[user] ?? []
        guard mine.count < limits.endpointsPerUser else { return false }
        if mine.isEmpty { sortedOnline = nil }
        mine.append(seat)
        seats[user] = mine
        records[seat] = Record(user: user, device: device)
        return true
    }

    /// Takes a socket away with all it watches.
    ///
    /// - Returns: whose it was; nil when it was not there.
    @discardableResult
    package mutating func detach(
        _ endpoint: SessionEndpoint
    ) -> (user: UserID, device: DeviceID)? {
        guard let seat = seat(of: endpoint), let record = records.removeValue(forKey: seat) else {
            return nil
        }
        for conversation in record.conversations {
            Self.remove(seat, from: &conversationWatchers, at: conversation)
        }
        for user in record.users { Self.remove(seat, from: &userWatchers, at: user) }
        Self.remove(seat, from: &seats, at: record.user)
        if seats[record.user] == nil { sortedOnline = nil }
        return (record.user, record.device)
    }

    // MARK: Publishing

    /// Every socket of these users hears the event.
    ///
    /// - Parameter audience: sorted ascending, without repeats. Costs one look-up per user, or,
    ///   when far more are named than are online, one binary search per online user.
    package mutating func publish(_ event: SharedEvent, to audience: [UserID]) {
        if audience.count > 64, audience.count / 8 > seats.count {
            for user in onlineUsers() where Self.contains(user, in: audience) {
                seatReceivers(user)
            }
        } else {
            for user in audience { seatReceivers(user) }
        }
        collect(event)
    }

    /// Every socket of one user hears the event.
    package mutating func publish(_ event: SharedEvent, to user: UserID) {
        seatReceivers(user)
        collect(event)
    }

    /// Every socket that watches the conversation hears the event.
    ///
    /// - Parameter excluded: a user whose own sockets do not.
    package mutating func publish(
        _ event: SharedEvent, toWatchersOf conversation: ConversationID,
        except excluded: UserID? = nil
    ) {
        for seat in conversationWatchers[conversation] ?? [] {
            if let excluded, records[seat]?.user == excluded { continue }
            outboxes[Int(seat.loop)].slots.append(seat.slot)
        }
        collect(event)
    }

    /// Every socket that watches the user hears the event.
    package mutating func publish(_ event: SharedEvent, toWatchersOf user: UserID) {
        for seat in userWatchers[user] ?? [] { outboxes[Int(seat.loop)].slots.append(seat.slot) }
        collect(event)
    }

    /// Hands every loop what was collected for it, one batch each.
    package mutating func flush() {
        collected = 0
        for index in outboxes.indices where !outboxes[index].batch.isEmpty {
            let batch = outboxes[index].batch
            outboxes[index].batch = []
            outboxes[index].loop.deliver(batch)
        }
    }

    /// Online users in order.
    package mutating func onlineUsers() -> [UserID] {
        if let sortedOnline { return sortedOnline }
        let sorted = seats.keys.sorted()
        sortedOnline = sorted
        return sorted
    }

    private mutating func seatReceivers(_ user: UserID) {
        guard let mine = seats[user] else { return }
        for seat in mine { outboxes[Int(seat.loop)].slots.append(seat.slot) }
    }

    /// Turns the gathered slots into one delivery per loop.
    private mutating func collect(_ event: SharedEvent) {
        for index in outboxes.indices where !outboxes[index].slots.isEmpty {
            let slots = outboxes[index].slots
            outboxes[index].slots = []
            outboxes[index].batch.append(Delivery(event: event, slots: slots))
            collected += slots.count
            deliveredCount &+= UInt64(slots.count)
        }
        if collected >= limits.collectedReceivers { flush() }
    }

    private static func contains(_ user: UserID, in sorted: [UserID]) -> Bool {
        var low = 0
        var high = sorted.count
        while low < high {
            let middle = (low + high) / 2
            if sorted[middle] < user { low = middle + 1 } else { high = middle }
        }
        return low < sorted.count && sorted[low] == user
    }
}
